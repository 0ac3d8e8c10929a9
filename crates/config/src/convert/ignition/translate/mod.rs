//! From a valid Ignition document to the node configuration.

mod accounts;
mod storage;
mod systemd;

use serde_json::{Map, Value as Json};

use super::{
    super::{
        native::Native,
        report::Report,
        tree::{Data, Node},
    },
    resource::Resources,
    schema::Names,
};

/// Translates a document whose keys, types and rules were checked.
pub(crate) fn translate(
    root: &Node,
    spec: u8,
    names: Names,
    report: &mut Report,
) -> Map<String, Json> {
    let mut translator = Translator {
        spec,
        names,
        report,
        native: Native::default(),
        resources: Resources::default(),
    };
    translator.ignition(root.below("ignition"));
    translator.accounts(root.below("passwd"));
    translator.storage(root);
    translator.systemd(root.below("systemd"));
    translator.kernel_arguments(root.below("kernelArguments"));
    let Translator { native, report, .. } = translator;
    native.finish(report)
}

struct Translator<'a> {
    spec: u8,
    names: Names,
    report: &'a mut Report,
    native: Native,
    resources: Resources,
}

impl Translator<'_> {
    fn translated(&mut self, node: &Node, message: impl Into<String>) {
        self.report.translated(&node.path, node.place, message);
    }

    fn unsupported(&mut self, node: &Node, message: impl Into<String>) {
        self.report.unsupported(&node.path, node.place, message);
    }

    fn ignition(&mut self, ignition: &Node) {
        for (key, node) in ignition.entries() {
            match key.as_str() {
                "version" => self.translated(
                    node,
                    format!("read by the rules of spec 3.{}", self.spec),
                ),
                "timeouts" => self.unsupported(
                    node,
                    "is for what Ignition itself fetches; Lifeboat has timeouts of its own",
                ),
                "proxy" => self.unsupported(
                    node,
                    "is for what Ignition itself fetches; `proxy` of the node configuration is for the whole node",
                ),
                "security" => self.unsupported(
                    node,
                    "is for what Ignition itself fetches; `ca_certs` of the node configuration is for the whole node",
                ),
                "config" => self.config(node),
                _ => {}
            }
        }
    }

    fn config(&mut self, config: &Node) {
        let again = "is not fetched or read; convert it by itself, and put both results side by side into config.d";
        for item in config.list("merge") {
            self.unsupported(item, again);
        }
        if let Some(replace) = config.get("replace") {
            self.unsupported(
                replace,
                format!("{again}; Ignition would throw the rest of this document away for it"),
            );
        }
    }

    fn kernel_arguments(&mut self, arguments: &Node) {
        for item in arguments.list("shouldExist") {
            for word in item.as_text().unwrap_or_default().split_whitespace() {
                self.native
                    .push("kernel_args", word.into(), &item.path, item.place);
            }
            self.translated(item, "becomes `kernel_args`, from the next boot on");
        }
        for item in arguments.list("shouldNotExist") {
            self.unsupported(
                item,
                "the image's own arguments are part of its signed kernel; build an image without it",
            );
        }
    }

    /// The bits of a mode; says what becomes of them.
    fn mode(&mut self, node: &Node, default: i64, is_directory: bool) -> i64 {
        let Some(mode) = self.judge_mode(node, is_directory) else {
            return default;
        };
        let octal = format!("octal {:04o}", mode.bits);
        let message = mode
            .doubt
            .map_or_else(|| octal.clone(), |doubt| format!("{octal}: {doubt}"));
        self.translated(node.below("mode"), message);
        mode.bits
    }

    fn judge_mode(&self, node: &Node, is_directory: bool) -> Option<Mode> {
        let Data::Number(mode, text) = &node.get("mode")?.data else {
            return None;
        };
        let (mode, special) = (*mode, *mode & 0o7000);
        // The specs before 3.6 drop these bits. For directories 3.4 and 3.5 promised otherwise.
        let kept = self.spec >= 6 || is_directory && self.spec >= 4;
        let mut doubts = Vec::new();
        if special != 0 && !kept {
            doubts.push(format!(
                "spec 3.{} drops the setuid, setgid and sticky bits of {mode:04o}; spec 3.6 keeps them",
                self.spec
            ));
        } else if special != 0 && self.spec < 6 {
            doubts.push(
                "the special bits are kept, as the spec says and Ignition before 2.26 failed to do"
                    .to_owned(),
            );
        }
        let yaml = self.names == Names::Snake;
        if mode != 0 && !(yaml && text.starts_with('0')) {
            let meant = i64::from_str_radix(text, 8)
                .ok()
                .filter(|meant| !typical(mode, is_directory) && typical(*meant, is_directory));
            match meant {
                Some(_) if yaml => doubts.push(format!(
                    "{text} is read as a decimal number: write 0{text} if octal {text} is meant"
                )),
                Some(meant) => doubts.push(format!(
                    "{text} is read as a decimal number: write {meant} if octal {text} is meant"
                )),
                None if yaml => {
                    doubts.push("without a leading zero it is read as a decimal number".to_owned());
                }
                None => {}
            }
        }
        Some(Mode {
            bits: if kept { mode } else { mode & 0o777 },
            doubt: (!doubts.is_empty()).then(|| doubts.join("; ")),
        })
    }
}

/// A mode that is written, and what is odd about it.
struct Mode {
    bits: i64,
    doubt: Option<String>,
}

/// Whether a mode is one that people give, as Butane judges: who is closer to the file may not
/// do less, and nobody writes or enters what they cannot read.
fn typical(mode: i64, is_directory: bool) -> bool {
    if mode == 0 {
        return true;
    }
    if mode & !0o7777 != 0 {
        return false;
    }
    // What classes farther from the owner may do.
    let mut wider = 0;
    for class in [mode & 7, mode >> 3 & 7, mode >> 6 & 7] {
        let enters_only_here = class & 1 != 0 && wider & 4 != 0 && wider & 1 == 0;
        if wider & !class != 0 || enters_only_here || class & 3 != 0 && class & 4 == 0 {
            return false;
        }
        wider |= class;
    }
    let special_on_directory = mode & 0o4000 == 0 && (mode & 0o3000 == 0 || wider & 2 != 0);
    let special_on_file =
        mode & 0o1000 == 0 && (mode & 0o6000 == 0 || wider & 1 != 0 && mode & 2 == 0);
    wider & 4 != 0
        && if is_directory {
            wider & 1 != 0 && special_on_directory
        } else {
            special_on_file
        }
}
