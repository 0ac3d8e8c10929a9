//! Sources on disks: `cdrom` and `file=/path` of k3OS.

use std::{io::Read as _, path::Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::datasource::{
    Miss,
    found::{Found, Part},
    machine::Machine,
    volume::{MOST_BYTES, Volume},
};

/// A CD-ROM, or any volume labelled `cidata`, with `user-data` or k3OS' `config`.
pub(super) fn cdrom(machine: &Machine<'_>) -> Result<Found, Miss> {
    machine
        .volume(|device, volume| {
            let is_labelled = is_seed(&volume);
            if !device.is_cdrom() && !is_labelled {
                return None;
            }
            let mut found = Found::at(format!("/dev/{}", device.name));
            let has_any = read_seed(&mut found, &volume, &["user-data", "config"]);
            (has_any || !found.problems.is_empty()).then_some(found)
        })
        .ok_or_else(|| {
            Miss::NotHere(
                "no CD-ROM and no volume `cidata` has `user-data`, `config` or `meta-data`"
                    .to_owned(),
            )
        })
}

/// Whether it is a volume of `NoCloud`.
pub(super) fn is_seed<M: crate::datasource::volume::Medium>(volume: &Volume<M>) -> bool {
    volume.label().eq_ignore_ascii_case("cidata")
}

/// Reads the files of a seed; whether any is there.
pub(super) fn read_seed<M: crate::datasource::volume::Medium>(
    found: &mut Found,
    volume: &Volume<M>,
    user_data: &[&str],
) -> bool {
    let mut has_any = false;
    for name in user_data {
        match volume.read(name) {
            Ok(Some(data)) => {
                has_any = true;
                found.set_user_data(data);
                break;
            }
            Ok(None) => {}
            Err(error) => found.unread(Part::UserData, &error.to_string()),
        }
    }
    match volume.read("meta-data") {
        Ok(Some(data)) => {
            has_any = true;
            found.set_metadata_text(&data);
        }
        Ok(None) => {}
        Err(error) => found.unread(Part::Hostname, &error.to_string()),
    }
    match volume.read("network-config") {
        Ok(Some(data)) => {
            has_any = true;
            found.network_config = Some(data);
        }
        Ok(None) => {}
        Err(error) => found.unread(Part::Network, &error.to_string()),
    }
    has_any
}

/// A file as user data.
pub(super) fn file(machine: &Machine<'_>, path: &str) -> Result<Found, Miss> {
    match read_in_root(machine.root, path) {
        Ok(Some(data)) => {
            let mut found = Found::at(path);
            found.set_user_data(data);
            Ok(found)
        }
        Ok(None) => Err(Miss::NotHere(format!("there is no file {path}"))),
        Err(error) => Err(Miss::Failed(format!("{path}: {error}"))),
    }
}

/// Reads a file of at most 4 MiB; no link leads out of the root. None if it is not there.
pub(super) fn read_in_root(root: &Path, path: &str) -> std::io::Result<Option<Vec<u8>>> {
    let folder = fs_err::File::open(root)?;
    let opened = openat2(
        folder.file(),
        path,
        // A FIFO must not hold the boot.
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    );
    let file = match opened {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(
            "larger than 4 MiB, which is the most that is read",
        ));
    }
    Ok(Some(content))
}
