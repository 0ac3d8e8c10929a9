//! The key that signs a user's payloads: made on first use, kept in the user's configuration
//! folder, and never in an image. The public half goes into images, so that a node mounts what
//! its owner made.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
        spki::der::pem::LineEnding,
    },
};
use fs_err as fs;

/// The key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No folder is known for it.
    #[error("neither LIFEBOAT_CONFIG, XDG_CONFIG_HOME nor HOME says where the signing key is")]
    NoFolder,
    /// It could not be read or written; the source names the file.
    #[error("the signing key cannot be used")]
    Io(#[from] io::Error),
    /// The kernel gave no random bytes.
    #[error("the kernel gives no random bytes for a key: {0}")]
    Random(getrandom::Error),
    /// The file is something else.
    #[error(
        "`{}` is no Ed25519 key in PKCS#8 PEM form; move it away to have a new one made (nodes \
         that were built before will not mount payloads of a new key)", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The user's configuration folder: `LIFEBOAT_CONFIG`, else `XDG_CONFIG_HOME/lifeboat`, else
/// `HOME/.config/lifeboat`. `variable` reads the environment.
///
/// # Errors
/// [`KeyError::NoFolder`] if none of them is set.
pub fn config_folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, KeyError> {
    let set = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("LIFEBOAT_CONFIG")
        .or_else(|| set("XDG_CONFIG_HOME").map(|path| path.join("lifeboat")))
        .or_else(|| set("HOME").map(|path| path.join(".config/lifeboat")))
        .ok_or(KeyError::NoFolder)
}

/// The signing key in `keys/payload.pem` of the configuration folder, made when it is not there.
/// When several processes make it at once, all get the one that was first.
///
/// # Errors
/// [`KeyError`] if it can neither be read nor made.
pub fn signing_key(config_folder: &Path) -> Result<SigningKey, KeyError> {
    let folder = config_folder.join("keys");
    let path = folder.join("payload.pem");
    match read(&path) {
        Err(KeyError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(KeyError::Random)?;
    let pem = SigningKey::from_bytes(&seed)
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(io::Error::other)?;
    // A temporary file is made with mode 0600, and persisting it replaces nothing.
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    file.write_all(pem.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error.into()),
        _ => read(&path),
    }
}

fn read(path: &Path) -> Result<SigningKey, KeyError> {
    let pem = fs::read_to_string(path)?;
    SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::Damaged { path: path.into() })
}

/// A public key as SPKI PEM.
///
/// # Errors
/// If it cannot be encoded, which no valid key does.
pub fn public_pem(key: &VerifyingKey) -> io::Result<String> {
    key.to_public_key_pem(LineEnding::LF)
        .map_err(io::Error::other)
}

/// All public keys of a PEM text, in order; anything else in it is passed over.
pub fn public_keys(pem: &str) -> Vec<VerifyingKey> {
    const END: &str = "-----END PUBLIC KEY-----";
    pem.split_inclusive(END)
        .filter_map(|part| {
            let begin = part.find("-----BEGIN PUBLIC KEY-----")?;
            VerifyingKey::from_public_key_pem(&part[begin..]).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = signing_key(folder.path()).unwrap();
        let path = folder.path().join("keys/payload.pem");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(signing_key(folder.path()).unwrap(), first);
        let names = fs::read_dir(folder.path().join("keys")).unwrap().count();
        assert_eq!(names, 1);
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("keys")).unwrap();
        let path = folder.path().join("keys/payload.pem");
        fs::write(&path, "nonsense").unwrap();
        let error = signing_key(folder.path()).unwrap_err();
        assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"nonsense");
    }

    #[test]
    fn threads_that_make_it_at_once_get_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let make = || signing_key(folder.path()).unwrap().to_bytes();
        let keys = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            let keys = threads.into_iter().map(|thread| thread.join().unwrap());
            keys.collect::<std::collections::BTreeSet<_>>()
        });
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn public_keys_read_back_from_a_text_with_several() {
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]).verifying_key());
        let text = format!(
            "# mine\n{}between\n{}",
            public_pem(&keys[0]).unwrap(),
            public_pem(&keys[1]).unwrap()
        );
        assert_eq!(public_keys(&text), keys);
        assert!(public_keys("-----BEGIN PUBLIC KEY-----").is_empty());
    }
}
