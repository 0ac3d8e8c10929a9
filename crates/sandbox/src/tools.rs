//! Programs of the build from unpacked packages, run where they lie.
//!
//! Nothing of the host is used but its kernel: each program is started through the dynamic
//! loader of its own tree, with its own libraries. What it starts in turn are the host's
//! programs, so the libraries are named on the command line and not in the environment.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::Read as _,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use fs_err as fs;
use lifeboat_archive::{
    Cache, CacheError, Digest, Kind, MergeError, MergeOptions, Tree, UnpackedDeb, merge,
};

use crate::materialise::{MaterialiseError, Ownership, materialise};

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
/// Counts up when the folder's layout changes, so that old ones in caches are not taken.
const FORMAT: &[u8] = b"tools 1";

/// A folder of the cache with unpacked packages whose programs can be run.
#[derive(Clone, Debug)]
pub struct ToolsTree {
    root: PathBuf,
    library_path: OsString,
}

/// The tools could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// The packages do not fit together.
    #[error("the packages of the build's tools do not fit together")]
    Merge(#[from] MergeError),
    /// Their files could not be written.
    #[error("the build's tools cannot be laid out in the cache")]
    Materialise(#[from] MaterialiseError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There is no dynamic loader among the packages.
    #[error("the packages of the build's tools lack `{LOADER}` (package libc6)")]
    NoLoader,
}

impl ToolsTree {
    /// Lays the packages' files out in the cache, without owners and without running anything
    /// of them; or finds them there.
    ///
    /// # Errors
    /// [`ToolsError`] if they conflict, cannot be written, or lack a dynamic loader.
    pub fn materialise(cache: &Cache, debs: &[UnpackedDeb]) -> Result<Self, ToolsError> {
        let mut digests: Vec<&Digest> = debs.iter().map(|deb| &deb.sha256).collect();
        digests.sort();
        let parts = std::iter::once(FORMAT).chain(digests.iter().map(|digest| &digest.0[..]));
        let key = Digest::of_parts(parts);
        let root = cache.derive("tools", &key, |path| -> Result<(), ToolsError> {
            let tree = merge(debs, &options())?;
            if tree.get(LOADER).is_none() {
                return Err(ToolsError::NoLoader);
            }
            materialise(&tree, path, Ownership::Ignore)?;
            fs::write(path.join(".library-path"), library_folders(&tree))
                .map_err(CacheError::from)?;
            Ok(())
        })?;
        Ok(Self::open(&root)?)
    }

    /// The tree that an earlier [`ToolsTree::materialise`] laid out at `root`.
    ///
    /// # Errors
    /// [`CacheError::Io`] if it is not there any more.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        let root = std::path::absolute(root)?;
        let folders = fs::read(root.join(".library-path"))?;
        let mut library_path = Vec::new();
        for folder in folders.split(|byte| *byte == b'\n') {
            if !library_path.is_empty() {
                library_path.push(b':');
            }
            library_path.extend_from_slice(root.as_os_str().as_encoded_bytes());
            library_path.push(b'/');
            library_path.extend_from_slice(folder);
        }
        Ok(Self {
            root,
            library_path: OsString::from_vec(library_path),
        })
    }

    /// The tree's root, for data files such as `usr/share/OVMF`.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Whether there is such a program.
    pub fn has(&self, program: &str) -> bool {
        self.find(program).is_some()
    }

    /// A command that runs a program of the tree (`mkfs.erofs`, or a path such as
    /// `usr/lib/qemu/virtiofsd`) with its own libraries and data files. Without such a program
    /// it fails when it is started, with [`std::io::ErrorKind::NotFound`].
    pub fn command(&self, program: &str) -> Command {
        let Some(path) = self.find(program) else {
            return Command::new(self.root.join("usr/bin").join(program));
        };
        let mut command = self.started(&path, program);
        // Libraries that somebody preloads are the host's and do not fit to this tree's.
        command.env_remove("LD_PRELOAD");
        command.env_remove("LD_LIBRARY_PATH");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("qemu-") {
            command.env("QEMU_MODULE_DIR", self.root.join(LIBRARIES).join("qemu"));
        }
        if name.starts_with("qemu-system-") {
            for folder in ["share/qemu", "share/seabios", "lib/ipxe/qemu"] {
                command.arg("-L").arg(self.root.join("usr").join(folder));
            }
        }
        if name.starts_with("mkfs.ext") || name == "mke2fs" {
            command.env("MKE2FS_CONFIG", self.root.join("etc/mke2fs.conf"));
        }
        command
    }

    /// The program at its path: an interpreter's script, a static or a dynamic program.
    fn started(&self, path: &Path, argv0: &str) -> Command {
        if let Some((interpreter, argument)) = script(path)
            && let Some(interpreter) = self.find(&interpreter)
        {
            let mut command = self.through_loader(&interpreter, &interpreter.to_string_lossy());
            command.args(argument).arg(path);
            return command;
        }
        self.through_loader(path, argv0)
    }

    fn through_loader(&self, path: &Path, argv0: &str) -> Command {
        if !is_dynamic(path) {
            return Command::new(path);
        }
        let mut command = Command::new(self.root.join(LOADER));
        command
            .arg("--library-path")
            .arg(&self.library_path)
            .arg("--argv0")
            .arg(argv0)
            .arg(path);
        command
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        let program = program.trim_start_matches('/');
        let candidates: BTreeSet<PathBuf> = if program.contains('/') {
            BTreeSet::from([self.root.join(program)])
        } else {
            ["usr/bin", "usr/sbin"]
                .map(|folder| self.root.join(folder).join(program))
                .into()
        };
        candidates.into_iter().find(|path| path.is_file())
    }
}

fn options() -> MergeOptions {
    let mut options = MergeOptions::plain();
    for pattern in [
        "/usr/share/doc/*",
        "/usr/share/man/*",
        "/usr/share/locale/*",
        "/usr/share/info/*",
    ] {
        options = options.exclude(pattern);
    }
    options
}

/// The folders that hold shared libraries, the main one first, a line each.
fn library_folders(tree: &Tree) -> Vec<u8> {
    let mut folders: BTreeSet<&[u8]> = BTreeSet::new();
    for (path, _, inode) in tree.iter() {
        let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else {
            continue;
        };
        let (folder, name) = (&path[..slash], &path[slash + 1..]);
        let library = name.starts_with(b"lib")
            && name
                .windows(4)
                .any(|part| part == b".so." || part == b".so");
        if library
            && folder.starts_with(b"usr/lib")
            && matches!(inode.kind, Kind::File(_) | Kind::Symlink(_))
        {
            folders.insert(folder);
        }
    }
    folders.remove(LIBRARIES.as_bytes());
    let mut lines = LIBRARIES.as_bytes().to_vec();
    for folder in folders {
        lines.push(b'\n');
        lines.extend_from_slice(folder);
    }
    lines
}

/// Interpreter and argument of a script's first line.
fn script(path: &Path) -> Option<(String, Option<String>)> {
    let mut start = [0; 256];
    let read = fs::File::open(path).ok()?.read(&mut start).ok()?;
    let line = start[..read]
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    let (interpreter, argument) = line.split_once(' ').unwrap_or((line, ""));
    let name = interpreter.rsplit('/').next()?.to_owned();
    let argument = argument.trim();
    if name == "env" {
        return Some((argument.to_owned(), None));
    }
    Some((name, (!argument.is_empty()).then(|| argument.to_owned())))
}

/// Whether a program is an ELF file that names a dynamic loader (`PT_INTERP`).
fn is_dynamic(path: &Path) -> bool {
    let mut head = Vec::new();
    let Ok(file) = fs::File::open(path) else {
        return false;
    };
    if file.take(4096).read_to_end(&mut head).is_err() || !head.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let half = |at: usize| {
        head.get(at..at + 2).map_or(0, |bytes| {
            usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
        })
    };
    // Program headers follow the 64-byte header in every program of a distribution.
    let (size, count) = (half(54), half(56));
    (0..count).any(|index| {
        let at = 64 + index * size;
        head.get(at..at + 4) == Some(&[3, 0, 0, 0])
    })
}
