//! What the host of a virtual machine hands in: QEMU's `fw_cfg`, and OEM strings of SMBIOS, with
//! the names of systemd's credentials (systemd.system-credentials(7)).

use std::{io::Read as _, path::Path};

use fs_err as fs;

use crate::datasource::{
    Miss,
    found::{Found, Part},
    machine::Machine,
    volume::MOST_BYTES,
};

const NAMES: [&str; 3] = ["user-data", "meta-data", "network-config"];

/// `opt/lifeboat/user-data`, `…/meta-data` and `…/network-config`, also as credentials
/// (`opt/io.systemd.credentials/lifeboat.user-data`).
pub(super) fn fw_cfg(machine: &Machine<'_>) -> Result<Found, Miss> {
    let by_name = machine.system("sys/firmware/qemu_fw_cfg/by_name");
    let mut found = Found::at("fw_cfg");
    let mut has_any = false;
    for name in NAMES {
        for path in [
            format!("opt/lifeboat/{name}/raw"),
            format!("opt/io.systemd.credentials/lifeboat.{name}/raw"),
        ] {
            match read(&by_name.join(path)) {
                Ok(None) => {}
                Ok(Some(data)) => {
                    has_any = true;
                    take(&mut found, name, data);
                    break;
                }
                Err(error) => {
                    has_any = true;
                    found.unread(Part::UserData, &error.to_string());
                }
            }
        }
    }
    if has_any {
        return Ok(found);
    }
    Err(Miss::NotHere(
        "fw_cfg has no opt/lifeboat/user-data, meta-data or network-config".to_owned(),
    ))
}

/// `io.systemd.credential:lifeboat.user-data=…` and the other names, also `.binary` in base64.
pub(super) fn smbios(machine: &Machine<'_>) -> Result<Found, Miss> {
    let mut found = Found::at("SMBIOS");
    let mut has_any = false;
    for string in oem_strings(&machine.system("sys/firmware/dmi/entries")) {
        for name in NAMES {
            match credential(&string, name) {
                Ok(None) => {}
                Ok(Some(data)) => {
                    has_any = true;
                    take(&mut found, name, data);
                }
                Err(NotBase64) => {
                    has_any = true;
                    found.unread(
                        Part::UserData,
                        &format!("the credential lifeboat.{name} is not base64"),
                    );
                }
            }
        }
    }
    if has_any {
        return Ok(found);
    }
    Err(Miss::NotHere(
        "SMBIOS has no credential lifeboat.user-data, meta-data or network-config".to_owned(),
    ))
}

fn take(found: &mut Found, name: &str, data: Vec<u8>) {
    match name {
        "user-data" => found.set_user_data(data),
        "meta-data" => found.set_metadata_text(&data),
        _ => found.network_config = Some(data),
    }
}

fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(
            "larger than 4 MiB, which is the most that is read",
        ));
    }
    Ok(Some(content))
}

/// The strings of all structures of type 11.
fn oem_strings(entries: &Path) -> Vec<Vec<u8>> {
    let mut folders: Vec<_> = fs::read_dir(entries)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("11-"))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
        .iter()
        .filter_map(|folder| read(&folder.join("raw")).ok()?)
        .flat_map(|raw| strings(&raw))
        .collect()
}

/// The strings after the formatted area of a structure (SMBIOS 3.7, section 6.1.3).
fn strings(raw: &[u8]) -> Vec<Vec<u8>> {
    let formatted = raw.get(1).copied().map_or(0, usize::from);
    raw.get(formatted..)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .take_while(|string| !string.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// A credential whose base64 is broken.
#[derive(Debug, PartialEq, Eq)]
struct NotBase64;

/// The content of the credential in a string, if it is this one.
fn credential(string: &[u8], name: &str) -> Result<Option<Vec<u8>>, NotBase64> {
    let value = |prefix: &str| {
        string
            .strip_prefix(prefix.as_bytes())?
            .strip_prefix(format!("lifeboat.{name}=").as_bytes())
    };
    if let Some(packed) = value("io.systemd.credential.binary:") {
        return super::base64(packed).map(Some).ok_or(NotBase64);
    }
    Ok(value("io.systemd.credential:").map(<[u8]>::to_vec))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_are_told_by_their_names() {
        let read = |text: &str| credential(text.as_bytes(), "user-data");
        assert_eq!(
            read("io.systemd.credential:lifeboat.user-data=a=b"),
            Ok(Some(b"a=b".to_vec()))
        );
        assert_eq!(
            read("io.systemd.credential.binary:lifeboat.user-data=YQ=="),
            Ok(Some(b"a".to_vec()))
        );
        assert_eq!(
            read("io.systemd.credential.binary:lifeboat.user-data=%"),
            Err(NotBase64)
        );
        assert_eq!(
            read("io.systemd.credential:lifeboat.user-data2=a"),
            Ok(None)
        );
    }

    proptest! {
        #[test]
        fn any_structure_is_read(raw: Vec<u8>) {
            for string in strings(&raw) {
                let _ = credential(&string, "user-data");
            }
        }
    }
}
