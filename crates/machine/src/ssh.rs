//! The key with which this user reaches machines, and the OpenSSH client that uses it.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use fs_err as fs;

use crate::{Folder, Record, Tools, folder::write_private};

/// A key pair in OpenSSH's own format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    private: PathBuf,
    public: String,
}

/// Why the key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The file cannot be read or made; the source names it.
    #[error("the SSH key cannot be used")]
    Io(#[from] io::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key")]
    Random,
    /// The file holds no key that is understood.
    #[error("`{0}` is no unencrypted ed25519 key of OpenSSH, and there is no .pub file beside it")]
    Unreadable(PathBuf),
    /// The machine forwards no port to SSH.
    #[error("machine `{0}` forwards no port to its SSH server")]
    NoPort(String),
}

const MAGIC: &[u8] = b"openssh-key-v1\0";
const KIND: &[u8] = b"ssh-ed25519";

impl SshKey {
    /// The key `ssh_key` in the user's configuration folder, made when it is not there.
    ///
    /// # Errors
    /// [`SshError`] if it can be neither read nor made.
    pub fn ensure(config: &Path) -> Result<Self, SshError> {
        let private = config.join("ssh_key");
        if !private.exists() {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|_| SshError::Random)?;
            fs::create_dir_all(config)?;
            let text = private_text(&SigningKey::from_bytes(&seed), "lifeboat");
            let unfinished = config.join(format!("ssh_key.{}", std::process::id()));
            write_private(&unfinished, text.as_bytes())?;
            // A link, not a rename: of two first uses at once, the first one's key stays.
            let linked = fs::hard_link(&unfinished, &private);
            fs::remove_file(&unfinished)?;
            if let Err(error) = linked
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(error.into());
            }
        }
        let public = match fs::read_to_string(config.join("ssh_key.pub")) {
            Ok(line) => Some(line.trim().to_owned()),
            Err(_) => public_line(&fs::read_to_string(&private)?),
        };
        match public {
            Some(public) => Ok(Self { private, public }),
            None => Err(SshError::Unreadable(private)),
        }
    }

    /// The line for `authorized_keys`.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The file with the private key.
    pub fn private(&self) -> &Path {
        &self.private
    }

    /// The client's command to reach `user` on a machine; add the remote command to it. The
    /// machine's host key is taken at the first connection and must stay the same then. No file
    /// of the user's own SSH is read or written.
    ///
    /// # Errors
    /// [`SshError::NoPort`] if the machine forwards no port to SSH.
    pub fn command(
        &self,
        tools: &dyn Tools,
        folder: &Folder,
        record: &Record,
        user: &str,
    ) -> Result<Command, SshError> {
        let port = record
            .host_port(22)
            .ok_or_else(|| SshError::NoPort(record.name.to_string()))?;
        let mut command = tools.command("ssh");
        command.args(["-F", "none", "-p", &port.to_string(), "-l", user]);
        command.arg("-i").arg(&self.private);
        let known = folder.file("known_hosts");
        // The value is read like a configuration file: blanks part words unless quoted.
        let known = format!("UserKnownHostsFile=\"{}\"", known.display());
        for option in [
            known.as_str(),
            "GlobalKnownHostsFile=none",
            "StrictHostKeyChecking=accept-new",
            &format!("HostKeyAlias=lifeboat-{}", record.name),
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PasswordAuthentication=no",
            "KbdInteractiveAuthentication=no",
            "ConnectTimeout=20",
            // A peer that is gone is noticed, also where no packet says so.
            "ServerAliveInterval=15",
            "ServerAliveCountMax=8",
            "LogLevel=ERROR",
        ] {
            command.args(["-o", option]);
        }
        command.arg("127.0.0.1");
        Ok(command)
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    // Everything here is a few dozen bytes long.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// A private key as OpenSSH keeps it (its PROTOCOL.key), not encrypted.
fn private_text(key: &SigningKey, comment: &str) -> String {
    let public_key = key.verifying_key().to_bytes();
    let public = [string(KIND), string(&public_key)].concat();
    let check = &public_key[..4];
    let pair = [&key.to_bytes()[..], &public_key].concat();
    let mut secret = [
        check.to_vec(),
        check.to_vec(),
        public.clone(),
        string(&pair),
        string(comment.as_bytes()),
    ]
    .concat();
    for padding in 1.. {
        if secret.len().is_multiple_of(8) {
            break;
        }
        secret.push(padding);
    }
    let blob = [
        MAGIC.to_vec(),
        string(b"none"),
        string(b"none"),
        string(b""),
        1_u32.to_be_bytes().to_vec(),
        string(&public),
        string(&secret),
    ]
    .concat();
    let mut text = "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned();
    let body = STANDARD.encode(blob);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(70));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    text
}

/// The public line of a private key: its public half stands in it unencrypted.
fn public_line(text: &str) -> Option<String> {
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let blob = STANDARD.decode(body).ok()?;
    let mut rest = blob.strip_prefix(MAGIC)?;
    let mut field = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (value, after) = after.split_at_checked(length)?;
        rest = after;
        Some(value)
    };
    for _ in 0..3 {
        field()?;
    }
    let public = rest.strip_prefix(&1_u32.to_be_bytes())?;
    let (length, public) = public.split_first_chunk::<4>()?;
    let public = public.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let kind = public.get(4..4 + KIND.len())?;
    (kind == KIND).then(|| format!("ssh-ed25519 {} lifeboat", STANDARD.encode(public)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_key_is_made_once_and_only_the_user_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        let key = SshKey::ensure(&config).unwrap();
        assert_eq!(SshKey::ensure(&config).unwrap(), key);
        let mode = fs::metadata(key.private()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&config).unwrap().count(), 1);
        fs::write(key.private(), "no key").unwrap();
        assert!(matches!(
            SshKey::ensure(&config),
            Err(SshError::Unreadable(_))
        ));
    }

    #[test]
    fn openssh_reads_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = SshKey::ensure(folder.path()).unwrap();
        let output = Command::new("ssh-keygen")
            .arg("-y")
            .arg("-f")
            .arg(key.private())
            .output();
        let Ok(output) = output else {
            println!("skipped: this host has no ssh-keygen");
            return;
        };
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().trim(),
            key.public()
        );
    }

    proptest! {
        #[test]
        fn a_written_key_gives_its_public_half(seed: [u8; 32]) {
            let key = SigningKey::from_bytes(&seed);
            let blob = [string(KIND), string(&key.verifying_key().to_bytes())].concat();
            let line = format!("ssh-ed25519 {} lifeboat", STANDARD.encode(blob));
            prop_assert_eq!(public_line(&private_text(&key, "c")), Some(line));
        }

        #[test]
        fn reading_any_text_never_panics(bytes: Vec<u8>) {
            let blob = [MAGIC, &bytes].concat();
            let _ = public_line(&STANDARD.encode(blob));
        }
    }
}
