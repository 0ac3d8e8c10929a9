//! Takes out of a configured tree what differs from run to run or is of no use in an image.

use lifeboat_archive::{Content, Kind, Tree, TreePath};

/// Folders that are empty in an image.
const EMPTY: [&str; 7] = [
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/lib/apt/lists",
    "var/tmp",
];
/// Files that are made anew, hold random bytes or times, or only served the installation.
const DROPPED: [&str; 14] = [
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "usr/sbin/policy-rc.d",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
];

pub(crate) fn normalise(tree: &mut Tree, epoch: i64) {
    let dropped: Vec<TreePath> = tree
        .iter()
        .filter(|(path, _, inode)| is_dropped(path, inode.kind == Kind::Directory))
        .map(|(path, ..)| path.to_vec())
        .collect();
    for path in dropped {
        tree.remove(path);
    }
    if let Some(machine_id) = tree.get_mut("etc/machine-id") {
        machine_id.kind = Kind::File(Content::inline([]));
    }
    let paths: Vec<TreePath> = tree.iter().map(|(path, ..)| path.to_vec()).collect();
    for path in paths {
        if let Some(inode) = tree.get_mut(&path) {
            inode.mtime = inode.mtime.min(epoch);
        }
    }
}

fn is_dropped(path: &[u8], is_folder: bool) -> bool {
    let below = |folder: &str| {
        path.strip_prefix(folder.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"/"))
    };
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    EMPTY.iter().any(|folder| below(folder))
        || DROPPED.iter().any(|dropped| dropped.as_bytes() == path)
        || name == b"__pycache__"
        || !is_folder
            && (below("var/log")
                || below("var/lib/dpkg") && is_leftover_of_dpkg(name)
                || below("var/cache/debconf") && name.ends_with(b"-old")
                || path.starts_with(b"etc/ssh/ssh_host_"))
}

fn is_leftover_of_dpkg(name: &[u8]) -> bool {
    name.ends_with(b"-old") || [&b"lock"[..], b"lock-frontend", b"Lock"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_times_are_capped() {
        let mut tree = Tree::new();
        for (path, stays) in [
            ("etc/machine-id", true),
            ("etc/passwd", true),
            ("etc/passwd-", false),
            ("etc/ssh/ssh_host_rsa_key", false),
            ("run/lock/x", false),
            ("usr/lib/python3/__pycache__/a.pyc", false),
            ("var/lib/dpkg/status", true),
            ("var/lib/dpkg/status-old", false),
            ("var/lib/dpkg/info/x.list", true),
            ("var/log/dpkg.log", false),
            ("var/log/journal/", true),
        ] {
            match path.strip_suffix('/') {
                Some(folder) => tree.mkdir(folder, 0o755).unwrap(),
                None => tree.write(path, 0o644, "x").unwrap(),
            }
            let path = path.trim_end_matches('/');
            tree.get_mut(path).unwrap().mtime = 2000;
            let mut after = tree.clone();
            normalise(&mut after, 1000);
            assert_eq!(after.get(path).is_some(), stays, "{path}");
            assert!(after.iter().all(|(_, _, inode)| inode.mtime <= 1000));
        }
        normalise(&mut tree, 1000);
        assert!(tree.get("run").is_some());
        let machine_id = &tree.get("etc/machine-id").unwrap().kind;
        assert_eq!(*machine_id, Kind::File(Content::inline([])));
    }
}
