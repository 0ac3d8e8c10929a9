//! System calls that rustix does not wrap: device-mapper, loop devices, partition and file
//! system sizes, kernel modules. All unsafe code of the crate is here, behind safe functions.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _},
    path::{Path, PathBuf},
};

use rustix::ioctl::{self, Opcode, opcode};

/// How a module's file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// So that the kernel unpacks it itself (`CONFIG_MODULE_DECOMPRESS`).
    Kernel,
}

/// Loads a kernel module from an open file. One that is loaded already is no error.
///
/// # Errors
/// What `finit_module(2)` returns.
pub fn load_module(file: impl AsFd, parameters: &str, packed: Compression) -> io::Result<()> {
    // MODULE_INIT_COMPRESSED_FILE (linux/module.h).
    let flags = match packed {
        Compression::None => 0,
        Compression::Kernel => 4,
    };
    let parameters = CString::new(parameters)?;
    match rustix::system::finit_module(file, &parameters, flags) {
        Err(rustix::io::Errno::EXIST) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Major and minor number of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// Size of `struct dm_ioctl` (linux/dm-ioctl.h).
const DM_HEADER: usize = 312;
/// Size of `struct dm_target_spec`.
const DM_TARGET: usize = 40;
/// Our buffer: the header, one target and its parameters.
const DM_BUFFER: usize = 4096;
/// The same two sizes as the header's fields have them.
const DM_HEADER_SIZE: u32 = 312;
const DM_BUFFER_SIZE: u32 = 4096;
const DM_READONLY_FLAG: u32 = 1;

#[repr(C, align(8))]
struct DmBuffer([u8; DM_BUFFER]);

/// `_IOWR(0xfd, number, struct dm_ioctl)`.
const fn dm_opcode(number: u8) -> Opcode {
    opcode::read_write::<[u8; DM_HEADER]>(0xfd, number)
}
const DM_DEV_CREATE: Opcode = dm_opcode(3);
const DM_DEV_REMOVE: Opcode = dm_opcode(4);
const DM_DEV_SUSPEND: Opcode = dm_opcode(6);
const DM_TABLE_LOAD: Opcode = dm_opcode(9);

impl DmBuffer {
    fn new(name: &str, uuid: &str, flags: u32) -> io::Result<Self> {
        if name.len() >= 128 || uuid.len() >= 129 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("device-mapper name `{name}` is too long"),
            ));
        }
        let mut buffer = Self([0; DM_BUFFER]);
        // version 4.0.0, data_size, data_start
        buffer.put(0, &4_u32.to_ne_bytes());
        buffer.put(12, &DM_BUFFER_SIZE.to_ne_bytes());
        buffer.put(16, &DM_HEADER_SIZE.to_ne_bytes());
        buffer.put(28, &flags.to_ne_bytes());
        buffer.put(48, name.as_bytes());
        buffer.put(176, uuid.as_bytes());
        Ok(buffer)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn device(&self) -> DeviceNumber {
        // The upper half of the field is not used.
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[40..44]);
        // huge_encode_dev: 12 bits major from bit 8, minor in bits 0 to 7 and 20 to 31.
        let device = u32::from_ne_bytes(bytes);
        DeviceNumber {
            major: (device >> 8) & 0xfff,
            minor: (device & 0xff) | ((device >> 12) & 0xf_ff00),
        }
    }

    #[expect(
        unsafe_code,
        reason = "rustix has no device-mapper calls (linux/dm-ioctl.h)"
    )]
    fn call<const OPCODE: Opcode>(&mut self, control: &File) -> io::Result<()> {
        // SAFETY: the opcodes used are those of dm-ioctl.h, which read and write `data_size`
        // bytes from the pointer; data_size is the size of this buffer, which outlives the call.
        unsafe { ioctl::ioctl(control, ioctl::Updater::<OPCODE, Self>::new(self))? };
        Ok(())
    }
}

/// Makes a read-only device-mapper device of one target and activates it.
///
/// # Errors
/// What the kernel answers; a table that it refuses is explained in the kernel log.
pub fn create_mapped_device(
    name: &str,
    uuid: &str,
    sectors: u64,
    target: &str,
    parameters: &str,
) -> io::Result<DeviceNumber> {
    let control = File::options()
        .read(true)
        .write(true)
        .open("/dev/mapper/control")?;
    let mut create = DmBuffer::new(name, uuid, DM_READONLY_FLAG)?;
    create.call::<DM_DEV_CREATE>(&control)?;
    let device = create.device();
    let finish = || -> io::Result<()> {
        let mut load = DmBuffer::new(name, "", DM_READONLY_FLAG)?;
        if target.len() >= 16 || DM_HEADER + DM_TARGET + parameters.len() >= DM_BUFFER {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the table of `{name}` is too long"),
            ));
        }
        load.put(20, &1_u32.to_ne_bytes()); // target_count
        load.put(DM_HEADER + 8, &sectors.to_ne_bytes());
        load.put(DM_HEADER + 24, target.as_bytes());
        load.put(DM_HEADER + DM_TARGET, parameters.as_bytes());
        load.call::<DM_TABLE_LOAD>(&control)?;
        // Resumes: the suspend flag is not set.
        DmBuffer::new(name, "", DM_READONLY_FLAG)?.call::<DM_DEV_SUSPEND>(&control)
    };
    if let Err(error) = finish() {
        // The first error is the one to report.
        let _ = remove_mapped_device(name);
        return Err(error);
    }
    Ok(device)
}

/// Removes a device-mapper device that nothing uses.
///
/// # Errors
/// What the kernel answers.
pub fn remove_mapped_device(name: &str) -> io::Result<()> {
    let control = File::options()
        .read(true)
        .write(true)
        .open("/dev/mapper/control")?;
    DmBuffer::new(name, "", 0)?.call::<DM_DEV_REMOVE>(&control)
}

const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_config` with its `struct loop_info64` (linux/loop.h).
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// Attaches `file` read-only to a free loop device with blocks of 4096 bytes. The device goes
/// away with its last user, so keep the returned descriptor until something else uses it.
///
/// # Errors
/// What the kernel answers.
#[expect(unsafe_code, reason = "rustix has no loop device calls (linux/loop.h)")]
pub fn attach_loop_device(file: &File) -> io::Result<(PathBuf, File)> {
    struct GetFree;
    // SAFETY: LOOP_CTL_GET_FREE takes no pointer and returns the number as the call's result.
    unsafe impl ioctl::Ioctl for GetFree {
        type Output = i32;
        const IS_MUTATING: bool = false;
        fn opcode(&self) -> Opcode {
            LOOP_CTL_GET_FREE
        }
        fn as_ptr(&mut self) -> *mut core::ffi::c_void {
            core::ptr::null_mut()
        }
        unsafe fn output_from_ptr(
            output: ioctl::IoctlOutput,
            _: *mut core::ffi::c_void,
        ) -> rustix::io::Result<i32> {
            Ok(output)
        }
    }
    let control = File::options()
        .read(true)
        .write(true)
        .open("/dev/loop-control")?;
    loop {
        // SAFETY: see `GetFree`; `control` stays open during the call.
        let number = unsafe { ioctl::ioctl(&control, GetFree)? };
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::open(&path)?;
        let mut config = LoopConfig {
            fd: u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?,
            block_size: 4096,
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
            reserved: [0; 8],
        };
        // SAFETY: LOOP_CONFIGURE reads one `struct loop_config`, of which `LoopConfig` is the
        // same layout, and writes nothing; both descriptors are open.
        let done = unsafe {
            ioctl::ioctl(
                &device,
                ioctl::Updater::<LOOP_CONFIGURE, LoopConfig>::new(&mut config),
            )
        };
        match done {
            Ok(()) => return Ok((path, device)),
            // Another process took it between the two calls.
            Err(rustix::io::Errno::BUSY) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

const BLKPG: Opcode = opcode::none(0x12, 105);
const BLKPG_RESIZE_PARTITION: i32 = 3;

#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: i32,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

#[repr(C)]
struct BlkpgArgument {
    operation: i32,
    flags: i32,
    length: i32,
    data: *mut BlkpgPartition,
}

/// Tells the kernel the new length in bytes of a partition that may be in use.
///
/// # Errors
/// What the kernel answers, e.g. `EBUSY` if it overlaps another partition.
#[expect(
    unsafe_code,
    reason = "rustix has no safe call for BLKPG (linux/blkpg.h)"
)]
pub fn resize_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    let mut partition = BlkpgPartition {
        start: i64::try_from(start).map_err(io::Error::other)?,
        length: i64::try_from(length).map_err(io::Error::other)?,
        number: i32::try_from(number).map_err(io::Error::other)?,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let mut argument = BlkpgArgument {
        operation: BLKPG_RESIZE_PARTITION,
        flags: 0,
        length: i32::try_from(size_of::<BlkpgPartition>()).map_err(io::Error::other)?,
        data: &raw mut partition,
    };
    // SAFETY: BLKPG reads `struct blkpg_ioctl_arg` and the `struct blkpg_partition` it points
    // to; both have the kernel's layout and live until the call returns.
    unsafe {
        ioctl::ioctl(
            disk,
            ioctl::Updater::<BLKPG, BlkpgArgument>::new(&mut argument),
        )?;
    }
    Ok(())
}

const EXT4_IOC_RESIZE_FS: Opcode = opcode::write::<u64>(b'f', 16);

/// Grows the mounted ext4 file system that `folder` is on to `blocks` blocks.
///
/// # Errors
/// What the kernel answers.
#[expect(unsafe_code, reason = "rustix has no safe call for EXT4_IOC_RESIZE_FS")]
pub fn resize_ext4(folder: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: EXT4_IOC_RESIZE_FS reads one u64 through the pointer that Setter passes.
    unsafe {
        ioctl::ioctl(
            folder,
            ioctl::Setter::<EXT4_IOC_RESIZE_FS, u64>::new(blocks),
        )?;
    }
    Ok(())
}

/// The number of a device file, from `stat`.
///
/// # Errors
/// Those of `stat(2)`.
pub fn device_number(path: &Path) -> io::Result<DeviceNumber> {
    let stat = rustix::fs::stat(path)?;
    Ok(DeviceNumber {
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
    })
}

const SIOCGIFFLAGS: Opcode = 0x8913;
const SIOCSIFFLAGS: Opcode = 0x8914;
const IFF_UP: u16 = 1;

/// `struct ifreq` with its flags (linux/if.h).
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

fn interface_name(name: &str) -> io::Result<[u8; 16]> {
    let mut field = [0; 16];
    match field.get_mut(..name.len()) {
        // The last byte stays zero.
        Some(place) if name.len() < 16 => place.copy_from_slice(name.as_bytes()),
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{name}` is no interface's name"),
            ));
        }
    }
    Ok(field)
}

/// Brings a network interface up.
///
/// # Errors
/// What the kernel answers.
#[expect(
    unsafe_code,
    reason = "rustix has no interface flags (linux/sockios.h)"
)]
pub fn bring_up(name: &str) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut request = InterfaceRequest {
        name: interface_name(name)?,
        flags: 0,
        rest: [0; 22],
    };
    // SAFETY: SIOCGIFFLAGS and SIOCSIFFLAGS read and write one `struct ifreq` of 40 bytes, the
    // layout of `InterfaceRequest`, which outlives both calls.
    unsafe {
        ioctl::ioctl(
            &socket,
            ioctl::Updater::<SIOCGIFFLAGS, InterfaceRequest>::new(&mut request),
        )?;
        if request.flags & IFF_UP == 0 {
            request.flags |= IFF_UP;
            ioctl::ioctl(
                &socket,
                ioctl::Updater::<SIOCSIFFLAGS, InterfaceRequest>::new(&mut request),
            )?;
        }
    }
    Ok(())
}

/// Lets a socket send and receive on one interface only.
///
/// # Errors
/// What the kernel answers.
#[expect(unsafe_code, reason = "rustix has no SO_BINDTODEVICE (socket(7))")]
pub fn bind_to_interface(socket: &impl AsFd, name: &str) -> io::Result<()> {
    let name = interface_name(name)?;
    // SAFETY: the kernel reads at most the 16 bytes of `name`, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            name.as_ptr().cast(),
            16,
        )
    };
    if done == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
