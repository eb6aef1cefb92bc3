//! Digests of what is written to a file, made of the bytes while they are at hand: nothing is read again for them.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use rayon::prelude::*;

use super::Sha256;
use crate::sparse::{self, Before, CHUNK};

/// The blocks that have digests of their own, in bytes.
const BLOCK: usize = 4096;
/// How much one core hashes at a time, in bytes.
const RUN: usize = 64 * BLOCK;
/// How many chunks of what is written, each a millisecond of one core's hashing, wait to be hashed.
const WAITING: usize = 4;

/// Where what is written is copied to.
pub struct Place<'a> {
    /// Another file.
    pub file: &'a File,
    /// Where in it the copy begins, in bytes.
    pub at: u64,
    /// The hash of all that lies before that, where it is there.
    pub before: Option<Sha256>,
}

/// The digests of what was written.
pub struct Written {
    /// Of all of it.
    pub sha256: [u8; 32],
    /// For each hash that was begun, those of the blocks of 4096 bytes, one after another. The last block may be shorter.
    pub blocks: Vec<Vec<u8>>,
    /// The hash of what lies before the copy, and of the copy.
    pub copied: Option<Sha256>,
}

/// Hashes what `write` writes to a file: as a whole, and block by block behind what each of `begun` begins with. It
/// is copied to a `place`, too. What is there already is not written. One core writes, the others hash and copy.
///
/// # Errors
/// What `write` fails with; writing a file fails.
pub fn hashing<E: From<io::Error>>(
    file: &File,
    place: Option<Place<'_>>,
    begun: &[Sha256],
    write: impl FnOnce(&mut Hashing<'_>) -> Result<(), E>,
) -> Result<Written, E> {
    thread::scope(|scope| {
        let (to_hash, chunks) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (back, empty) = mpsc::channel();
        let others = scope.spawn(move || {
            let mut done = 0_u64;
            let (copied, mut copy) = match place {
                Some(Place { file, at, before }) => {
                    (before, Some((file, at, Before::new(file, at..u64::MAX)?)))
                }
                None => (None, None),
            };
            let mut hashes =
                Hashes { whole: Sha256::default(), copied, blocks: vec![Vec::new(); begun.len()] };
            for chunk in chunks {
                let range = done..done + chunk.len() as u64;
                done = range.end;
                rayon::in_place_scope(|scope| {
                    scope.spawn(|_| hashes.add(begun, &chunk));
                    let Some((to, at, before)) = &mut copy else { return Ok(()) };
                    match before.holds(&chunk, *at + range.start) {
                        true => Ok(()),
                        false => sparse::copy_anew(file, range.clone(), to, *at + range.start),
                    }
                })?;
                // Who writes may have ended.
                let _ = back.send(chunk);
            }
            let Hashes { whole, copied, blocks } = hashes;
            Ok::<_, io::Error>(Written { sha256: whole.finish(), blocks, copied })
        });
        let before = Before::new(file, 0..u64::MAX)?;
        let mut hashing = Hashing { file, before, done: 0, chunk: Vec::with_capacity(CHUNK), to_hash, empty };
        let written = write(&mut hashing).and_then(|()| Ok(hashing.hand_over()?));
        drop(hashing);
        // Where the copy failed, writing did not go on.
        let others = others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        written.map(|()| others)
    })
}

/// What the chunks are hashed to, so far.
struct Hashes {
    whole: Sha256,
    copied: Option<Sha256>,
    blocks: Vec<Vec<u8>>,
}

impl Hashes {
    /// Adds a chunk of whole blocks; the last one may end in another.
    fn add(&mut self, begun: &[Sha256], chunk: &[u8]) {
        let Self { whole, copied, blocks } = self;
        rayon::join(
            || match copied {
                Some(copied) => whole.update_both(copied, chunk),
                None => whole.update(chunk),
            },
            || begun.par_iter().zip(blocks).for_each(|(begun, all)| all.extend(of_blocks(begun, chunk))),
        );
    }
}

/// A file whose bytes are hashed on their way.
pub struct Hashing<'a> {
    file: &'a File,
    before: Before<'a>,
    /// How much of it is written, in bytes.
    done: u64,
    chunk: Vec<u8>,
    to_hash: SyncSender<Vec<u8>>,
    /// Chunks that are hashed: their memory is taken again.
    empty: Receiver<Vec<u8>>,
}

impl Hashing<'_> {
    /// Writes the chunk, and leaves it to who hashes.
    fn hand_over(&mut self) -> io::Result<()> {
        if !self.before.holds(&self.chunk, self.done) {
            // Not at the file's position, which copying moves.
            self.file.write_all_at(&self.chunk, self.done)?;
        }
        self.done += self.chunk.len() as u64;
        let mut next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
        next.clear();
        self.to_hash.send(mem::replace(&mut self.chunk, next)).map_err(io::Error::other)
    }
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.hand_over()?;
        }
        Ok(taken)
    }

    /// What is not written yet is written with the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The digests of the blocks of 4096 bytes behind what is begun, one after another, made on all cores.
pub fn of_blocks(begun: &Sha256, bytes: &[u8]) -> Vec<u8> {
    bytes.par_chunks(RUN).map(|run| begun.with_each(run, BLOCK)).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that are in no order: three chunks and a half, and a block that is not whole.
    fn bytes() -> Vec<u8> {
        (0..3 * CHUNK + CHUNK / 2 + 100).map(|at| ((at * at) >> 7).to_le_bytes()[0]).collect()
    }

    #[test]
    fn digests_are_those_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let copy = tempfile::NamedTempFile::new().unwrap();
        // The second and third are written over what is there: other bytes, the same, and some of both.
        let mut other = bytes();
        other.truncate(CHUNK + 5000);
        other[70_000] ^= 1;
        for bytes in [other, bytes(), bytes()] {
            expect_digests(&bytes, &file, &copy);
        }
    }

    fn expect_digests(bytes: &[u8], file: &tempfile::NamedTempFile, copy: &tempfile::NamedTempFile) {
        let salted = Sha256::begin(b"salt");
        let place = Place { file: copy.as_file(), at: 128, before: Some(Sha256::begin(&[0; 128])) };
        let written = hashing(file.as_file(), Some(place), &[Sha256::default(), salted.clone()], |to| {
            // Pieces of any length, across the ends of chunks.
            bytes.chunks(1_234_567).try_for_each(|piece| to.write_all(piece))
        })
        .unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), bytes);
        let copied = [&[0; 128], bytes].concat();
        assert_eq!(std::fs::read(copy.path()).unwrap(), copied);
        let blocks = |begun: &Sha256| bytes.chunks(BLOCK).flat_map(|block| begun.with(block)).collect();
        assert_eq!(written.sha256, Sha256::of(bytes));
        assert_eq!(written.blocks, [blocks(&Sha256::default()), blocks(&salted)] as [Vec<u8>; 2]);
        assert_eq!(written.copied.unwrap().finish(), Sha256::of(&copied));
    }

    #[test]
    fn what_fails_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = hashing(&full, None, &[], |to| to.write_all(&bytes())).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let file = tempfile::tempfile().unwrap();
        let place = Place { file: &full, at: 0, before: None };
        let error = hashing(&file, Some(place), &[], |to| to.write_all(&bytes())).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "it has no length that could be set");
        let error = hashing(&file, None, &[], |to| {
            to.write_all(&bytes())?;
            Err(io::Error::other("changed meanwhile"))
        });
        assert_eq!(error.err().unwrap().to_string(), "changed meanwhile");
    }
}
