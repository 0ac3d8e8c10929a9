use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn planned(server_url: Option<&str>, token: Option<&str>, k3s_args: &[&str]) -> Plan {
    plan(&Input {
        server_url,
        token,
        k3s_args,
        hostname: Some("n1"),
        ..Input::default()
    })
}

fn codes(plan: &Plan) -> Vec<(&str, &'static str)> {
    let code = |note: &'_ Note| note.code;
    plan.notes
        .iter()
        .map(|note| (note.path.as_str(), code(note)))
        .collect()
}

const SECRET: &str = "a secret of some length";

#[test]
fn every_flag_has_one_verdict_and_no_name_twice() {
    let mut names = HashSet::new();
    let mut variables = HashSet::new();
    for flag in flags() {
        for name in std::iter::once(&flag.name).chain(flag.aliases) {
            assert!(names.insert(*name), "{name} is there twice");
        }
        for variable in flag.variables {
            assert!(variables.insert(*variable), "{variable} is there twice");
        }
        assert!(!flag.verdict.reason().is_empty());
        let mapped = matches!(flag.verdict, Verdict::Mapped(_));
        assert_eq!(super::plan::takes(flag.name), mapped, "{}", flag.name);
    }
}

/// The flags that k3s' documentation has, each once: what is added to k3s is missed here.
#[test]
fn the_table_holds_the_flags_of_the_documentation() {
    let all = "advertise-address advertise-port agent-token agent-token-file airgap-extra-registry alsologtostderr bind-address cluster-cidr cluster-dns cluster-domain cluster-init cluster-reset cluster-reset-restore-path config container-runtime-endpoint data-dir datastore-cafile datastore-certfile datastore-endpoint datastore-keyfile debug default-local-storage-path default-runtime disable disable-agent disable-apiserver disable-apiserver-lb disable-cloud-controller disable-controller-manager disable-default-registry-endpoint disable-etcd disable-helm-controller disable-kube-proxy disable-network-policy disable-scheduler disable-selinux docker egress-selector-mode embedded-registry enable-pprof etcd-arg etcd-disable-snapshots etcd-expose-metrics etcd-s3 etcd-s3-access-key etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-config-secret etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-folder etcd-s3-insecure etcd-s3-proxy etcd-s3-region etcd-s3-secret-key etcd-s3-session-token etcd-s3-skip-ssl-verify etcd-s3-timeout etcd-snapshot-compress etcd-snapshot-dir etcd-snapshot-name etcd-snapshot-retention etcd-snapshot-schedule-cron flannel-backend flannel-cni-conf flannel-conf flannel-external-ip flannel-iface flannel-ipv6-masq helm-job-image https-listen-port image-credential-provider-bin-dir image-credential-provider-config image-service-endpoint kine-tls kube-apiserver-arg kube-cloud-controller-arg kube-cloud-controller-manager-arg kube-controller-arg kube-controller-manager-arg kube-proxy-arg kube-scheduler-arg kubelet-arg lb-server-port log no-deploy no-flannel node-external-dns node-external-ip node-internal-dns node-ip node-label node-name node-taint nonroot-devices pause-image prefer-bundled-bin private-registry protect-kernel-defaults resolv-conf rootless secrets-encryption secrets-encryption-provider selinux server service-cidr service-node-port-range servicelb-namespace snapshotter supervisor-metrics system-default-registry tls-san tls-san-security token token-file v vmodule vpn-auth vpn-auth-file with-node-id write-kubeconfig write-kubeconfig-group write-kubeconfig-mode cluster-secret";
    for name in all.split(' ') {
        assert!(flag(name).is_some(), "{name}");
    }
    for short in ["s", "t", "d", "c", "o", "i", "l"] {
        assert!(flag(short).is_some(), "-{short}");
    }
}

#[test]
fn the_role_is_that_of_k3os() {
    let url = Some("https://other:6443");
    for (url, args, role) in [
        (None, &[][..], Role::Server),
        (url, &[][..], Role::Agent),
        (None, &["--disable=traefik"][..], Role::Server),
        (url, &["--node-label=a=b"][..], Role::Agent),
        (url, &["server"][..], Role::Server),
        (None, &["agent"][..], Role::Agent),
        (None, &["server --disable traefik"][..], Role::Server),
    ] {
        assert_eq!(planned(url, Some(SECRET), args).role, role, "{args:?}");
    }
    let by_variable = plan(&Input {
        environment: &[("K3S_URL", "https://other:6443"), ("K3S_TOKEN", SECRET)],
        ..Input::default()
    });
    assert!(matches!(by_variable.action, Action::Join(join) if join.endpoint == "other:6443"));
}

#[test]
fn arguments_are_read_as_go_reads_them() {
    let args = parse_args(&[
        "server",
        "-disable=traefik",
        "--node-label",
        "a=b=c",
        "-t",
        "--looks-like-a-flag",
        "--cluster-init",
        "--docker=false",
        "--with-node-id=maybe",
        "--kubelet-arg",
    ]);
    let given: Vec<_> = args
        .given
        .iter()
        .map(|given| (given.flag.name, given.value.as_str(), given.path.as_str()))
        .collect();
    assert_eq!(
        given,
        [
            ("disable", "traefik", "k3s_args[1]"),
            ("node-label", "a=b=c", "k3s_args[2]"),
            ("token", "--looks-like-a-flag", "k3s_args[4]"),
            ("cluster-init", "true", "k3s_args[6]"),
            ("docker", "false", "k3s_args[7]"),
        ]
    );
    let codes: Vec<_> = args.notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(codes, ["k3s_args[8]", "k3s_args[9]"]);
    assert!(!format!("{args:?}").contains("looks-like"));
}

#[test]
fn unknown_flags_get_the_nearest_one() {
    let plan = planned(
        None,
        None,
        &["server", "--node-lable", "a=b", "--nonsense-thing", "stray"],
    );
    assert_eq!(
        codes(&plan),
        [
            ("k3s_args[1]", "k3s-flag-unknown"),
            ("k3s_args[3]", "k3s-flag-unknown")
        ]
    );
    assert_eq!(
        plan.notes[0].hint.as_deref(),
        Some("did you mean --node-label?")
    );
    assert_eq!(plan.notes[1].hint, None);
    let plan = planned(
        None,
        None,
        &["server", "--docker", "false", "--", "--selinux"],
    );
    assert_eq!(
        codes(&plan),
        [
            ("k3s_args[2]", "k3s-argument"),
            ("k3s_args[4]", "k3s-argument"),
            ("k3s_args[1]", "k3s-flag-no-equivalent"),
        ]
    );
}

#[test]
fn labels_and_taints_come_after_the_arguments() {
    let plan = plan(&Input {
        k3s_args: &[
            "server",
            "--node-label=a=1",
            "--node-label=b=2",
            "--node-taint=k=v:NoSchedule",
            "--kubelet-arg=register-with-taints=k=w:NoExecute",
            "--kubelet-arg=node-labels=c=3,d=4",
            "--kubelet-arg=max-pods=200",
            "--kubelet-arg=--container-runtime=remote",
        ],
        labels: &[("a", "9")],
        taints: &["k=x:NoSchedule", "t1"],
        ..Input::default()
    });
    let labels: Vec<_> = plan
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(labels, ["a=9", "b=2", "c=3", "d=4"]);
    let taints: Vec<_> = plan.taints.iter().map(ToString::to_string).collect();
    assert_eq!(taints, ["k=w:NoExecute", "k=x:NoSchedule"]);
    assert_eq!(
        plan.kubelet,
        [Argument {
            name: "max-pods".to_owned(),
            value: "200".to_owned()
        }]
    );
    assert_eq!(
        codes(&plan),
        [
            ("k3s_args[7]", "k3s-flag-value"),
            ("taints[1]", "k3s-taint")
        ]
    );
}

#[test]
fn joining_needs_an_address_and_a_token() {
    let join = |url: &str| match planned(Some(url), Some(SECRET), &[]).action {
        Action::Join(join) => Ok(join.endpoint),
        Action::Refuse(why) => Err(why),
        Action::Init { .. } => Err("init".to_owned()),
    };
    assert_eq!(
        join("https://a.example:7443/"),
        Ok("a.example:7443".to_owned())
    );
    assert_eq!(join("HTTPS://10.0.0.1"), Ok("10.0.0.1:6443".to_owned()));
    assert_eq!(
        join("https://[2001:db8::1]:6443"),
        Ok("[2001:db8::1]:6443".to_owned())
    );
    for bad in [
        "x",
        "http://a:6443",
        "https://",
        "https://a:0",
        "https://a:6443/x",
        "https://[::1",
        "https://u@h",
        "https://a b",
        "https://é",
    ] {
        assert!(join(bad).is_err(), "{bad}");
    }
    assert!(matches!(
        planned(Some("https://a:1"), None, &[]).action,
        Action::Refuse(_)
    ));
    assert!(matches!(
        planned(None, Some(SECRET), &["agent"]).action,
        Action::Refuse(_)
    ));
    let bad = format!("K10{}", "ab".repeat(32));
    let plan = planned(Some("https://a:1"), Some(&bad), &[]);
    assert!(matches!(plan.action, Action::Refuse(_)));
    assert_eq!(codes(&plan), [("token", "k3s-token")]);
}

#[test]
fn a_token_of_k3s_gets_a_clear_answer() {
    let full = format!("K10{}::server:{SECRET}", "ab".repeat(32));
    let with = planned(Some("https://a:1"), Some(&full), &[]);
    let without = planned(Some("https://a:1"), Some(SECRET), &[]);
    assert_eq!(with.action, without.action);
    assert_eq!(codes(&with), [("token", "k3s-token-authority")]);
    assert!(codes(&without).is_empty());
    assert_eq!(
        codes(&planned(None, Some("short"), &[])),
        [("token", "k3s-token-short")]
    );
    for shown in [format!("{with:?}"), format!("{:?}", with.notes)] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn a_server_begins_the_cluster_of_its_own_address_only() {
    let server = ["server", "--cluster-init"];
    let own = planned(Some("https://N1.example:6443"), Some(SECRET), &server);
    assert_eq!(
        own.action,
        Action::Init {
            endpoint: Some("N1.example:6443".to_owned())
        }
    );
    assert_eq!(own.cluster.secrets.len(), 1);
    let other = planned(Some("https://someserver:6443"), Some(SECRET), &server);
    assert!(matches!(other.action, Action::Refuse(_)));
    assert!(other.cluster.secrets.is_empty());
    let by_address = planned(
        Some("https://10.0.0.1:6443"),
        Some(SECRET),
        &[
            "server",
            "--node-ip=10.0.0.1",
            "--agent-token=another secret here",
        ],
    );
    assert!(matches!(by_address.action, Action::Init { .. }));
    assert_eq!(by_address.cluster.secrets.len(), 2);
}

#[test]
fn the_cluster_is_as_it_was() {
    let plan = planned(
        None,
        None,
        &[
            "server",
            "--cluster-cidr=10.42.0.0/16,2001:db8::/56",
            "--service-cidr",
            "10.43.0.0/16",
            "--cluster-dns=10.43.0.10",
            "--cluster-domain=home.arpa",
            "--tls-san=a.example,10.0.0.5",
            "--tls-san=a.example",
            "--flannel-backend=wireguard-native",
            "--disable=traefik,coredns",
            "--disable=servicelp",
            "--disable-kube-proxy",
            "--kube-apiserver-arg=feature-gates=A=true",
            "--kube-apiserver-arg=audit-log-path=-",
            "--service-node-port-range=80-32767",
            "--kube-proxy-arg=proxy-mode=ipvs",
            "--kube-proxy-arg=ipvs-strict-arp",
            "--kube-proxy-arg=nonsense=1",
            "--etcd-expose-metrics",
            "--write-kubeconfig-mode=644",
        ],
    );
    let cluster = &plan.cluster;
    assert_eq!(cluster.pod_subnet.as_deref(), Some("10.42.0.0/16"));
    assert_eq!(cluster.service_subnet.as_deref(), Some("10.43.0.0/16"));
    assert_eq!(cluster.certificate_names, ["a.example", "10.0.0.5"]);
    assert_eq!(
        (cluster.dns, cluster.proxy),
        (Addon::Disabled, Addon::Disabled)
    );
    assert_eq!(cluster.api_server.len(), 3);
    assert_eq!(
        serde_json::Value::from(cluster.proxy_settings.clone()),
        serde_json::json!({"mode": "ipvs", "ipvs": {"strictARP": true}})
    );
    assert_eq!(
        codes(&plan),
        [
            ("k3s_args[1]", "k3s-flag-value"),
            ("k3s_args[10]", "k3s-flag-value"),
            ("k3s_args[17]", "k3s-flag-value"),
            ("k3s_args[19]", "k3s-flag-not-needed"),
        ]
    );
    assert!(
        plan.notes[1].message.contains("\"servicelb\""),
        "{:?}",
        plan.notes
    );
}

#[test]
fn a_database_stays_secret() {
    let plan = planned(
        None,
        None,
        &["server", "--datastore-endpoint=mysql://u:hunter2@tcp(h)/k"],
    );
    assert_eq!(codes(&plan), [("k3s_args[1]", "k3s-flag-no-equivalent")]);
    assert!(!format!("{plan:?}").contains("hunter2"));
    let plan = planned(
        None,
        None,
        &[
            "server",
            "--datastore-endpoint=https://a:2379,https://b:2379",
        ],
    );
    assert_eq!(plan.cluster.external_etcd.unwrap().endpoints.len(), 2);
}

#[test]
fn server_flags_say_nothing_to_an_agent() {
    let plan = planned(
        Some("https://a:1"),
        Some(SECRET),
        &["agent", "--tls-san=x", "--node-ip=10.0.0.2"],
    );
    assert_eq!(codes(&plan), [("k3s_args[1]", "k3s-flag-role")]);
    assert_eq!(plan.node_ips.len(), 1);
}

fn word() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = flags().iter().map(|flag| flag.name).collect();
    prop_oneof![
        any::<String>(),
        Just("server".to_owned()),
        Just("agent".to_owned()),
        (
            proptest::sample::select(names),
            any::<String>(),
            "-{0,3}",
            "(=| |)"
        )
            .prop_map(|(name, value, dashes, between)| format!("{dashes}{name}{between}{value}")),
    ]
}

proptest! {
    #[test]
    fn any_arguments_are_planned(words in proptest::collection::vec(word(), 0..12), url: String, token: String) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let made = plan(&Input {
            server_url: Some(&url),
            token: Some(&token),
            k3s_args: &words,
            environment: &[("K3S_URL", &url), ("K3S_NODE_NAME", &token)],
            ..Input::default()
        });
        for note in &made.notes {
            prop_assert!(note.code.starts_with("k3s-"));
            prop_assert!(!note.message.contains('\n'));
        }
    }

    #[test]
    fn each_way_to_write_a_value_is_the_same(value in "[a-z0-9./:-]{1,12}", flag in proptest::sample::select(vec!["node-name", "tls-san", "kubelet-arg", "token"])) {
        let joined = format!("--{flag}={value}");
        let apart = [format!("-{flag}"), value.clone()];
        let of = |args: Args| -> Vec<_> {
            args.given.into_iter().map(|given| (given.flag.name, given.value)).collect()
        };
        prop_assert_eq!(of(parse_args(&[joined])), of(parse_args(&apart)));
    }

    #[test]
    fn every_word_is_accounted_for(words in proptest::collection::vec("[a-z-]{1,6}", 0..8)) {
        // A word is a role, a flag, a value, noted, or the end of the flags.
        let args = parse_args(&words);
        let spoken = usize::from(args.role.is_some())
            + usize::from(words.iter().any(|word| word == "--"))
            + 2 * args.given.len() + 2 * args.notes.len();
        prop_assert!(spoken >= words.len(), "{:?} {:?}", words, args);
    }
}
