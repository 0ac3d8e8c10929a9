//! Lifeboat's own sources: what a hypervisor hands in, and the node's own files.

use base64::Engine as _;
use lifeboat_config::NativeInput;

use super::root::{Content, Root};

/// What a cloud says about the node besides k3OS' keys, such as its network.
const CLOUD: &str = "run/config/lifeboat.yaml";
/// The file that QEMU hands in with `-fw_cfg name=opt/lifeboat/config`.
const FW_CFG: &str = "sys/firmware/qemu_fw_cfg/by_name/opt/lifeboat/config/raw";
/// SMBIOS tables.
const SMBIOS: &str = "sys/firmware/dmi/entries";
/// The node's own file.
const OWN: &str = "var/lib/lifeboat/config.yaml";
/// The folder of its further files; those whose name ends in one of [`SUFFIXES`] are read.
const CONFIG_D: &str = "var/lib/lifeboat/config.d";
const SUFFIXES: [&str; 3] = [".yaml", ".yml", ".json"];

/// The sources that exist, low to high.
pub(super) fn read(root: &mut Root) -> Vec<NativeInput> {
    let mut found = Vec::new();
    let mut add = |name: &str, content: Option<Content>| {
        found.extend(content.map(|content| NativeInput {
            name: name.to_owned(),
            content,
        }));
    };
    add(CLOUD, root.read(CLOUD));
    add("fw_cfg", root.read(FW_CFG));
    add("smbios", from_smbios(root).transpose());
    add(OWN, root.read(OWN));
    match root.list(CONFIG_D) {
        Ok(names) => {
            for name in names {
                if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
                    let path = format!("{CONFIG_D}/{name}");
                    add(&path, root.read(&path));
                }
            }
        }
        Err(why) => add(CONFIG_D, Some(Err(why))),
    }
    found
}

/// The credential among the OEM strings (type 11).
fn from_smbios(root: &mut Root) -> Result<Option<Vec<u8>>, String> {
    for name in root.list(SMBIOS)? {
        if !name.starts_with("11-") {
            continue;
        }
        let Some(table) = root.read(&format!("{SMBIOS}/{name}/raw")) else {
            continue;
        };
        for string in strings(&table?) {
            if let Some(config) = credential(&string)? {
                return Ok(Some(config));
            }
        }
    }
    Ok(None)
}

/// The strings after the formatted area of an SMBIOS structure (SMBIOS 3.7, section 6.1.3).
fn strings(raw: &[u8]) -> Vec<String> {
    let formatted = raw.get(1).copied().map_or(0, usize::from);
    raw.get(formatted..)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .take_while(|string| !string.is_empty())
        .map(|string| String::from_utf8_lossy(string).into_owned())
        .collect()
}

/// The configuration in an OEM string, as systemd hands credentials in (systemd.system-credentials(7)).
fn credential(string: &str) -> Result<Option<Vec<u8>>, String> {
    if let Some(text) = string.strip_prefix("io.systemd.credential.binary:lifeboat.config=") {
        return base64::engine::general_purpose::STANDARD
            .decode(text)
            .map(Some)
            .map_err(|error| format!("the credential lifeboat.config is not base64: {error}"));
    }
    Ok(string
        .strip_prefix("io.systemd.credential:lifeboat.config=")
        .map(|text| text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::read;
    use super::*;

    fn put(root: &Path, name: &str, bytes: &[u8]) {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }

    #[test]
    fn native_files_go_above_those_of_k3os_in_their_order() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "k3os/system/config.yaml",
            b"hostname: a\nrun_cmd: [x]\n",
        );
        put(root.path(), CLOUD, b"hostname: cloud\nlocale: C.UTF-8\n");
        put(root.path(), FW_CFG, b"hostname: b\ntimezone: UTC\n");
        let table = b"\x0b\x05\0\0\x01io.systemd.credential:lifeboat.config=hostname: c\0\0";
        put(root.path(), &format!("{SMBIOS}/11-0/raw"), table);
        put(root.path(), OWN, b"hostname: [\n");
        put(root.path(), &format!("{CONFIG_D}/20.yaml"), b"locale: \n");
        put(
            root.path(),
            &format!("{CONFIG_D}/10.yaml"),
            b"locale: C.UTF-8\nhostnam: e\n",
        );
        put(
            root.path(),
            &format!("{CONFIG_D}/30.yaml~"),
            b"hostname: f\n",
        );
        let made = read(root.path(), Some(b"quiet")).unwrap().effective();
        assert_eq!(made.node.hostname.as_ref().unwrap().as_str(), "c");
        assert_eq!(made.node.run_cmd.len(), 1);
        assert!(made.node.timezone.is_some() && made.node.locale.is_none());
        let states: Vec<_> = made
            .sources
            .iter()
            .map(|one| (one.name.as_str(), one.used, one.problems.len()))
            .collect();
        assert_eq!(
            states,
            [
                ("k3os/system/config.yaml", true, 0),
                (CLOUD, true, 0),
                ("fw_cfg", true, 0),
                ("smbios", true, 0),
                (OWN, false, 1),
                ("var/lib/lifeboat/config.d/10.yaml", true, 1),
                ("var/lib/lifeboat/config.d/20.yaml", true, 0),
            ]
        );
    }

    #[test]
    fn oem_strings_are_read() {
        let mut raw = vec![11, 5, 0, 0, 2];
        raw.extend_from_slice(b"one\0io.systemd.credential.binary:lifeboat.config=aG9zdA==\0\0");
        let strings = strings(&raw);
        assert_eq!(strings.len(), 2);
        assert_eq!(credential(&strings[0]).unwrap(), None);
        assert_eq!(credential(&strings[1]).unwrap().unwrap(), b"host");
        assert!(credential("io.systemd.credential.binary:lifeboat.config=%").is_err());
    }

    proptest! {
        #[test]
        fn any_structure_is_read(raw: Vec<u8>) {
            let _ = strings(&raw);
        }
    }
}
