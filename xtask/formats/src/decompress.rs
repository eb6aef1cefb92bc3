//! Compressed blocks of read-only file systems, into buffers of a known size.
//!
//! Nothing is written beyond what the caller has room for, whatever the bytes
//! say.

use std::io::{self, Read};

/// What a block is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// A block of LZ4, without a frame.
    Lz4,
    /// A frame of Zstandard.
    Zstd,
    /// DEFLATE without a header.
    Deflate,
    /// DEFLATE in zlib's frame.
    Zlib,
    /// An xz stream.
    Xz,
}

/// Decompresses at most `most` bytes: all of a block that is not longer, and the
/// beginning of one that is.
pub(crate) fn decompress(algorithm: Algorithm, bytes: &[u8], most: usize) -> io::Result<Vec<u8>> {
    let from = |reader: &mut dyn Read| {
        let mut out = Vec::with_capacity(most);
        reader.take(most as u64).read_to_end(&mut out)?;
        Ok(out)
    };
    match algorithm {
        Algorithm::Lz4 => lz4(bytes, most),
        Algorithm::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(bytes)?;
            // Both file systems have blocks of 1 MiB at most; a frame that asks
            // for a window beyond 8 MiB is nobody's.
            decoder.window_log_max(23)?;
            from(&mut decoder)
        }
        Algorithm::Deflate => from(&mut flate2::bufread::DeflateDecoder::new(bytes)),
        Algorithm::Zlib => from(&mut flate2::bufread::ZlibDecoder::new(bytes)),
        Algorithm::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(64 << 20, 0)?;
            from(&mut liblzma::bufread::XzDecoder::new_stream(bytes, stream))
        }
    }
}

/// `lz4_flex` decodes whole blocks only; the beginning of a longer one is cut
/// from a larger buffer.
fn lz4(bytes: &[u8], most: usize) -> io::Result<Vec<u8>> {
    // A byte of LZ4 stands for 255 at most.
    let longest = bytes.len().saturating_mul(255).max(most);
    let mut room = most;
    loop {
        let mut out = vec![0; room];
        match lz4_flex::block::decompress_into(bytes, &mut out) {
            Ok(length) => {
                out.truncate(length.min(most));
                return Ok(out);
            }
            Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if room < longest => {
                room = room.saturating_mul(2).max(4096).min(longest);
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_longer_block_is_enough() {
        let text = b"immutable ".repeat(5000);
        let lz4 = lz4_flex::block::compress(&text);
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        for (algorithm, bytes) in [(Algorithm::Lz4, &lz4), (Algorithm::Zstd, &zstd)] {
            for most in [0, 1, 10, 4096, text.len(), text.len() + 1] {
                let expected = &text[..most.min(text.len())];
                assert_eq!(decompress(algorithm, bytes, most).unwrap(), expected, "{algorithm:?} {most}");
            }
            assert!(decompress(algorithm, &bytes[..bytes.len() / 2], text.len()).is_err());
        }
    }
}
