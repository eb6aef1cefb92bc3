//! The variables that a virtual machine of EC2 has from its first start on, for `--uefi-data` of `register-image`.
//!
//! <https://github.com/awslabs/python-uefivars> is the reference. With them, Secure Boot is enforced at once; without
//! them, a machine enrolls its keys itself and starts again.

use base64ct::{Base64, Encoding as _};
use crc::{CRC_32_ISCSI, Crc};

use crate::efi_variable::{ATTRIBUTES, Variable};
use crate::signature_list::SignatureList;

const MAGIC: &[u8; 8] = b"AMZNUEFI";
/// Of the one version that there is.
const VERSION: u32 = 0;
/// The header of a zlib stream (RFC 1950) with a preset dictionary, and the Adler-32 of the version's dictionary. Nothing
/// of it is referred to here: the content is stored.
const ZLIB: [u8; 6] = [0x78, 0x3f, 0x6b, 0xb7, 0xd9, 0xf7];
/// `EFI_TIME` of no time at all.
const TIME: [u8; 16] = [0; 16];
/// The digest of who signed a variable that has an owner of its own; these have none.
const SIGNER: [u8; 32] = [0; 32];
/// The most bytes of a stored block of deflate (RFC 1951).
const MOST_STORED: usize = 0xffff;

/// The text for `PK`, `KEK`, `db` and `dbx` with these lists; a variable without lists is left out.
///
/// The time of each variable is zero: a signed change of any time is taken.
pub fn uefi_data(lists: &[Vec<SignatureList>; 4]) -> String {
    let variables = Variable::ALL.into_iter().zip(lists).filter(|(_, lists)| !lists.is_empty());
    let variables: Vec<_> = variables.collect();
    let mut content = (variables.len() as u64).to_le_bytes().to_vec();
    for (variable, lists) in variables {
        content.extend(counted(variable.name().as_bytes()));
        content.extend(counted(&SignatureList::write_all(lists)));
        content.extend(variable.vendor().to_bytes_le());
        content.extend(ATTRIBUTES.to_le_bytes());
        content.extend(TIME);
        content.extend(counted(&SIGNER));
    }
    let mut checked = VERSION.to_le_bytes().to_vec();
    checked.extend(ZLIB);
    checked.extend(stored(&content));
    let mut bytes = MAGIC.to_vec();
    bytes.extend(Crc::<u32>::new(&CRC_32_ISCSI).checksum(&checked).to_le_bytes());
    bytes.extend(checked);
    Base64::encode_string(&bytes)
}

/// Bytes with their length before them.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat()
}

/// The content as blocks of deflate that are not compressed, and its check sum: the same bytes with every library.
fn stored(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut blocks = content.chunks(MOST_STORED).peekable();
    while let Some(block) = blocks.next() {
        // No block is longer.
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        bytes.push(u8::from(blocks.peek().is_none()));
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(block);
    }
    bytes.extend(adler32(content).to_be_bytes());
    bytes
}

/// The check sum of RFC 1950.
fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65521;
        (low, (high + low) % 65521)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use expect_test::expect;
    use sha2::{Digest as _, Sha256};
    use uuid::{Uuid, uuid};

    use super::*;
    use crate::digest::hex;
    use crate::pkcs7::tests::{OTHER, SIGNER};

    const OWNER: Uuid = uuid!("11111111-2222-3333-4444-123456789abc");

    fn lists() -> [Vec<SignatureList>; 4] {
        let [one, other] = [SIGNER, OTHER].map(|it| SignatureList::certificate(OWNER, it));
        [vec![other.clone()], vec![other.clone()], vec![one, other], Vec::new()]
    }

    /// `uefivars -i aws -o json` of python-uefivars 1.2 lists `PK`, `KEK` and `db` with these lists for the text that
    /// this is the digest of.
    #[test]
    fn a_text_is_read_by_python_uefivars() {
        expect!["f0f80f9e47a12b0db61917c46c2960d65817dbf66abb569756876ee8dfbb9f5c"]
            .assert_eq(&hex(&Sha256::digest(uefi_data(&lists()))));
    }

    #[test]
    fn a_text_is_framed_counted_and_stored() {
        let bytes = Base64::decode_vec(&uefi_data(&lists())).unwrap();
        assert_eq!(bytes[..8], *MAGIC);
        // Another implementation: bit by bit, with the polynomial reversed.
        let crc = bytes[12..].iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0x82f6_3b78 * (crc & 1)))
        });
        assert_eq!(bytes[8..12], (!crc).to_le_bytes());
        assert_eq!(bytes[12..16], [0; 4]);
        assert_eq!(bytes[16..22], ZLIB);
        // Without its dictionary, which nothing refers to, it is a stream as everybody reads it.
        let stream = [&b"\x78\x01"[..], &bytes[22..]].concat();
        let mut content = Vec::new();
        flate2::read::ZlibDecoder::new(&stream[..]).read_to_end(&mut content).unwrap();
        assert_eq!(content[..8], 3u64.to_le_bytes());
        assert_eq!(content[8..18], *b"\x02\0\0\0\0\0\0\0PK");
    }

    #[test]
    fn long_lists_take_several_blocks() {
        let mut content = Vec::new();
        let bytes = vec![7; 2 * MOST_STORED + 1];
        let stored = stored(&bytes);
        std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(&stored[..]), &mut content)
            .unwrap();
        assert_eq!(content, bytes);
    }
}
