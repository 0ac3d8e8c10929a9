//! Which users a sandbox has, and how an ordinary user comes to more than one.

use std::{io, path::Path, process::Command};

use fs_err as fs;
use rustix::process::{getegid, geteuid};

/// Fewer subordinate ids than this do not hold the users of a distribution.
const ENOUGH: u32 = 65_536;

/// Who a sandbox's users are outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Root as it is.
    Root,
    /// The user is root inside, subordinate ids are everybody else.
    Subordinate { uids: Range, gids: Range },
    /// The user is root inside and there is nobody else.
    Single,
}

/// A range of ids outside of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
    count: u32,
}

/// Who runs this, and what the host gives them.
pub(crate) fn detect() -> Identity {
    if geteuid().is_root() {
        return Identity::Root;
    }
    let uid = geteuid().as_raw();
    let user = user_name(uid);
    let ranges = |file| {
        let text = fs::read_to_string(file).ok()?;
        range(&text, user.as_deref(), uid)
    };
    match (ranges("/etc/subuid"), ranges("/etc/subgid")) {
        (Some(uids), Some(gids)) if find("newuidmap") && find("newgidmap") => {
            Identity::Subordinate { uids, gids }
        }
        _ => Identity::Single,
    }
}

/// What to do to get [`Identity::Subordinate`].
pub(crate) fn hint() -> String {
    let uid = geteuid().as_raw();
    let user = user_name(uid).unwrap_or_else(|| uid.to_string());
    let mut steps = Vec::new();
    if !find("newuidmap") || !find("newgidmap") {
        steps.push("install the package `uidmap`".to_owned());
    }
    let has = |file| {
        fs::read_to_string(file)
            .ok()
            .and_then(|text| range(&text, Some(&user), uid))
            .is_some()
    };
    if !has("/etc/subuid") || !has("/etc/subgid") {
        steps.push(format!(
            "run `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`"
        ));
    }
    steps.push("or run this as root".to_owned());
    format!("as root, {}", steps.join(", "))
}

impl Identity {
    /// Sets the maps of the process `pid`, which is in a new user namespace.
    pub(crate) fn map(&self, pid: u32) -> io::Result<()> {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        match self {
            Self::Root => Ok(()),
            Self::Single => {
                let process = Path::new("/proc").join(pid.to_string());
                fs::write(process.join("setgroups"), "deny")?;
                fs::write(process.join("uid_map"), format!("0 {uid} 1"))?;
                fs::write(process.join("gid_map"), format!("0 {gid} 1"))
            }
            Self::Subordinate { uids, gids } => {
                set_map("newuidmap", pid, uid, *uids)?;
                set_map("newgidmap", pid, gid, *gids)
            }
        }
    }
}

fn set_map(program: &str, pid: u32, own: u32, range: Range) -> io::Result<()> {
    let own = own.to_string();
    let (pid, first, count) = (
        pid.to_string(),
        range.first.to_string(),
        range.count.to_string(),
    );
    let output = Command::new(program)
        .args([&pid, "0", &own, "1", "1", &first, &count])
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{program}: {}", text.trim())));
    }
    Ok(())
}

/// The first large enough range of a user in subuid(5).
fn range(text: &str, user: Option<&str>, uid: u32) -> Option<Range> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let range = Range {
            first: fields.next()?.trim().parse().ok()?,
            count: fields.next()?.trim().parse().ok()?,
        };
        let own = Some(name) == user || name == uid.to_string();
        (own && range.count >= ENOUGH).then_some(range)
    })
}

fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    })
}

fn find(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_large_enough_range_of_the_user_is_taken() {
        let text = "other:1:65536\nme:5:100\n1000:100000:65536\nme:200000:65536\n";
        let found = range(text, Some("me"), 1000).unwrap();
        assert_eq!((found.first, found.count), (100_000, 65_536));
        assert_eq!(range(text, Some("you"), 1001), None);
        assert_eq!(range("me:x:65536\n:\n", Some("me"), 1), None);
    }
}
