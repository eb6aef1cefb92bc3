//! SHA-256 of files, many at once, without reading their holes; any hash of parts of them.
//!
//! A digest is of the bytes a reader would see: a hole counts as its zeros, so
//! two files that read the same have the same digest however they are stored.

mod lanes;
mod written;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use ring::digest::{Context, SHA256};
use sha2::Digest;

use self::lanes::Lane;
pub use self::written::{Hashing, Place, Written, hashing, of_blocks};
use crate::sparse::{self, Span, spans};

/// How much is read and hashed at a time, in bytes.
const CHUNK: usize = 1 << 18;

/// SHA-256 of much: as [`sha2`]'s. Where there is much to do at once, a processor with instructions for it does that in
/// half the time (`lanes`); one without is twice as fast by ring (223 and 110 MB/s on a Xeon of 2.5 GHz), which is
/// every second laptop.
#[derive(Clone)]
pub struct Sha256(Stream);

#[derive(Clone)]
enum Stream {
    Lane(Lane),
    Ring(Context),
}

impl Default for Sha256 {
    fn default() -> Self {
        Self(Lane::new().map_or_else(|| Stream::Ring(Context::new(&SHA256)), Stream::Lane))
    }
}

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        Self::begin(bytes).finish()
    }

    /// The digest of what begins with these bytes.
    pub fn begin(bytes: &[u8]) -> Self {
        let mut hash = Self::default();
        hash.update(bytes);
        hash
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Stream::Lane(lane) => lane.add(bytes),
            Stream::Ring(context) => context.update(bytes),
        }
    }

    /// Adds the same bytes to this one and another.
    pub fn update_both(&mut self, other: &mut Self, bytes: &[u8]) {
        match (&mut self.0, &mut other.0) {
            (Stream::Lane(one), Stream::Lane(other)) => one.add_to_both(other, bytes),
            _ => {
                self.update(bytes);
                other.update(bytes);
            }
        }
    }

    /// The digest of what was added and of these bytes, which are not added.
    pub fn with(&self, bytes: &[u8]) -> [u8; 32] {
        let mut hash = self.clone();
        hash.update(bytes);
        hash.finish()
    }

    /// The digests of what was added and of each part of `size` bytes, one after another. The last may be shorter.
    pub fn with_each(&self, bytes: &[u8], size: usize) -> Vec<u8> {
        let mut digests = Vec::with_capacity(bytes.len().div_ceil(size) * 32);
        let mut rest = bytes;
        if let Stream::Lane(lane) = &self.0 {
            rest = lane.behind_each(bytes, size, &mut digests);
        }
        digests.extend(rest.chunks(size).flat_map(|part| self.with(part)));
        digests
    }

    /// Adds so many zeros.
    pub fn zeros(&mut self, count: u64) {
        zeros(count, |part| self.update(part));
    }

    /// Adds a range of a file; what lies beyond its end counts as zeros.
    ///
    /// # Errors
    /// Fails as reading does.
    pub fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        parts(file, range, |part| self.update(part))
    }

    /// Adds a range of a file to this one and another, as [`file()`](Self::file).
    ///
    /// # Errors
    /// Fails as reading does.
    pub fn file_both(&mut self, other: &mut Self, file: &File, range: Range<u64>) -> io::Result<()> {
        parts(file, range, |part| self.update_both(other, part))
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        match self.0 {
            Stream::Lane(lane) => lane.digest(),
            Stream::Ring(context) => {
                let mut digest = [0; 32];
                digest.copy_from_slice(context.finish().as_ref());
                digest
            }
        }
    }
}

/// Reads a range of a file part by part; what is a hole or lies beyond its end is zeros.
fn parts(file: &File, range: Range<u64>, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    for span in spans(file, range, CHUNK)? {
        match span {
            Span::Data(data) => each(sparse::read(file, data, &mut buffer)?),
            Span::Hole(hole) => zeros(hole.end - hole.start, &mut each),
        }
    }
    Ok(())
}

/// So many zeros part by part.
fn zeros(count: u64, mut each: impl FnMut(&[u8])) {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut rest = count;
    while rest > 0 {
        let part = usize::try_from(rest).unwrap_or(ZEROS.len()).min(ZEROS.len());
        each(&ZEROS[..part]);
        rest -= part as u64;
    }
}

/// What is written is added.
impl Write for Sha256 {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The SHA-256 of a whole file.
///
/// # Errors
/// Fails as reading does.
pub fn sha256(file: &File) -> io::Result<[u8; 32]> {
    sha256_range(file, 0..file.metadata()?.len())
}

/// The SHA-256 of a range of a file; what lies beyond its end counts as zeros.
///
/// # Errors
/// Fails as reading does.
pub fn sha256_range(file: &File, range: Range<u64>) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::default();
    hash.file(file, range)?;
    Ok(hash.finish())
}

/// The SHA-256 of many files, side by side, in the order they are given. The
/// longest is begun first: one file is hashed by one core, however many there are.
///
/// # Errors
/// Fails as opening and reading do, naming the file.
pub fn sha256_files<P: AsRef<Path> + Sync>(paths: &[P]) -> io::Result<Vec<[u8; 32]>> {
    let mut digests: Vec<io::Result<[u8; 32]>> = paths.iter().map(|_| Ok([0; 32])).collect();
    let mut work: Vec<_> = paths.iter().map(AsRef::as_ref).zip(&mut digests).collect();
    // A file that is not there is found out when it is opened.
    work.sort_by_key(|(path, _)| std::cmp::Reverse(path.metadata().map_or(0, |meta| meta.len())));
    rayon::scope_fifo(|scope| {
        for (path, digest) in work {
            scope.spawn_fifo(move |_| {
                *digest = File::open(path)
                    .and_then(|file| sha256(&file))
                    .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())));
            });
        }
    });
    digests.into_iter().collect()
}

/// Adds a range of bytes to what is hashed, by any hash.
///
/// # Errors
/// Fails when they end before the range does, or reading does.
pub(crate) fn hash_range(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
    hasher: &mut impl Digest,
) -> io::Result<()> {
    source.seek(SeekFrom::Start(range.start))?;
    let mut buffer = vec![0; CHUNK];
    let mut rest = range.end.saturating_sub(range.start);
    while rest > 0 {
        let part = usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK);
        source.read_exact(&mut buffer[..part])?;
        hasher.update(&buffer[..part]);
        rest -= part as u64;
    }
    Ok(())
}

/// Sixty-four lower-case hexadecimal digits, as `sha256sum` writes them.
pub fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of sixty-four hexadecimal digits; nothing of what is something else.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn a_hole_counts_as_its_zeros() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 << 20).unwrap();
        file.write_all_at(b"bedplate", 1 << 20).unwrap();
        let mut bytes = vec![0; 3 << 20];
        bytes[1 << 20..][..8].copy_from_slice(b"bedplate");
        assert_eq!(sha256(&file).unwrap(), <[u8; 32]>::from(sha2::Sha256::digest(&bytes)));
        assert_eq!(
            sha256_range(&file, 1 << 20..4 << 20).unwrap(),
            <[u8; 32]>::from(sha2::Sha256::digest([&bytes[1 << 20..], &[0; 1 << 20]].concat()))
        );
        let (mut one, mut other) = (Sha256::begin(&bytes[..100]), Sha256::default());
        one.file_both(&mut other, &file, 100..3 << 20).unwrap();
        assert_eq!(one.finish(), sha256(&file).unwrap());
        assert_eq!(other.finish(), sha256_range(&file, 100..3 << 20).unwrap());
    }

    /// Against sha2, on this processor and as on one without instructions.
    #[test]
    fn digests_are_those_of_anybody_else() {
        let bytes: Vec<u8> = (0..20_000_u32).map(|at| ((at * at) >> 7).to_le_bytes()[0]).collect();
        let of = |parts: &[&[u8]]| <[u8; 32]>::from(sha2::Sha256::digest(parts.concat()));
        let ring = || Sha256(Stream::Ring(Context::new(&SHA256)));
        for begin in [Sha256::default, ring] {
            // Each length around the ends of blocks, and of what is added in two steps.
            for length in (0..260).chain([4095, 4096, 4097, 20_000]) {
                for first in [0, 1, 55, 56, 63, 64, 65, 128, 4096].map(|first: usize| first.min(length)) {
                    let (mut one, mut other) = (begin(), begin());
                    one.update(&bytes[..first]);
                    let digests = one.with_each(&bytes[first..length], 100);
                    let expected =
                        bytes[first..length].chunks(100).flat_map(|part| of(&[&bytes[..first], part]));
                    assert_eq!(digests, expected.collect::<Vec<u8>>(), "{length} bytes, {first} first");
                    one.update_both(&mut other, &bytes[first..length]);
                    assert_eq!(one.finish(), of(&[&bytes[..length]]), "{length} bytes, {first} first");
                    assert_eq!(other.finish(), of(&[&bytes[first..length]]), "{length} bytes, {first} first");
                }
            }
        }
    }

    #[test]
    fn digests_come_in_the_order_of_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<_> = ["a", "b", "c"].map(|name| directory.path().join(name)).into();
        for path in &paths {
            std::fs::write(path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        // printf a | sha256sum, and so on.
        let digests: Vec<_> = sha256_files(&paths).unwrap().iter().map(|d| hex(&d[..4])).collect();
        assert_eq!(digests, ["ca978112", "3e23e816", "2e7d2c03"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = sha256_files(&["/nonexistent/image.raw"]).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/image.raw: "), "{error}");
    }
}
