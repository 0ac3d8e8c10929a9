use std::collections::BTreeSet;

use super::*;
use crate::definition::types::Date;

/// The day that this catalogue was last looked at as a whole. A bundle must not expire before
/// it; whoever raises it looks at each bundle.
const LOOKED_AT: &str = "2026-11-22";

#[test]
fn embedded_files_read() {
    let mut all: Vec<String> = Vec::new();
    for (name, text) in FILES {
        match crate::read::<Bundle>(name, text) {
            Ok(bundle) => assert_eq!(format!("bundles/{}.yaml", bundle.name), name),
            Err(findings) => all.push(findings.to_string()),
        }
    }
    if let Err(findings) = crate::read::<BaseSet>(BASE.0, BASE.1) {
        all.push(findings.to_string());
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bundles");
    let mut found: Vec<String> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut known: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    known.extend([BASE.0, "bundles/kubernetes.yaml"]);
    known.sort_unstable();
    let found: Vec<String> = found.iter().map(|name| format!("bundles/{name}")).collect();
    assert_eq!(found, known);
}

#[test]
fn bundles_are_sound() {
    let today: Date = LOOKED_AT.parse().unwrap();
    let mut names = BTreeSet::new();
    let mut paths = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for bundle in catalogue() {
        let name = &bundle.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(bundle.expires > today, "{name} expired: look at it again");
        assert!(
            bundle.version > 0 && !bundle.description.is_empty(),
            "{name}"
        );
        for file in &bundle.files {
            assert!(
                paths.insert(&file.path),
                "{} of {name} is another's too",
                file.path
            );
        }
        for port in &bundle.ports {
            assert!(
                ports.insert(port.port),
                "port {} of {name} is another's too",
                port.port
            );
            assert!(["https", "http", "tcp"].contains(&port.scheme.as_str()));
        }
        for check in &bundle.checks.http {
            assert!(
                bundle.ports.iter().any(|port| port.port == check.port),
                "{name}"
            );
        }
        reasons(&bundle.packages, &bundle.without);
        let units = &bundle.units;
        let all: Vec<&String> = [&units.enable, &units.disable, &units.mask]
            .into_iter()
            .flatten()
            .collect();
        let unique: BTreeSet<&String> = all.iter().copied().collect();
        assert_eq!(unique.len(), all.len(), "{name} names a unit twice");
        assert!(all.iter().all(|unit| unit.contains('.')), "{name}");
    }
    reasons(&base().packages, &base().without);
}

fn reasons(packages: &[PackageReason], without: &[PackageReason]) {
    let mut names = BTreeSet::new();
    for package in packages.iter().chain(without) {
        assert!(!package.why.is_empty(), "{} has no reason", package.name);
        assert!(
            names.insert(&package.name),
            "{} is there twice",
            package.name
        );
    }
}

#[test]
fn root_cannot_log_in_to_cockpit() {
    let cockpit = find("cockpit").unwrap();
    let file = cockpit
        .files
        .iter()
        .find(|file| file.path.as_str() == "/etc/cockpit/disallowed-users")
        .unwrap();
    assert!(file.content.lines().any(|line| line == "root"));
    assert_eq!(file.mode.bits(), 0o644);
    assert!(cockpit.checks.files.contains(&file.path));
    assert!(
        cockpit
            .without
            .iter()
            .any(|one| one.name.as_str() == "cockpit-packagekit")
    );
}

#[test]
#[ignore = "network: reads Debian's index of packages"]
fn packages_exist_in_debian() {
    let url = "http://deb.debian.org/debian/dists/trixie/main/binary-amd64/Packages.gz";
    let output = std::process::Command::new("curl")
        .args(["-fsSL", "--max-time", "120", url])
        .output();
    let Ok(output) = output.map_err(|error| println!("skipped: no curl ({error})")) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut index = String::new();
    std::io::Read::read_to_string(
        &mut flate2::read::MultiGzDecoder::new(output.stdout.as_slice()),
        &mut index,
    )
    .unwrap();
    let known: BTreeSet<&str> = index
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "))
        .collect();
    let wanted = catalogue()
        .iter()
        .flat_map(|bundle| bundle.packages.iter().chain(&bundle.without))
        .chain(&base().packages)
        .chain(&base().without)
        .map(|package| package.name.as_str())
        .chain([
            base().kernels.cloud.as_str(),
            base().kernels.generic.as_str(),
        ]);
    let missing: Vec<&str> = wanted.filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "not in Debian: {missing:?}");
}
