//! Which units start: what `systemctl enable`, `disable` and `mask` would do.

use std::collections::BTreeMap;

use lifeboat_archive::{Kind, Tree};

use super::{Additions, FinishError};

const VENDOR: &str = "usr/lib/systemd/system";
const LOCAL: &str = "etc/systemd/system";

/// Units by name, as `systemctl` takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// To be started, as their `[Install]` sections say.
    pub enable: Vec<String>,
    /// Not to be started by themselves.
    pub disable: Vec<String>,
    /// Not to be started at all.
    pub mask: Vec<String>,
}

/// Work that the build has done, that a read-only root cannot take, or that costs the time of
/// a boot and does nothing for a node.
const MASKED: &[&str] = &[
    // Done by the build.
    "ldconfig.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-sysusers.service",
    "systemd-update-done.service",
    // Done by the init of the initrd.
    "systemd-growfs-root.service",
    "systemd-machine-id-commit.service",
    "systemd-remount-fs.service",
    "systemd-repart.service",
    // An immutable root is updated as a whole.
    "apt-daily-upgrade.service",
    "apt-daily-upgrade.timer",
    "apt-daily.service",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "systemd-boot-update.service",
    "unattended-upgrades.service",
    // Compiles profiles for programs that nodes do not run: 15 s of a boot under emulation.
    "apparmor.service",
    "audit-rules.service",
    "console-setup.service",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "keyboard-setup.service",
    "man-db.timer",
    "nvmefc-boot-connections.service",
    "nvmf-autoconnect.service",
    // Measurements that nothing here seals to yet.
    "systemd-pcrlock-make-policy.service",
    "systemd-pcrmachine.service",
    "systemd-pcrphase-initrd.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service",
];

/// Applies the rules, enables the units that the node's files bring, and follows the wishes.
pub(super) fn apply(tree: &mut Tree, additions: &Additions<'_>) -> Result<(), FinishError> {
    let (own, wishes) = (additions.node_files, additions.units);
    for unit in wishes
        .disable
        .iter()
        .map(String::as_str)
        .chain(MASKED.iter().copied())
    {
        disable(tree, unit);
    }
    // One that the definition or the node asks for is not masked by a rule.
    let asked = |unit: &str| {
        let in_tree = |tree: &Tree| {
            [LOCAL, VENDOR]
                .iter()
                .any(|folder| tree.get(format!("{folder}/{unit}")).is_some())
        };
        in_tree(own)
            || additions.files.is_some_and(in_tree)
            || wishes.enable.iter().any(|other| other == unit)
    };
    let rules = MASKED.iter().copied().filter(|unit| !asked(unit));
    for unit in rules.chain(wishes.mask.iter().map(String::as_str)) {
        disable(tree, unit);
        tree.symlink(format!("{LOCAL}/{unit}"), "/dev/null")?;
    }
    for path in own.children(VENDOR.as_bytes()) {
        let is_file = own
            .get(path)
            .is_some_and(|inode| matches!(inode.kind, Kind::File(_)));
        let path = String::from_utf8_lossy(path);
        let name = path.rsplit('/').next().unwrap_or_default();
        if is_file
            && !wishes
                .disable
                .iter()
                .chain(&wishes.mask)
                .any(|unit| unit == name)
        {
            // Those without an [Install] section are pulled in by others.
            enable(tree, name)?;
        }
    }
    for unit in &wishes.enable {
        if !enable(tree, unit)? {
            return Err(FinishError::Unit(unit.clone()));
        }
    }
    Ok(())
}

fn disable(tree: &mut Tree, unit: &str) {
    let suffixes: [&[u8]; 3] = [b".wants", b".requires", b".upholds"];
    let links: Vec<Vec<u8>> = tree
        .descendants(LOCAL.as_bytes())
        .filter(|path| {
            let Some(at) = path.iter().rposition(|byte| *byte == b'/') else {
                return false;
            };
            let (folder, name) = (&path[..at], &path[at + 1..]);
            let pulled =
                name == unit.as_bytes() && suffixes.iter().any(|suffix| folder.ends_with(suffix));
            // An alias: a link of another name to the unit.
            let target = match tree.get(path).map(|inode| &inode.kind) {
                Some(Kind::Symlink(target)) => target.rsplit(|byte| *byte == b'/').next(),
                _ => None,
            };
            let alias = folder == LOCAL.as_bytes() && target == Some(unit.as_bytes());
            pulled || alias
        })
        .map(<[u8]>::to_vec)
        .collect();
    for link in links {
        tree.remove(link);
    }
}

/// Makes the links that a unit's `[Install]` section asks for; whether there were any.
/// Source: systemd.unit(5), "[Install] Section Options".
fn enable(tree: &mut Tree, unit: &str) -> Result<bool, FinishError> {
    let template = match unit.split_once('@') {
        Some((name, instance)) => {
            let suffix = instance
                .rsplit_once('.')
                .map_or("service", |(_, suffix)| suffix);
            Some(format!("{name}@.{suffix}"))
        }
        None => None,
    };
    let file = [Some(unit.to_owned()), template]
        .into_iter()
        .flatten()
        .find_map(|name| {
            [LOCAL, VENDOR].into_iter().find_map(|folder| {
                let path = format!("{folder}/{name}");
                match tree.get(&path).map(|inode| &inode.kind) {
                    Some(Kind::File(content)) => Some((path, content.clone())),
                    _ => None,
                }
            })
        });
    let Some((path, content)) = file else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(&content.read()?).into_owned();
    let install = install(&text);
    let target = format!("/{path}");
    let mut any = false;
    for (key, suffix) in [
        ("WantedBy", "wants"),
        ("RequiredBy", "requires"),
        ("UpheldBy", "upholds"),
    ] {
        for by in install.get(key).into_iter().flatten() {
            tree.symlink(format!("{LOCAL}/{by}.{suffix}/{unit}"), &target)?;
            any = true;
        }
    }
    for alias in install.get("Alias").into_iter().flatten() {
        tree.symlink(format!("{LOCAL}/{alias}"), &target)?;
        any = true;
    }
    for also in install
        .get("Also")
        .into_iter()
        .flatten()
        .filter(|also| **also != unit)
    {
        any |= enable(tree, also)?;
    }
    Ok(any)
}

fn install(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        } else if inside && let Some((key, value)) = line.split_once('=') {
            found
                .entry(key.trim())
                .or_default()
                .extend(value.split_whitespace());
        }
    }
    found
}
