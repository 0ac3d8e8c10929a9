//! What kubeadm says about our configuration.

use std::process::Command;

use lifeboat_config::{
    Cni, NodeConfig, Runtime, parse_node,
    render::{Facts, kubeadm_config},
};

#[test]
#[ignore = "needs kubeadm: set LIFEBOAT_KUBEADM to its program"]
fn kubeadm_takes_every_field() {
    let Some(kubeadm) = std::env::var_os("LIFEBOAT_KUBEADM") else {
        println!("skipped: LIFEBOAT_KUBEADM does not name a kubeadm program");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeadm.yaml");
    let read = |text: &str| parse_node("f", text.as_bytes()).unwrap();
    let full =
        read("{labels: {a: 1, example.org/b: c}, taints: ['a=b:NoSchedule', 'c:NoExecute']}");
    let hash = "ab".repeat(32);
    let joins =
        read("{server_url: 'https://h:6443', token: a-secret-of-some-length, labels: {a: b}}");
    let pinned = read(&format!(
        "{{server_url: 'https://[2001:db8::1]', token: abcdef.0123456789abcdef, kubeadm: {{discovery_ca_hashes: ['sha256:{hash}']}}}}"
    ));
    let many = read(
        r"
token: a-secret-of-some-length
server_url: https://node1:6443
swap: [{path: /var/swap, size: 1GiB}]
k3s_args: [server, --cluster-init, --cluster-cidr=10.42.0.0/16, --service-cidr=10.43.0.0/16,
  --tls-san=a.example, --node-ip=10.0.0.5, --kubelet-arg=max-pods=200, --etcd-expose-metrics,
  --kube-apiserver-arg=v=2, --kube-scheduler-arg=v=2, --kube-proxy-arg=proxy-mode=iptables,
  --kube-proxy-arg=v=3, --kube-proxy-arg=conntrack-max-per-core=0, --protect-kernel-defaults,
  --kube-proxy-arg=ipvs-strict-arp, --kube-proxy-arg=feature-gates=AllAlpha=false,
  --kube-proxy-arg=nodeport-addresses=10.0.0.0/8, --kube-proxy-arg=masquerade-all,
  --disable=coredns, --disable-kube-proxy, --agent-token=abcdef.0123456789abcdef]
kubeadm: {kubelet: {maxPods: 250}, cluster: {clusterName: home}, init: {timeouts: {discovery: 1m0s}}}
",
    );
    let elsewhere = read(
        "{k3s_args: [server, '--datastore-endpoint=https://a:2379,https://b:2379', --datastore-cafile=/a, --datastore-certfile=/b, --datastore-keyfile=/c]}",
    );
    for node in [NodeConfig::default(), full, joins, pinned, many, elsewhere] {
        for runtime in [Runtime::Containerd, Runtime::CriO] {
            let mut facts = Facts::new("1.36.3", runtime, Cni::Flannel, "node1");
            facts.control_plane_endpoint = Some("node1:6443".to_owned());
            facts.advertise_address = Some("192.0.2.1".parse().unwrap());
            facts.skip_phases = vec!["addon/kube-proxy".to_owned()];
            fs_err::write(&file, kubeadm_config(&node, &facts).unwrap()).unwrap();
            let output = Command::new(&kubeadm)
                .args(["config", "validate", "--config"])
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            // Unknown fields are warnings only, so that none may be said at all.
            assert!(
                output.status.success() && !said.contains("WARNING") && !said.contains("unknown"),
                "{said}"
            );
        }
    }
}
