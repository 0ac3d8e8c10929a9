//! From the configured packages to the tree that nodes boot: read-only, without what a node
//! does not need, and with the work of a first boot done.

mod rules;
#[cfg(test)]
mod tests;
mod units;
mod var;

use std::{collections::BTreeMap, io};

use lifeboat_archive::{Content, Inode, Kind, Tree, TreeError};

pub use units::Units;

use crate::{package::PackageError, package::Packages};

/// What goes onto the packages.
#[derive(Clone, Debug)]
pub struct Additions<'a> {
    /// The image's version, `IMAGE_VERSION` of os-release(5).
    pub version: &'a str,
    /// The static program that is `lifeboat` on the node and init in its initrd.
    pub program: Content,
    /// Unit files, links and others of the node. Units among them that have an `[Install]`
    /// section are enabled.
    pub node_files: &'a Tree,
    /// The user's files, which come last and over all others.
    pub files: Option<&'a Tree>,
    /// Keys by name, to which payloads and updates must be signed.
    pub public_keys: &'a BTreeMap<String, Vec<u8>>,
    /// Units to enable, disable and mask besides the rules here.
    pub units: &'a Units,
    /// The newest time that a file may have, in seconds since 1970.
    pub time: i64,
}

/// A finished root.
#[derive(Clone, Debug)]
pub struct Root {
    /// What becomes the root file system.
    pub tree: Tree,
    /// The kernel's release.
    pub kernel: String,
    /// The kernel as a PE program.
    pub vmlinuz: Content,
    /// systemd's stub, which starts it.
    pub stub: Content,
    /// systemd-boot.
    pub loader: Content,
    /// os-release(5).
    pub os_release: Vec<u8>,
    /// What is installed.
    pub packages: Packages,
}

/// A root that cannot be finished.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Something that every node needs is not there.
    #[error("the packages of the image hold no `{path}`: {hint}")]
    Missing {
        /// What is missing.
        path: String,
        /// What would bring it.
        hint: &'static str,
    },
    /// Kernels of several releases.
    #[error("the packages of the image hold several kernels ({0}); keep one")]
    Kernels(String),
    /// A file where each boot mounts something else.
    #[error("`/{0}` cannot be a file of the image: each boot mounts an empty folder above it")]
    Lost(String),
    /// A unit that is to be enabled is not there, or cannot be.
    #[error("unit `{0}` cannot be enabled: it is not in the image or has no [Install] section")]
    Unit(String),
    /// The list of packages is damaged.
    #[error(transparent)]
    Packages(#[from] PackageError),
    /// Files and folders at the same path.
    #[error("the files of the image do not fit together")]
    Tree(#[from] TreeError),
    /// A file of the base cannot be read.
    #[error("a file of the base cannot be read")]
    Io(#[from] io::Error),
}

/// Makes the tree of a node from the configured packages.
///
/// # Errors
/// [`FinishError`] if there is no kernel, no boot loader or no list of packages, or if files do
/// not fit together.
pub fn finish(base: &Tree, additions: &Additions<'_>) -> Result<Root, FinishError> {
    let mut tree = base.clone();
    let packages = Packages::read(&text(&tree, rules::DPKG_STATUS)?)?;
    let kernel = kernel(&tree)?;
    let vmlinuz = content(
        &tree,
        &format!("boot/vmlinuz-{kernel}"),
        "install a kernel package",
    )?;
    let efi = "install the package systemd-boot-efi";
    let stub = content(&tree, "usr/lib/systemd/boot/efi/linuxx64.efi.stub", efi)?;
    let loader = content(&tree, "usr/lib/systemd/boot/efi/systemd-bootx64.efi", efi)?;

    rules::prune(&mut tree, &kernel);
    rules::move_package_database(&mut tree)?;
    rules::settle(&mut tree)?;
    let program = Inode::new(Kind::File(additions.program.clone()), 0o755);
    tree.insert(b"usr/bin/lifeboat", program)?;
    for (name, key) in additions.public_keys {
        tree.write(format!("usr/lib/lifeboat/keys/{name}"), 0o644, key)?;
    }
    tree.merge(b"", additions.node_files)?;
    let os_release = os_release(&text(&tree, "usr/lib/os-release")?, additions.version);
    tree.write("usr/lib/os-release", 0o644, &os_release)?;
    if let Some(files) = additions.files {
        if let Some(path) = rules::lost(files) {
            return Err(FinishError::Lost(
                String::from_utf8_lossy(&path).into_owned(),
            ));
        }
        tree.merge(b"", files)?;
    }
    units::apply(&mut tree, additions)?;
    var::to_factory(&mut tree)?;
    rules::mount_points(&mut tree)?;
    limit_times(&mut tree, additions.time);
    Ok(Root {
        tree,
        kernel,
        vmlinuz,
        stub,
        loader,
        os_release: os_release.into_bytes(),
        packages,
    })
}

fn kernel(tree: &Tree) -> Result<String, FinishError> {
    let names: Vec<String> = tree
        .children(b"boot")
        .filter_map(|path| {
            Some(
                String::from_utf8_lossy(path)
                    .strip_prefix("boot/vmlinuz-")?
                    .to_owned(),
            )
        })
        .collect();
    match &names[..] {
        [one] => Ok(one.clone()),
        [] => Err(FinishError::Missing {
            path: "boot/vmlinuz-*".to_owned(),
            hint: "install a kernel package",
        }),
        several => Err(FinishError::Kernels(several.join(", "))),
    }
}

fn content(tree: &Tree, path: &str, hint: &'static str) -> Result<Content, FinishError> {
    let resolved = tree.resolve_parents(path.as_bytes());
    match tree.get(&resolved).map(|inode| &inode.kind) {
        Some(Kind::File(content)) => Ok(content.clone()),
        _ => Err(FinishError::Missing {
            path: path.to_owned(),
            hint,
        }),
    }
}

fn text(tree: &Tree, path: &str) -> Result<String, FinishError> {
    let content = content(tree, path, "the base is not whole")?;
    Ok(String::from_utf8_lossy(&content.read()?).into_owned())
}

/// Adds the image's name and version. Source: os-release(5).
fn os_release(text: &str, version: &str) -> String {
    let mut kept: String = text
        .lines()
        .filter(|line| !line.starts_with("IMAGE_ID=") && !line.starts_with("IMAGE_VERSION="))
        .flat_map(|line| [line, "\n"])
        .collect();
    kept.push_str("IMAGE_ID=lifeboat\nIMAGE_VERSION=");
    // Quotes that a shell would need: a version holds none of what they cannot hold.
    kept.extend(
        version
            .chars()
            .filter(|letter| letter.is_ascii_alphanumeric() || "._+~-^".contains(*letter)),
    );
    kept.push('\n');
    kept
}

/// Files made during the build have its time, which must not be in the image.
fn limit_times(tree: &mut Tree, latest: i64) {
    let late: Vec<Vec<u8>> = tree
        .iter()
        .filter(|(_, _, inode)| inode.mtime > latest || inode.mtime <= 0)
        .map(|(path, ..)| path.to_vec())
        .collect();
    for path in late {
        if let Some(inode) = tree.get_mut(path) {
            inode.mtime = latest;
        }
    }
}
