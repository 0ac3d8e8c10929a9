//! Kernel modules of the root, loaded without a process per module.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use fs_err as fs;

use crate::sys;

/// The dependencies in `modules.dep`: module name to its file and the files it needs.
#[derive(Debug, Default)]
pub struct Dependencies {
    files: BTreeMap<String, (String, Vec<String>)>,
}

/// The name of a module's file: without folder and endings, `-` as `_`.
pub fn name(path: &str) -> String {
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

/// Reads a file of the modules' folder when it is needed.
pub type Later<'a> = &'a dyn Fn() -> String;

/// What the folder of a kernel's modules tells.
pub struct Catalogue<'a> {
    /// `modules.dep`.
    pub dependencies: Dependencies,
    /// `modules.alias`.
    pub aliases: Later<'a>,
    /// `modules.builtin`.
    pub builtin: Later<'a>,
}

/// What is loaded for a list of modules.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files, in their order.
    pub files: Vec<String>,
    /// Names that are no module, no alias of one, and not built in.
    pub unknown: Vec<String>,
}

impl Catalogue<'_> {
    /// What to load for these modules. Names that are no module's may be aliases.
    pub fn plan<'b>(&self, wanted: impl IntoIterator<Item = &'b str>) -> Plan {
        let (mut files, names) = self.dependencies.order(wanted);
        let mut unknown = Vec::new();
        if !names.is_empty() {
            let builtin = (self.builtin)();
            let builtin: BTreeSet<String> = builtin.lines().map(name).collect();
            let aliases = (self.aliases)();
            for wanted in names {
                if builtin.contains(&name(wanted)) {
                    continue;
                }
                let modules = modules_of_alias(&aliases, wanted);
                let known: Vec<&str> = modules
                    .iter()
                    .copied()
                    .filter(|module| !builtin.contains(&name(module)))
                    .collect();
                let (more, lost) = self.dependencies.order(known);
                if modules.is_empty() || !lost.is_empty() {
                    unknown.push(wanted.to_owned());
                }
                for file in more {
                    if !files.contains(&file) {
                        files.push(file);
                    }
                }
            }
        }
        Plan {
            files: files.into_iter().map(str::to_owned).collect(),
            unknown,
        }
    }
}

/// The modules for which an alias stands in the text of modules.alias.
fn modules_of_alias<'a>(aliases: &'a str, wanted: &str) -> Vec<&'a str> {
    let wanted = wanted.replace('-', "_");
    aliases
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            if words.next() != Some("alias") {
                return None;
            }
            let (pattern, module) = (words.next()?, words.next()?);
            matches(pattern.replace('-', "_").as_bytes(), wanted.as_bytes()).then_some(module)
        })
        .collect()
}

/// Whether a text fits a pattern with `*` and `?`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // Where the last star is, and how much of the text it stands for.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((place, upto)) => {
                    star = Some((place, upto + 1));
                    at = place + 1;
                    seen = upto + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// Loads modules of the folder of the running kernel, with what they need.
///
/// # Errors
/// Of the first file that cannot be read or loaded.
pub fn load<'a>(folder: &Path, wanted: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let catalogue = Catalogue {
        dependencies: Dependencies::parse(&read("modules.dep")),
        aliases: &|| read("modules.alias"),
        builtin: &|| read("modules.builtin"),
    };
    for file in catalogue.plan(wanted).files {
        let open = fs::File::open(folder.join(&file))?;
        sys::load_module(open.file(), "", compressed(&file))?;
    }
    Ok(())
}

/// How the file of a module is packed.
pub fn compressed(file: &str) -> sys::Compression {
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
    fn aliases_stand_for_modules_and_what_is_built_in_is_fine() {
        let catalogue = Catalogue {
            dependencies: Dependencies::parse("a/tun.ko.zst:\na/bonding.ko: a/tls.ko\na/tls.ko:\n"),
            aliases: &|| {
                "alias devname:net/tun tun\nalias rtnl-link-bond bonding\nalias pci:v*d0001sv* tls\nalias fs-ext4 ext4\n".to_owned()
            },
            builtin: &|| "kernel/fs/ext4/ext4.ko\nkernel/x-y.ko\n".to_owned(),
        };
        let plan = catalogue.plan([
            "tun",
            "rtnl_link_bond",
            "x_y",
            "fs-ext4",
            "nope",
            "pci:v12d0001sv3",
        ]);
        assert_eq!(plan.files, ["a/tun.ko.zst", "a/tls.ko", "a/bonding.ko"]);
        assert_eq!(plan.unknown, ["nope"]);
        for (pattern, text, fits) in [
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*", "", true),
            ("?", "", false),
            ("a**b*", "ab", true),
            ("*ab", "aab", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
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
            let _ = modules_of_alias(&text, "a");
        }
    }
}
