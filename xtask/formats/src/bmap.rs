//! Block maps: which blocks of a disk image have to be written, with their checksums.
//!
//! `bmaptool` of Yocto and Tizen defines the format in its own files:
//! <https://github.com/yoctoproject/bmaptool>. Versions 1.3 and 2.0 are read, 2.0 with SHA-256 is written. What is not
//! mapped may be anything on the device: a block that has to read as zeros is mapped.
//!
//! An XML that `bmaptool` reads may have more forms than are read here: entities, attributes in other elements,
//! namespaces. None of the writers makes them.

use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::digest::{hex, unhex};

/// The size of a block, in bytes, of maps that are written.
pub const BLOCK: u64 = 4096;

/// A map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bmap {
    /// The image's size, in bytes.
    pub size: u64,
    /// The size of a block, in bytes.
    pub block_size: u64,
    /// First and last block of each range, in order, and the SHA-256 of its bytes.
    pub blocks: Vec<(u64, u64, Option<[u8; 32]>)>,
}

/// Why a map cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BmapError {
    /// It lacks an element.
    #[error("missing element `{0}`")]
    Missing(&'static str),
    /// An element holds what it cannot.
    #[error("invalid {what} `{}`", .value.escape_debug())]
    Invalid {
        /// Which one.
        what: &'static str,
        /// What it holds.
        value: String,
    },
    /// It has the checksum of other bytes.
    #[error("its own checksum is wrong: it is damaged")]
    Checksum,
}

/// What stands in a map for its own checksum when that is computed.
const UNKNOWN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Bmap {
    /// The ranges in bytes, the last of which ends with the image.
    pub fn ranges(&self) -> impl Iterator<Item = (Range<u64>, Option<[u8; 32]>)> {
        self.blocks.iter().map(|(first, last, checksum)| {
            let end = last.saturating_add(1).saturating_mul(self.block_size).min(self.size);
            (first.saturating_mul(self.block_size)..end, *checksum)
        })
    }

    /// Reads a map.
    ///
    /// # Errors
    /// With the first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BmapError> {
        let version = element(text, "bmap version=\"", '"').ok_or(BmapError::Missing("bmap"))?;
        if !matches!(version.split_once('.'), Some(("1", "3" | "4") | ("2", _))) {
            return Err(invalid("version", version));
        }
        let own = element(text, "<BmapFileChecksum>", '<').map(str::trim);
        let kind = element(text, "<ChecksumType>", '<').map_or("sha1", str::trim);
        if let (Some(own), "sha256") = (own, kind)
            && hex(&Sha256::digest(text.replace(own, UNKNOWN))) != own
        {
            return Err(BmapError::Checksum);
        }
        let size = number(text, "ImageSize", "<ImageSize>")?;
        let block_size = number(text, "BlockSize", "<BlockSize>")?;
        if block_size == 0 {
            return Err(invalid("BlockSize", "0"));
        }
        let mut blocks: Vec<(u64, u64, Option<[u8; 32]>)> = Vec::new();
        for range in text.split("<Range").skip(1) {
            let (attributes, rest) = range.split_once('>').ok_or(BmapError::Missing("Range"))?;
            let said = rest.split('<').next().unwrap_or_default().trim();
            let (first, last) = said.split_once('-').unwrap_or((said, said));
            let parsed = first.trim().parse::<u64>().ok().zip(last.trim().parse::<u64>().ok());
            let fits = |(first, last): &(u64, u64)| {
                let after = blocks.last().is_none_or(|(_, before, _)| before < first);
                first <= last && after && last.checked_mul(block_size).is_some_and(|start| start < size)
            };
            let (first, last) = parsed.filter(fits).ok_or_else(|| invalid("range of blocks", said))?;
            // Version 1.3 calls it `sha1`, which is not worth the code that computes it.
            let checksum = match (kind, element(attributes, "chksum=\"", '"')) {
                ("sha256", Some(text)) => {
                    Some(unhex(text).ok_or_else(|| invalid("checksum of a range", text))?)
                }
                _ => None,
            };
            blocks.push((first, last, checksum));
        }
        Ok(Self { size, block_size, blocks })
    }

    /// The map as a file.
    #[must_use]
    pub fn render(&self) -> String {
        let Self { size, block_size, blocks } = self;
        let mapped: u64 = blocks.iter().map(|(first, last, _)| last - first + 1).sum();
        let mut text = format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n    <ImageSize> {size} </ImageSize>\n    \
             <BlockSize> {block_size} </BlockSize>\n    <BlocksCount> {} </BlocksCount>\n    \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    <ChecksumType> sha256 </ChecksumType>\n    \
             <BmapFileChecksum> {UNKNOWN} </BmapFileChecksum>\n    <BlockMap>\n",
            size.div_ceil(*block_size)
        );
        for (first, last, checksum) in blocks {
            let checksum =
                checksum.map(|checksum| format!(" chksum=\"{}\"", hex(&checksum))).unwrap_or_default();
            let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
            let _ = writeln!(text, "        <Range{checksum}> {range} </Range>");
        }
        text.push_str("    </BlockMap>\n</bmap>\n");
        let own = hex(&Sha256::digest(&text));
        text.replacen(UNKNOWN, &own, 1)
    }
}

fn invalid(what: &'static str, value: &str) -> BmapError {
    BmapError::Invalid { what, value: value.to_owned() }
}

/// What stands between a tag and a character.
fn element<'a>(text: &'a str, tag: &str, end: char) -> Option<&'a str> {
    text.split_once(tag)?.1.split_once(end).map(|(inside, _)| inside)
}

fn number(text: &str, name: &'static str, tag: &str) -> Result<u64, BmapError> {
    let said = element(text, tag, '<').ok_or(BmapError::Missing(name))?.trim();
    said.parse().map_err(|_| invalid(name, said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn map() -> Bmap {
        let blocks = vec![(0, 1, Some([1; 32])), (4, 4, Some([0xab; 32]))];
        Bmap { size: 5 * BLOCK - 512, block_size: BLOCK, blocks }
    }

    #[test]
    fn a_map_reads_as_it_was_written() {
        let text = map().render();
        expect![[r#"
            <?xml version="1.0" ?>
            <bmap version="2.0">
                <ImageSize> 19968 </ImageSize>
                <BlockSize> 4096 </BlockSize>
                <BlocksCount> 5 </BlocksCount>
                <MappedBlocksCount> 3 </MappedBlocksCount>
                <ChecksumType> sha256 </ChecksumType>
                <BmapFileChecksum> 444ccc0055acc9c80d2cf9dd3a82e5e5f7e03b9cdfe68e1717ca7cfce3672711 </BmapFileChecksum>
                <BlockMap>
                    <Range chksum="0101010101010101010101010101010101010101010101010101010101010101"> 0-1 </Range>
                    <Range chksum="abababababababababababababababababababababababababababababababab"> 4 </Range>
                </BlockMap>
            </bmap>
        "#]]
        .assert_eq(&text);
        assert_eq!(Bmap::parse(&text).unwrap(), map());
        let ranges: Vec<_> = map().ranges().map(|(range, _)| range).collect();
        assert_eq!(ranges, [0..8192, 16384..19968]);
    }

    #[test]
    fn a_damaged_map_is_refused() {
        let text = map().render();
        let refused =
            |from: &str, to: &str| Bmap::parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(refused("> 0-1 <", "> 0-2 <"), "its own checksum is wrong: it is damaged");
        assert_eq!(refused("bmap version=\"2.0\"", "bmap version=\"3.0\""), "invalid version `3.0`");
        let old = text.replace("sha256", "sha1");
        let refused = |from: &str, to: &str| Bmap::parse(&old.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(refused("> 4 <", "> 1 <"), "invalid range of blocks `1`");
        assert_eq!(refused("> 4 <", "> 5 <"), "invalid range of blocks `5`");
        assert_eq!(refused("> 4 <", "> 4-3 <"), "invalid range of blocks `4-3`");
        assert_eq!(refused("<ImageSize>", "<Image>"), "missing element `ImageSize`");
        assert_eq!(refused("4096", "0"), "invalid BlockSize `0`");
    }
}
