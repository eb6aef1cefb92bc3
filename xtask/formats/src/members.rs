//! What a file holds beneath its own bytes: the content of what is compressed, and the members of an archive.
//!
//! For people who compare two files; believes none of them. Tar, `newc` and zip, alone or compressed with gzip, xz or
//! Zstandard. Of a zip, the central directory is read and its checksums are taken. Deliberately absent: encryption,
//! several disks and archives in archives.

use std::collections::BTreeMap;
use std::io::Read;

use crate::cpio;
use crate::region::number;
use crate::tree::Kind;

/// The most that is decompressed, in bytes.
const MOST: u64 = 256 << 20;
/// The most memory of a decompressor, in bytes.
const MEMORY: u64 = 128 << 20;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its size, in bytes.
    pub size: u64,
    /// What its content is told apart by: a digest, a checksum, or the target of a link.
    pub content: Vec<u8>,
    /// Its permissions, where the archive has them.
    pub mode: Option<u32>,
}

/// Members by name.
pub type Members = BTreeMap<String, Member>;

/// The content of what is compressed whole, and what it is compressed with; nothing of what is not, is damaged, or is
/// larger than what is taken into memory.
pub fn decompressed(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let whole = |reader: &mut dyn Read| {
        let mut out = Vec::new();
        let read = reader.take(MOST + 1).read_to_end(&mut out).ok()?;
        (read as u64 <= MOST).then_some(out)
    };
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Some(("gzip", whole(&mut flate2::bufread::MultiGzDecoder::new(bytes))?));
    }
    if bytes.starts_with(b"\xfd7zXZ\0") {
        let stream =
            liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED).ok()?;
        return Some(("xz", whole(&mut liblzma::bufread::XzDecoder::new_stream(bytes, stream))?));
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::Decoder::with_buffer(bytes).ok()?;
        decoder.window_log_max(27).ok()?;
        return Some(("zstd", whole(&mut decoder)?));
    }
    None
}

/// The members of an archive, and its format; nothing of what is none, or is damaged.
pub fn members(bytes: &[u8]) -> Option<(&'static str, Members)> {
    if bytes.get(257..262) == Some(b"ustar") {
        return Some(("tar", tar(bytes)?));
    }
    if bytes.starts_with(b"070701") {
        return Some(("cpio", newc(bytes)?));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Some(("zip", zip(bytes)?));
    }
    None
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    blake3::hash(bytes).as_bytes().to_vec()
}

fn tar(bytes: &[u8]) -> Option<Members> {
    let mut members = Members::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let target = entry.link_name_bytes().map(|target| target.into_owned());
        let (size, mode) = (entry.size(), entry.header().mode().ok());
        let mut hasher = blake3::Hasher::new();
        std::io::copy(&mut entry, &mut hasher).ok()?;
        let content = target.unwrap_or_else(|| hasher.finalize().as_bytes().to_vec());
        members.insert(name, Member { size, content, mode });
    }
    Some(members)
}

fn newc(bytes: &[u8]) -> Option<Members> {
    let tree = cpio::read(bytes).ok()?;
    let mut members = Members::new();
    for (path, node) in tree.iter().skip(1) {
        let content = match &node.kind {
            Kind::File(content) => digest(&content.read().ok()?),
            Kind::Symlink(target) => target.clone(),
            Kind::Hardlink(first) => first.to_bytes(),
            _ => Vec::new(),
        };
        let size = tree.content(path).map_or(0, crate::tree::Content::len);
        members.insert(path.to_string(), Member { size, content, mode: Some(node.mode) });
    }
    Some(members)
}

fn zip(bytes: &[u8]) -> Option<Members> {
    // The end of the central directory lies before a comment of at most 64 KiB.
    let tail = bytes.len().saturating_sub((1 << 16) + 22);
    let end = bytes[tail..].windows(4).rposition(|window| window == b"PK\x05\x06")? + tail;
    let (count, start) = (number::<2>(bytes, end + 10)?, number::<4>(bytes, end + 16)?);
    let mut at = usize::try_from(start).ok()?;
    let mut members = Members::new();
    for _ in 0..count {
        if bytes.get(at..at.checked_add(4)?)? != b"PK\x01\x02" {
            return None;
        }
        let length = |offset| usize::try_from(number::<2>(bytes, at + offset)?).ok();
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let text = bytes.get(at + 46..at + 46 + name)?;
        let content = bytes.get(at + 16..at + 20)?.to_vec();
        let member = Member { size: number::<4>(bytes, at + 24)?, content, mode: None };
        members.insert(String::from_utf8_lossy(text).into_owned(), member);
        at += 46 + name + extra + comment;
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Node, Tree};

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("a/file".into(), Node::file("content", 0o640));
        tree.insert("a/link".into(), Node::symlink("file"));
        tree
    }

    #[test]
    fn an_archive_is_its_members_however_it_is_compressed() {
        let mut plain = Vec::new();
        crate::tar::write(&tree(), &mut plain).unwrap();
        let (format, members) = members(&plain).unwrap();
        assert_eq!(format, "tar");
        let file = members.iter().find(|(name, _)| name.ends_with("a/file")).unwrap().1;
        assert_eq!((file.size, file.mode), (7, Some(0o640)));
        let (format, same) = decompressed(&zstd::encode_all(&plain[..], 1).unwrap()).unwrap();
        assert_eq!((format, same), ("zstd", plain));
        let archive = cpio::write(&tree(), 0, Vec::new()).unwrap();
        assert_eq!(super::members(&archive).unwrap().1.len(), 3);
    }

    #[test]
    fn the_checksums_of_a_zip_tell_its_members_apart() {
        // One stored member `n` of four bytes, as `zip -0` writes it.
        let mut zip =
            b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\x11\x22\x33\x44\x04\0\0\0\x04\0\0\0\x01\0\0\0nabcd".to_vec();
        let start = u8::try_from(zip.len()).unwrap();
        zip.extend(b"PK\x01\x02\x1e\x03\x0a\0\0\0\0\0\0\0\0\0\x11\x22\x33\x44\x04\0\0\0\x04\0\0\0\x01\0");
        zip.extend([0; 16]);
        zip.push(b'n');
        zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0");
        zip.extend([start, 0, 0, 0, 0, 0]);
        let (format, members) = members(&zip).unwrap();
        let member = Member { size: 4, content: vec![0x11, 0x22, 0x33, 0x44], mode: None };
        assert_eq!((format, members), ("zip", Members::from([("n".to_owned(), member)])));
        for length in 0..zip.len() {
            let _ = super::members(&zip[..length]);
        }
    }
}
