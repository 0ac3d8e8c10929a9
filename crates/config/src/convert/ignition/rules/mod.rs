//! The rules of Ignition's own validator, each spec by itself, and at the paths that it names.

mod disks;
mod resources;
mod storage;
mod systemd;

use std::collections::HashSet;

use super::{
    super::{report::Report, tree::Node},
    schema::{Names, spot},
    url::Url,
};

/// Checks a document whose keys and types were checked.
pub(crate) fn check(root: &Node, spec: u8, names: Names, report: &mut Report) {
    let mut rules = Rules {
        spec,
        names,
        report,
    };
    rules.ignition(root.below("ignition"));
    rules.passwd(root.below("passwd"));
    let arguments = root.below("kernelArguments");
    rules.unique_together(
        arguments,
        &["shouldExist", "shouldNotExist"],
        itself,
        "the argument",
    );
    rules.storage(root.below("storage"));
    rules.systemd(root.below("systemd"));
    rules.unit_paths(root);
}

struct Rules<'a> {
    /// The minor version of spec 3.
    spec: u8,
    names: Names,
    report: &'a mut Report,
}

/// A list of texts: each is its own key.
fn itself(item: &Node) -> Option<String> {
    item.as_text().map(str::to_owned)
}

/// The key of an object by the text under one of its keys, the empty one if that is not there.
fn by(key: &'static str) -> impl Fn(&Node) -> Option<String> {
    move |item| (!item.is_bad(key)).then(|| item.text(key).unwrap_or_default().to_owned())
}

/// The key of a resource; none for a file that is not read.
fn source(item: &Node) -> Option<String> {
    let bad = ["source", "inline"].iter().any(|key| item.is_bad(key));
    if bad || item.get("local").is_some() {
        return None;
    }
    Some(match item.text("inline") {
        Some(inline) => format!("inline {inline}"),
        None => item.text("source").unwrap_or_default().to_owned(),
    })
}

impl Rules<'_> {
    fn invalid(&mut self, node: &Node, key: &str, message: impl Into<String>) {
        let (path, place) = spot(node, key, self.names);
        self.report.invalid(&path, place, message);
    }

    fn invalid_at(&mut self, node: &Node, message: impl Into<String>) {
        self.report.invalid(&node.path, node.place, message);
    }

    /// What Ignition's validator only warns about.
    fn warn(&mut self, node: &Node, key: &str, message: impl Into<String>) {
        let (path, place) = spot(node, key, self.names);
        self.report.unsupported(&path, place, message);
    }

    /// A list that may not have one key twice.
    fn unique(
        &mut self,
        parent: &Node,
        list: &str,
        key: impl Fn(&Node) -> Option<String>,
        what: &str,
    ) {
        self.unique_together(parent, &[list], key, what);
    }

    /// Lists that share the space of their keys.
    fn unique_together(
        &mut self,
        parent: &Node,
        lists: &[&str],
        key: impl Fn(&Node) -> Option<String>,
        what: &str,
    ) {
        let mut seen = HashSet::new();
        for list in lists {
            for item in parent.list(list) {
                if let Some(key) = key(item)
                    && !seen.insert(key)
                {
                    self.invalid_at(item, format!("{what} is there already; remove one"));
                }
            }
        }
    }

    fn ignition(&mut self, ignition: &Node) {
        let config = ignition.below("config");
        self.required_resources(config, "merge");
        self.unique(config, "merge", source, "this source");
        let replace = config.below("replace");
        self.reference(replace);
        let tls = ignition.below("security").below("tls");
        self.required_resources(tls, "certificateAuthorities");
        self.unique(
            tls,
            "certificateAuthorities",
            source,
            "this certificate authority",
        );
        let proxy = ignition.below("proxy");
        for key in ["httpProxy", "httpsProxy"] {
            self.proxy(proxy, key);
        }
        self.unique(proxy, "noProxy", itself, "this host");
    }

    fn proxy(&mut self, proxy: &Node, key: &str) {
        let Some(text) = proxy.text(key) else { return };
        match Url::parse(text).map(|url| url.scheme) {
            None => self.invalid(proxy, key, "is not a URL"),
            Some(scheme) => match scheme.as_str() {
                "https" => {}
                "http" if key == "httpProxy" => {}
                "http" => self.warn(
                    proxy,
                    key,
                    "is a plain-text http proxy for https resources; the fetch settings of Ignition are not carried over",
                ),
                _ => self.invalid(proxy, key, "a proxy must be an http or https URL"),
            },
        }
    }

    fn passwd(&mut self, passwd: &Node) {
        self.unique(passwd, "users", by("name"), "a user of this name");
        self.unique(passwd, "groups", by("name"), "a group of this name");
        for user in passwd.list("users") {
            self.unique(user, "sshAuthorizedKeys", itself, "this key");
            self.unique(user, "groups", itself, "this group");
        }
    }
}

/// Why a path is not one that Ignition takes.
fn path_flaw(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("a path is needed")
    } else if !path.starts_with('/') {
        Some("the path must be absolute: it must begin with `/`")
    } else if clean(path) != path {
        Some(
            "the path must be written in its shortest form: no `//`, `.`, `..`, and no `/` at its end",
        )
    } else {
        None
    }
}

/// The shortest form of a path, as Go's `path.Clean` makes it.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_go_cleans_them() {
        for (path, cleaned) in [
            ("/a/../../b", "/b"),
            ("a/..", "."),
            ("../a", "../a"),
            ("/a//b/./c/", "/a/b/c"),
            ("/", "/"),
            ("", "."),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }
}
