//! What a kernel module says of itself: its `.modinfo` section, modinfo(8).

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader as _};

/// The values of one key, in the module's order: `firmware` are the files that
/// it asks for, below `/usr/lib/firmware` and possibly with `*` and `?` in them.
/// Bytes that are no uncompressed module say nothing.
pub fn values(module: &[u8], key: &str) -> Vec<String> {
    let section = section::<FileHeader64<Endianness>>(module)
        .or_else(|_| section::<FileHeader32<Endianness>>(module))
        .unwrap_or_default();
    let texts = section.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    texts.filter_map(|text| Some(text.strip_prefix(key)?.strip_prefix('=')?.to_owned())).collect()
}

fn section<H: FileHeader<Endian = Endianness>>(module: &[u8]) -> object::read::Result<&[u8]> {
    let header = H::parse(module)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, module)?;
    match sections.section_by_name(endian, b".modinfo") {
        Some((_, section)) => section.data(endian, module),
        None => Ok(&[]),
    }
}

/// Whether a name fits a pattern with `*` and `?`, neither of which stands for a slash.
pub fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => {
            let most = name.iter().take_while(|byte| **byte != b'/').count();
            (0..=most).any(|taken| fits(rest, &name[taken..]))
        }
        Some((b'?', rest)) => name.first().is_some_and(|byte| *byte != b'/') && fits(rest, &name[1..]),
        Some((byte, rest)) => name.first() == Some(byte) && fits(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_says_nothing() {
        assert!(values(b"text", "firmware").is_empty());
        assert!(values(b"\x7fELF\x02\x01\x01", "firmware").is_empty());
    }

    #[test]
    fn a_star_stands_for_a_part_of_a_name() {
        assert!(fits(b"bnx2x/bnx2x-e1-*.fw", b"bnx2x/bnx2x-e1-7.13.21.0.fw"));
        assert!(fits(b"a/b.bin", b"a/b.bin") && fits(b"?b", b"ab") && fits(b"*", b""));
        assert!(!fits(b"a/*", b"a/b/c") && !fits(b"a?b", b"a/b") && !fits(b"a", b"ab"));
    }
}
