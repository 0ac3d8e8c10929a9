//! A stub and sections to a unified kernel image.

use zerocopy::{FromBytes as _, IntoBytes as _, little_endian::U32};

use super::{
    format::{
        AMD64, CHECKSUM, CODE, Coff, EXECUTE, INITIALIZED_DATA, Optional, READ, SECTION_SIZE,
        SectionHeader, checksum,
    },
    reader::{Program, ReadPeError, read},
};

/// A section to add.
#[derive(Clone, Copy, Debug)]
pub struct NewSection<'a> {
    /// Its name of at most 8 bytes, with the dot.
    pub name: &'a str,
    /// Its bytes.
    pub data: &'a [u8],
}

/// An image that cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteUkiError {
    /// The stub is not one.
    #[error("the UKI stub is damaged")]
    Stub(#[source] ReadPeError),
    /// The stub is for another processor.
    #[error("the UKI stub is for machine type {0:#x}, not for x86-64")]
    Machine(u16),
    /// No room for another section's header.
    #[error("the UKI stub has no room for the header of section `{0}`")]
    Headers(String),
    /// A name that is too long, or that the stub has already.
    #[error("section `{0}` has a name of more than 8 bytes, or is in the UKI stub already")]
    Name(String),
    /// More than PE can hold.
    #[error("the UKI would have 2 GiB or more: firmware does not load that")]
    TooLarge,
}

/// Adds sections to a stub, in the order given. `.linux` should come last, as the kernel's
/// own size in memory is larger than its file.
///
/// # Errors
/// [`WriteUkiError`] if the stub is unsuitable or the result too large.
pub fn write(stub: &[u8], new: &[NewSection<'_>]) -> Result<Vec<u8>, WriteUkiError> {
    let program = read(stub).map_err(WriteUkiError::Stub)?;
    if program.machine != AMD64 {
        return Err(WriteUkiError::Machine(program.machine));
    }
    let total: usize = stub.len()
        + new
            .iter()
            .map(|section| section.data.len() + 8192)
            .sum::<usize>();
    if total >= 1 << 31 {
        return Err(WriteUkiError::TooLarge);
    }
    let kept = stub.get(..end_of_sections(&program));
    let short = || WriteUkiError::Stub(ReadPeError::Format("it is too short"));
    let mut file = kept.ok_or_else(short)?.to_vec();
    let mut address = program
        .sections
        .iter()
        .map(|section| section.address.saturating_add(section.size))
        .max()
        .unwrap_or(program.headers_size)
        .checked_next_multiple_of(program.section_alignment)
        .ok_or(WriteUkiError::TooLarge)?;
    let mut data_size = 0;
    for (index, section) in new.iter().enumerate() {
        let bad_name = section.name.len() > 8
            || program.section(section.name).is_some()
            || new[..index].iter().any(|other| other.name == section.name);
        if bad_name {
            return Err(WriteUkiError::Name(section.name.to_owned()));
        }
        let at = program.table_at + (program.sections.len() + index) * SECTION_SIZE;
        let is_free = |place: &[u8]| place.iter().all(|byte| *byte == 0);
        if at + SECTION_SIZE > program.headers_size as usize
            || !stub.get(at..at + SECTION_SIZE).is_some_and(is_free)
        {
            return Err(WriteUkiError::Headers(section.name.to_owned()));
        }
        let alignment = program.file_alignment as usize;
        file.resize(file.len().next_multiple_of(alignment), 0);
        let raw_at = narrow(file.len())?;
        file.extend(section.data);
        file.resize(file.len().next_multiple_of(alignment), 0);
        let raw_size = narrow(file.len())? - raw_at;
        let size = narrow(section.data.len())?.max(loaded_size(section));
        let mut name = [0; 8];
        name[..section.name.len()].copy_from_slice(section.name.as_bytes());
        let executable = section.name == ".linux";
        let header = SectionHeader {
            name,
            virtual_size: size.into(),
            virtual_address: address.into(),
            raw_size: raw_size.into(),
            raw_at: raw_at.into(),
            relocations_at: U32::ZERO,
            lines_at: U32::ZERO,
            relocations: 0.into(),
            lines: 0.into(),
            characteristics: if executable {
                CODE | EXECUTE | READ
            } else {
                INITIALIZED_DATA | READ
            }
            .into(),
        };
        file[at..at + SECTION_SIZE].copy_from_slice(header.as_bytes());
        if !executable {
            data_size += raw_size;
        }
        address = address
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(program.section_alignment))
            .ok_or(WriteUkiError::TooLarge)?;
    }
    patch(&mut file, &program, new.len(), address, data_size)?;
    Ok(file)
}

/// Where the stub's sections end in its file. What may follow (symbols, a signature) is not
/// kept.
fn end_of_sections(program: &Program<'_>) -> usize {
    program
        .sections
        .iter()
        .map(|section| section.offset as usize + section.raw_size as usize)
        .max()
        .unwrap_or(0)
        .max(program.headers_size as usize)
}

/// A kernel is a PE program itself and needs its whole size in memory, so that the stub can
/// start it where it is.
fn loaded_size(section: &NewSection<'_>) -> u32 {
    if section.name != ".linux" {
        return 0;
    }
    read(section.data).map_or(0, |kernel| kernel.image_size)
}

fn patch(
    file: &mut [u8],
    program: &Program<'_>,
    added: usize,
    image_size: u32,
    data_size: u32,
) -> Result<(), WriteUkiError> {
    let short = |_| WriteUkiError::Stub(ReadPeError::Format("it is too short"));
    let optional_at = program.coff_at + size_of::<Coff>();
    let (coff, rest) = Coff::mut_from_prefix(&mut file[program.coff_at..])
        .map_err(|error| short(error.to_string()))?;
    let count =
        u16::try_from(program.sections.len() + added).map_err(|_| WriteUkiError::TooLarge)?;
    coff.sections = count.into();
    // Symbols lie behind the sections and are gone.
    coff.symbols_at = U32::ZERO;
    coff.symbols = U32::ZERO;
    let (optional, _) =
        Optional::mut_from_prefix(rest).map_err(|error| short(error.to_string()))?;
    optional.image_size = image_size.into();
    optional.data_size = optional.data_size.get().saturating_add(data_size).into();
    optional.checksum = U32::ZERO;
    let field = optional_at + CHECKSUM;
    let sum = checksum(file);
    file[field..field + 4].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn narrow(size: usize) -> Result<u32, WriteUkiError> {
    u32::try_from(size).map_err(|_| WriteUkiError::TooLarge)
}
