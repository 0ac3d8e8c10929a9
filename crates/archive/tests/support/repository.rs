//! Packages and repositories, written as Debian writes them.

use std::{fmt::Write as _, fs, io::Write as _, path::Path};

use pgp::{
    composed::{
        CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedSecretKey,
    },
    crypto::hash::HashAlgorithm,
    packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData},
    types::{KeyDetails as _, Password, Timestamp},
};
use rand::{SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

/// When keys of tests are made: 2024-01-01.
const KEY_TIME: u32 = 1_704_067_200;
/// When repositories of tests are made and signed: 2025-01-01.
const SIGNATURE_TIME: u32 = 1_735_689_600;

/// A key that signs repositories, always at the same time.
pub struct Signer(SignedSecretKey);

impl Signer {
    /// The key that belongs to this number.
    pub fn new(seed: u64) -> Self {
        let mut parameters = SecretKeyParamsBuilder::default();
        parameters
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .can_certify(true)
            .created_at(Timestamp::from_secs(KEY_TIME))
            .primary_user_id(format!("Test {seed} <test@lifeboat.invalid>"));
        let parameters = parameters.build().unwrap();
        Self(parameters.generate(StdRng::seed_from_u64(seed)).unwrap())
    }

    /// The public half in ASCII armour.
    pub fn public(&self) -> String {
        let key = self.0.to_public_key();
        key.to_armored_string(pgp::composed::ArmorOptions::default())
            .unwrap()
    }

    /// `InRelease` of a `Release`.
    pub fn clear_sign(&self, text: &str) -> String {
        let config = self.config(SignatureType::Text);
        let key = &self.0.primary_key;
        let message = CleartextSignedMessage::new(text, config, key, &Password::empty()).unwrap();
        message
            .to_armored_string(pgp::composed::ArmorOptions::default())
            .unwrap()
    }

    /// `Release.gpg` of a `Release`.
    pub fn sign(&self, text: &[u8]) -> String {
        let config = self.config(SignatureType::Binary);
        let key = &self.0.primary_key;
        let signature = config.sign(key, &Password::empty(), text).unwrap();
        DetachedSignature::new(signature)
            .to_armored_string(pgp::composed::ArmorOptions::default())
            .unwrap()
    }

    fn config(&self, kind: SignatureType) -> SignatureConfig {
        let key = &self.0.primary_key;
        let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha512);
        let time = Timestamp::from_secs(SIGNATURE_TIME);
        config.hashed_subpackets = [
            SubpacketData::SignatureCreationTime(time),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ]
        .map(|data| Subpacket::regular(data).unwrap())
        .to_vec();
        config
    }
}

/// A package to be made.
#[derive(Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `all` or an architecture.
    pub architecture: String,
    /// More control fields, each a whole line.
    pub fields: Vec<String>,
    /// Files: path without a leading slash, mode and content.
    pub files: Vec<(String, u32, Vec<u8>)>,
}

impl Package {
    /// A package for all architectures with one small file.
    pub fn new(name: &str, version: &str) -> Self {
        let path = format!("usr/share/{name}/version");
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "all".to_owned(),
            fields: Vec::new(),
            files: vec![(path, 0o644, version.as_bytes().to_vec())],
        }
    }

    /// With a line more in its control file.
    pub fn field(mut self, line: &str) -> Self {
        self.fields.push(line.to_owned());
        self
    }

    /// With a file more.
    pub fn file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.files.push((path.to_owned(), mode, content.to_vec()));
        self
    }

    fn control(&self) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: Test <test@lifeboat.invalid>\n\
             Description: made by a test\n",
            self.name, self.version, self.architecture
        );
        for field in &self.fields {
            writeln!(text, "{field}").unwrap();
        }
        text
    }

    fn file_name(&self) -> String {
        let version = self.version.replace(':', "%3a");
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }
}

/// The package file (deb(5)) of a package.
pub fn deb(package: &Package) -> Vec<u8> {
    let control = tar(&[(
        "./control".to_owned(),
        0o644,
        package.control().into_bytes(),
    )]);
    let files: Vec<_> = package
        .files
        .iter()
        .map(|(path, mode, content)| (format!("./{path}"), *mode, content.clone()))
        .collect();
    let data = tar(&files);
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&control)),
        ("data.tar.gz", gzip(&data)),
    ] {
        writeln!(
            out,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            100_644,
            content.len()
        )
        .unwrap();
        out.extend(&content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar (ustar) with the folders above each file.
fn tar(files: &[(String, u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut folders = std::collections::BTreeSet::new();
    let mut entry = |path: &str, mode: u32, kind: u8, content: &[u8]| {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, path);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(257, "ustar\u{0}00");
        put(265, "root");
        put(297, "root");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(header);
        out.extend(content);
        out.resize(out.len().next_multiple_of(512), 0);
    };
    for (path, mode, content) in files {
        for (at, _) in path.match_indices('/') {
            if folders.insert(path[..=at].to_owned()) {
                entry(&path[..=at], 0o755, b'5', &[]);
            }
        }
        entry(path, *mode, b'0', content);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A repository to be made.
pub struct Repository {
    /// What it offers.
    pub packages: Vec<Package>,
    /// Its suite and code name.
    pub suite: String,
    /// More lines at the top of its `Release`.
    pub lines: Vec<String>,
    /// Index extensions, of `""`, `.gz` and `.xz`.
    pub extensions: Vec<&'static str>,
}

impl Repository {
    /// The suite `trixie` with these packages.
    pub fn new(packages: Vec<Package>) -> Self {
        Self {
            packages,
            suite: "trixie".to_owned(),
            lines: vec!["Acquire-By-Hash: yes".to_owned()],
            extensions: vec!["", ".gz"],
        }
    }

    /// With a line more at the top of its `Release`.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Writes it below `root` in Debian's layout, component `main`, signed by `signer`.
    pub fn write(&self, root: &Path, signer: &Signer) {
        let dists = root.join("dists").join(&self.suite);
        let release = self.write_index(root, "pool/main/", &dists, "main/binary-amd64/");
        fs::write(dists.join("InRelease"), signer.clear_sign(&release)).unwrap();
    }

    /// Writes it below `root` as a flat repository (`deb URL ./`).
    pub fn write_flat(&self, root: &Path, signer: &Signer) {
        let release = self.write_index(root, "./", root, "");
        fs::write(root.join("InRelease"), signer.clear_sign(&release)).unwrap();
    }

    /// Writes it below `root` in Debian's layout with `Release` and `Release.gpg`.
    pub fn write_detached(&self, root: &Path, signer: &Signer) {
        let dists = root.join("dists").join(&self.suite);
        let release = self.write_index(root, "pool/main/", &dists, "main/binary-amd64/");
        fs::write(dists.join("Release"), &release).unwrap();
        fs::write(dists.join("Release.gpg"), signer.sign(release.as_bytes())).unwrap();
    }

    /// Writes packages and indices; returns the text of the `Release`.
    fn write_index(&self, root: &Path, pool: &str, release: &Path, folder: &str) -> String {
        fs::create_dir_all(root.join(pool)).unwrap();
        let mut index = String::new();
        for package in &self.packages {
            let bytes = deb(package);
            let path = format!("{pool}{}", package.file_name());
            fs::write(root.join(&path), &bytes).unwrap();
            write!(
                index,
                "{}Filename: {path}\nSize: {}\nSHA256: {}\n\n",
                package.control(),
                bytes.len(),
                hex(&bytes)
            )
            .unwrap();
        }
        let mut text = format!(
            "Origin: Test\nSuite: {0}\nCodename: {0}\nDate: Wed, 01 Jan 2025 00:00:00 UTC\n\
             Architectures: all amd64\nNo-Support-for-Architecture-all: Packages\n\
             Components: main\n",
            self.suite
        );
        for line in &self.lines {
            writeln!(text, "{line}").unwrap();
        }
        text.push_str("SHA256:\n");
        let by_hash = release.join(folder).join("by-hash/SHA256");
        fs::create_dir_all(&by_hash).unwrap();
        for extension in &self.extensions {
            let bytes = match *extension {
                "" => index.clone().into_bytes(),
                ".gz" => gzip(index.as_bytes()),
                ".xz" => {
                    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                    encoder.write_all(index.as_bytes()).unwrap();
                    encoder.finish().unwrap()
                }
                other => panic!("no index ends in {other}"),
            };
            let path = format!("{folder}Packages{extension}");
            fs::write(release.join(&path), &bytes).unwrap();
            fs::write(by_hash.join(hex(&bytes)), &bytes).unwrap();
            writeln!(text, " {} {} {path}", hex(&bytes), bytes.len()).unwrap();
        }
        text
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}
