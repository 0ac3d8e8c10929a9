//! The keys of Ignition's specs and of Butane, and what type they have.

use super::super::{
    report::{Report, join},
    tree::{Data, Node},
};
use crate::{
    finding::{did_you_mean, nearest},
    yaml::{Kind, Scalar},
};

/// The type of a value.
#[derive(Debug)]
pub(crate) enum Type {
    /// Text.
    Text,
    /// A boolean.
    Truth,
    /// A whole number.
    Number,
    /// A list of one type.
    List(&'static Type),
    /// An object with known keys.
    Map(&'static [Field]),
    /// Any keys, their values text.
    Texts,
}

/// A key.
#[derive(Debug)]
pub(crate) struct Field {
    name: &'static str,
    /// The first minor version of spec 3 that has it.
    since: u8,
    kind: Type,
    /// Only Butane has it.
    sugar: bool,
}

const fn field(name: &'static str, since: u8, kind: Type) -> Field {
    Field {
        name,
        since,
        kind,
        sugar: false,
    }
}

const fn sugar(name: &'static str, since: u8, kind: Type) -> Field {
    Field {
        name,
        since,
        kind,
        sugar: true,
    }
}

const TEXTS: Type = Type::List(&Type::Text);

static VERIFICATION: [Field; 1] = [field("hash", 0, Type::Text)];
static HEADER: [Field; 2] = [field("name", 1, Type::Text), field("value", 1, Type::Text)];
static CONTENTS: [Field; 6] = [
    field("source", 0, Type::Text),
    field("compression", 0, Type::Text),
    field("httpHeaders", 1, Type::List(&Type::Map(&HEADER))),
    field("verification", 0, Type::Map(&VERIFICATION)),
    sugar("inline", 0, Type::Text),
    sugar("local", 1, Type::Text),
];
/// As `CONTENTS`, but spec 3.0 had less of it.
static REFERENCE: [Field; 6] = [
    field("source", 0, Type::Text),
    field("compression", 1, Type::Text),
    field("httpHeaders", 1, Type::List(&Type::Map(&HEADER))),
    field("verification", 0, Type::Map(&VERIFICATION)),
    sugar("inline", 1, Type::Text),
    sugar("local", 1, Type::Text),
];
static CONFIG: [Field; 2] = [
    field("merge", 0, Type::List(&Type::Map(&REFERENCE))),
    field("replace", 0, Type::Map(&REFERENCE)),
];
static PROXY: [Field; 3] = [
    field("httpProxy", 1, Type::Text),
    field("httpsProxy", 1, Type::Text),
    field("noProxy", 1, TEXTS),
];
static TLS: [Field; 1] = [field(
    "certificateAuthorities",
    0,
    Type::List(&Type::Map(&REFERENCE)),
)];
static SECURITY: [Field; 1] = [field("tls", 0, Type::Map(&TLS))];
static TIMEOUTS: [Field; 2] = [
    field("httpResponseHeaders", 0, Type::Number),
    field("httpTotal", 0, Type::Number),
];
static IGNITION: [Field; 5] = [
    field("version", 0, Type::Text),
    field("config", 0, Type::Map(&CONFIG)),
    field("proxy", 1, Type::Map(&PROXY)),
    field("security", 0, Type::Map(&SECURITY)),
    field("timeouts", 0, Type::Map(&TIMEOUTS)),
];
static ARGUMENTS: [Field; 2] = [
    field("shouldExist", 3, TEXTS),
    field("shouldNotExist", 3, TEXTS),
];
static GROUP: [Field; 5] = [
    field("name", 0, Type::Text),
    field("gid", 0, Type::Number),
    field("passwordHash", 0, Type::Text),
    field("shouldExist", 2, Type::Truth),
    field("system", 0, Type::Truth),
];
static USER: [Field; 15] = [
    field("name", 0, Type::Text),
    field("gecos", 0, Type::Text),
    field("groups", 0, TEXTS),
    field("homeDir", 0, Type::Text),
    field("noCreateHome", 0, Type::Truth),
    field("noLogInit", 0, Type::Truth),
    field("noUserGroup", 0, Type::Truth),
    field("passwordHash", 0, Type::Text),
    field("primaryGroup", 0, Type::Text),
    field("shouldExist", 2, Type::Truth),
    field("sshAuthorizedKeys", 0, TEXTS),
    sugar("sshAuthorizedKeysLocal", 4, TEXTS),
    field("shell", 0, Type::Text),
    field("system", 0, Type::Truth),
    field("uid", 0, Type::Number),
];
static PASSWD: [Field; 2] = [
    field("groups", 0, Type::List(&Type::Map(&GROUP))),
    field("users", 0, Type::List(&Type::Map(&USER))),
];
static OWNER: [Field; 2] = [field("id", 0, Type::Number), field("name", 0, Type::Text)];
static DIRECTORY: [Field; 5] = [
    field("path", 0, Type::Text),
    field("overwrite", 0, Type::Truth),
    field("user", 0, Type::Map(&OWNER)),
    field("group", 0, Type::Map(&OWNER)),
    field("mode", 0, Type::Number),
];
static FILE: [Field; 7] = [
    field("path", 0, Type::Text),
    field("overwrite", 0, Type::Truth),
    field("user", 0, Type::Map(&OWNER)),
    field("group", 0, Type::Map(&OWNER)),
    field("mode", 0, Type::Number),
    field("contents", 0, Type::Map(&CONTENTS)),
    field("append", 0, Type::List(&Type::Map(&CONTENTS))),
];
static LINK: [Field; 6] = [
    field("path", 0, Type::Text),
    field("overwrite", 0, Type::Truth),
    field("user", 0, Type::Map(&OWNER)),
    field("group", 0, Type::Map(&OWNER)),
    field("hard", 0, Type::Truth),
    field("target", 0, Type::Text),
];
static PARTITION: [Field; 9] = [
    field("label", 0, Type::Text),
    field("number", 0, Type::Number),
    field("sizeMiB", 0, Type::Number),
    field("startMiB", 0, Type::Number),
    field("typeGuid", 0, Type::Text),
    field("guid", 0, Type::Text),
    field("wipePartitionEntry", 0, Type::Truth),
    field("shouldExist", 0, Type::Truth),
    field("resize", 2, Type::Truth),
];
static DISK: [Field; 3] = [
    field("device", 0, Type::Text),
    field("wipeTable", 0, Type::Truth),
    field("partitions", 0, Type::List(&Type::Map(&PARTITION))),
];
static FILESYSTEM: [Field; 9] = [
    field("device", 0, Type::Text),
    field("format", 0, Type::Text),
    field("label", 0, Type::Text),
    field("mountOptions", 1, TEXTS),
    field("options", 0, TEXTS),
    field("path", 0, Type::Text),
    field("uuid", 0, Type::Text),
    field("wipeFilesystem", 0, Type::Truth),
    sugar("withMountUnit", 1, Type::Truth),
];
static TANG: [Field; 3] = [
    field("url", 2, Type::Text),
    field("thumbprint", 2, Type::Text),
    field("advertisement", 4, Type::Text),
];
static CUSTOM: [Field; 3] = [
    field("pin", 2, Type::Text),
    field("config", 2, Type::Text),
    field("needsNetwork", 2, Type::Truth),
];
static CLEVIS: [Field; 4] = [
    field("custom", 2, Type::Map(&CUSTOM)),
    field("tang", 2, Type::List(&Type::Map(&TANG))),
    field("threshold", 2, Type::Number),
    field("tpm2", 2, Type::Truth),
];
static CEX: [Field; 1] = [field("enabled", 5, Type::Truth)];
static LUKS: [Field; 11] = [
    field("name", 2, Type::Text),
    field("device", 2, Type::Text),
    field("label", 2, Type::Text),
    field("uuid", 2, Type::Text),
    field("keyFile", 2, Type::Map(&CONTENTS)),
    field("clevis", 2, Type::Map(&CLEVIS)),
    field("cex", 5, Type::Map(&CEX)),
    field("options", 2, TEXTS),
    field("openOptions", 4, TEXTS),
    field("discard", 4, Type::Truth),
    field("wipeVolume", 2, Type::Truth),
];
static RAID: [Field; 5] = [
    field("name", 0, Type::Text),
    field("level", 0, Type::Text),
    field("devices", 0, TEXTS),
    field("options", 0, TEXTS),
    field("spares", 0, Type::Number),
];
static TREE: [Field; 6] = [
    sugar("local", 1, Type::Text),
    sugar("path", 1, Type::Text),
    sugar("user", 6, Type::Map(&OWNER)),
    sugar("group", 6, Type::Map(&OWNER)),
    sugar("fileMode", 6, Type::Number),
    sugar("dirMode", 6, Type::Number),
];
static STORAGE: [Field; 8] = [
    field("directories", 0, Type::List(&Type::Map(&DIRECTORY))),
    field("disks", 0, Type::List(&Type::Map(&DISK))),
    field("files", 0, Type::List(&Type::Map(&FILE))),
    field("filesystems", 0, Type::List(&Type::Map(&FILESYSTEM))),
    field("links", 0, Type::List(&Type::Map(&LINK))),
    field("luks", 2, Type::List(&Type::Map(&LUKS))),
    field("raid", 0, Type::List(&Type::Map(&RAID))),
    sugar("trees", 1, Type::List(&Type::Map(&TREE))),
];
static DROPIN: [Field; 3] = [
    field("name", 0, Type::Text),
    field("contents", 0, Type::Text),
    sugar("contentsLocal", 4, Type::Text),
];
static UNIT: [Field; 6] = [
    field("name", 0, Type::Text),
    field("enabled", 0, Type::Truth),
    field("mask", 0, Type::Truth),
    field("contents", 0, Type::Text),
    sugar("contentsLocal", 4, Type::Text),
    field("dropins", 0, Type::List(&Type::Map(&DROPIN))),
];
static QUADLET: [Field; 5] = [
    sugar("name", 7, Type::Text),
    sugar("contents", 7, Type::Text),
    sugar("contentsLocal", 7, Type::Text),
    sugar("rootful", 7, Type::Truth),
    sugar("dropins", 7, Type::List(&Type::Map(&DROPIN))),
];
static SYSTEMD: [Field; 2] = [
    field("units", 0, Type::List(&Type::Map(&UNIT))),
    sugar("quadlets", 7, Type::List(&Type::Map(&QUADLET))),
];
/// The document.
static DOCUMENT: [Field; 5] = [
    field("ignition", 0, Type::Map(&IGNITION)),
    field("kernelArguments", 3, Type::Map(&ARGUMENTS)),
    field("passwd", 0, Type::Map(&PASSWD)),
    field("storage", 0, Type::Map(&STORAGE)),
    field("systemd", 0, Type::Map(&SYSTEMD)),
];

static BOOT_LUKS: [Field; 6] = [
    sugar("cex", 5, Type::Map(&CEX)),
    sugar("discard", 4, Type::Truth),
    sugar("device", 5, Type::Text),
    sugar("tang", 2, Type::List(&Type::Map(&TANG))),
    sugar("threshold", 2, Type::Number),
    sugar("tpm2", 2, Type::Truth),
];
static BOOT_MIRROR: [Field; 1] = [sugar("devices", 2, TEXTS)];
static BOOT_DEVICE: [Field; 3] = [
    sugar("layout", 2, Type::Text),
    sugar("luks", 2, Type::Map(&BOOT_LUKS)),
    sugar("mirror", 2, Type::Map(&BOOT_MIRROR)),
];
static GRUB_USER: [Field; 2] = [
    sugar("name", 4, Type::Text),
    sugar("passwordHash", 4, Type::Text),
];
static GRUB: [Field; 1] = [sugar("users", 4, Type::List(&Type::Map(&GRUB_USER)))];
static METADATA: [Field; 2] = [
    sugar("name", 0, Type::Text),
    sugar("labels", 0, Type::Texts),
];
static OPENSHIFT: [Field; 4] = [
    sugar("kernelArguments", 0, TEXTS),
    sugar("extensions", 0, TEXTS),
    sugar("fips", 0, Type::Truth),
    sugar("kernelType", 0, Type::Text),
];
/// What stands beside Ignition's sections in a Butane document.
static BUTANE: [Field; 6] = [
    sugar("variant", 0, Type::Text),
    sugar("version", 0, Type::Text),
    sugar("bootDevice", 2, Type::Map(&BOOT_DEVICE)),
    sugar("grub", 4, Type::Map(&GRUB)),
    sugar("metadata", 0, Type::Map(&METADATA)),
    sugar("openshift", 0, Type::Map(&OPENSHIFT)),
];

/// How the names of keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Ignition's JSON: `sizeMiB`; types are strict.
    Camel,
    /// Butane's YAML: `size_mib`; types as go-yaml fills them in.
    Snake,
}

impl Names {
    /// The name of a key in the document.
    pub(crate) fn name(self, key: &str) -> String {
        match self {
            Self::Camel => key.to_owned(),
            Self::Snake => snake(key),
        }
    }
}

/// `sizeMiB` as `size_mib`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.replace("MiB", "Mib").chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Which keys a document may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// The minor version of spec 3.
    pub(crate) spec: u8,
    /// How keys are written.
    pub(crate) names: Names,
    /// Sections beside Ignition's.
    pub(crate) sections: &'static [&'static str],
}

/// Checks keys and types of a document, and gives the keys the names that Ignition has. What is
/// unknown is reported and taken out; what has a wrong type is reported and marked.
pub(crate) fn check(root: &mut Node, dialect: Dialect, report: &mut Report) {
    let mut fields: Vec<&'static Field> = DOCUMENT.iter().collect();
    if dialect.names == Names::Snake {
        fields.extend(
            BUTANE
                .iter()
                .filter(|field| dialect.sections.contains(&field.name)),
        );
    }
    Checker { dialect, report }.map(root, &fields, "");
}

struct Checker<'a> {
    dialect: Dialect,
    report: &'a mut Report,
}

impl Checker<'_> {
    fn has(&self, field: &Field) -> bool {
        field.since <= self.dialect.spec && (!field.sugar || self.dialect.names == Names::Snake)
    }

    fn map(&mut self, node: &mut Node, fields: &[&'static Field], section: &str) {
        let Data::Map(entries) = &mut node.data else {
            return;
        };
        let mut known = Vec::with_capacity(entries.len());
        for (name, mut value) in std::mem::take(entries) {
            let field = fields
                .iter()
                .find(|field| self.dialect.names.name(field.name) == name);
            match field {
                Some(field) if self.has(field) => {
                    self.value(&mut value, &field.kind, field.name);
                    known.push((field.name.to_owned(), value));
                }
                Some(field) => self.of_another_version(&value, field),
                None => self.unknown(&name, &value, fields, section),
            }
        }
        *entries = known;
    }

    fn of_another_version(&mut self, value: &Node, field: &Field) {
        let message = if field.sugar && self.dialect.names == Names::Camel {
            "is a key of Butane, not of Ignition; it is ignored".to_owned()
        } else {
            let spec = self.dialect.spec;
            format!(
                "spec 3.{spec} does not know it, spec 3.{} does; it is ignored",
                field.since
            )
        };
        self.report.unsupported(&value.path, value.place, message);
    }

    fn unknown(&mut self, name: &str, value: &Node, fields: &[&'static Field], section: &str) {
        if let Some(replacement) = obsolete(section, name) {
            self.report.obsolete(
                &value.path,
                value.place,
                format!("is of spec 2 and gone since spec 3.0; {replacement}"),
            );
            return;
        }
        let names: Vec<String> = fields
            .iter()
            .filter(|field| self.has(field))
            .map(|field| self.dialect.names.name(field.name))
            .collect();
        let same = names.iter().find(|known| known.eq_ignore_ascii_case(name));
        let near = same
            .map(String::as_str)
            .or_else(|| nearest(name, names.iter().map(String::as_str)));
        self.report.unsupported(
            &value.path,
            value.place,
            format!("unknown key, ignored{}", did_you_mean(near)),
        );
    }

    fn value(&mut self, node: &mut Node, kind: &'static Type, section: &str) {
        if node.data == Data::Null {
            // Null is the empty value of any type.
            return;
        }
        match (kind, &mut node.data) {
            (Type::Map(fields), Data::Map(_)) => {
                let fields: Vec<&'static Field> = fields.iter().collect();
                self.map(node, &fields, section);
            }
            (Type::List(kind), Data::List(items)) => {
                for item in items.iter_mut() {
                    self.value(item, kind, section);
                    if item.data == Data::Null {
                        // Go makes the empty value of it, about which the rules then speak.
                        item.data = match kind {
                            Type::Map(_) => Data::Map(Vec::new()),
                            _ => Data::Text(String::new()),
                        };
                    }
                }
                // They were reported; each other item knows its own path.
                items.retain(|item| item.data != Data::Bad);
            }
            (Type::Texts, Data::Map(entries)) => {
                for (_, value) in entries {
                    self.value(value, &Type::Text, section);
                }
            }
            (kind, Data::Raw(scalar)) => match typed(kind, scalar, self.dialect.names) {
                Some(data) => node.data = data,
                None => self.wrong(node, kind),
            },
            (kind, _) => self.wrong(node, kind),
        }
    }

    fn wrong(&mut self, node: &mut Node, kind: &Type) {
        let wanted = match kind {
            Type::Text => "text",
            Type::Truth => "true or false, without quotes",
            Type::Number => "a whole number, without quotes",
            Type::List(_) => "a list",
            Type::Map(_) | Type::Texts => "a map",
        };
        let found = node.described();
        self.report.invalid(
            &node.path,
            node.place,
            format!("must be {wanted}, but is {found}"),
        );
        node.data = Data::Bad;
    }
}

/// A scalar as the type that a key wants.
fn typed(kind: &Type, scalar: &Scalar, names: Names) -> Option<Data> {
    let yaml = names == Names::Snake;
    match (kind, scalar.kind) {
        (Type::Text, Kind::Text) => Some(Data::Text(scalar.text.clone())),
        (Type::Text, Kind::Binary) => None,
        // go-yaml takes any scalar as text, as it is written.
        (Type::Text, _) if yaml => Some(Data::Text(scalar.text.clone())),
        (Type::Truth, Kind::Bool(truth)) => Some(Data::Truth(truth)),
        (Type::Truth, Kind::Text) if yaml => match scalar.text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(Data::Truth(true)),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(Data::Truth(false)),
            _ => None,
        },
        (Type::Number, Kind::Integer(number)) => i64::try_from(number)
            .ok()
            .map(|number| Data::Number(number, scalar.text.clone())),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "go-yaml truncates as well; the range is checked"
        )]
        (Type::Number, Kind::Float(number)) if yaml && number.abs() < 9e18 => {
            Some(Data::Number(number as i64, scalar.text.clone()))
        }
        _ => None,
    }
}

/// What replaces a name of spec 2.
pub(crate) fn obsolete(section: &str, name: &str) -> Option<&'static str> {
    Some(match (section, name) {
        ("", "networkd") => {
            "write the units as files below /etc/systemd/network, or use `network` of the node configuration"
        }
        ("config", "append") => "use `merge`",
        ("filesystems", "mount") => {
            "its keys stand directly in the filesystem: `device`, `format`, `path`"
        }
        ("files", "filesystem") => {
            "`path` of the file is absolute, and `path` of a filesystem says where that is mounted"
        }
        ("users", "create") => "its keys stand directly in the user",
        ("units", "enable") => "use `enabled`",
        ("partitions", "size") => "use `sizeMiB` (Butane: `size_mib`), in MiB",
        ("partitions", "start") => "use `startMiB` (Butane: `start_mib`), in MiB",
        _ => return None,
    })
}

/// The path and place to name for a key of a node, there or not.
pub(crate) fn spot(node: &Node, key: &str, names: Names) -> (String, crate::finding::Place) {
    node.get(key).map_or_else(
        || (join(&node.path, names.name(key)), node.place),
        |child| (child.path.clone(), child.place),
    )
}
