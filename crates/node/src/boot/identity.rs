//! What makes a node this node, made once and kept: machine id, host name, SSH host key.

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use fs_err as fs;
use lifeboat_config::NodeConfig;

use super::write_file;
use crate::init::hex;

/// Where the node keeps what it was given once.
pub(crate) const STATE: &str = "/var/lib/lifeboat";

/// Random bytes from the kernel.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// The kept machine id (machine-id(5)), made at the first boot. `root` is `/` but in tests.
pub fn machine_id(root: &Path) -> io::Result<String> {
    let kept = root.join("var/lib/lifeboat/machine-id");
    if let Ok(text) = fs::read_to_string(&kept) {
        let text = text.trim();
        if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(text.to_owned());
        }
    }
    let mut bytes: [u8; 16] = random()?;
    // A version 4 UUID, as systemd makes them.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let id = hex(&bytes);
    write_file(&kept, format!("{id}\n").as_bytes(), 0o444)?;
    Ok(id)
}

/// The node's name: the configuration's, the command line's, the kept one, or one made from the
/// machine id and kept.
pub fn host_name(
    root: &Path,
    config: &NodeConfig,
    line: Option<&str>,
    machine_id: &str,
) -> io::Result<String> {
    if let Some(name) = &config.hostname {
        return Ok(name.to_string());
    }
    if let Some(name) = line {
        return Ok(name.to_owned());
    }
    let kept = root.join("var/lib/lifeboat/hostname");
    if let Ok(name) = fs::read_to_string(&kept)
        && !name.trim().is_empty()
    {
        return Ok(name.trim().to_owned());
    }
    let name = format!("lifeboat-{}", machine_id.get(..8).unwrap_or("node"));
    keep_host_name(root, &name)?;
    Ok(name)
}

/// Keeps this name for boots at which nothing else gives one.
pub(crate) fn keep_host_name(root: &Path, name: &str) -> io::Result<()> {
    let kept = root.join("var/lib/lifeboat/hostname");
    write_file(&kept, format!("{name}\n").as_bytes(), 0o644)
}

/// Puts the kept SSH host key into /etc/ssh, making it at the first boot.
pub fn ssh_host_key(root: &Path, comment: &str) -> io::Result<()> {
    let kept = root.join("var/lib/lifeboat/ssh/ssh_host_ed25519_key");
    let private = if let Ok(text) = fs::read_to_string(&kept) {
        text
    } else {
        let text = openssh_private_key(&SigningKey::from_bytes(&random()?), random()?, comment);
        write_file(&kept, text.as_bytes(), 0o600)?;
        text
    };
    write_file(
        &root.join("etc/ssh/ssh_host_ed25519_key"),
        private.as_bytes(),
        0o600,
    )
}

fn field(blob: &mut Vec<u8>, bytes: &[u8]) {
    // Keys and comments are far below 4 GiB.
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    blob.extend_from_slice(&length.to_be_bytes());
    blob.extend_from_slice(bytes);
}

/// An unencrypted private key file of OpenSSH (PROTOCOL.key in its sources).
fn openssh_private_key(key: &SigningKey, check: [u8; 4], comment: &str) -> String {
    let public = key.verifying_key();
    let mut public_blob = Vec::new();
    field(&mut public_blob, b"ssh-ed25519");
    field(&mut public_blob, public.as_bytes());

    let mut private = Vec::new();
    private.extend_from_slice(&check);
    private.extend_from_slice(&check);
    private.extend_from_slice(&public_blob);
    field(&mut private, &key.to_keypair_bytes());
    field(&mut private, comment.as_bytes());
    for padding in 1_u8.. {
        if private.len() % 8 == 0 {
            break;
        }
        private.push(padding);
    }

    let mut blob = b"openssh-key-v1\0".to_vec();
    for part in [b"none".as_slice(), b"none", b""] {
        field(&mut blob, part);
    }
    blob.extend_from_slice(&1_u32.to_be_bytes());
    field(&mut blob, &public_blob);
    field(&mut blob, &private);

    let text = STANDARD.encode(blob);
    let mut file = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(70) {
        file.push_str(&String::from_utf8_lossy(line));
        file.push('\n');
    }
    file.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_made_once() {
        let root = std::env::temp_dir().join(format!("lifeboat-identity-{}", std::process::id()));
        let config = NodeConfig::default();
        let id = machine_id(&root).unwrap();
        let name = host_name(&root, &config, None, &id).unwrap();
        ssh_host_key(&root, &name).unwrap();
        let key = fs::read(root.join("etc/ssh/ssh_host_ed25519_key")).unwrap();
        assert_eq!(machine_id(&root).unwrap(), id);
        assert_eq!(
            host_name(&root, &config, None, "0".repeat(32).as_str()).unwrap(),
            name
        );
        keep_host_name(&root, "from-a-data-source").unwrap();
        assert_eq!(
            host_name(&root, &config, None, &id).unwrap(),
            "from-a-data-source"
        );
        assert_eq!(
            host_name(&root, &config, Some("given"), &id).unwrap(),
            "given"
        );
        ssh_host_key(&root, &name).unwrap();
        assert_eq!(
            fs::read(root.join("etc/ssh/ssh_host_ed25519_key")).unwrap(),
            key
        );
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_host_key_is_that_of_openssh() {
        let text = openssh_private_key(&SigningKey::from_bytes(&[7; 32]), [1, 2, 3, 4], "n1");
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let blob = STANDARD.decode(body).unwrap();
        assert!(
            blob.starts_with(b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01")
        );
        assert!(text.lines().all(|line| line.len() <= 70));
    }
}
