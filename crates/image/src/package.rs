//! Which packages an image is made of, and that as documents for other tools.

use lifeboat_archive::{Digest, Paragraph, ParagraphError, Paragraphs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fat::civil;

/// A list of packages that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the list of installed packages is damaged")]
pub struct PackageError(#[from] ParagraphError);

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its full version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The source package it is built from.
    pub source: String,
}

/// All packages of an image, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages(pub Vec<InstalledPackage>);

/// Something in an image or its payload that is no Debian package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// A package URL: `pkg:golang/k8s.io/kubernetes@v1.36.3`.
    pub purl: String,
    /// An SPDX licence expression, where it is known.
    pub license: Option<String>,
}

impl Packages {
    /// Reads dpkg's list, without what is only half installed.
    ///
    /// # Errors
    /// [`PackageError`] if it is no list.
    pub fn read(status: &str) -> Result<Self, PackageError> {
        let mut paragraphs = Paragraphs::new(status);
        let mut paragraph = Paragraph::default();
        let mut packages = Vec::new();
        while paragraphs.read(&mut paragraph)? {
            let field = |name| paragraph.get(name).unwrap_or_default().to_owned();
            if !field("Status").ends_with(" installed") {
                continue;
            }
            let name = field("Package");
            let source = field("Source");
            let source = source.split_whitespace().next().unwrap_or(&name).to_owned();
            let (version, architecture) = (field("Version"), field("Architecture"));
            packages.push(InstalledPackage {
                name,
                version,
                architecture,
                source,
            });
        }
        packages.sort();
        Ok(Self(packages))
    }
}

/// What an image is made of as SPDX 2.3. Source: <https://spdx.github.io/spdx-spec/v2.3/>.
pub(crate) fn spdx(
    version: &str,
    root_hash: &Digest,
    time: i64,
    packages: &Packages,
    components: &[Component],
) -> Value {
    let mut all = vec![json!({
        "SPDXID": "SPDXRef-Image",
        "name": "lifeboat",
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })];
    let mut relationships = vec![relationship(
        "SPDXRef-DOCUMENT",
        "DESCRIBES",
        "SPDXRef-Image",
    )];
    let debian = packages.0.iter().map(|package| {
        let version = package.version.replace('+', "%2B").replace(':', "%3A");
        let purl = format!(
            "pkg:deb/debian/{}@{version}?arch={}&distro=trixie",
            package.name.replace('+', "%2B"),
            package.architecture
        );
        (
            &package.name,
            &package.version,
            purl,
            None,
            Some(&package.source),
        )
    });
    let others = components.iter().map(|part| {
        (
            &part.name,
            &part.version,
            part.purl.clone(),
            part.license.as_ref(),
            None,
        )
    });
    for (index, (name, version, purl, license, source)) in debian.chain(others).enumerate() {
        let id: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let id = format!("SPDXRef-Package-{index}-{id}");
        let mut package = json!({
            "SPDXID": id,
            "name": name,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": license.map_or("NOASSERTION", String::as_str),
            "copyrightText": "NOASSERTION",
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }],
        });
        if let Some(source) = source {
            package["sourceInfo"] = json!(format!("built from the Debian source package {source}"));
        }
        all.push(package);
        relationships.push(relationship("SPDXRef-Image", "CONTAINS", &id));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("lifeboat-{version}"),
        "documentNamespace": format!("https://lifeboat.invalid/spdx/{root_hash}"),
        "creationInfo": {
            "created": timestamp(time),
            "creators": [format!("Tool: lifeboat-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": all,
        "relationships": relationships,
    })
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// RFC 3339 in UTC.
fn timestamp(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: libstdc++6\nStatus: install ok installed\nVersion: 14.2.0-19\n\
        Architecture: amd64\nSource: gcc-14\n\nPackage: half\nStatus: install ok unpacked\n\
        Version: 1\nArchitecture: all\n";

    #[test]
    fn only_what_is_installed_counts() {
        let packages = Packages::read(STATUS).unwrap();
        assert_eq!(packages.0.len(), 1);
        assert_eq!(packages.0[0].source, "gcc-14");
        let component = Component {
            name: "etcd".into(),
            version: "v3.6.8".into(),
            purl: "pkg:golang/go.etcd.io/etcd/server/v3@v3.6.8".into(),
            license: Some("Apache-2.0".into()),
        };
        let document = spdx(
            "1.0",
            &Digest([1; 32]),
            1_700_000_000,
            &packages,
            &[component],
        );
        assert_eq!(document["creationInfo"]["created"], "2023-11-14T22:13:20Z");
        assert_eq!(document["packages"].as_array().map(Vec::len), Some(3));
        let locator = &document["packages"][1]["externalRefs"][0]["referenceLocator"];
        assert_eq!(
            locator,
            "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=trixie"
        );
    }
}
