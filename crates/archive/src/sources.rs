//! Where Debian's archives are to be had from this machine.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::{
    deb822::Paragraphs,
    fetch::{Fetcher, Patience},
};

/// The name under which a lock knows Debian's archive.
pub const DEBIAN: &str = "http://deb.debian.org/debian";
/// The name under which a lock knows Debian's security archive.
pub const DEBIAN_SECURITY: &str = "http://deb.debian.org/debian-security";

const FALLBACK: [&str; 2] = [DEBIAN, "http://ftp.debian.org/debian"];
const FALLBACK_SECURITY: [&str; 2] = [
    DEBIAN_SECURITY,
    "http://security.debian.org/debian-security",
];

/// Debian's releases; other repositories call their suites otherwise.
const RELEASES: [&str; 12] = [
    "stable",
    "testing",
    "unstable",
    "sid",
    "oldstable",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "oldoldstable",
    "experimental",
];

/// The mirrors to use, the best first, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    debian: Vec<String>,
    security: Vec<String>,
    proxy: Option<String>,
}

impl Mirrors {
    /// The mirrors of this machine: those named by `LIFEBOAT_DEBIAN_MIRROR`, else those of its
    /// own apt followed by Debian's public ones. `variable` reads the environment.
    pub fn of_host(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let named = variable("LIFEBOAT_DEBIAN_MIRROR");
        let named = named.as_ref().map(|value| value.to_string_lossy());
        Self::new(Path::new("/etc/apt"), named.as_deref())
    }

    /// As [`Mirrors::of_host`], for an apt that is configured in `apt` and mirrors `named` one
    /// after the other with blanks between; a URL that ends in `-security` is one of the
    /// security archive.
    pub fn new(apt: &Path, named: Option<&str>) -> Self {
        let proxy = proxy(apt);
        let urls = |text: &str| -> Vec<String> {
            text.split([' ', ',', '\n', '\t'])
                .map(|url| url.trim_end_matches('/'))
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let named = urls(named.unwrap_or_default());
        if !named.is_empty() {
            let (mut security, debian): (Vec<_>, Vec<_>) =
                named.into_iter().partition(|url| is_security(url));
            if security.is_empty() {
                security.extend(debian.iter().map(|url| format!("{url}-security")));
                security.extend(FALLBACK_SECURITY.map(str::to_owned));
            }
            return Self {
                debian: if debian.is_empty() {
                    FALLBACK.map(str::to_owned).to_vec()
                } else {
                    debian
                },
                security: unique(security),
                proxy,
            };
        }
        let (mut security, mut debian): (Vec<_>, Vec<_>) = entries(apt)
            .into_iter()
            .filter(Entry::is_debian)
            .flat_map(|entry| entry.uris)
            .map(|url| url.trim_end_matches('/').to_owned())
            .partition(|url| is_security(url));
        debian.extend(FALLBACK.map(str::to_owned));
        security.extend(FALLBACK_SECURITY.map(str::to_owned));
        Self {
            debian: unique(debian),
            security: unique(security),
            proxy,
        }
    }

    /// No mirrors but the repositories themselves, for those that are not Debian's.
    pub fn none() -> Self {
        Self {
            debian: Vec::new(),
            security: Vec::new(),
            proxy: None,
        }
    }

    /// The places of the repository that has this URL in a request or a lock.
    pub fn urls(&self, repository: &str) -> Vec<String> {
        let url = repository.trim_end_matches('/');
        let mirrors = match url {
            DEBIAN => &self.debian,
            DEBIAN_SECURITY => &self.security,
            _ => &Vec::new(),
        };
        if mirrors.is_empty() {
            return vec![url.to_owned()];
        }
        mirrors.clone()
    }

    /// The HTTP proxy of the host's apt.
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// A fetcher that goes through the proxy.
    pub(crate) fn fetcher(&self, patience: Patience) -> Fetcher {
        Fetcher::new(patience, self.proxy())
    }
}

fn is_security(url: &str) -> bool {
    url.ends_with("-security") || url.contains("security.debian.org")
}

fn unique(urls: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    urls.into_iter()
        .filter(|url| seen.insert(url.clone()))
        .collect()
}

/// One line or paragraph of apt's sources.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: String,
}

impl Entry {
    /// Whether it is a mirror of Debian: a release's name, the component `main`, a folder
    /// called as on all mirrors, and no other vendor's key.
    fn is_debian(&self) -> bool {
        let release = |suite: &String| {
            let name = suite.split(['-', '/']).next().unwrap_or(suite);
            let rest = &suite[name.len()..];
            RELEASES.contains(&name)
                && matches!(
                    rest,
                    "" | "-updates" | "-security" | "-backports" | "-proposed-updates" | "/updates"
                )
        };
        let folder = |url: &String| {
            let url = url.trim_end_matches('/');
            (url.starts_with("http://") || url.starts_with("https://"))
                && (url.ends_with("/debian")
                    || url.ends_with("/debian-security")
                    || url.contains("debian.org"))
        };
        self.suites.iter().any(release)
            && self.uris.iter().all(folder)
            && self.components.iter().any(|name| name == "main")
            && (self.signed_by.is_empty() || self.signed_by.contains("debian-archive"))
    }
}

/// The files of a folder whose names end in `.extension`, in their order.
fn files(folder: &Path, extension: Option<&str>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.retain(|path| {
        extension.is_none() || path.extension().and_then(|name| name.to_str()) == extension
    });
    paths.sort();
    paths
}

/// Apt's sources. What cannot be read is as good as absent: there are public mirrors.
fn entries(apt: &Path) -> Vec<Entry> {
    let mut all = Vec::new();
    let parts = apt.join("sources.list.d");
    let lists = [apt.join("sources.list")]
        .into_iter()
        .chain(files(&parts, Some("list")));
    for path in lists {
        let text = fs::read_to_string(path).unwrap_or_default();
        all.extend(text.lines().filter_map(one_line));
    }
    for path in files(&parts, Some("sources")) {
        let text = fs::read_to_string(path).unwrap_or_default();
        for paragraph in Paragraphs::new(&text).map_while(Result::ok) {
            let words = |field| -> Vec<String> {
                let value = paragraph.get(field).unwrap_or_default();
                value.split_ascii_whitespace().map(str::to_owned).collect()
            };
            let enabled = paragraph.get("Enabled").unwrap_or("yes");
            if enabled.eq_ignore_ascii_case("yes") && words("Types").contains(&"deb".to_owned()) {
                all.push(Entry {
                    uris: words("URIs"),
                    suites: words("Suites"),
                    components: words("Components"),
                    signed_by: paragraph.get("Signed-By").unwrap_or_default().to_owned(),
                });
            }
        }
    }
    for entry in &mut all {
        entry.uris = entry.uris.drain(..).flat_map(mirror_list).collect();
    }
    all
}

/// `deb [options] URI SUITE COMPONENT...`
fn one_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim_ascii();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t', '[']) {
        return None;
    }
    let mut rest = rest.trim_ascii();
    let mut signed_by = "";
    if let Some(inner) = rest.strip_prefix('[') {
        let (options, after) = inner.split_once(']')?;
        signed_by = options
            .split_ascii_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .unwrap_or_default();
        rest = after;
    }
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    Some(Entry {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.to_owned(),
    })
}

/// The mirrors of `mirror+file:/etc/apt/mirrors/debian.list`, as Debian's cloud images have it.
fn mirror_list(uri: String) -> Vec<String> {
    let Some(path) = uri.strip_prefix("mirror+file:") else {
        return vec![uri];
    };
    let path = format!("/{}", path.trim_start_matches('/'));
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split('#').next()?.split_ascii_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// `Acquire::http::Proxy "URL";` of apt's configuration; the last one counts.
fn proxy(apt: &Path) -> Option<String> {
    let mut found = None;
    let configured = files(&apt.join("apt.conf.d"), None)
        .into_iter()
        .chain([apt.join("apt.conf")]);
    for path in configured {
        let text = fs::read_to_string(path).unwrap_or_default();
        for line in text.lines() {
            let line = line.trim_ascii();
            let Some((key, rest)) = line.split_once(|c: char| c.is_whitespace() || c == '"') else {
                continue;
            };
            if key.eq_ignore_ascii_case("Acquire::http::Proxy") {
                let value = rest.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == ';');
                found = value.contains("://").then(|| value.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apt(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn mirrors_of_the_host_come_before_the_public_ones() {
        let folder = apt(&[
            (
                "sources.list",
                "# deb http://no.example/debian trixie main\n\
                 deb-src http://src.example/debian trixie main\n\
                 deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
                 http://one.example/debian/ bookworm main # near\n\
                 deb http://packages.example/apt cloud-sdk-bookworm main\n",
            ),
            (
                "sources.list.d/docker.list",
                "deb [signed-by=/etc/apt/keyrings/docker.asc] https://docker.example/linux/debian bookworm stable\n",
            ),
            (
                "sources.list.d/debian.sources",
                "Types: deb deb-src\nURIs: http://two.example/debian\nSuites: trixie trixie-updates\n\
                 Components: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.pgp\n\n\
                 Types: deb\nURIs: http://two.example/debian-security\nSuites: trixie-security\n\
                 Components: main\n\nEnabled: no\nTypes: deb\nURIs: http://off.example/debian\n\
                 Suites: trixie\nComponents: main\n",
            ),
            (
                "apt.conf.d/proxy",
                "Acquire::Retries \"3\";\nAcquire::http::Proxy \"http://proxy.example:3128\";\n",
            ),
        ]);
        let mirrors = Mirrors::new(folder.path(), None);
        assert_eq!(
            mirrors.urls(DEBIAN),
            [
                "http://one.example/debian",
                "http://two.example/debian",
                FALLBACK[0],
                FALLBACK[1]
            ]
        );
        assert_eq!(
            mirrors.urls(DEBIAN_SECURITY)[0],
            "http://two.example/debian-security"
        );
        assert_eq!(mirrors.proxy(), Some("http://proxy.example:3128"));
        assert_eq!(
            mirrors.urls("https://other.example/deb/"),
            ["https://other.example/deb"]
        );
    }

    #[test]
    fn a_named_mirror_is_the_only_one() {
        let folder = apt(&[(
            "sources.list",
            "deb http://one.example/debian trixie main\n",
        )]);
        let mirrors = Mirrors::new(folder.path(), Some("http://mine.example/debian/"));
        assert_eq!(mirrors.urls(DEBIAN), ["http://mine.example/debian"]);
        assert_eq!(
            mirrors.urls(DEBIAN_SECURITY)[0],
            "http://mine.example/debian-security"
        );
        let both = "http://a.example/debian http://b.example/debian-security";
        let mirrors = Mirrors::new(folder.path(), Some(both));
        assert_eq!(
            mirrors.urls(DEBIAN_SECURITY),
            ["http://b.example/debian-security"]
        );
    }

    #[test]
    fn a_host_without_apt_uses_public_mirrors() {
        let folder = apt(&[]);
        assert_eq!(Mirrors::new(folder.path(), None).urls(DEBIAN), FALLBACK);
        assert_eq!(
            Mirrors::new(folder.path(), Some(" ")).urls(DEBIAN),
            FALLBACK
        );
    }

    #[test]
    fn a_list_of_mirrors_is_followed() {
        let list = apt(&[("debian.list", "# near\nhttp://near.example/debian\n")]);
        let source = format!(
            "deb mirror+file:{}/debian.list trixie main\n",
            list.path().display()
        );
        let folder = apt(&[("sources.list", &source)]);
        assert_eq!(
            Mirrors::new(folder.path(), None).urls(DEBIAN)[0],
            "http://near.example/debian"
        );
    }
}
