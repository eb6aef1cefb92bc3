//! Unified kernel images: sections appended to an EFI stub, byte for byte as
//! `ukify build` writes them.
//!
//! <https://uapi-group.org/specifications/specs/unified_kernel_image/>, and
//! `pe_add_sections` of ukify 257 for what the specification leaves open. Profiles
//! and stubs that need repair are deliberately absent. A finished image is signed by
//! [`authenticode`](crate::authenticode); what it makes of a TPM is signed before, by
//! [`pcr`](crate::pcr), and is a section of it.
//!
//! A finished image is read with [`Image`]. Kernel and stub pass through memory,
//! everything else is streamed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Write};

use self::layout::Layout;
use crate::pe::{Image, PeError};
use crate::tree::Content;

pub use self::uname::uname;

mod layout;
mod sbat;
#[cfg(test)]
pub(crate) mod tests;
mod uname;

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
    /// There is no kernel; an image without one is an addon, which is laid out
    /// by other rules.
    #[error("a unified kernel image takes a kernel")]
    NoKernel,
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
    Pcrsig,
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
            Self::Pcrsig => ".pcrsig",
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

    /// The signed policies that the image is for, as [`PcrSignatures::section`] writes
    /// them. They are not measured.
    ///
    /// [`PcrSignatures::section`]: crate::pcr::PcrSignatures::section
    #[must_use]
    pub fn pcr_signatures(self, content: impl Into<Content>) -> Self {
        self.only(Place::Pcrsig, content.into())
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
        let content = self.sections.get(&Place::Linux).and_then(|pieces| pieces.first());
        let kernel = content.ok_or(UkiError::NoKernel)?.read().map_err(copying(".linux"))?;
        let kernel_image = Image::read(&mut Cursor::new(&kernel)).map_err(UkiError::Kernel)?;
        if let Entry::Vacant(place) = sections.entry(Place::Uname) {
            place.insert(vec![uname(&kernel).ok_or(UkiError::Uname)?.into()]);
        }
        let sources = [("stub", &stub[..], &image), ("kernel", &kernel[..], &kernel_image)];
        let sbat = sbat::merge(&sources, &self.sbat)?;
        sections.insert(Place::Sbat, vec![sbat.into()]);
        sections.insert(Place::Linux, vec![kernel.into()]);
        check_names(&sections)?;

        let appended = Layout::new(&mut stub, &image)?.place(&sections, &kernel_image)?;
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

/// Adds the signed policies to an image that was written without them, and that nobody has signed yet: the bytes are
/// those of one that was written with them.
///
/// # Errors
/// Fails when it is no such image, has the section already, or has no room for it.
pub fn with_pcr_signatures(mut bytes: Vec<u8>, signatures: &str) -> Result<Vec<u8>, UkiError> {
    let image = Image::read(&mut Cursor::new(&bytes)).map_err(UkiError::Stub)?;
    if image.section(Place::Pcrsig.name()).is_some() {
        return Err(UkiError::Name(Place::Pcrsig.name().to_owned()));
    }
    let linux = image.section(Place::Linux.name()).ok_or(UkiError::NoKernel)?;
    let kernel = Image::content(&mut Cursor::new(&bytes), linux).map_err(UkiError::Kernel)?;
    let kernel = Image::read(&mut Cursor::new(&kernel)).map_err(UkiError::Kernel)?;
    let sections = BTreeMap::from([(Place::Pcrsig, vec![Content::from(signatures)])]);
    let appended = Layout::new(&mut bytes, &image)?.place(&sections, &kernel)?;
    for (_, section) in appended {
        bytes.resize(section.offset as usize, 0);
        bytes.extend_from_slice(signatures.as_bytes());
        bytes.resize((section.offset + section.raw_size) as usize, 0);
    }
    Ok(bytes)
}

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
