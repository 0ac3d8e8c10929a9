use pgp::{
    composed::{
        ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder,
    },
    packet::{KeyFlags, SignatureConfig, Subpacket, SubpacketData},
    types::{Password, SigningKey},
};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

const DAY: u32 = 86_400;
/// When keys are made.
const MADE: u32 = 1_700_000_000;
const TEXT: &str = "Suite: trixie\n- dashed\nSHA256:\n x\n";

fn at(seconds: u32) -> SystemTime {
    time(Timestamp::from_secs(seconds))
}

fn now() -> SystemTime {
    at(MADE + 100 * DAY)
}

/// A key whose subkey may sign, or may only authenticate.
fn key(seed: u64, subkey_signs: bool) -> SignedSecretKey {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey
        .key_type(KeyType::Ed25519Legacy)
        .created_at(Timestamp::from_secs(MADE))
        .can_authenticate(true)
        .can_sign(subkey_signs);
    let mut parameters = SecretKeyParamsBuilder::default();
    parameters
        .key_type(KeyType::Ed25519Legacy)
        .created_at(Timestamp::from_secs(MADE))
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("Test <test@lifeboat.invalid>".to_owned())
        .subkeys(vec![subkey.build().unwrap()]);
    let parameters = parameters.build().unwrap();
    parameters.generate(StdRng::seed_from_u64(seed)).unwrap()
}

fn keys(key: &SignedPublicKey) -> Keys {
    Keys::Armoured(key.to_armored_string(ArmorOptions::default()).unwrap())
}

fn public(key: &SignedSecretKey) -> SignedPublicKey {
    key.to_public_key()
}

/// A configuration with these parts beside the issuer.
fn config(
    kind: SignatureType,
    key: &impl SigningKey,
    parts: Vec<SubpacketData>,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = parts
        .into_iter()
        .chain([SubpacketData::IssuerFingerprint(key.fingerprint())])
        .map(|part| Subpacket::regular(part).unwrap())
        .collect();
    config
}

fn created(seconds: u32) -> SubpacketData {
    SubpacketData::SignatureCreationTime(Timestamp::from_secs(seconds))
}

/// `TEXT`, clear-signed by `key` with these parts in the signature.
fn signed(key: &impl SigningKey, parts: Vec<SubpacketData>) -> String {
    let config = config(SignatureType::Text, key, parts);
    CleartextSignedMessage::new(TEXT, config, key, &Password::empty())
        .unwrap()
        .to_armored_string(ArmorOptions::default())
        .unwrap()
}

#[track_caller]
fn refused(result: Result<String, SignatureError>, reason: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(reason), "{error}\n{reason}");
}

#[test]
fn primary_keys_and_signing_subkeys_may_sign() {
    let key = key(1, true);
    let keys = keys(&public(&key));
    let made = || vec![created(MADE + DAY)];
    let by_primary = signed(&key.primary_key, made());
    assert_eq!(keys.verify_clear(&by_primary, now()).unwrap(), TEXT);
    let by_subkey = signed(&key.secret_subkeys[0].key, made());
    assert_eq!(keys.verify_clear(&by_subkey, now()).unwrap(), TEXT);
}

#[test]
fn other_subkeys_may_not() {
    let authenticating = key(1, false);
    let message = signed(
        &authenticating.secret_subkeys[0].key,
        vec![created(MADE + DAY)],
    );
    let keys_of = |key: &SignedPublicKey| keys(key);
    refused(
        keys_of(&public(&authenticating)).verify_clear(&message, now()),
        "not bound to its key for signing",
    );
    // Somebody else's subkey, put below a key that is believed.
    let (believed, other) = (key(2, true), key(3, true));
    let mut grafted = public(&believed);
    grafted.public_subkeys = public(&other).public_subkeys;
    let message = signed(&other.secret_subkeys[0].key, vec![created(MADE + DAY)]);
    refused(
        keys_of(&grafted).verify_clear(&message, now()),
        "not bound to its key for signing",
    );
}

#[test]
fn expired_revoked_and_unsigned_keys_are_refused() {
    let key = key(1, true);
    let message = signed(&key.primary_key, vec![created(MADE + DAY)]);
    let by_subkey = signed(&key.secret_subkeys[0].key, vec![created(MADE + DAY)]);
    let check = |certificate: &SignedPublicKey, reason: &str| {
        refused(keys(certificate).verify_clear(&message, now()), reason);
        refused(keys(certificate).verify_clear(&by_subkey, now()), reason);
    };
    let certify = |parts: Vec<SubpacketData>| {
        let mut certificate = public(&key);
        let user = &mut certificate.details.users[0];
        let config = config(SignatureType::CertPositive, &key.primary_key, parts);
        user.signatures = vec![
            config
                .sign_certification(
                    &key.primary_key,
                    &certificate.primary_key,
                    &Password::empty(),
                    Tag::UserId,
                    &user.id,
                )
                .unwrap(),
        ];
        certificate
    };
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let lives = |days: u32| {
        certify(vec![
            created(MADE),
            SubpacketData::KeyFlags(flags.clone()),
            SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(days * DAY)),
        ])
    };
    check(&lives(50), "the key expired on 2024-01-03");
    assert!(keys(&lives(101)).verify_clear(&message, now()).is_ok());
    // Without the flag the primary key may not sign, its subkey still may.
    let no_flag = certify(vec![created(MADE)]);
    refused(
        keys(&no_flag).verify_clear(&message, now()),
        "not meant for signing",
    );
    assert!(keys(&no_flag).verify_clear(&by_subkey, now()).is_ok());

    let mut revoked = public(&key);
    let revocation = config(
        SignatureType::KeyRevocation,
        &key.primary_key,
        vec![created(MADE + 2 * DAY)],
    );
    let revocation = revocation
        .sign_key(&key.primary_key, &Password::empty(), &revoked.primary_key)
        .unwrap();
    revoked.details.revocation_signatures.push(revocation);
    check(&revoked, "the key is revoked");

    // A certification by somebody else is no proof of the key's own will.
    let other = self::key(2, true);
    let mut stolen = public(&key);
    stolen.details.users[0].signatures = public(&other).details.users[0].signatures.clone();
    check(&stolen, "no valid signature of its own");
}

#[test]
fn signatures_at_the_wrong_time_are_refused() {
    let key = key(1, true);
    let keys = keys(&public(&key));
    let check = |parts, reason: &str| {
        refused(
            keys.verify_clear(&signed(&key.primary_key, parts), now()),
            reason,
        );
    };
    check(
        vec![created(MADE + 101 * DAY)],
        "is this machine's clock right",
    );
    check(vec![created(MADE - DAY)], "older than its key");
    check(Vec::new(), "does not say when it was made");
    let ends = SubpacketData::SignatureExpirationTime(pgp::types::Duration::from_secs(DAY));
    check(vec![created(MADE + DAY), ends], "it expired on 2023-11-16");
}

#[test]
fn nothing_beside_the_signed_text_is_believed() {
    let key = key(1, true);
    let keys = keys(&public(&key));
    let message = signed(&key.primary_key, vec![created(MADE + DAY)]);
    assert!(keys.verify_clear(&message, now()).is_ok());
    let (head, rest) = message.split_once("Suite: trixie").unwrap();
    for changed in [
        format!("Suite: sid\n{message}"),
        format!("{message}Suite: sid\n"),
        format!("{message}{message}"),
        format!("{head}Suite: sid{rest}"),
        format!("{head}Suite: trixie\nSuite: sid{rest}"),
        head.to_owned(),
        String::new(),
        TEXT.to_owned(),
        message.replace("- - dashed", "- - Dashed"),
        message[..message.len() / 2].to_owned(),
    ] {
        assert!(keys.verify_clear(&changed, now()).is_err(), "{changed}");
    }
    // An armour header between cannot bring in text of its own.
    let with_header = message.replacen("\n\n", "\nComment: x\n\n", 1);
    if let Ok(text) = keys.verify_clear(&with_header, now()) {
        assert_eq!(text, TEXT);
    }
}

#[test]
fn a_signature_of_another_kind_is_refused() {
    let key = key(1, true);
    let keys = keys(&public(&key));
    let config = config(
        SignatureType::Key,
        &key.primary_key,
        vec![created(MADE + DAY)],
    );
    let primary = public(&key).primary_key;
    let signature = config
        .sign_key(&key.primary_key, &Password::empty(), &primary)
        .unwrap();
    let message = CleartextSignedMessage::new_many(TEXT, |_| Ok(vec![signature])).unwrap();
    let message = message.to_armored_string(ArmorOptions::default()).unwrap();
    refused(
        keys.verify_clear(&message, now()),
        "not a signature of a document",
    );
}

#[test]
fn the_built_in_keys_are_debians_and_expire_in_their_time() {
    let certificates = Keys::Debian.certificates().unwrap();
    let names: Vec<String> = certificates
        .iter()
        .map(|certificate| certificate.fingerprint().to_string().to_uppercase())
        .collect();
    // As published at https://ftp-master.debian.org/keys.html.
    assert_eq!(
        names,
        [
            "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
            "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
            "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
            "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
            "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
            "4D64FEC119C2029067D6E791F8D2585B8783D481",
        ]
    );
    let usable = |seconds: u32| -> Vec<bool> {
        certificates
            .iter()
            .flat_map(|certificate| signers(certificate, at(seconds)))
            .map(|signer| signer.usable.is_ok())
            .collect()
    };
    assert_eq!(usable(1_780_000_000), [true; 10]);
    assert_eq!(usable(2_100_000_000), [false; 10]);
}

#[test]
fn keys_of_no_use_are_named() {
    for text in [
        "",
        "nonsense",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n",
    ] {
        let error = Keys::Armoured(text.to_owned())
            .verify_clear("x", now())
            .unwrap_err();
        assert!(matches!(error, SignatureError::Keys(_)), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_what_was_signed_is_believed(text: String, at: prop::sample::Index, cut: bool) {
        let key = key(1, true);
        let keys = keys(&public(&key));
        prop_assert!(keys.verify_clear(&text, now()).is_err());
        let mut message = signed(&key.primary_key, vec![created(MADE + DAY)]);
        let mut place = at.index(message.len());
        while !message.is_char_boundary(place) { place -= 1; }
        if cut {
            message.truncate(place);
        } else {
            message.insert_str(place, &text);
        }
        // Armour headers, what stands around the message and blanks at ends of lines are not
        // signed (RFC 9580, 7.2); all other text is.
        let text = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.trim_end().to_owned()).collect()
        };
        if let Ok(believed) = keys.verify_clear(&message, now()) {
            prop_assert_eq!(text(&believed), text(TEXT));
        }
    }
}
