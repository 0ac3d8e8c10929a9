//! The top-level keys of a cloud-config.

use super::{Out, commands, coreos, files, flag, system, template, text, users};
use crate::{
    definition::formats::check,
    yaml::{Data, Entry, Value},
};

const PACKAGES: &str = "nothing is installed on a running node, whose system is a read-only image; list packages under `image.packages` or bundles under `image.bundles` of the definition, and build the image";
const DISKS: &str = "disks are not partitioned or formatted by the configuration; prepare the file system and mount it with `mounts`";
const AGENT: &str =
    "the program is not part of the node; run it in the cluster, or add it to the image";

/// Why a known key is not carried over, or what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("packages", PACKAGES),
    ("package_update", PACKAGES),
    ("package_upgrade", PACKAGES),
    ("package_reboot_if_required", PACKAGES),
    ("apt_update", PACKAGES),
    ("apt_upgrade", PACKAGES),
    ("apt_reboot_if_required", PACKAGES),
    ("apt_pipelining", PACKAGES),
    (
        "apt",
        "packages come from the archives of the definition when the image is built; sources of the running node are not changed",
    ),
    ("apk_repos", PACKAGES),
    ("yum_repos", PACKAGES),
    ("yum_repo_dir", PACKAGES),
    ("zypper", PACKAGES),
    (
        "snap",
        "there are no snaps; add the program to the image, or run it in the cluster",
    ),
    ("byobu_by_default", PACKAGES),
    ("drivers", PACKAGES),
    ("rh_subscription", PACKAGES),
    ("ubuntu_pro", PACKAGES),
    ("ubuntu_advantage", PACKAGES),
    ("ansible", AGENT),
    ("chef", AGENT),
    ("landscape", AGENT),
    ("lxd", AGENT),
    ("mcollective", AGENT),
    ("puppet", AGENT),
    ("salt_minion", AGENT),
    ("spacewalk", AGENT),
    ("fan", "the pod network is chosen by `image.cni`"),
    ("disk_setup", DISKS),
    ("fs_setup", DISKS),
    (
        "device_aliases",
        "write the device itself under `mounts`, best as LABEL=… or UUID=…",
    ),
    (
        "mount_default_fields",
        "write type and options with each mount",
    ),
    (
        "grub_dpkg",
        "the boot loader is systemd-boot, installed with the image",
    ),
    (
        "grub-dpkg",
        "the boot loader is systemd-boot, installed with the image",
    ),
    ("rpi", "write config.txt of the firmware partition"),
    (
        "keyboard",
        "the console has the American layout; there is no key for another",
    ),
    (
        "locale_configfile",
        "the locale is written to /etc/default/locale",
    ),
    (
        "disable_root_opts",
        "root's keys are written without options; write the options before the key itself",
    ),
    (
        "ssh_keys",
        "host keys are made at the first boot and kept; write your own to /etc/ssh with `write_files`",
    ),
    (
        "ssh_genkeytypes",
        "host keys are made as OpenSSH does it, of each type",
    ),
    (
        "ssh_publish_hostkeys",
        "host keys are shown on the console only",
    ),
    (
        "ssh_key_console_blacklist",
        "the console shows the keys that the node has",
    ),
    (
        "ssh_fp_console_blacklist",
        "the console shows the keys that the node has",
    ),
    ("ssh", "the console shows the keys that the node has"),
    (
        "no_ssh_fingerprints",
        "the fingerprints of log-in keys are not shown anyway",
    ),
    (
        "authkey_hash",
        "the fingerprints of log-in keys are not shown",
    ),
    (
        "rsyslog",
        "the journal keeps the log; send it on with systemd-journal-upload or from the cluster",
    ),
    (
        "wireguard",
        "write the interface with `write_files` for systemd-networkd",
    ),
    (
        "random_seed",
        "the kernel gathers its own; pass a seed by the machine's virtio-rng",
    ),
    (
        "updates",
        "a network interface that comes later is set up by systemd-networkd anyway",
    ),
    (
        "power_state",
        "the node stays up after it is set up; switch it off with the machine, or write `systemctl poweroff` as the last `run_cmd`",
    ),
    (
        "phone_home",
        "nothing is told to others; write a command in `run_cmd` that does it",
    ),
    (
        "final_message",
        "`lifeboat node status` and the console say when the node is ready",
    ),
    ("output", "the journal keeps the output of every step"),
    (
        "reporting",
        "`lifeboat node status` has the result of every step",
    ),
    ("vendor_data", "data of the vendor is not read"),
    (
        "launch-index",
        "the configuration counts for the machine that it is given to",
    ),
    (
        "cloud_init_modules",
        "the steps and their order are Lifeboat's own",
    ),
    (
        "cloud_config_modules",
        "the steps and their order are Lifeboat's own",
    ),
    (
        "cloud_final_modules",
        "the steps and their order are Lifeboat's own",
    ),
    (
        "system_info",
        "describes the system that cloud-init runs on, which is another here",
    ),
    (
        "disable_ec2_metadata",
        "pods are kept from the metadata service by a network policy, not by the node",
    ),
    ("autoinstall", "is for Ubuntu's installer; see `install`"),
    ("migrate", "has no effect"),
    ("version", "has no effect"),
];

/// Keys that come from elsewhere, and what to do with such a file.
pub(super) fn foreign(path: &str) -> Option<&'static str> {
    Some(match path {
        "network" => {
            "cloud-init reads the network from a document of its own; write it as `network` in the node configuration"
        }
        "stages" => {
            "the stages are of Kairos (yip), not of cloud-init: write `boot_cmd` for boot, `run_cmd` for network, and files as `write_files`"
        }
        "k3os" => "a file of k3OS: convert it with `--from k3os`",
        "rancher" => "is for RancherOS; its services run in the cluster here",
        "k3s" | "k3s-agent" | "p2p" | "bundles" => {
            "is for Kairos; `server_url`, `token` and `k3s_args` are the keys here"
        }
        "init_cmd" | "boot_cmd" | "run_cmd" | "initramfs" => {
            "is not a key of cloud-init (k3OS has such): convert the file with `--from k3os`, or write `bootcmd` and `runcmd`"
        }
        _ => return None,
    })
}

/// Translates what has a counterpart and says why the rest has none.
pub(super) fn translate(root: &Value, out: &mut Out<'_>) {
    let Data::Map(entries) = &root.data else {
        return;
    };
    identity(root, out);
    users::translate(root, out);
    for entry in entries {
        let place = entry.span.start;
        let value = &entry.value;
        if template::is_marked(value) {
            continue;
        }
        let key = entry.key.as_str();
        if let Some((_, message)) = UNSUPPORTED.iter().find(|(known, _)| *known == key) {
            if !(value.is_null() && matches!(key, "wireguard")) {
                out.unsupported(key, place, *message);
            }
            continue;
        }
        if key.starts_with("apt_") || matches!(key, "add_apt_repo_match" | "debconf_selections") {
            out.unsupported(key, place, PACKAGES);
            continue;
        }
        match key {
            "ssh_authorized_keys" => users::root_keys(value, key, out),
            "ssh_import_id" => users::root_imports(value, key, out),
            "password" => users::root_password(entry, out),
            "write_files" => files::translate(value, key, out),
            "bootcmd" => commands::translate(
                value,
                key,
                "boot_cmd",
                "runs at each boot, in a shell of its own",
                out,
            ),
            "runcmd" => commands::translate(
                value,
                key,
                "run_cmd",
                "runs at each boot, in a shell of its own, and the first failure ends the list; cloud-init runs all as one script at the first boot only",
                out,
            ),
            "ntp" => system::ntp(value, out),
            "ca_certs" | "ca-certs" => system::certificates(value, key, out),
            "timezone" => one(entry, "timezone", "timezone", out),
            "locale" => system::locale(entry, out),
            "mounts" => system::mounts(value, out),
            "swap" => system::swap(entry, out),
            "resolv_conf" => system::resolv_conf(entry, root, out),
            "coreos" => coreos::translate(entry, out),
            _ => switch(entry, out),
        }
    }
}

/// A key with a text that has a format.
pub(super) fn one(entry: &Entry, key: &str, format: &str, out: &mut Out<'_>) {
    let Some(text) = text(&entry.value) else {
        return;
    };
    match check(format, text) {
        Ok(()) => {
            out.set(key, text);
            out.translated(&entry.key, entry.span.start, "");
        }
        Err(refusal) => out.unsupported(&entry.key, entry.span.start, refusal.message),
    }
}

/// Switches: what Lifeboat does is one of their positions.
fn switch(entry: &Entry, out: &mut Out<'_>) {
    let place = entry.span.start;
    let key = entry.key.as_str();
    let on = flag(&entry.value);
    // The position that is Lifeboat's own way, and what is said of the other.
    let (own, message) = match key {
        "manage_etc_hosts" => {
            if matches!(text(&entry.value), Some("localhost" | "template")) {
                out.translated(key, place, "");
                return;
            }
            (true, "the node's own name is always in /etc/hosts")
        }
        "create_hostname_file" => (true, "/etc/hostname is always written"),
        "ssh_pwauth" => (false, "SSH takes keys only"),
        "disable_root" => (
            false,
            "the keys of `ssh_authorized_keys` log in as root; leave them out, and give keys to a user under `users`",
        ),
        "allow_public_ssh_keys" => (
            true,
            "keys of the data source are taken; leave `data_sources` empty to have none",
        ),
        "ssh_deletekeys" => (false, "host keys are made at the first boot and kept"),
        "ssh_quiet_keygen" => (true, "the console shows the keys that the node has"),
        "manage_resolv_conf" => (
            false,
            "systemd-resolved writes /etc/resolv.conf; `dns_nameservers` are its name servers",
        ),
        "resize_rootfs" => (
            false,
            "the root is a read-only image; the state partition is grown by itself",
        ),
        "growpart" => {
            out.unsupported(
                key,
                place,
                "the root is a read-only image; the state partition is grown by itself",
            );
            return;
        }
        "merge_how" | "merge_type" => {
            out.translated(key, place, "counts among several parts only");
            return;
        }
        _ => return,
    };
    if on == Some(own) {
        out.translated(key, place, "");
    } else if !entry.value.is_null() {
        out.unsupported(key, place, message);
    }
}

/// `hostname`, `fqdn` and what decides between them.
fn identity(root: &Value, out: &mut Out<'_>) {
    let named = |key: &str| {
        root.entry(key)
            .and_then(|entry| text(&entry.value).map(|text| (entry, text.trim())))
            .filter(|(_, text)| !text.is_empty())
    };
    let switched = |key: &str| {
        root.entry(key)
            .and_then(|entry| flag(&entry.value).map(|on| (entry.span.start, on)))
    };
    let (hostname, fqdn) = (named("hostname"), named("fqdn"));
    let prefer = switched("prefer_fqdn_over_hostname");
    if let Some((place, on)) = switched("preserve_hostname") {
        if on {
            let message =
                "cloud-init would leave the name as it is; leave `hostname` out to have that";
            out.unsupported("preserve_hostname", place, message);
            for (entry, _) in [hostname, fqdn].into_iter().flatten() {
                let message = "`preserve_hostname` is set, so that cloud-init does not use it";
                out.unsupported(&entry.key, entry.span.start, message);
            }
            return;
        }
        out.translated("preserve_hostname", place, "");
    }
    let whole = prefer.is_some_and(|(_, on)| on);
    if let Some((place, on)) = prefer {
        let message = if on {
            "the full name is the host name"
        } else {
            ""
        };
        out.translated("prefer_fqdn_over_hostname", place, message);
    }
    // cloud-init's own order: without `fqdn` a host name with dots is both.
    let full = fqdn.or(hostname);
    let (source, name) = match (whole, hostname, full) {
        (true, _, Some((entry, name))) | (false, Some((entry, name)), None) => (entry, name),
        (false, Some((entry, name)), Some(_)) if fqdn.is_some() => (entry, name),
        (false, _, Some((entry, name))) => (entry, name.split('.').next().unwrap_or_default()),
        (_, _, None) => return,
    };
    // As far as it goes: Kubernetes takes no other letters.
    let lower = name.to_lowercase().replace(['_', ' '], "-");
    let place = source.span.start;
    match check("hostname", &lower) {
        Ok(()) => {
            let message = if lower == *name {
                if text(&source.value).map(str::trim) == Some(name) {
                    String::new()
                } else {
                    format!("the name up to its first dot, {name:?}, as cloud-init has it")
                }
            } else {
                format!("as {lower:?}: Kubernetes takes lower-case letters, digits, `-` and `.`")
            };
            out.set("hostname", lower);
            out.translated(&source.key, place, message);
        }
        Err(refusal) => out.unsupported(&source.key, place, refusal.message),
    }
    for (entry, _) in [hostname, fqdn].into_iter().flatten() {
        if entry.key != source.key {
            let message = if whole {
                "the full name is used"
            } else {
                "the node has one name, that of `hostname`; for another write it to /etc/hosts in `run_cmd`"
            };
            out.unsupported(&entry.key, entry.span.start, message);
        }
    }
}
