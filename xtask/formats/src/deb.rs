//! Debian packages: an `ar` archive of a version, control files and a file tree.
//!
//! deb(5), <https://www.debian.org/doc/debian-policy/ch-binary.html>. Read as a
//! stream, front to back, from anything that reads: the control files first,
//! into memory, then the entries of the file tree one by one. What dpkg would
//! refuse is refused, and so is what it would only trip over later.
//!
//! Invariant: a package that was read without an error was read to its last
//! byte, so a truncated or damaged one never passes.
//!
//! Deliberately absent: writing packages, the old format of before 1996, and
//! the multiple volumes and sparse files that dpkg does not read either.

mod ar;
#[cfg(test)]
pub(crate) mod builder;
mod compression;
pub(crate) mod entries;
mod version;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

pub use self::entries::{Entry, EntryKind};
pub use self::version::compare_versions;
use self::{ar::Ar, compression::decoder};
use crate::control::{Stanza, stanzas};

/// The most that the control files of a package may hold, unpacked, in bytes.
const MAX_CONTROL: u64 = 64 << 20;

/// What is wrong with a package. Offsets count the bytes of the `.deb`.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The first eight bytes are not those of an `ar` archive.
    #[error("not a Debian package: it does not begin with `!<arch>`")]
    NotAnArchive,
    /// A member's header cannot be read.
    #[error("damaged member header at offset {offset}: {what}")]
    Header {
        /// Where the header begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The format's version is not 2.something.
    #[error("package format version `{0}` is not known")]
    Version(String),
    /// Another member stands where this one must.
    #[error("member `{found}` at offset {offset} stands where `{expected}` must")]
    Member {
        /// Where its header begins.
        offset: u64,
        /// Its name.
        found: String,
        /// The name it must have.
        expected: &'static str,
    },
    /// The archive ends where a member must begin.
    #[error("it ends at offset {offset}, before its `{expected}`")]
    Missing {
        /// Where it ends.
        offset: u64,
        /// The member that is not there.
        expected: &'static str,
    },
    /// A member has a name whose compression is not known.
    #[error("member `{name}` at offset {offset} is compressed in a way that is not known")]
    Compression {
        /// Where its header begins.
        offset: u64,
        /// Its name.
        name: String,
    },
    /// A member's bytes cannot be read, are damaged or end early.
    #[error("member `{member}` at offset {offset} cannot be read")]
    Damaged {
        /// Where its header begins.
        offset: u64,
        /// Its name.
        member: String,
        /// What the reader, the decompressor or the tar archive says.
        source: io::Error,
    },
    /// The control files are larger than any package's are.
    #[error("its control files are larger than {} MiB", MAX_CONTROL >> 20)]
    ControlTooLarge,
    /// There is no `control` file, or it is not one paragraph of UTF-8.
    #[error("its `control` file {0}")]
    Control(&'static str),
    /// A field that every package has is missing or malformed.
    #[error("its `control` file has no usable `{0}` field")]
    Field(&'static str),
    /// Reading the package failed.
    #[error("reading it failed")]
    Io(#[from] io::Error),
}

/// One of a package's control files.
#[derive(Clone, Debug)]
pub struct ControlFile {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Permission bits: `0o755` for a maintainer script.
    pub mode: u32,
    /// Modification time, in seconds since 1970.
    pub mtime: i64,
}

/// The control files of a package: `control`, `postinst`, `conffiles`, ….
#[derive(Clone, Debug)]
pub struct Control {
    text: String,
    files: BTreeMap<String, ControlFile>,
}

impl Control {
    /// The paragraph of the `control` file.
    pub fn stanza(&self) -> Stanza<'_> {
        stanzas(&self.text).next().unwrap_or_default()
    }

    /// A field of the `control` file; empty where it is missing.
    pub fn field(&self, name: &str) -> &str {
        self.stanza().field(name).unwrap_or_default()
    }

    /// The `Package` field.
    pub fn package(&self) -> &str {
        self.field("Package")
    }

    /// The `Version` field.
    pub fn version(&self) -> &str {
        self.field("Version")
    }

    /// The `Architecture` field: `amd64`, `all`.
    pub fn architecture(&self) -> &str {
        self.field("Architecture")
    }

    /// A control file by name. `control` itself is among them.
    pub fn file(&self, name: &str) -> Option<&ControlFile> {
        self.files.get(name)
    }

    /// Puts the checksums of its files beside the others where there are none: the vendors that make packages by
    /// hand forget them, and dpkg makes them when it unpacks.
    pub(crate) fn complete_md5sums(&mut self, lines: Vec<u8>) {
        let mtime = self.files.get("control").map_or(0, |control| control.mtime);
        let file = ControlFile { bytes: lines, mode: 0o644, mtime };
        self.files.entry("md5sums".to_owned()).or_insert(file);
    }

    /// Every control file by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &ControlFile)> {
        self.files.iter().map(|(name, file)| (name.as_str(), file))
    }
}

/// Reads a package: its control files, then each entry of its file tree with a
/// reader of its content (empty but for regular files), in the order of the
/// archive.
///
/// # Errors
/// Whatever is wrong with the package, as [`DebError`]; an error of `visit`
/// ends the reading and is handed on.
pub fn read<E: From<DebError>>(
    reader: impl Read,
    control: impl FnMut(&Control) -> Result<(), E>,
    visit: impl FnMut(Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<Control, E> {
    read_keeping(reader, control, visit, &mut io::sink())
}

/// As [`read`]; what is decompressed of the file tree goes into `keep`, too, for [`read_kept`].
///
/// # Errors
/// As [`read`]; one of `keep` is told as one of the package.
pub fn read_keeping<E: From<DebError>>(
    reader: impl Read,
    mut control: impl FnMut(&Control) -> Result<(), E>,
    visit: impl FnMut(Entry, &mut dyn Read) -> Result<(), E>,
    keep: &mut dyn Write,
) -> Result<Control, E> {
    let mut ar = Ar::open(reader)?;
    let found = read_control_member(&mut ar)?;
    control(&found)?;
    let member = ar.expect("data.tar")?;
    let damaged = member.damaged();
    let mut data = Tee { reader: decoder(ar.member(&member), &member)?, writer: keep };
    entries::read(&mut data, &damaged, visit)?;
    drop(data);
    ar.finish(&member)?;
    ar.end()?;
    Ok(found)
}

/// As [`read`], of a package whose file tree was decompressed before, and is read from `kept`.
///
/// # Errors
/// As [`read`].
pub fn read_kept<E: From<DebError>>(
    reader: impl Read,
    mut kept: impl Read,
    mut control: impl FnMut(&Control) -> Result<(), E>,
    visit: impl FnMut(Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<Control, E> {
    let mut ar = Ar::open(reader)?;
    let found = read_control_member(&mut ar)?;
    control(&found)?;
    let damaged = ar.expect("data.tar")?.damaged();
    entries::read(&mut kept, &damaged, visit)?;
    Ok(found)
}

/// What is read, written on the way.
struct Tee<'a, R> {
    reader: R,
    writer: &'a mut dyn Write,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.writer.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Reads only the control files, which stand at the front.
///
/// # Errors
/// Whatever is wrong up to there.
pub fn read_control(reader: impl Read) -> Result<Control, DebError> {
    read_control_member(&mut Ar::open(reader)?)
}

fn read_control_member(ar: &mut Ar<impl Read>) -> Result<Control, DebError> {
    let member = ar.expect("control.tar")?;
    let damaged = member.damaged();
    let mut files = BTreeMap::new();
    let mut left = MAX_CONTROL;
    let mut data = decoder(ar.member(&member), &member)?;
    entries::read(&mut data, &damaged, |entry, content| {
        // Directories and whatever else stands there are of no meaning.
        let EntryKind::File { size } = entry.kind else { return Ok(()) };
        left = left.checked_sub(size).ok_or(DebError::ControlTooLarge)?;
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(&damaged)?;
        // dpkg takes only names without a directory.
        if let Ok(name) = String::from_utf8(entry.path)
            && !name.contains('/')
        {
            files.insert(name, ControlFile { bytes, mode: entry.mode, mtime: entry.mtime });
        }
        Ok::<_, DebError>(())
    })?;
    drop(data);
    ar.finish(&member)?;
    let control = files.get("control").ok_or(DebError::Control("is missing"))?;
    let text = String::from_utf8(control.bytes.clone()).map_err(|_| DebError::Control("is not UTF-8"))?;
    if stanzas(&text).count() != 1 {
        return Err(DebError::Control("is not exactly one paragraph"));
    }
    let control = Control { text, files };
    let plain = |value: &str, more: &[u8]| {
        value.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    // These become file names and lines of dpkg's database.
    for (field, more) in [("Package", &b"+-."[..]), ("Version", b"+-.:~"), ("Architecture", b"-")] {
        if !plain(control.field(field), more) {
            return Err(DebError::Field(field));
        }
    }
    Ok(control)
}

#[cfg(test)]
mod tests;
