//! Unified kernel images: sections appended to an EFI stub, byte for byte as
//! `ukify build` writes them.
//!
//! <https://uapi-group.org/specifications/specs/unified_kernel_image/>, and
//! `pe_add_sections` of ukify 257 for what the specification leaves open. Signing,
//! PCR signatures, profiles and stubs that need repair are deliberately absent.
//!
//! A finished image is read with [`Image`]. Kernel and stub pass through memory,
//! everything else is streamed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Write};

use crate::pe::{Image, PeError, Section};
use crate::tree::Content;

pub use self::uname::uname;

mod sbat;
#[cfg(test)]
mod tests;
mod uname;

/// `IMAGE_DLLCHARACTERISTICS_NX_COMPAT`.
const NX_COMPAT: u16 = 0x0100;
/// `IMAGE_SCN_MEM_READ | IMAGE_SCN_CNT_INITIALIZED_DATA`.
const DATA: u32 = 0x4000_0040;
/// `IMAGE_SCN_MEM_READ | IMAGE_SCN_CNT_CODE`: old kernels run where they lie.
const CODE: u32 = 0x4000_0020;

const SECTION_HEADER: usize = 40;

/// Why a unified kernel image cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum UkiError {
    /// The stub is no executable.
    #[error("the EFI stub cannot be used")]
    Stub(#[source] PeError),
    /// The stub is signed: what is appended would break the signature.
    #[error("the EFI stub is signed; it takes an unsigned one")]
    StubSigned,
    /// The stub is laid out in a way only old linkers did.
    #[error("the EFI stub cannot be used: {0}")]
    StubLayout(String),
    /// The stub has no room for another section header.
    #[error("no room in the header of the EFI stub for section `{section}`: `{size}` bytes are too few")]
    HeaderFull {
        /// The section that found none.
        section: String,
        /// The size of the headers.
        size: u32,
    },
    /// The stub's own section is too short for what replaces it.
    #[error("section `{section}` of the EFI stub has `{available}` bytes, and `{needed}` are needed")]
    SectionFull {
        /// Which one.
        section: String,
        /// How long it is, in bytes.
        available: u32,
        /// How long it would have to be.
        needed: u64,
    },
    /// The kernel is no EFI executable.
    #[error("the kernel cannot be started by firmware")]
    Kernel(#[source] PeError),
    /// A `.sbat` section is not text.
    #[error("the `.sbat` section of the {0} is not UTF-8")]
    Sbat(&'static str),
    /// The kernel does not say its version where one is known to be.
    #[error("the kernel does not say its version; name it")]
    Uname,
    /// A section cannot have this name: not ASCII, over eight bytes, or taken.
    #[error("a section of a unified kernel image cannot be named `{0}`")]
    Name(String),
    /// Sizes in a PE have 32 bits.
    #[error("with section `{section}` the image has `{size}` bytes, and a PE executable ends at 4 GiB")]
    TooLarge {
        /// The one that goes beyond.
        section: String,
        /// How long the image would be, in bytes.
        size: u64,
    },
    /// A section cannot be read, or the image not written.
    #[error("copying section `{section}` failed")]
    Io {
        /// Which one; `stub` for the stub itself.
        section: String,
        /// Why.
        source: io::Error,
    },
}

/// Sections in the order ukify has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Osrel,
    Cmdline,
    Dtb,
    Uname,
    Splash,
    Pcrpkey,
    Linux,
    Initrd,
    Ucode,
    Extra(usize, String),
    Sbat,
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Self::Osrel => ".osrel",
            Self::Cmdline => ".cmdline",
            Self::Dtb => ".dtb",
            Self::Uname => ".uname",
            Self::Splash => ".splash",
            Self::Pcrpkey => ".pcrpkey",
            Self::Linux => ".linux",
            Self::Initrd => ".initrd",
            Self::Ucode => ".ucode",
            Self::Extra(_, name) => name,
            Self::Sbat => ".sbat",
        }
    }
}

/// A unified kernel image to be written.
#[derive(Debug, Clone)]
pub struct Uki {
    stub: Vec<u8>,
    /// The pieces of each section; only an initrd has several.
    sections: BTreeMap<Place, Vec<Content>>,
    sbat: Vec<String>,
}

impl Uki {
    /// Begins one from an EFI stub, such as systemd's `linuxx64.efi.stub`.
    pub fn new(stub: impl Into<Vec<u8>>) -> Self {
        Self { stub: stub.into(), sections: BTreeMap::new(), sbat: Vec::new() }
    }

    /// The content of `/etc/os-release`.
    #[must_use]
    pub fn osrel(self, content: impl Into<Content>) -> Self {
        self.only(Place::Osrel, content.into())
    }

    /// The kernel's command line. White space is made single blanks, as ukify
    /// does for a command line given as text; an empty one makes no section.
    #[must_use]
    pub fn cmdline(self, text: &str) -> Self {
        self.text(Place::Cmdline, &text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// A device tree blob.
    #[must_use]
    pub fn devicetree(self, content: impl Into<Content>) -> Self {
        self.only(Place::Dtb, content.into())
    }

    /// The version of the kernel, as `uname -r` prints it. Without this, the
    /// kernel is asked.
    #[must_use]
    pub fn uname(self, text: &str) -> Self {
        self.text(Place::Uname, text)
    }

    /// A Windows bitmap shown while booting.
    #[must_use]
    pub fn splash(self, content: impl Into<Content>) -> Self {
        self.only(Place::Splash, content.into())
    }

    /// The public key PCR signatures are checked with, in PEM.
    #[must_use]
    pub fn pcr_public_key(self, content: impl Into<Content>) -> Self {
        self.only(Place::Pcrpkey, content.into())
    }

    /// The kernel: an uncompressed EFI executable.
    #[must_use]
    pub fn linux(self, content: impl Into<Content>) -> Self {
        self.only(Place::Linux, content.into())
    }

    /// An initrd. Several are put one after another, each padded to four bytes.
    #[must_use]
    pub fn initrd(mut self, content: impl Into<Content>) -> Self {
        self.sections.entry(Place::Initrd).or_default().push(content.into());
        self
    }

    /// Microcode, as an uncompressed cpio archive.
    #[must_use]
    pub fn microcode(self, content: impl Into<Content>) -> Self {
        self.only(Place::Ucode, content.into())
    }

    /// A section of another name, after the known ones and before `.sbat`.
    #[must_use]
    pub fn section(self, name: &str, content: impl Into<Content>) -> Self {
        let number = self.sections.len();
        self.only(Place::Extra(number, name.to_owned()), content.into())
    }

    /// Lines of revocation data in CSV, with the header line `sbat,1,…`. Without
    /// any, ukify's own line for a unified kernel image is used.
    #[must_use]
    pub fn sbat(mut self, text: &str) -> Self {
        self.sbat.push(text.to_owned());
        self
    }

    fn text(self, place: Place, text: &str) -> Self {
        if text.is_empty() { self } else { self.only(place, text.into()) }
    }

    fn only(mut self, place: Place, content: Content) -> Self {
        self.sections.insert(place, vec![content]);
        self
    }

    /// Writes the image and says how long it is, in bytes.
    ///
    /// # Errors
    /// Fails when stub, kernel or sections cannot be what they are given as,
    /// before anything is written, or when copying does.
    pub fn write(&self, to: &mut impl Write) -> Result<u64, UkiError> {
        let mut stub = self.stub.clone();
        let image = Image::read(&mut Cursor::new(&stub)).map_err(UkiError::Stub)?;
        let mut sections = self.sections.clone();
        let kernel = match self.sections.get(&Place::Linux).and_then(|pieces| pieces.first()) {
            None => None,
            Some(content) => Some(content.read().map_err(copying(".linux"))?),
        };
        let mut kernel_image = None;
        if let Some(kernel) = &kernel {
            kernel_image = Some(Image::read(&mut Cursor::new(kernel)).map_err(UkiError::Kernel)?);
            if let Entry::Vacant(place) = sections.entry(Place::Uname) {
                place.insert(vec![uname(kernel).ok_or(UkiError::Uname)?.into()]);
            }
        }
        let mut sources = vec![("stub", &stub[..], &image)];
        if let (Some(kernel), Some(kernel_image)) = (&kernel, &kernel_image) {
            sources.push(("kernel", kernel, kernel_image));
        }
        let sbat = sbat::merge(&sources, &self.sbat)?;
        sections.insert(Place::Sbat, vec![sbat.into()]);
        if let Some(kernel) = kernel {
            sections.insert(Place::Linux, vec![kernel.into()]);
        }
        check_names(&sections)?;

        let appended = Layout::new(&mut stub, &image)?.place(&sections, kernel_image.as_ref())?;
        to.write_all(&stub).map_err(copying("stub"))?;
        let mut written = stub.len() as u64;
        for (place, section) in appended {
            let copying = copying(place.name());
            written += pad(to, u64::from(section.offset) - written).map_err(copying)?;
            let pieces = &sections[place];
            for piece in pieces {
                written += copy(piece, to).map_err(copying)?;
                if pieces.len() > 1 {
                    written += pad(to, piece.len().next_multiple_of(4) - piece.len()).map_err(copying)?;
                }
            }
            let end = u64::from(section.offset) + u64::from(section.raw_size);
            written += pad(to, end - written).map_err(copying)?;
        }
        Ok(written)
    }
}

/// The stub's headers while they are changed.
struct Layout<'a> {
    stub: &'a mut Vec<u8>,
    image: &'a Image,
    /// The stub's own sections, then the appended ones.
    sections: Vec<Section>,
    length: u64,
    initialized: u64,
}

impl<'a> Layout<'a> {
    fn new(stub: &'a mut Vec<u8>, image: &'a Image) -> Result<Self, UkiError> {
        let refuse = |why: String| Err(UkiError::StubLayout(why));
        if image.security != (0, 0) {
            return Err(UkiError::StubSigned);
        }
        if image.symbol_table != 0 {
            return refuse("it has a symbol table".to_owned());
        }
        let (file, memory) = (image.file_alignment, image.section_alignment);
        if !file.is_power_of_two() || !memory.is_power_of_two() || file > 0x10000 || memory > 0x100_0000 {
            return refuse(format!("alignments of `{file}` and `{memory}` bytes are none"));
        }
        let unaligned = |section: &&Section| {
            !section.offset.is_multiple_of(file) || !section.raw_size.is_multiple_of(file)
        };
        if let Some(section) = image.sections.iter().find(unaligned) {
            return refuse(format!("section `{}` is not aligned in the file", section.name));
        }
        let Some(headers) = image.size_of_headers.checked_next_multiple_of(file) else {
            return refuse(format!("headers of `{}` bytes", image.size_of_headers));
        };
        let first = image.sections.iter().filter(|s| s.raw_size > 0).map(|s| s.offset).min();
        let first = first.map_or(stub.len() as u64, u64::from);
        if u64::from(headers) > first || image.sections.is_empty() {
            return refuse("its headers reach into its sections".to_owned());
        }
        let length = stub.len() as u64;
        let mut layout = Self {
            stub,
            image,
            sections: image.sections.clone(),
            length,
            initialized: image.size_of_initialized_data.into(),
        };
        layout.put(OPTIONAL_HEADER + 60, &headers.to_le_bytes());
        Ok(layout)
    }

    /// Gives every section its place, writes the headers into the stub, and
    /// returns what is to be appended.
    fn place<'s>(
        mut self,
        sections: &'s BTreeMap<Place, Vec<Content>>,
        kernel: Option<&Image>,
    ) -> Result<Vec<(&'s Place, Section)>, UkiError> {
        let mut appended = Vec::new();
        for (place, pieces) in sections {
            let name = place.name();
            let size = match &pieces[..] {
                [one] => one.len(),
                several => several.iter().map(|piece| piece.len().next_multiple_of(4)).sum(),
            };
            let own = self.image.sections.iter().position(|section| section.name == name);
            match own {
                Some(number) => self.replace(number, name, size, pieces)?,
                None => appended.push((place, self.append(place, size)?)),
            }
        }
        // Firmware that enforces NX looks at the image it starts, and the kernel
        // runs inside of it: the image may not promise more than the kernel.
        if kernel.is_some_and(|kernel| kernel.dll_characteristics & NX_COMPAT == 0) {
            let bits = self.image.dll_characteristics & !NX_COMPAT;
            self.put(OPTIONAL_HEADER + 70, &bits.to_le_bytes());
        }
        let count = u16::try_from(self.sections.len()).unwrap_or(u16::MAX);
        self.put(2, &count.to_le_bytes());
        let initialized = u32::try_from(self.initialized).unwrap_or(u32::MAX);
        self.put(OPTIONAL_HEADER + 8, &initialized.to_le_bytes());
        let end = self.memory_end();
        let size_of_image = u32::try_from(end).map_err(|_| UkiError::TooLarge {
            section: self.sections.last().map_or_else(String::new, |section| section.name.clone()),
            size: end,
        })?;
        self.put(OPTIONAL_HEADER + 56, &size_of_image.to_le_bytes());
        self.put(OPTIONAL_HEADER + 64, &[0; 4]); // check sum
        Ok(appended)
    }

    fn append(&mut self, place: &Place, size: u64) -> Result<Section, UkiError> {
        let name = place.name();
        let header = self.image.section_table + self.sections.len() * SECTION_HEADER;
        let headers = self.image.size_of_headers.next_multiple_of(self.image.file_alignment);
        if header + SECTION_HEADER > headers as usize {
            return Err(UkiError::HeaderFull { section: name.to_owned(), size: headers });
        }
        let file = u64::from(self.image.file_alignment);
        let offset = self.length.next_multiple_of(file);
        let address = self.memory_end();
        let end = offset.saturating_add(size).checked_next_multiple_of(file).unwrap_or(u64::MAX);
        let bits = |value: u64| {
            let section = name.to_owned();
            u32::try_from(value).map_err(|_| UkiError::TooLarge { section, size: end.max(address + size) })
        };
        bits(end)?;
        let section = Section {
            name: name.to_owned(),
            virtual_address: bits(address)?,
            virtual_size: bits(size)?,
            offset: bits(offset)?,
            raw_size: bits(end - offset)?,
            flags: if *place == Place::Linux { CODE } else { DATA },
        };
        self.length = end;
        self.initialized += size;
        let mut bytes = [0; SECTION_HEADER];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[8..12].copy_from_slice(&section.virtual_size.to_le_bytes());
        bytes[12..16].copy_from_slice(&section.virtual_address.to_le_bytes());
        bytes[16..20].copy_from_slice(&section.raw_size.to_le_bytes());
        bytes[20..24].copy_from_slice(&section.offset.to_le_bytes());
        bytes[36..40].copy_from_slice(&section.flags.to_le_bytes());
        self.stub[header..header + SECTION_HEADER].copy_from_slice(&bytes);
        self.sections.push(section.clone());
        Ok(section)
    }

    /// Puts the content in place of a section the stub has itself.
    fn replace(&mut self, number: usize, name: &str, size: u64, pieces: &[Content]) -> Result<(), UkiError> {
        let section = &mut self.sections[number];
        let available = section.raw_size;
        let virtual_size = u32::try_from(size).unwrap_or(u32::MAX);
        if virtual_size > available {
            return Err(UkiError::SectionFull { section: name.to_owned(), available, needed: size });
        }
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(piece.read().map_err(copying(name))?);
            if pieces.len() > 1 {
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
        }
        bytes.resize(available as usize, 0);
        let start = section.offset as usize;
        self.stub[start..start + bytes.len()].copy_from_slice(&bytes);
        section.virtual_size = virtual_size;
        let header = self.image.section_table + number * SECTION_HEADER;
        self.stub[header + 8..header + 12].copy_from_slice(&virtual_size.to_le_bytes());
        Ok(())
    }

    /// Where the next section is loaded: the end of the last, rounded.
    fn memory_end(&self) -> u64 {
        let last = self.sections.last();
        let end = last.map_or(0, |last| u64::from(last.virtual_address) + u64::from(last.virtual_size));
        end.next_multiple_of(self.image.section_alignment.into())
    }

    /// Writes into the file header, or what follows it.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let start = self.image.file_header + at;
        self.stub[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

/// The optional header's offset in the file header.
const OPTIONAL_HEADER: usize = 20;

/// Refuses names that systemd's stub would not find.
fn check_names(sections: &BTreeMap<Place, Vec<Content>>) -> Result<(), UkiError> {
    let mut seen = BTreeSet::new();
    for name in sections.keys().map(Place::name) {
        let printable = name.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if name.is_empty() || name.len() > 8 || !printable || !seen.insert(name) {
            return Err(UkiError::Name(name.to_owned()));
        }
    }
    Ok(())
}

fn copying(section: &str) -> impl Fn(io::Error) -> UkiError + Copy {
    move |source| UkiError::Io { section: section.to_owned(), source }
}

/// Copies a piece that has the length it said to have.
fn copy(content: &Content, to: &mut impl Write) -> io::Result<u64> {
    let copied = io::copy(&mut content.open()?.take(content.len() + 1), to)?;
    if copied != content.len() {
        return Err(io::Error::other("the file changed while it was read"));
    }
    Ok(copied)
}

fn pad(to: &mut impl Write, count: u64) -> io::Result<u64> {
    io::copy(&mut io::repeat(0).take(count), to)
}
