//! PE files to sections.

use zerocopy::FromBytes as _;

use super::format::{Coff, Optional, PE32_PLUS, POINTER, SECTION_SIZE, SIGNATURE, SectionHeader};

/// A file that is no PE program that we can use.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadPeError {
    /// It is something else.
    #[error("not a 64-bit PE program: {0}")]
    Format(&'static str),
    /// A section whose bytes are beyond the end of the file.
    #[error("section `{0}` of the PE program is beyond its end")]
    Section(String),
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its name, such as `.linux`.
    pub name: String,
    /// Where it is loaded.
    pub address: u32,
    /// Its size when loaded.
    pub size: u32,
    /// Where its bytes are in the file.
    pub offset: u32,
    /// Its bytes in the file, without padding where the loaded size says how many count.
    pub data: &'a [u8],
    pub(super) raw_size: u32,
}

/// A PE program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// Size of the loaded program.
    pub image_size: u32,
    /// Alignment of sections in memory.
    pub section_alignment: u32,
    /// Alignment of sections in the file.
    pub file_alignment: u32,
    /// Bytes before the first section.
    pub headers_size: u32,
    /// The sections in the order of their headers.
    pub sections: Vec<Section<'a>>,
    pub(super) machine: u16,
    pub(super) coff_at: usize,
    pub(super) table_at: usize,
}

impl<'a> Program<'a> {
    /// The bytes of the section of this name.
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.sections
            .iter()
            .find(|section| section.name == name)
            .map(|section| section.data)
    }
}

/// Reads the headers of a program.
///
/// # Errors
/// [`ReadPeError`] if it is no 64-bit PE program, or cut short.
pub fn read(file: &[u8]) -> Result<Program<'_>, ReadPeError> {
    let short = ReadPeError::Format("it is too short");
    if !file.starts_with(b"MZ") {
        return Err(ReadPeError::Format("no DOS header"));
    }
    let (pointer, _) =
        zerocopy::little_endian::U32::read_from_prefix(file.get(POINTER..).unwrap_or_default())
            .map_err(|_| short.clone())?;
    let pe = pointer.get() as usize;
    let rest = file.get(pe..).ok_or_else(|| short.clone())?;
    if !rest.starts_with(&SIGNATURE) {
        return Err(ReadPeError::Format("no PE header"));
    }
    let coff_at = pe + 4;
    let (coff, rest) = Coff::read_from_prefix(&rest[4..]).map_err(|_| short.clone())?;
    let (optional, _) = Optional::read_from_prefix(rest).map_err(|_| short.clone())?;
    if optional.magic.get() != PE32_PLUS {
        return Err(ReadPeError::Format("it is for 32 bits"));
    }
    let (section_alignment, file_alignment) = (
        optional.section_alignment.get(),
        optional.file_alignment.get(),
    );
    if !section_alignment.is_power_of_two() || !file_alignment.is_power_of_two() {
        return Err(ReadPeError::Format("its alignments are no powers of two"));
    }
    let table_at = coff_at + size_of::<Coff>() + usize::from(coff.optional_size.get());
    let mut sections = Vec::new();
    for index in 0..usize::from(coff.sections.get()) {
        let at = table_at + index * SECTION_SIZE;
        let (header, _) = SectionHeader::read_from_prefix(file.get(at..).unwrap_or_default())
            .map_err(|_| short.clone())?;
        let name = header
            .name
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let (offset, raw) = (header.raw_at.get(), header.raw_size.get());
        let size = header.virtual_size.get();
        let from = offset as usize;
        let data = file
            .get(from..from + raw as usize)
            .or(if raw == 0 { Some(&[][..]) } else { None })
            .ok_or_else(|| ReadPeError::Section(name.clone()))?;
        let data = &data[..data.len().min(size as usize)];
        let address = header.virtual_address.get();
        sections.push(Section {
            name,
            address,
            size,
            offset,
            data,
            raw_size: raw,
        });
    }
    Ok(Program {
        image_size: optional.image_size.get(),
        section_alignment,
        file_alignment,
        headers_size: optional.headers_size.get(),
        sections,
        machine: coff.machine.get(),
        coff_at,
        table_at,
    })
}
