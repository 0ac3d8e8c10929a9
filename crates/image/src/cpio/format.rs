//! The header of an entry: a magic and thirteen numbers of eight hexadecimal digits.

/// Source: buffer-format.rst, `c_magic` of "newc".
pub(super) const MAGIC: &[u8; 6] = b"070701";
/// Bytes of a header.
pub(super) const HEADER_SIZE: usize = 110;
/// Name of the last entry.
pub(super) const TRAILER: &[u8] = b"TRAILER!!!";
/// Names and contents begin at multiples of this.
pub(super) const ALIGNMENT: usize = 4;

/// File types in `c_mode`. Source: inode(7).
pub(super) const TYPE_MASK: u32 = 0o170_000;
pub(super) const DIRECTORY: u32 = 0o040_000;
pub(super) const REGULAR: u32 = 0o100_000;
pub(super) const SYMLINK: u32 = 0o120_000;
pub(super) const CHARACTER: u32 = 0o020_000;
pub(super) const BLOCK: u32 = 0o060_000;
pub(super) const FIFO: u32 = 0o010_000;

/// The numbers of a header, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub ino: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub mtime: u32,
    pub filesize: u32,
    pub major: u32,
    pub minor: u32,
    pub rmajor: u32,
    pub rminor: u32,
    pub namesize: u32,
    pub check: u32,
}

impl Header {
    pub fn fields(&self) -> [u32; 13] {
        [
            self.ino,
            self.mode,
            self.uid,
            self.gid,
            self.nlink,
            self.mtime,
            self.filesize,
            self.major,
            self.minor,
            self.rmajor,
            self.rminor,
            self.namesize,
            self.check,
        ]
    }

    pub fn from_fields(fields: [u32; 13]) -> Self {
        let [
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            filesize,
            major,
            minor,
            rmajor,
            rminor,
            namesize,
            check,
        ] = fields;
        Self {
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            filesize,
            major,
            minor,
            rmajor,
            rminor,
            namesize,
            check,
        }
    }
}
