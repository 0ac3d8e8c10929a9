//! The node's names, which a cluster knows it by: those of its provisioning stay.
//!
//! kubeadm tells the kubelet the node's name only where it is not the host name, so that a
//! node whose host name changes would come back as another one. The name is handed to it always.

use std::{io, path::Path};

use fs_err as fs;

use super::plan;
use crate::boot::{identity, write_file};

/// What failed, for errors.
pub(super) const WHAT: &str = "cannot keep the node's name";
/// Where kubeadm writes the kubelet's arguments.
const FLAGS: &str = "var/lib/kubelet/kubeadm-flags.env";
const FLAG: &str = "--hostname-override=";

/// The name that the kubelet has, or had before something rewrote its arguments. `root` is `/`
/// but in tests.
pub(super) fn kept(root: &Path) -> Option<String> {
    let flags = fs::read_to_string(root.join(FLAGS)).unwrap_or_default();
    if let Some(name) = given(&flags) {
        return Some(name.to_owned());
    }
    let name = fs::read_to_string(mark(root)).ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// At the beginning of provisioning: forgets the node's name of an earlier attempt and keeps
/// the host name, which may be from a data source that does not answer at the next boot.
pub(super) fn begin(root: &Path, host_name: &str) -> io::Result<()> {
    super::remove(&mark(root))?;
    identity::keep_host_name(root, host_name)
}

/// Keeps the node's name and hands it to the kubelet, if kubeadm has not.
pub(super) fn settle(root: &Path, name: &str) -> io::Result<()> {
    let kept = format!("{name}\n");
    if fs::read_to_string(mark(root)).ok().as_ref() != Some(&kept) {
        write_file(&mark(root), kept.as_bytes(), 0o644)?;
    }
    let path = root.join(FLAGS);
    let flags = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        flags => flags?,
    };
    match with_name(&flags, name) {
        Some(flags) => write_file(&path, flags.as_bytes(), 0o644),
        None => Ok(()),
    }
}

fn mark(root: &Path) -> std::path::PathBuf {
    root.join(plan::MARKS.trim_start_matches('/'))
        .join("node-name")
}

/// The name in the kubelet's arguments; the last counts.
fn given(flags: &str) -> Option<&str> {
    flags
        .split(|one: char| one.is_whitespace() || one == '"')
        .filter_map(|flag| flag.strip_prefix(FLAG))
        .rfind(|name| !name.is_empty())
}

/// These arguments with a name, if they have none: `KUBELET_KUBEADM_ARGS="--a=b --c=d"`.
fn with_name(flags: &str, name: &str) -> Option<String> {
    if given(flags).is_some() {
        return None;
    }
    let (before, after) = flags.rsplit_once('"')?;
    let space = if before.ends_with('"') { "" } else { " " };
    Some(format!("{before}{space}{FLAG}{name}\"{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let flags = root.join(FLAGS);
        let made = "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.5\"\n";
        begin(root, "from-a-data-source").unwrap();
        assert_eq!(kept(root), None);
        write_file(&flags, made.as_bytes(), 0o644).unwrap();
        settle(root, "n1").unwrap();
        let named = "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.5 --hostname-override=n1\"\n";
        assert_eq!(fs::read_to_string(&flags).unwrap(), named);
        assert_eq!(kept(root).as_deref(), Some("n1"));
        // kubeadm has written them anew, as an upgrade does.
        write_file(&flags, made.as_bytes(), 0o644).unwrap();
        assert_eq!(kept(root).as_deref(), Some("n1"));
        settle(root, &kept(root).unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&flags).unwrap(), named);
        // Another attempt has another name.
        fs::remove_file(&flags).unwrap();
        begin(root, "n2").unwrap();
        assert_eq!(kept(root), None);
        let host = fs::read_to_string(root.join("var/lib/lifeboat/hostname")).unwrap();
        assert_eq!(host, "n2\n");
    }

    #[test]
    fn a_name_that_is_given_stays() {
        assert_eq!(given("A=\"--hostname-override=a --v=2\"\n"), Some("a"));
        assert_eq!(with_name("A=\"--hostname-override=a\"\n", "b"), None);
        let empty = with_name("A=\"\"\n", "b");
        assert_eq!(empty.as_deref(), Some("A=\"--hostname-override=b\"\n"));
    }
}
