//! What kubeadm says about our configuration.

use std::process::Command;

use lifeboat_config::{
    Cni, NodeConfig, Runtime, parse_node,
    render::{Facts, kubeadm_init},
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
    let full = parse_node(
        "f",
        b"{labels: {a: 1, example.org/b: c}, taints: ['a=b:NoSchedule', 'c:NoExecute']}",
    )
    .unwrap();
    for node in [NodeConfig::default(), full] {
        for runtime in [Runtime::Containerd, Runtime::CriO] {
            let mut facts = Facts::new("1.36.3", runtime, Cni::Flannel, "node1");
            facts.control_plane_endpoint = Some("node1:6443".to_owned());
            facts.advertise_address = Some("192.0.2.1".parse().unwrap());
            facts.skip_phases = vec!["addon/kube-proxy".to_owned()];
            fs_err::write(&file, kubeadm_init(&node, &facts)).unwrap();
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
