//! Digests of what is written to a file, made of the bytes while they are at hand: nothing is read again for them.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use rayon::prelude::*;

use super::Sha256;

/// The blocks that have digests of their own, in bytes.
const BLOCK: usize = 4096;
/// How much one core hashes at a time, in bytes.
const RUN: usize = 64 * BLOCK;
/// How much is handed over at a time, in bytes: some milliseconds of one core's hashing.
const CHUNK: usize = 4 << 20;
/// How many chunks wait to be hashed.
const WAITING: usize = 2;

/// The digests of what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Of all of it.
    pub sha256: [u8; 32],
    /// For each hash that was begun, those of the blocks of 4096 bytes, one after another. The last block may be shorter.
    pub blocks: Vec<Vec<u8>>,
}

/// Hashes what `write` writes to a file: as a whole, and block by block behind what each of `begun` begins with. One
/// core writes, the others hash.
///
/// # Errors
/// What `write` fails with; writing the file fails.
pub fn hashing<E: From<io::Error>>(
    file: &File,
    begun: &[Sha256],
    write: impl FnOnce(&mut Hashing<'_>) -> Result<(), E>,
) -> Result<Written, E> {
    thread::scope(|scope| {
        let (to_hash, chunks) = mpsc::sync_channel(WAITING);
        let (back, empty) = mpsc::channel();
        let digests = scope.spawn(move || hash(chunks, begun, |chunk| drop(back.send(chunk))));
        let mut hashing = Hashing { file, chunk: Vec::with_capacity(CHUNK), to_hash, empty };
        write(&mut hashing)?;
        hashing.hand_over()?;
        drop(hashing);
        Ok(digests.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// A file whose bytes are hashed on their way.
pub struct Hashing<'a> {
    file: &'a File,
    chunk: Vec<u8>,
    to_hash: SyncSender<Vec<u8>>,
    /// Chunks that are hashed: their memory is taken again.
    empty: Receiver<Vec<u8>>,
}

impl Hashing<'_> {
    /// Writes the chunk, and leaves it to who hashes.
    fn hand_over(&mut self) -> io::Result<()> {
        self.file.write_all(&self.chunk)?;
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

/// Hashes chunks of whole blocks, but for the last, in their order.
fn hash(chunks: Receiver<Vec<u8>>, begun: &[Sha256], hashed: impl Fn(Vec<u8>)) -> Written {
    let (mut whole, mut blocks) = (Sha256::default(), vec![Vec::new(); begun.len()]);
    for chunk in chunks {
        rayon::join(
            || whole.update(&chunk),
            || {
                begun
                    .par_iter()
                    .zip(&mut blocks)
                    .for_each(|(begun, all)| all.extend(of_blocks(begun, &chunk)))
            },
        );
        hashed(chunk);
    }
    Written { sha256: whole.finish(), blocks }
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
        let (bytes, file) = (bytes(), tempfile::NamedTempFile::new().unwrap());
        let salted = Sha256::begin(b"salt");
        let written = hashing(file.as_file(), &[Sha256::default(), salted.clone()], |to| {
            // Pieces of any length, across the ends of chunks.
            bytes.chunks(1_234_567).try_for_each(|piece| to.write_all(piece))
        })
        .unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), bytes);
        let blocks = |begun: &Sha256| bytes.chunks(BLOCK).flat_map(|block| begun.with(block)).collect();
        let expected =
            Written { sha256: Sha256::of(&bytes), blocks: vec![blocks(&Sha256::default()), blocks(&salted)] };
        assert_eq!(written, expected);
    }

    #[test]
    fn what_fails_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = hashing(&full, &[], |to| to.write_all(&bytes())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let file = tempfile::tempfile().unwrap();
        let error = hashing(&file, &[], |to| {
            to.write_all(&bytes())?;
            Err(io::Error::other("changed meanwhile"))
        });
        assert_eq!(error.unwrap_err().to_string(), "changed meanwhile");
    }
}
