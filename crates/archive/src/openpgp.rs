//! Signatures of repositories: who may sign, and whether they did (RFC 9580).

use std::time::{Duration, SystemTime};

use pgp::{
    composed::{CleartextSignedMessage, Deserializable as _, DetachedSignature, SignedPublicKey},
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType},
    types::{KeyDetails, Tag, Timestamp, VerifyingKey},
};

use crate::release::show_time;

/// Debian's own archive keys, from the package debian-archive-keyring 2025.1.
const DEBIAN: [&str; 6] = [
    include_str!("../keys/debian-archive-trixie-automatic.asc"),
    include_str!("../keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("../keys/debian-archive-trixie-stable.asc"),
    include_str!("../keys/debian-archive-bookworm-automatic.asc"),
    include_str!("../keys/debian-archive-bookworm-security-automatic.asc"),
    include_str!("../keys/debian-archive-bookworm-stable.asc"),
];

/// How far the clock of the signer may be ahead of ours.
const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// Whose signatures a repository is believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// Debian's archive keys, which are part of this program.
    Debian,
    /// Public keys in ASCII armour, one block after another.
    Armoured(String),
}

/// Why a signature is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The text is not a signed message, or the signature is none.
    #[error("it is not signed in a form that can be read: {0}")]
    Form(String),
    /// The keys given cannot be read.
    #[error("the keys given for this repository cannot be read: {0}")]
    Keys(String),
    /// No key that is known signed it.
    #[error(
        "it is not signed by a known key; its signatures are by {signers}, the known keys are {known}"
    )]
    UnknownSigner {
        /// Key ids that the signatures name.
        signers: String,
        /// Key ids of the keys given.
        known: String,
    },
    /// A known key is named, but the signature does not fit or may not be used.
    #[error("the signature by key {key} is refused: {reason}")]
    Refused {
        /// The key's id.
        key: String,
        /// Why.
        reason: String,
    },
}

/// A key that may sign now, and until when.
struct Signer<'a> {
    key: &'a dyn Verify,
    name: String,
    created: SystemTime,
    usable: Result<(), String>,
}

/// The one thing needed of primary keys and subkeys alike.
trait Verify {
    fn verify(&self, signature: &Signature, text: &[u8]) -> pgp::errors::Result<()>;
}

impl<K: VerifyingKey> Verify for K {
    fn verify(&self, signature: &Signature, text: &[u8]) -> pgp::errors::Result<()> {
        signature.verify(self, text)
    }
}

fn time(timestamp: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(timestamp.as_secs()))
}

/// Seconds after `start` at which something ends; 0 seconds mean never.
fn end(start: SystemTime, seconds: Option<pgp::types::Duration>) -> Option<SystemTime> {
    let seconds = seconds?.as_secs();
    (seconds != 0).then(|| start + Duration::from_secs(u64::from(seconds)))
}

fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    )
}

impl Keys {
    fn certificates(&self) -> Result<Vec<SignedPublicKey>, SignatureError> {
        let fail = |error: pgp::errors::Error| SignatureError::Keys(error.to_string());
        let mut certificates = Vec::new();
        let mut read = |block: &str| -> Result<(), SignatureError> {
            let (keys, _) = SignedPublicKey::from_string_many(block).map_err(fail)?;
            for key in keys {
                certificates.push(key.map_err(fail)?);
            }
            Ok(())
        };
        match self {
            Self::Debian => DEBIAN.iter().try_for_each(|block| read(block))?,
            Self::Armoured(text) => {
                const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
                for block in text.split(BEGIN).skip(1) {
                    read(&format!("{BEGIN}{block}"))?;
                }
            }
        }
        if certificates.is_empty() {
            return Err(SignatureError::Keys(
                "there is no block `BEGIN PGP PUBLIC KEY BLOCK` in them".to_owned(),
            ));
        }
        Ok(certificates)
    }

    /// Checks a clear-signed text (`InRelease`) at the time `now` and returns exactly what was
    /// signed, with `\n` line ends.
    ///
    /// # Errors
    /// [`SignatureError`] if no key of these signed it or any check fails.
    pub fn verify_clear(&self, message: &str, now: SystemTime) -> Result<String, SignatureError> {
        let certificates = self.certificates()?;
        let (message, _) = CleartextSignedMessage::from_string(message)
            .map_err(|error| SignatureError::Form(error.to_string()))?;
        let text = message.signed_text();
        verify(&certificates, message.signatures(), text.as_bytes(), now)?;
        Ok(text.replace("\r\n", "\n"))
    }

    /// Checks a detached signature (`Release.gpg`, armoured or not) over `text`.
    ///
    /// # Errors
    /// [`SignatureError`] if no key of these signed it or any check fails.
    pub fn verify_detached(
        &self,
        signature: &[u8],
        text: &[u8],
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        let certificates = self.certificates()?;
        let fail = |error: pgp::errors::Error| SignatureError::Form(error.to_string());
        let (signatures, _) = DetachedSignature::from_reader_many(signature).map_err(fail)?;
        let signatures = signatures
            .map(|signature| Ok(signature.map_err(fail)?.signature))
            .collect::<Result<Vec<_>, SignatureError>>()?;
        verify(&certificates, &signatures, text, now)
    }
}

/// One good signature by a usable key is enough, as for apt: during a change of keys the
/// archive signs with the old and the new one.
fn verify(
    certificates: &[SignedPublicKey],
    signatures: &[Signature],
    text: &[u8],
    now: SystemTime,
) -> Result<(), SignatureError> {
    let signers: Vec<Signer<'_>> = certificates
        .iter()
        .flat_map(|certificate| signers(certificate, now))
        .collect();
    let mut refused = None;
    for signature in signatures {
        for signer in signers.iter().filter(|signer| names(signature, signer)) {
            match check(signature, signer, text, now) {
                Ok(()) => return Ok(()),
                Err(reason) => {
                    refused.get_or_insert(SignatureError::Refused {
                        key: signer.name.clone(),
                        reason,
                    });
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| {
        let join = |mut ids: Vec<String>| {
            ids.sort();
            ids.dedup();
            if ids.is_empty() {
                return "nobody".to_owned();
            }
            ids.join(", ")
        };
        SignatureError::UnknownSigner {
            signers: join(signatures.iter().flat_map(issuers).collect()),
            known: join(signers.iter().map(|signer| signer.name.clone()).collect()),
        }
    }))
}

fn issuers(signature: &Signature) -> Vec<String> {
    let mut ids: Vec<String> = signature
        .issuer_fingerprint()
        .iter()
        .map(|fingerprint| fingerprint.to_string().to_uppercase())
        .collect();
    if ids.is_empty() {
        ids.extend(
            signature
                .issuer_key_id()
                .iter()
                .map(|id| id.to_string().to_uppercase()),
        );
    }
    ids
}

fn names(signature: &Signature, signer: &Signer<'_>) -> bool {
    issuers(signature)
        .iter()
        .any(|id| signer.name.ends_with(id.as_str()))
}

fn check(
    signature: &Signature,
    signer: &Signer<'_>,
    text: &[u8],
    now: SystemTime,
) -> Result<(), String> {
    signer.usable.clone()?;
    if !matches!(
        signature.typ(),
        Some(SignatureType::Binary | SignatureType::Text)
    ) {
        return Err("it is not a signature of a document".to_owned());
    }
    if !is_strong(signature) {
        return Err("its hash algorithm is not SHA-256, SHA-384 or SHA-512".to_owned());
    }
    let created = signature
        .created()
        .map(time)
        .ok_or("it does not say when it was made")?;
    if created > now + CLOCK_SKEW {
        return Err(format!(
            "it was made on {}, in the future; is this machine's clock right (it says {})?",
            show_time(created),
            show_time(now)
        ));
    }
    if created < signer.created {
        return Err("it is older than its key".to_owned());
    }
    if let Some(expired) = end(created, signature.signature_expiration_time())
        && expired <= now
    {
        return Err(format!("it expired on {}", show_time(expired)));
    }
    signer
        .key
        .verify(signature, text)
        .map_err(|_| "the text is not the one that was signed; it was changed".to_owned())
}

/// The primary key and its subkeys, each with the reason why it may not sign, if there is one.
fn signers(certificate: &SignedPublicKey, now: SystemTime) -> Vec<Signer<'_>> {
    let primary = &certificate.primary_key;
    let created = time(primary.created_at());
    // Of each kind only the newest valid self-signature counts. A name that was withdrawn does
    // not; whether the withdrawal is valid does not matter.
    let named = certificate
        .details
        .users
        .iter()
        .filter(|user| {
            let withdrawn =
                |signature: &Signature| signature.typ() == Some(SignatureType::CertRevocation);
            !user.signatures.iter().any(withdrawn)
        })
        .flat_map(|user| {
            user.signatures.iter().filter(|signature| {
                is_strong(signature)
                    && signature
                        .verify_certification(primary, Tag::UserId, &user.id)
                        .is_ok()
            })
        })
        .max_by_key(|signature| signature.created());
    // Debian's keys carry many of these, which only say who may revoke them.
    let direct = certificate
        .details
        .direct_signatures
        .iter()
        .filter(|signature| is_strong(signature) && signature.verify_key(primary).is_ok())
        .max_by_key(|signature| {
            (
                signature.key_expiration_time().is_some(),
                signature.created(),
            )
        });
    let expired = [named, direct]
        .into_iter()
        .flatten()
        .filter_map(|binding| end(created, binding.key_expiration_time()))
        .min()
        .filter(|expired| *expired <= now);
    // Whether a revocation is valid does not matter: a key that carries one is not used.
    let revoked = !certificate.details.revocation_signatures.is_empty();
    let usable = match (named.or(direct), expired) {
        _ if revoked => Err("the key is revoked".to_owned()),
        (None, _) => Err("the key has no valid signature of its own".to_owned()),
        (_, Some(expired)) => Err(format!("the key expired on {}", show_time(expired))),
        (Some(binding), None) => Ok(binding),
    };
    let name = |key: &dyn KeyDetailsName| key.name();
    let mut all = vec![Signer {
        key: primary,
        name: name(primary),
        created,
        usable: usable.clone().and_then(|binding| {
            if binding.key_flags().sign() {
                Ok(())
            } else {
                Err("the key is not meant for signing".to_owned())
            }
        }),
    }];
    for subkey in &certificate.public_subkeys {
        let created = time(subkey.key.created_at());
        let binding = subkey
            .signatures
            .iter()
            .filter(|signature| {
                signature.typ() == Some(SignatureType::SubkeyBinding)
                    && is_strong(signature)
                    && signature
                        .verify_subkey_binding(primary, &subkey.key)
                        .is_ok()
                    && signature.key_flags().sign()
                    && signature.embedded_signature().is_some_and(|back| {
                        back.verify_primary_key_binding(&subkey.key, primary)
                            .is_ok()
                    })
            })
            .max_by_key(|signature| signature.created());
        let revoked = subkey
            .signatures
            .iter()
            .any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
        let subkey_usable = match binding {
            _ if revoked => Err("the subkey is revoked".to_owned()),
            None => Err("the subkey is not bound to its key for signing".to_owned()),
            Some(binding) => match end(created, binding.key_expiration_time()) {
                Some(expired) if expired <= now => {
                    Err(format!("the subkey expired on {}", show_time(expired)))
                }
                _ => Ok(()),
            },
        };
        all.push(Signer {
            key: &subkey.key,
            name: name(&subkey.key),
            created,
            usable: usable.clone().map(|_| ()).and(subkey_usable),
        });
    }
    all
}

/// The fingerprint as people write it.
trait KeyDetailsName {
    fn name(&self) -> String;
}

impl<K: KeyDetails> KeyDetailsName for K {
    fn name(&self) -> String {
        self.fingerprint().to_string().to_uppercase()
    }
}

#[cfg(test)]
mod tests;
