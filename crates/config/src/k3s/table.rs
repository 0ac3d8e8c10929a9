//! The flags of k3s, each with what becomes of it.

use super::flags::{
    Flag,
    Roles::{Agent, Both, Server},
    Takes::{Nothing, Secret, Value, Values},
    Verdict::{Mapped, NoEquivalent, NotNeeded},
};

macro_rules! table {
    ($($group:literal { $($name:literal $(| $alias:literal)* $(($($variable:literal)+))?: $takes:ident $roles:ident $verdict:ident $reason:literal)* })*) => {
        pub(super) static FLAGS: &[Flag] = &[$($(Flag {
            group: $group,
            name: $name,
            aliases: &[$($alias),*],
            variables: &[$($($variable),+)?],
            takes: $takes,
            roles: $roles,
            verdict: $verdict($reason),
        }),*),*];
    };
}

table! {
"Cluster" {
    "server" | "s" ("K3S_URL"): Value Both Mapped "`server_url`: `kubeadm join` of the cluster there"
    "token" | "t" | "cluster-secret" ("K3S_TOKEN" "K3S_CLUSTER_SECRET"): Secret Both Mapped "`token`: the bootstrap token of kubeadm, derived from it if it is another text"
    "token-file" ("K3S_TOKEN_FILE"): Value Both NoEquivalent "a node is configured before its files are read; put the secret into `token`"
    "agent-token" ("K3S_AGENT_TOKEN"): Secret Server Mapped "a second bootstrap token, with which workers join"
    "agent-token-file" ("K3S_AGENT_TOKEN_FILE"): Value Server NoEquivalent "a node is configured before its files are read; give the secret with --agent-token"
    "cluster-init" ("K3S_CLUSTER_INIT"): Nothing Server NotNeeded "the first control plane of kubeadm always has an etcd of its own"
    "cluster-reset" ("K3S_CLUSTER_RESET"): Nothing Server NoEquivalent "an etcd that lost its peers is mended with `etcdutl snapshot restore`, not by a setting that is there at each boot"
    "cluster-reset-restore-path": Value Server NoEquivalent "an etcd is restored with `etcdutl snapshot restore`, not by a setting that is there at each boot"
    "config" | "c" ("K3S_CONFIG_FILE"): Value Both NoEquivalent "k3s' own file is not read; write its settings as arguments into `k3s_args`"
    "data-dir" | "d" ("K3S_DATA_DIR"): Value Both NoEquivalent "the places are those of kubeadm, on the state partition: /var/lib/etcd, /var/lib/kubelet, /etc/kubernetes; mount another disk there with `mounts`"
}
"Listener" {
    "bind-address": Value Server Mapped "kube-apiserver --bind-address"
    "https-listen-port": Value Server NoEquivalent "the API server listens on 6443, where its clients and forwarded ports expect it; put a load balancer in front for another port"
    "http-listen-port": Value Server NotNeeded "nothing listens without TLS"
    "advertise-address": Value Server Mapped "InitConfiguration localAPIEndpoint.advertiseAddress"
    "advertise-port": Value Server NoEquivalent "the API server listens on 6443 and says so; put a load balancer in front for another port"
    "tls-san": Values Server Mapped "ClusterConfiguration apiServer.certSANs"
    "tls-san-security": Nothing Server NotNeeded "the certificate holds the names that are configured and is not extended by requests"
    "supervisor-metrics": Nothing Server NotNeeded "there is no supervisor; each component serves its own metrics"
    "enable-pprof": Nothing Both NotNeeded "there is no supervisor; the components' profiling is on by their own arguments"
}
"Networking" {
    "cluster-cidr": Values Server Mapped "ClusterConfiguration networking.podSubnet and the pod network's configuration; one IPv4 network"
    "service-cidr": Values Server Mapped "ClusterConfiguration networking.serviceSubnet; one IPv4 network"
    "service-node-port-range": Value Server Mapped "kube-apiserver --service-node-port-range"
    "cluster-dns": Values Server Mapped "must be the tenth address of the service network, which kubeadm gives to CoreDNS"
    "cluster-domain": Value Server Mapped "ClusterConfiguration networking.dnsDomain"
    "flannel-backend": Value Server Mapped "flannel's backend: vxlan, host-gw, wireguard-native; none is `image.cni: none`"
    "no-flannel": Nothing Both NoEquivalent "the pod network is part of the image: `image: {cni: none}`"
    "flannel-ipv6-masq": Nothing Server NoEquivalent "the pod network has IPv4 addresses only"
    "flannel-external-ip": Nothing Server NoEquivalent "flannel speaks between the nodes' own addresses; annotate the nodes with flannel.alpha.coreos.com/public-ip-overwrite"
    "flannel-iface": Value Both NoEquivalent "flannel takes the interface of the node's default route; set routes in `network`"
    "flannel-conf": Value Both NoEquivalent "flannel's configuration is the ConfigMap kube-flannel-cfg in the namespace kube-flannel"
    "flannel-cni-conf": Value Both NoEquivalent "the file is /etc/cni/net.d/10-flannel.conflist; replace it with `write_files`"
    "vpn-auth" ("K3S_VPN_AUTH"): Secret Both NoEquivalent "no VPN is set up; use `image.packages` and `run_cmd`"
    "vpn-auth-file" ("K3S_VPN_AUTH_FILE"): Value Both NoEquivalent "no VPN is set up; use `image.packages` and `run_cmd`"
    "egress-selector-mode": Value Server NotNeeded "the API server reaches the kubelets directly, there is no tunnel"
    "servicelb-namespace": Value Server NotNeeded "there is no servicelb; a load balancer such as MetalLB is installed like any other workload"
    "node-ip" | "i": Values Both Mapped "kubelet --node-ip, and the advertised address of a control plane"
    "node-external-ip": Values Both Mapped "a name in the API server's certificate; the node object gets no ExternalIP, which only a cloud provider sets"
    "node-internal-dns": Values Both NoEquivalent "only a cloud provider sets the names of a node object"
    "node-external-dns": Values Both NoEquivalent "only a cloud provider sets the names of a node object"
    "resolv-conf" ("K3S_RESOLV_CONF"): Value Both Mapped "KubeletConfiguration resolvConf"
    "lb-server-port" ("K3S_LB_SERVER_PORT"): Value Both NotNeeded "there is no load balancer on each node; nodes reach the API at `server_url`"
    "disable-apiserver-lb": Nothing Agent NotNeeded "there is no load balancer on each node; nodes reach the API at `server_url`"
}
"Node" {
    "node-name" ("K3S_NODE_NAME"): Value Both Mapped "nodeRegistration.name"
    "with-node-id": Nothing Both NoEquivalent "names are as configured; give each machine a `hostname` of its own, or none: then it is made from the machine's id"
    "node-label": Values Both Mapped "the label at registration, as by `labels`"
    "node-taint": Values Both Mapped "the taint at registration, as by `taints`"
    "image-credential-provider-bin-dir": Value Both Mapped "kubelet --image-credential-provider-bin-dir"
    "image-credential-provider-config": Value Both Mapped "kubelet --image-credential-provider-config"
    "protect-kernel-defaults": Nothing Both Mapped "KubeletConfiguration protectKernelDefaults; set its `sysctls` too, or the kubelet does not start"
    "selinux" ("K3S_SELINUX"): Nothing Both NoEquivalent "Debian's kernel uses AppArmor, which the container runtime applies"
    "disable-selinux": Nothing Both NotNeeded "SELinux is not in use"
    "disable-agent": Nothing Server NoEquivalent "a control plane of kubeadm is static pods of a kubelet; keep workloads away with `taints: [\"node-role.kubernetes.io/control-plane:NoSchedule\"]`"
    "rootless": Nothing Both NoEquivalent "the node is the whole system; nothing is won by running without root"
    "prefer-bundled-bin": Nothing Both NotNeeded "the programs of the image are used, there are no others"
}
"Container runtime" {
    "docker": Nothing Both NoEquivalent "the kubelet speaks to CRI-O or containerd: `image.runtime`"
    "container-runtime-endpoint": Value Both NoEquivalent "the runtime is part of the image: `image.runtime`"
    "image-service-endpoint": Value Both NoEquivalent "the runtime of the image serves images too"
    "default-runtime": Value Both NoEquivalent "write a drop-in file of the runtime's configuration with `write_files`, and a RuntimeClass"
    "nonroot-devices": Nothing Both NoEquivalent "write a drop-in file of the runtime's configuration with `write_files` (device_ownership_from_security_context)"
    "disable-default-registry-endpoint": Nothing Both NoEquivalent "name the mirrors of each registry in `registries`"
    "pause-image": Value Both NotNeeded "the pause image is part of the payload"
    "snapshotter": Value Both NoEquivalent "images are unpacked on overlayfs, in the payload already"
    "private-registry": Value Both NoEquivalent "the settings of that file are the key `registries`"
    "system-default-registry" ("K3S_SYSTEM_DEFAULT_REGISTRY"): Value Server NotNeeded "the images of the control plane come with the payload, no registry is asked"
    "airgap-extra-registry": Values Both NotNeeded "the images of the control plane come with the payload, no registry is asked"
    "embedded-registry": Nothing Server NoEquivalent "nodes do not serve images to each other; name a mirror in `registries`"
}
"Components" {
    "kubelet-arg": Values Both Mapped "kubelet argument (nodeRegistration.kubeletExtraArgs)"
    "kube-proxy-arg": Values Both Mapped "the field of KubeProxyConfiguration, on the node that makes the cluster"
    "kube-apiserver-arg": Values Server Mapped "ClusterConfiguration apiServer.extraArgs"
    "kube-controller-manager-arg" | "kube-controller-arg": Values Server Mapped "ClusterConfiguration controllerManager.extraArgs"
    "kube-scheduler-arg": Values Server Mapped "ClusterConfiguration scheduler.extraArgs"
    "kube-cloud-controller-manager-arg" | "kube-cloud-controller-arg": Values Server NotNeeded "there is no cloud controller manager"
    "etcd-arg": Values Server Mapped "ClusterConfiguration etcd.local.extraArgs"
    "disable" | "no-deploy": Values Server Mapped "coredns: ClusterConfiguration dns.disabled; traefik, servicelb, local-storage, metrics-server and runtimes are not there to begin with"
    "disable-scheduler": Nothing Server NoEquivalent "a control plane of kubeadm has all its parts"
    "disable-apiserver": Nothing Server NoEquivalent "a control plane of kubeadm has all its parts"
    "disable-controller-manager": Nothing Server NoEquivalent "a control plane of kubeadm has all its parts"
    "disable-etcd": Nothing Server NoEquivalent "name an etcd elsewhere with --datastore-endpoint"
    "disable-kube-proxy": Nothing Server Mapped "ClusterConfiguration proxy.disabled"
    "disable-cloud-controller": Nothing Server NotNeeded "there is no cloud controller manager"
    "disable-network-policy": Nothing Server NotNeeded "flannel and the bridge enforce no network policies"
    "disable-helm-controller": Nothing Server NotNeeded "there is no Helm controller"
    "helm-job-image": Value Server NotNeeded "there is no Helm controller"
    "default-local-storage-path": Value Server NotNeeded "there is no local-path provisioner; it is installed like any other workload"
    "secrets-encryption": Nothing Server NoEquivalent "write an EncryptionConfiguration with `write_files` and name it in `kubeadm.cluster.apiServer.extraArgs` and `.extraVolumes`"
    "secrets-encryption-provider": Value Server NoEquivalent "write an EncryptionConfiguration with `write_files` and name it in `kubeadm.cluster.apiServer.extraArgs` and `.extraVolumes`"
}
"Client" {
    "write-kubeconfig" | "o" ("K3S_KUBECONFIG_OUTPUT"): Value Server NotNeeded "it is /etc/kubernetes/admin.conf; `lifeboat kubeconfig` fetches it"
    "write-kubeconfig-mode" ("K3S_KUBECONFIG_MODE"): Value Server NotNeeded "/etc/kubernetes/admin.conf is for root, who is who logs in"
    "write-kubeconfig-group" ("K3S_KUBECONFIG_GROUP"): Value Server NotNeeded "/etc/kubernetes/admin.conf is for root, who is who logs in"
}
"Datastore" {
    "datastore-endpoint" | "storage-endpoint" ("K3S_DATASTORE_ENDPOINT" "K3S_STORAGE_ENDPOINT"): Secret Server Mapped "ClusterConfiguration etcd.external.endpoints; kubeadm knows no database but etcd"
    "datastore-cafile" | "storage-cafile" ("K3S_DATASTORE_CAFILE" "K3S_STORAGE_CAFILE"): Value Server Mapped "ClusterConfiguration etcd.external.caFile"
    "datastore-certfile" | "storage-certfile" ("K3S_DATASTORE_CERTFILE" "K3S_STORAGE_CERTFILE"): Value Server Mapped "ClusterConfiguration etcd.external.certFile"
    "datastore-keyfile" | "storage-keyfile" ("K3S_DATASTORE_KEYFILE" "K3S_STORAGE_KEYFILE"): Value Server Mapped "ClusterConfiguration etcd.external.keyFile"
    "storage-backend" ("K3S_STORAGE_BACKEND"): Value Server NotNeeded "it is etcd"
    "kine-tls": Nothing Server NotNeeded "there is no kine between the API server and etcd"
    "etcd-expose-metrics": Nothing Server Mapped "etcd --listen-metrics-urls on all addresses"
    "etcd-disable-snapshots": Nothing Server NotNeeded "no snapshots are taken by themselves"
    "etcd-snapshot-name": Value Server NoEquivalent "no snapshots are taken by themselves; run `etcdctl snapshot save` from a CronJob"
    "etcd-snapshot-schedule-cron": Value Server NoEquivalent "no snapshots are taken by themselves; run `etcdctl snapshot save` from a CronJob"
    "etcd-snapshot-reconcile-interval": Value Server NotNeeded "no snapshots are taken by themselves"
    "etcd-snapshot-retention": Value Server NoEquivalent "no snapshots are taken by themselves; run `etcdctl snapshot save` from a CronJob"
    "etcd-snapshot-dir": Value Server NoEquivalent "no snapshots are taken by themselves; run `etcdctl snapshot save` from a CronJob"
    "etcd-snapshot-compress": Nothing Server NoEquivalent "no snapshots are taken by themselves; run `etcdctl snapshot save` from a CronJob"
    "etcd-s3": Nothing Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-endpoint": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-endpoint-ca": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-skip-ssl-verify": Nothing Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-access-key" ("AWS_ACCESS_KEY_ID"): Secret Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-secret-key" ("AWS_SECRET_ACCESS_KEY"): Secret Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-session-token" ("AWS_SESSION_TOKEN"): Secret Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-bucket": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-bucket-lookup-type": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-region": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-folder": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-proxy": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-config-secret": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-insecure": Nothing Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-retention": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
    "etcd-s3-timeout": Value Server NoEquivalent "snapshots are not uploaded; run `etcdctl snapshot save` from a CronJob and upload its file"
}
"Logging" {
    "debug" ("K3S_DEBUG"): Nothing Both NotNeeded "messages are in the journal; more of the kubelet's with --kubelet-arg=v=4"
    "v": Value Both Mapped "kubelet -v; components have arguments of their own"
    "vmodule": Value Both Mapped "kubelet --vmodule"
    "log" | "l": Value Both NotNeeded "messages are in the journal"
    "alsologtostderr": Nothing Both NotNeeded "messages are in the journal"
}
}
