//! Portable executables as firmware reads them: headers and sections, no code.
//!
//! <https://learn.microsoft.com/en-us/windows/win32/debug/pe-format>. Only PE32+,
//! which is what kernels, stubs, boot loaders and unified kernel images for
//! 64-bit machines are. Symbols, imports and relocations are deliberately absent.
//!
//! Only the head of a file is read to parse it, and every section is known to lie
//! inside the file before anyone asks for its content.

use std::io::{self, Read, Seek, SeekFrom};

use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_SECURITY, ImageDosHeader, ImageNtHeaders64};
use object::read::pe::ImageNtHeaders;

/// The most bytes that are searched for headers.
const MOST_HEADER_BYTES: u64 = 64 * 1024;

/// The optional header's offset in the file header.
pub(crate) const OPTIONAL_HEADER: usize = 20;

/// What is wrong with an executable.
#[derive(Debug, thiserror::Error)]
pub enum PeError {
    /// It cannot be read.
    #[error("reading the executable failed at offset `{offset}`")]
    Io {
        /// Where, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A header is missing, cut off or not one of a PE32+.
    #[error("no 64-bit PE executable: {what} at offset `{offset}`")]
    Header {
        /// Which one.
        what: &'static str,
        /// Where it should be, in bytes.
        offset: u64,
        /// What the parser says.
        source: object::read::Error,
    },
    /// A section's bytes do not lie inside the file.
    #[error("section `{name}` lies at `{offset}`, `{size}` bytes long, in a file of `{length}`")]
    Section {
        /// Its name.
        name: String,
        /// Where it says to lie, in bytes.
        offset: u64,
        /// How long it says to be on disk, in bytes.
        size: u64,
        /// The length of the file.
        length: u64,
    },
}

/// The headers of an executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The kind of machine it runs on: `0x8664` for x86-64, `0xaa64` for aarch64.
    pub machine: u16,
    /// The bits that promise things to the loader, `NX_COMPAT` among them.
    pub dll_characteristics: u16,
    /// Where the signatures lie and how long they are; zeros for an unsigned file.
    pub security: (u32, u32),
    /// The address in memory that sections' addresses are counted from.
    pub image_base: u64,
    /// The sections, in the order of the table.
    pub sections: Vec<Section>,
    /// What sections are aligned to in memory.
    pub(crate) section_alignment: u32,
    /// What sections are aligned to in the file.
    pub(crate) file_alignment: u32,
    pub(crate) size_of_headers: u32,
    pub(crate) size_of_initialized_data: u32,
    pub(crate) symbol_table: u32,
    /// Offset of the file header, which the optional header follows.
    pub(crate) file_header: usize,
    /// How many data directories follow the optional header.
    directories: usize,
    /// Offset of the first section header.
    pub(crate) section_table: usize,
}

/// A section of an executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name, at most eight bytes.
    pub name: String,
    /// Where it is loaded, relative to the image.
    pub virtual_address: u32,
    /// How long it is in memory, in bytes: its exact length in a UKI.
    pub virtual_size: u32,
    /// Where it lies in the file, in bytes.
    pub offset: u32,
    /// How long it is in the file, padding included.
    pub raw_size: u32,
    /// The `IMAGE_SCN_*` bits.
    pub flags: u32,
}

impl Section {
    /// The length of its content in bytes: without padding, and without what only
    /// exists in memory.
    pub fn size(&self) -> u32 {
        self.virtual_size.min(self.raw_size)
    }
}

impl Image {
    /// Reads the headers of an executable.
    ///
    /// # Errors
    /// Fails when it is no PE32+, is cut off, or has a section outside of itself.
    pub fn read<R: Read + Seek>(source: &mut R) -> Result<Self, PeError> {
        let io = |source| PeError::Io { offset: 0, source };
        let length = source.seek(SeekFrom::End(0)).map_err(io)?;
        source.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut head = Vec::new();
        source.take(MOST_HEADER_BYTES).read_to_end(&mut head).map_err(io)?;
        Self::parse(&head, length)
    }

    fn parse(head: &[u8], length: u64) -> Result<Self, PeError> {
        let header = |what, offset| move |source| PeError::Header { what, offset, source };
        let dos = ImageDosHeader::parse(head).map_err(header("the DOS header", 0))?;
        let nt_offset = u64::from(dos.nt_headers_offset());
        let mut end = nt_offset;
        let (nt, directories) =
            ImageNtHeaders64::parse(head, &mut end).map_err(header("the PE header", nt_offset))?;
        let table = nt.sections(head, end).map_err(header("the section table", end))?;
        let sections = table.iter().map(|section| Section {
            name: String::from_utf8_lossy(section.raw_name()).into_owned(),
            virtual_address: section.virtual_address.get(LE),
            virtual_size: section.virtual_size.get(LE),
            offset: section.pointer_to_raw_data.get(LE),
            raw_size: section.size_of_raw_data.get(LE),
            flags: section.characteristics.get(LE).0,
        });
        let sections: Vec<Section> = sections.collect();
        for section in &sections {
            let (offset, size) = (u64::from(section.offset), u64::from(section.raw_size));
            // A section without bytes in the file (`.bss`) lies nowhere.
            if size > 0 && offset + size > length {
                let name = section.name.clone();
                return Err(PeError::Section { name, offset, size, length });
            }
        }
        let security = directories.get(IMAGE_DIRECTORY_ENTRY_SECURITY);
        let optional = &nt.optional_header;
        Ok(Self {
            machine: nt.file_header.machine.get(LE).0,
            dll_characteristics: optional.dll_characteristics.get(LE).0,
            security: security.map_or((0, 0), |d| (d.virtual_address.get(LE), d.size.get(LE))),
            image_base: optional.image_base.get(LE),
            sections,
            section_alignment: optional.section_alignment.get(LE),
            file_alignment: optional.file_alignment.get(LE),
            size_of_headers: optional.size_of_headers.get(LE),
            size_of_initialized_data: optional.size_of_initialized_data.get(LE),
            symbol_table: nt.file_header.pointer_to_symbol_table.get(LE),
            directories: directories.len(),
            // Both offsets lie inside `head`.
            file_header: usize::try_from(nt_offset).unwrap_or_default() + 4,
            section_table: usize::try_from(end).unwrap_or_default(),
        })
    }

    /// Offset of the check sum over the file, four bytes.
    pub(crate) fn check_sum(&self) -> usize {
        self.file_header + OPTIONAL_HEADER + 64
    }

    /// Offset of the certificate table's entry, eight bytes; `None` where the headers end before it.
    pub(crate) fn security_entry(&self) -> Option<usize> {
        let number = IMAGE_DIRECTORY_ENTRY_SECURITY;
        (self.directories > number).then(|| self.file_header + OPTIONAL_HEADER + 112 + 8 * number)
    }

    /// The first section of a name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Reads the content of a section, without its padding.
    ///
    /// # Errors
    /// Fails as reading does.
    pub fn content<R: Read + Seek>(source: &mut R, section: &Section) -> Result<Vec<u8>, PeError> {
        let offset = u64::from(section.offset);
        let io = |source| PeError::Io { offset, source };
        source.seek(SeekFrom::Start(offset)).map_err(io)?;
        let mut content = Vec::new();
        source.take(section.size().into()).read_to_end(&mut content).map_err(io)?;
        if content.len() as u64 != u64::from(section.size()) {
            return Err(io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(content)
    }
}
