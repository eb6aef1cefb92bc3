//! The entries of a tar archive: a package's, or a cache entry's.
//!
//! The `tar` crate splits the stream; long names and pax records are read here,
//! because the crate cuts a pax value at its first line feed, and the value of
//! a file capability is binary.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// How long all names and pax records of an entry are together, at most, in bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// How long a path of Linux is at most, in bytes, with the NUL behind it.
const MAX_PATH: usize = 4096;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
    },
    /// A symbolic link with its target as written.
    Symlink(Vec<u8>),
    /// One more name of the file that this path, as written, leads to.
    Hardlink(Vec<u8>),
    /// Anything else tar knows, by the letter of its type.
    Other(u8),
}

/// An entry of a tar archive: of a package's file tree, say.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path without leading `./` and `/` and without trailing `/`, `..`
    /// and whatever else is in it left as it is. The root is empty.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What extension headers said of the entry that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How long all of them were, in bytes.
    size: u64,
}

/// Reads a tar archive to the end of its stream. `damaged` makes an error of what is wrong with it.
pub fn read<D, E: From<D>>(
    reader: &mut dyn Read,
    damaged: &dyn Fn(io::Error) -> D,
    mut visit: impl FnMut(Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let mut archive = tar::Archive::new(reader);
    let mut extensions = Extensions::default();
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        let letter = entry.header().as_bytes()[156];
        if matches!(letter, b'L' | b'K' | b'x') {
            extensions.size = extensions.size.saturating_add(entry.size());
            if extensions.size > MAX_EXTENSION {
                return Err(damaged(invalid("names and pax records of more than a megabyte")).into());
            }
        }
        match letter {
            b'L' => extensions.path = Some(extension(entry, true).map_err(damaged)?),
            b'K' => extensions.link = Some(extension(entry, true).map_err(damaged)?),
            b'x' => records(&extension(entry, false).map_err(damaged)?, &mut extensions.records)
                .map_err(damaged)?,
            // Records of the whole archive are comments in practice.
            b'g' => {}
            _ => {
                let known = describe(&entry, std::mem::take(&mut extensions)).map_err(damaged)?;
                let mut content = Whole { left: entry.size(), reader: entry };
                visit(known, &mut content)?;
                // What was not read must still be there and undamaged.
                io::copy(&mut content, &mut io::sink()).map_err(damaged)?;
            }
        }
    }
    // The rest is padding, and the check sum of the compression.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(())
}

fn describe(entry: &tar::Entry<'_, impl Read>, mut extensions: Extensions) -> io::Result<Entry> {
    let header = entry.header();
    let path = extensions.records.remove(&b"path"[..]).or(extensions.path);
    let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
    let link = extensions.records.remove(&b"linkpath"[..]).or(extensions.link);
    let link = || {
        link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .filter(|l| !l.is_empty())
            .ok_or_else(|| invalid("a link without a target"))
    };
    if extensions.records.contains_key(&b"size"[..]) {
        return Err(invalid("a pax record of a size, which dpkg does not read"));
    }
    let size = header.entry_size()?;
    let kind = match header.as_bytes()[156] {
        // An old archive says that an entry is a directory only by its name.
        b'0' | 0 | b'7' if path.ends_with(b"/") => EntryKind::Directory,
        b'0' | 0 | b'7' => EntryKind::File { size },
        b'1' => EntryKind::Hardlink(trimmed(&link()?)),
        b'2' => EntryKind::Symlink(link()?),
        b'5' => EntryKind::Directory,
        letter => EntryKind::Other(letter),
    };
    let id = |id: u64| u32::try_from(id).map_err(|_| invalid("an owner of more than 32 bits"));
    let mut xattrs = BTreeMap::new();
    for (key, value) in extensions.records {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            xattrs.insert(name.to_vec(), value);
        }
    }
    let link = match &kind {
        EntryKind::Symlink(link) | EntryKind::Hardlink(link) => link.len(),
        _ => 0,
    };
    if path.len().max(link) >= MAX_PATH {
        return Err(invalid("a path longer than any of Linux"));
    }
    Ok(Entry {
        path: trimmed(&path),
        kind,
        mode: header.mode()? & 0o7777,
        uid: id(header.uid()?)?,
        gid: id(header.gid()?)?,
        mtime: i64::try_from(header.mtime()?).map_err(|_| invalid("a time of more than 63 bits"))?,
        xattrs,
    })
}

/// `./usr/bin/` → `usr/bin`.
fn trimmed(path: &[u8]) -> Vec<u8> {
    let mut path = path;
    loop {
        path = match path {
            [b'/', rest @ ..] | [b'.', b'/', rest @ ..] | [rest @ .., b'/'] => rest,
            b"." => b"",
            _ => return path.to_vec(),
        };
    }
}

/// The content of an entry. That it ends early is an error of reading it: the crate
/// takes the end of the stream for the end of the content.
struct Whole<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            let what = format!("the archive ends {} bytes before the end of a file", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// The content of an extension header.
fn extension(entry: tar::Entry<'_, impl Read>, terminated: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Whole { left: entry.size(), reader: entry }.read_to_end(&mut bytes)?;
    if terminated && let Some(end) = bytes.iter().position(|&b| b == 0) {
        bytes.truncate(end);
    }
    Ok(bytes)
}

/// `LENGTH KEY=VALUE\n`, where the length counts all of the record.
fn records(mut bytes: &[u8], records: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> io::Result<()> {
    let malformed = || invalid("a malformed pax record");
    while !bytes.is_empty() {
        let space = bytes.iter().position(|&b| b == b' ').ok_or_else(malformed)?;
        let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|l| l.parse::<usize>().ok());
        let length = length.filter(|&l| l > space + 1 && l <= bytes.len()).ok_or_else(malformed)?;
        let record = bytes[space + 1..length].strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = record.iter().position(|&b| b == b'=').ok_or_else(malformed)?;
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        bytes = &bytes[length..];
    }
    Ok(())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pax_value_may_hold_line_feeds() {
        let mut found = BTreeMap::new();
        records(b"8 a=\n\n\n\n12 b=x=\ny\nz\n", &mut found).unwrap();
        assert_eq!(found[&b"a"[..]], b"\n\n\n");
        assert_eq!(found[&b"b"[..]], b"x=\ny\nz");
    }

    #[test]
    fn a_pax_record_whose_length_lies_is_refused() {
        for bytes in [&b"9 a=b\n"[..], b"2 a=b\n", b"a=b\n", b"6 abc\n", b"99999999999999999999 a=b\n"] {
            assert!(records(bytes, &mut BTreeMap::new()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_path_is_written_without_slashes_around_it() {
        for (path, short) in
            [("./usr/bin/", "usr/bin"), ("/", ""), ("./", ""), (".//a", "a"), ("../a", "../a")]
        {
            assert_eq!(trimmed(path.as_bytes()), short.as_bytes(), "{path}");
        }
    }
}
