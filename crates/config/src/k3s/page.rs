//! The reference page of k3s' flags.

use std::fmt::Write as _;

use super::{Roles, Takes, flags};

const HEAD: &str = "# k3s' flags

What becomes of each flag of `k3s server` and `k3s agent` (1.19 to 1.34) that a configuration names in `k3s_args`, or by its environment variable in `environment`. `lifeboat config check` prints those of a file that do not carry over.

* **mapped**: kubeadm, the kubelet or the component has the same setting, and it is set.
* **not needed**: nothing is lost without it.
* **no equivalent**: it cannot be had; the reason says what to do.

Without `server` or `agent` as the first word a node with a `server_url` is an agent, any other a server. `labels` and `taints` come after the arguments, so that they count more. A key of the configuration (`server_url`, `token`) is k3s' environment variable of it: an argument counts more.

## Joining

`server_url` and `token` make a node a worker of the cluster there, by `kubeadm join`. It waits for the API server for as long as it takes and says so in `lifeboat node status`.

| `token` | what it is here |
| --- | --- |
| `abcdef.0123456789abcdef` | kubeadm's own form: used as it is |
| any other text | k3s' secret: a bootstrap token is derived from it, the same on each node. The node that makes the cluster creates it without expiry, so that nodes with the same secret join at any time |
| `K10HASH::USER:SECRET` | k3s' full form: `SECRET` is used as above. `HASH` is that of a k3s cluster's authority and says nothing about a cluster of kubeadm |

**What is trusted.** With `kubeadm: {discovery_ca_hashes: [\"sha256:…\"]}` a node joins only a cluster whose authority has one of these hashes. Without, it trusts the cluster whose `cluster-info` is signed with the token: whoever knows the token, other nodes included, could stand in for the API server; who does not know it cannot. kubeadm calls that `unsafeSkipCAVerification`. k3s with a secret alone trusts whatever answers. A hash is printed by

    openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum

The id of a token and a signature made with it are public in a cluster, so a short secret can be found by trying; use at least 16 random characters.

A `server` whose `server_url` names itself begins the cluster, which others then reach by that address. A `server` with the `server_url` of another node would be a further control plane; that is not done by this version, and such a node says so and has no Kubernetes.

This page is generated from the table of the parser.
";

/// The page `docs/reference/k3s-flags.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for flag in flags() {
        if flag.group != group {
            group = flag.group;
            let _ = write!(
                page,
                "\n## {group}\n\n| Flag | Variable | Of | Verdict | How, or why and what to do |\n| --- | --- | --- | --- | --- |\n"
            );
        }
        let dashed = |name: &&str| match name.len() {
            1 => format!("`-{name}`"),
            _ => format!("`--{name}`"),
        };
        let mut names: Vec<String> = std::iter::once(&flag.name)
            .chain(flag.aliases)
            .map(dashed)
            .collect();
        if flag.takes != Takes::Nothing
            && let Some(first) = names.first_mut()
        {
            let many = if flag.takes == Takes::Values {
                " …"
            } else {
                ""
            };
            *first = format!("{first} value{many}");
        }
        let variables: Vec<String> = flag
            .variables
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let of = match flag.roles {
            Roles::Server => "server",
            Roles::Agent => "agent",
            Roles::Both => "both",
        };
        let _ = writeln!(
            page,
            "| {} | {} | {of} | {} | {} |",
            names.join(", "),
            variables.join(", "),
            flag.verdict.name(),
            flag.verdict.reason()
        );
    }
    page
}
