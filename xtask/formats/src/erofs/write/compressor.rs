//! Compressors that fill a physical cluster of a given size with as much content as goes into it.

use std::io;

use zstd::bulk;
use zstd::zstd_safe::CParameter;

/// The size of a physical cluster, in bytes: 16 blocks.
pub(super) const CLUSTER: usize = 64 << 10;
/// The base-2 logarithm of Zstandard's window, in bytes: eight clusters, and below the kernel's 1 MiB.
pub(super) const ZSTD_WINDOW: u32 = 19;
/// The longest prefix that is tried first: four times what it may become.
const FIRST_TRY: usize = 4 * CLUSTER;

/// The version of LZ4: that of the crate, which is pinned and brings the C library 1.10.0.
const LZ4: &str = "lzzzz 2.0.0";

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressor {
    /// Files are stored as they are.
    None,
    /// LZ4 at its fastest.
    Lz4,
    /// LZ4 with a thorough search. Reads as fast as LZ4.
    Lz4hc {
        /// From 3 to 12; others stand for the nearest.
        level: i32,
    },
    /// Zstandard: smaller, slower to read, and for Linux 6.10 and newer.
    Zstd {
        /// From 1 to 22.
        level: i32,
    },
}

impl Compressor {
    /// The number of the algorithm in a file's index and in the superblock's list; none where nothing is compressed.
    pub(super) fn algorithm(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Lz4 | Self::Lz4hc { .. } => Some(0),
            Self::Zstd { .. } => Some(3),
        }
    }

    /// Everything that compressed bytes depend on, apart from the content.
    pub(super) fn parameters(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Lz4 => format!("lz4 {CLUSTER} {LZ4}"),
            Self::Lz4hc { level } => format!("lz4hc {level} {CLUSTER} {LZ4}"),
            Self::Zstd { level } => {
                format!("zstd {level} {ZSTD_WINDOW} {CLUSTER} {}", zstd::zstd_safe::version_number())
            }
        }
    }

    /// A state for one thread.
    ///
    /// # Errors
    /// Fails as setting Zstandard's level does.
    pub(super) fn state(self) -> io::Result<State> {
        let Self::Zstd { level } = self else { return Ok(State { compressor: self, zstd: None }) };
        let mut zstd = bulk::Compressor::new(level)?;
        zstd.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
        Ok(State { compressor: self, zstd: Some(zstd) })
    }
}

/// What a thread compresses with.
pub(super) struct State {
    compressor: Compressor,
    zstd: Option<bulk::Compressor<'static>>,
}

impl State {
    /// Fills `cluster` with as much of the content's beginning as goes into it. Returns the bytes taken and written.
    ///
    /// # Errors
    /// Fails as the compressor does.
    pub(super) fn fill(&mut self, content: &[u8], cluster: &mut [u8]) -> io::Result<(usize, usize)> {
        match (self.compressor, &mut self.zstd) {
            (Compressor::Lz4hc { level }, _) => {
                lzzzz::lz4_hc::compress_fill(content, cluster, level).map_err(io::Error::other)
            }
            (Compressor::Zstd { .. }, Some(zstd)) => fill_zstd(zstd, content, cluster),
            _ => lzzzz::lz4::compress_fill(content, cluster).map_err(io::Error::other),
        }
    }

    /// Whether it is worth a thorough search. Asked where the bytes before were not: a fast search there finds as well
    /// that nothing is to be had, in a thirtieth of the time.
    pub(super) fn promises(&self, content: &[u8], cluster: &mut [u8]) -> io::Result<bool> {
        if self.compressor == Compressor::Lz4 {
            return Ok(true);
        }
        let (taken, written) = lzzzz::lz4::compress_fill(content, cluster).map_err(io::Error::other)?;
        // A thorough search finds some hundredths more.
        Ok(written.saturating_mul(100) < taken.saturating_mul(98))
    }
}

/// The longest prefix whose frame fits, found by halving and by what the last try became.
fn fill_zstd(
    zstd: &mut bulk::Compressor<'_>,
    content: &[u8],
    cluster: &mut [u8],
) -> io::Result<(usize, usize)> {
    let mut frame = Vec::with_capacity(cluster.len() + 32);
    // The longest prefix that fits, and the shortest that does not.
    let (mut fits, mut written, mut too_long) = (0, 0, content.len() + 1);
    let mut length = FIRST_TRY;
    loop {
        length = length.max(fits + 1).min(too_long - 1);
        frame.clear();
        // No room for a frame is no failure: that prefix is too long.
        let size = zstd.compress_to_buffer(&content[..length], &mut frame).unwrap_or(usize::MAX);
        if size <= cluster.len() {
            cluster[..size].copy_from_slice(&frame[..size]);
            (fits, written) = (length, size);
            if too_long <= fits + 1 || size + size / 512 + 1 >= cluster.len() {
                break;
            }
            length = length.saturating_mul(cluster.len()) / size.max(1);
        } else {
            too_long = length;
            if too_long <= fits + 1 || (fits > 0 && too_long - fits < fits / 256) {
                break;
            }
            length = fits + (too_long - fits) / 2;
        }
    }
    Ok((fits, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompress::{Algorithm, decompress};

    #[test]
    fn a_cluster_is_filled_and_holds_what_was_taken() {
        let text: Vec<u8> =
            (0..80_000_u32).flat_map(|n| format!("{} ", n.wrapping_mul(n)).into_bytes()).collect();
        for compressor in [Compressor::Lz4, Compressor::Lz4hc { level: 6 }, Compressor::Zstd { level: 3 }] {
            let algorithm = if compressor.algorithm() == Some(0) { Algorithm::Lz4 } else { Algorithm::Zstd };
            for content in [&text[..], &text[..9000], &[7; 500_000], b"x"] {
                let mut cluster = vec![0; CLUSTER];
                let (taken, written) = compressor.state().unwrap().fill(content, &mut cluster).unwrap();
                let back = decompress(algorithm, &cluster[..written], taken).unwrap();
                assert!(back == content[..taken], "{compressor:?}");
                assert!(taken == content.len() || written > CLUSTER * 99 / 100, "{compressor:?} {written}");
            }
        }
    }
}
