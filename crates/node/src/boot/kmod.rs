//! Kernel modules of the root, loaded without a process per module.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::sys;

/// The dependencies in `modules.dep`: module name to its file and the files it needs.
#[derive(Debug, Default)]
pub struct Dependencies {
    files: BTreeMap<String, (String, Vec<String>)>,
}

/// The name of a module's file: without folder and endings, `-` as `_`.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

impl Dependencies {
    /// Parses `modules.dep` (modules.dep(5)).
    pub fn parse(text: &str) -> Self {
        let files = text
            .lines()
            .filter_map(|line| {
                let (file, needs) = line.split_once(':')?;
                let needs = needs.split_whitespace().map(str::to_owned).collect();
                Some((name(file), (file.to_owned(), needs)))
            })
            .collect();
        Self { files }
    }

    /// The files to load for these modules, in order, each once; and the names that are no
    /// module (they may be built into the kernel).
    pub fn order<'a, 'b>(
        &'a self,
        wanted: impl IntoIterator<Item = &'b str>,
    ) -> (Vec<&'a str>, Vec<&'b str>) {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        let mut unknown = Vec::new();
        for module in wanted {
            match self.files.get(&name(module)) {
                None => unknown.push(module),
                Some((file, needs)) => {
                    // modules.dep names what a module needs last first.
                    for file in needs.iter().rev().chain([file]) {
                        if seen.insert(file.as_str()) {
                            order.push(file.as_str());
                        }
                    }
                }
            }
        }
        (order, unknown)
    }
}

/// The modules named in the text of a modules-load.d file.
pub fn parse_list(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .map(|line| line.split_whitespace().next().unwrap_or(line).to_owned())
        .collect()
}

/// Parameters of modules from the `options` lines of a modprobe.d file.
pub fn parse_options(text: &str) -> BTreeMap<String, String> {
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() == Some("options")
            && let Some(module) = words.next()
        {
            let all = options.entry(name(module)).or_default();
            for word in words {
                if !all.is_empty() {
                    all.push(' ');
                }
                all.push_str(word);
            }
        }
    }
    options
}

/// The module lists of the packages and of the node, in systemd's order.
pub fn lists(root: &Path) -> Vec<String> {
    let mut files: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    for folder in ["usr/lib/modules-load.d", "etc/modules-load.d"] {
        for entry in fs::read_dir(root.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            files.insert(entry.file_name(), entry.path());
        }
    }
    files
        .values()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| parse_list(&text))
        .collect()
}

/// Loads modules with what they need from the folder of the running kernel. Returns what could
/// not be loaded.
pub fn load<'a>(
    folder: &Path,
    wanted: impl IntoIterator<Item = &'a str>,
    options: &BTreeMap<String, String>,
) -> Vec<(String, io::Error)> {
    let text = match fs::read_to_string(folder.join("modules.dep")) {
        Ok(text) => text,
        Err(error) => return vec![("modules.dep".to_owned(), error)],
    };
    let dependencies = Dependencies::parse(&text);
    let (order, unknown) = dependencies.order(wanted);
    let mut failed = Vec::new();
    for module in unknown {
        // A module built into the kernel has a folder in sysfs if it has parameters, and is in
        // modules.builtin in any case.
        let builtin = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        if !builtin.lines().any(|line| name(line) == name(module)) {
            failed.push((
                module.to_owned(),
                io::Error::new(io::ErrorKind::NotFound, "there is no such module"),
            ));
        }
    }
    for file in order {
        let parameters = options.get(&name(file)).map_or("", String::as_str);
        let done = fs::File::open(folder.join(file))
            .and_then(|open| sys::load_module(open.file(), parameters, compressed(file)));
        if let Err(error) = done {
            failed.push((name(file), error));
        }
    }
    failed
}

fn compressed(file: &str) -> sys::Compression {
    if Path::new(file)
        .extension()
        .is_some_and(|ending| ending == "ko")
    {
        sys::Compression::None
    } else {
        sys::Compression::Kernel
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_module_needs_comes_before_it_and_once() {
        let dependencies = Dependencies::parse(
            "kernel/net/br_netfilter.ko.xz: kernel/net/bridge.ko.xz kernel/net/stp.ko.xz kernel/net/llc.ko.xz\n\
             kernel/net/bridge.ko.xz: kernel/net/stp.ko.xz kernel/net/llc.ko.xz\n\
             kernel/net/stp.ko.xz: kernel/net/llc.ko.xz\nkernel/net/llc.ko.xz:\n",
        );
        assert_eq!(
            dependencies.order(["bridge", "br-netfilter", "ext4"]),
            (
                vec![
                    "kernel/net/llc.ko.xz",
                    "kernel/net/stp.ko.xz",
                    "kernel/net/bridge.ko.xz",
                    "kernel/net/br_netfilter.ko.xz"
                ],
                vec!["ext4"]
            )
        );
    }

    #[test]
    fn lists_and_options_are_read() {
        assert_eq!(parse_list("# a\n\n; b\nloop max_loop=4\n"), ["loop"]);
        let options =
            parse_options("options nf-conntrack a=1\nblacklist x\noptions nf_conntrack b=2\n");
        assert_eq!(options["nf_conntrack"], "a=1 b=2");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text: String) {
            let _ = Dependencies::parse(&text).order(["a"]);
            let _ = parse_list(&text);
            let _ = parse_options(&text);
        }
    }
}
