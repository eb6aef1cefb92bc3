//! The compressions of a member, told apart by the end of its name.

use std::io::{self, BufReader, Read};

use super::DebError;
use super::ar::Member;

/// How much decompressed data is asked for at once, in bytes: tar headers are
/// small, and a call into a decompressor is not.
const BUFFER: usize = 128 << 10;

/// The most memory a member may demand of its decompressor, in bytes. `xz -9`
/// takes 65 MiB, and the largest window zstd is used with 128 MiB.
const MEMORY: u64 = 256 << 20;

/// Decompresses a member to its end. Data after it is left, and found by the
/// caller, unless it is one more stream of the same format.
pub(super) fn decoder<'a>(content: impl Read + 'a, member: &Member) -> Result<Box<dyn Read + 'a>, DebError> {
    let content = BufReader::with_capacity(BUFFER, content);
    let ending = member.name.split_once(".tar").map_or("", |(_, ending)| ending);
    let decoder: Box<dyn Read + 'a> = match ending {
        "" => Box::new(content),
        ".gz" => Box::new(flate2::bufread::MultiGzDecoder::new(content)),
        ".xz" => {
            let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED)
                .map_err(|e| member.damaged()(io::Error::other(e)))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(content, stream))
        }
        ".zst" => Box::new(zstd::Decoder::with_buffer(content).map_err(member.damaged())?),
        _ => {
            return Err(DebError::Compression { offset: member.offset, name: member.name.clone() });
        }
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)))
}
