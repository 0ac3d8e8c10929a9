//! Password hashes: SHA-512 of crypt(5), `$6$`, as the C library checks them.
//!
//! Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", whose steps have these
//! numbers.

use std::io;

use sha2::{Digest as _, Sha512};

/// The alphabet of crypt(5).
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The number of rounds where none is named.
const ROUNDS: usize = 5000;
/// Characters of a salt at most.
const SALT: usize = 16;

/// The hash of a password with a new random salt.
///
/// # Errors
/// If the kernel gives no random bytes.
pub(crate) fn hash(password: &str) -> io::Result<String> {
    let mut random = [0; SALT];
    let mut filled = 0;
    while filled < SALT {
        filled +=
            rustix::rand::getrandom(&mut random[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    let salt: String = random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
        .collect();
    Ok(with_salt(password, &salt))
}

/// Whether a hash made by [`hash`] is that of this password.
pub(crate) fn fits(password: &str, hash: &str) -> bool {
    let mut parts = hash.split('$');
    match (parts.next(), parts.next(), parts.next()) {
        // Others name their rounds there; whoever made them did not make them here.
        (Some(""), Some("6"), Some(salt)) if !salt.starts_with("rounds=") => {
            with_salt(password, salt) == hash
        }
        _ => false,
    }
}

fn with_salt(password: &str, salt: &str) -> String {
    let key = password.as_bytes();
    let salt = salt.get(..SALT).unwrap_or(salt);
    let salted = salt.as_bytes();

    // Steps 4 to 8.
    let other = Sha512::new()
        .chain_update(key)
        .chain_update(salted)
        .chain_update(key)
        .finalize();
    // Steps 1 to 3 and 9 to 12.
    let mut first = Sha512::new().chain_update(key).chain_update(salted);
    first.update(repeated(&other, key.len()));
    let mut bits = key.len();
    while bits > 0 {
        if bits & 1 == 1 {
            first.update(other);
        } else {
            first.update(key);
        }
        bits >>= 1;
    }
    let mut digest = first.finalize();
    // Steps 13 to 16.
    let mut keys = Sha512::new();
    for _ in 0..key.len() {
        keys.update(key);
    }
    let key = repeated(&keys.finalize(), key.len());
    // Steps 17 to 20.
    let mut salts = Sha512::new();
    for _ in 0..16 + usize::from(digest[0]) {
        salts.update(salted);
    }
    let salted = repeated(&salts.finalize(), salted.len());
    // Step 21.
    for round in 0..ROUNDS {
        let mut next = Sha512::new();
        if round % 2 == 1 {
            next.update(&key);
        } else {
            next.update(digest);
        }
        if round % 3 != 0 {
            next.update(&salted);
        }
        if round % 7 != 0 {
            next.update(&key);
        }
        if round % 2 == 1 {
            next.update(digest);
        } else {
            next.update(&key);
        }
        digest = next.finalize();
    }
    format!("$6${salt}${}", encoded(&digest))
}

fn repeated(digest: &[u8], length: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(length).collect()
}

/// Step 22: three bytes in four characters, in an order of their own.
fn encoded(digest: &[u8]) -> String {
    let mut text = String::new();
    let mut put = |bytes: [u8; 3], count: usize| {
        let mut word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for _ in 0..count {
            text.push(char::from(ALPHABET[(word & 63) as usize]));
            word >>= 6;
        }
    };
    let (mut one, mut two, mut three) = (0, 21, 42);
    for _ in 0..21 {
        put([digest[one], digest[two], digest[three]], 4);
        (one, two, three) = (two + 1, three + 1, one + 1);
    }
    put([0, 0, digest[63]], 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_c_library() {
        // By `openssl passwd -6 -salt SALT PASSWORD`.
        for (password, salt, wanted) in [
            (
                "Hello world!",
                "saltstring",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ),
            (
                "we have a short salt string but not a short password, it is longer than one block of the digest: 1234567890123456789012345678901234567890",
                "x",
                "$6$x$ogiKgkMNJ/U1pJ.ftss9BCRvBYwrA90zvaND6cb1FNcqfzKMVg0E/Db.ogVrf3C1i6AiZAxQVI90S9B74RC3r1",
            ),
            (
                "pässwörd ✓",
                "0123456789abcdef",
                "$6$0123456789abcdef$WFyJV/w45/xzH1aNOmAKrF3pSv7uHdgurSLSAXoVN9D4GeTehVf/uH8S5uT85XhzsO8OOkuYEphVKBnG4CTpP1",
            ),
        ] {
            assert_eq!(with_salt(password, salt), wanted);
            assert!(fits(password, wanted));
        }
    }

    #[test]
    fn a_hash_fits_its_password_only() {
        let hash = hash("secret").unwrap();
        assert!(fits("secret", &hash));
        assert!(!fits("Secret", &hash));
        assert!(!fits("secret", "$5$x$y"));
        assert!(!fits("secret", "*"));
        assert_eq!(hash.len(), 3 + 16 + 1 + 86);
    }
}
