//! The kubelet's unit and kubeadm's drop-in for it, which the modules source brings no package
//! for. The same as those of the upstream packages, but for the condition.

/// `kubelet.service`.
///
/// The condition: until kubeadm has written the configuration, the kubelet would only fail and
/// be restarted.
pub fn kubelet_unit() -> &'static str {
    "[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target containerd.service crio.service
ConditionPathExists=/var/lib/kubelet/config.yaml

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"
}

/// `kubelet.service.d/10-kubeadm.conf`.
pub fn kubelet_drop_in() -> &'static str {
    r#"[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# Written by "kubeadm init" and "kubeadm join".
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
# For the user: KUBELET_EXTRA_ARGS.
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"#
}
