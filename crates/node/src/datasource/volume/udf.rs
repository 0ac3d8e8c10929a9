//! UDF volumes, which only Azure uses: recognised here, read by the kernel.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use fs_err as fs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Device, MOST_BYTES, Medium as _};
use crate::{boot::kmod, init::kernel_release};

/// Where it is mounted while it is read.
const PLACE: &str = "/run/lifeboat/medium";

/// Whether a device carries a UDF volume (ECMA-167, 3/9.1: the volume recognition sequence).
pub(crate) fn is_udf(device: &Device) -> bool {
    let Ok(file) = File::open(&device.path) else {
        return false;
    };
    (16..32).any(|sector| {
        file.exactly(sector * 2048 + 1, 5)
            .is_ok_and(|mark| mark == b"NSR02" || mark == b"NSR03")
    })
}

/// Reads a file at the top of the volume; none if it is not there.
pub(crate) fn read(device: &Device, name: &str) -> io::Result<Option<Vec<u8>>> {
    let modules = PathBuf::from("/usr/lib/modules").join(kernel_release());
    // Without it the mount fails, and says so.
    let _ = kmod::load(&modules, ["udf"]);
    let place = Path::new(PLACE);
    fs::create_dir_all(place)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(&device.path, place, "udf", flags, None::<&std::ffi::CStr>)?;
    let content = match File::open(place.join(name)) {
        Ok(file) => {
            let mut content = Vec::new();
            file.take(MOST_BYTES)
                .read_to_end(&mut content)
                .map(|_| Some(content))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    unmount(place, UnmountFlags::DETACH)?;
    content
}
