//! Tokens: k3s' secrets as bootstrap tokens of kubeadm.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A bootstrap token of kubeadm, `abcdef.0123456789abcdef`. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token itself, for kubeadm's configuration.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its id, which is public, and its secret.
    pub fn parts(&self) -> (&str, &str) {
        (&self.0[..ID], &self.0[ID + 1..])
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

const ID: usize = 6;
const SECRET: usize = 16;
/// How often the hash is taken. The id of a token and a signature made with it are public in a
/// cluster (`cluster-info`), so that a short secret could be found by trying: each try costs.
const ROUNDS: u32 = 1 << 16;
/// Tells these hashes from any other use of the same secret.
const DOMAIN: &[u8] = b"lifeboat: k3s secret to kubeadm bootstrap token, version 1\0";

/// What kind of text a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// kubeadm's own form.
    Bootstrap,
    /// A secret of k3s: any text.
    Secret,
    /// `K10HASH::USER:SECRET`, with a hash of the authority of a k3s cluster.
    WithAuthority,
}

/// A token that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing, or blanks.
    #[error("the token is empty")]
    Empty,
    /// It begins as k3s' form and is not.
    #[error("the token begins with K10 as k3s' form K10HASH::USER:SECRET does, but {0}")]
    Malformed(&'static str),
}

/// A token as it is written: its kind, and the part of it that is secret.
///
/// # Errors
/// [`TokenError`].
pub fn read(text: &str) -> Result<(Kind, &str), TokenError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TokenError::Empty);
    }
    if is_bootstrap(text) {
        return Ok((Kind::Bootstrap, text));
    }
    let Some(rest) = text.strip_prefix("K10") else {
        return Ok((Kind::Secret, without_user(text)));
    };
    let Some((hash, credentials)) = rest.split_once("::") else {
        // A secret of the user's own may begin with these letters.
        let hashed =
            rest.len() >= 64 && rest[..].bytes().take(64).all(|one| one.is_ascii_hexdigit());
        return if hashed {
            Err(TokenError::Malformed("it holds no secret after its hash"))
        } else {
            Ok((Kind::Secret, without_user(text)))
        };
    };
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(TokenError::Malformed(
            "its hash is not 64 hexadecimal digits",
        ));
    }
    let secret = without_user(credentials);
    if secret.is_empty() {
        return Err(TokenError::Malformed("it holds no secret"));
    }
    Ok((Kind::WithAuthority, secret))
}

/// The secret of `server:SECRET` or `node:SECRET`, the users of k3s.
fn without_user(text: &str) -> &str {
    ["server:", "node:"]
        .iter()
        .find_map(|user| text.strip_prefix(user))
        .unwrap_or(text)
}

/// The bootstrap token of a secret: the secret itself if it is one, else one derived from it,
/// the same on each node.
pub fn bootstrap(secret: &str) -> Token {
    if is_bootstrap(secret) {
        return Token(secret.to_owned());
    }
    let mut hash: [u8; 32] = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(secret)
        .finalize()
        .into();
    for _ in 1..ROUNDS {
        hash = Sha256::new()
            .chain_update(hash)
            .chain_update(secret)
            .finalize()
            .into();
    }
    let part = |name: &[u8], length| {
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update(hash)
            .finalize();
        letters(digest.into(), length)
    };
    Token(format!("{}.{}", part(b"id", ID), part(b"secret", SECRET)))
}

fn is_bootstrap(text: &str) -> bool {
    let part = |text: &str, length| {
        text.len() == length
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split_once('.')
        .is_some_and(|(id, secret)| part(id, ID) && part(secret, SECRET))
}

/// The last digits of a number of 256 bits to the base of 36: each as likely as any other but
/// for less than 2^-170.
fn letters(mut number: [u8; 32], count: usize) -> String {
    const LETTERS: [u8; 36] = *b"0123456789abcdefghijklmnopqrstuvwxyz";
    (0..count)
        .map(|_| {
            let mut remainder = 0_u16;
            for byte in &mut number {
                let value = remainder << 8 | u16::from(*byte);
                *byte = u8::try_from(value / 36).unwrap_or(u8::MAX);
                remainder = value % 36;
            }
            char::from(LETTERS[usize::from(remainder)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_gets_its_answer() {
        let hash = "ab".repeat(32);
        let bootstrap = "abcdef.0123456789abcdef";
        assert_eq!(read(bootstrap), Ok((Kind::Bootstrap, bootstrap)));
        assert_eq!(read(" TOKEN_VALUE\n"), Ok((Kind::Secret, "TOKEN_VALUE")));
        assert_eq!(read("K10 of mine"), Ok((Kind::Secret, "K10 of mine")));
        for user in ["server", "node"] {
            let text = format!("K10{hash}::{user}:TOKEN_VALUE");
            assert_eq!(read(&text), Ok((Kind::WithAuthority, "TOKEN_VALUE")));
        }
        let text = format!("K10{hash}::{bootstrap}");
        assert_eq!(read(&text), Ok((Kind::WithAuthority, bootstrap)));
        assert_eq!(read("server:x"), Ok((Kind::Secret, "x")));
        assert_eq!(read("  "), Err(TokenError::Empty));
        for bad in [
            format!("K10{hash}"),
            format!("K10{hash}::server:"),
            "K10ab::server:x".to_owned(),
        ] {
            assert!(matches!(read(&bad), Err(TokenError::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn a_secret_always_gives_the_same_token() {
        // Nodes of different versions must agree: this never changes.
        assert_eq!(bootstrap("TOKEN_VALUE").as_str(), "d6nyu6.wc2s7pmf0zgarq6j");
        assert_eq!(
            bootstrap("abcdef.0123456789abcdef").as_str(),
            "abcdef.0123456789abcdef"
        );
        assert_eq!(format!("{:?}", bootstrap("x")), "Token(…)");
    }

    #[test]
    fn digits_are_those_of_the_number() {
        let mut number = [0; 32];
        number[30] = 1; // 256 = 7 * 36 + 4
        assert_eq!(letters(number, 3), "470");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn any_secret_gives_a_token(secret: String) {
            prop_assert!(is_bootstrap(bootstrap(&secret).as_str()));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text: String) {
            let _ = read(&text);
            let _ = read(&format!("K10{text}"));
        }
    }
}
