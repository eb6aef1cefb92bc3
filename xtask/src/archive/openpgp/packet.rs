//! Packets and the fields in them.
//!
//! Specification: RFC 9580, sections 3 (data elements), 4 (packet syntax).

/// Types of packets.
pub(super) mod tag {
    pub const SIGNATURE: u8 = 2;
    pub const PUBLIC_KEY: u8 = 6;
    pub const MARKER: u8 = 10;
    pub const TRUST: u8 = 12;
    pub const USER_ID: u8 = 13;
    pub const PUBLIC_SUBKEY: u8 = 14;
    pub const USER_ATTRIBUTE: u8 = 17;
    pub const PADDING: u8 = 21;
}

/// The largest number, in bits; GnuPG has the same limit.
const LARGEST_MPI: u16 = 16_384;

/// A packet with a known length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub tag: u8,
    pub body: &'a [u8],
    /// The body behind its header.
    pub whole: &'a [u8],
}

impl Packet<'_> {
    /// Returns the name of its type, for messages.
    pub fn kind(&self) -> String {
        let name = match self.tag {
            1 => "PublicKeyEncryptedSessionKey",
            tag::SIGNATURE => "Signature",
            3 => "SymKeyEncryptedSessionKey",
            4 => "OnePassSignature",
            5 => "SecretKey",
            tag::PUBLIC_KEY => "PublicKey",
            7 => "SecretSubkey",
            8 => "CompressedData",
            9 => "SymEncryptedData",
            tag::MARKER => "Marker",
            11 => "LiteralData",
            tag::TRUST => "Trust",
            tag::USER_ID => "UserId",
            tag::PUBLIC_SUBKEY => "PublicSubkey",
            tag::USER_ATTRIBUTE => "UserAttribute",
            18 => "SymEncryptedProtectedData",
            19 => "ModDetectionCode",
            tag::PADDING => "Padding",
            other => return other.to_string(),
        };
        name.to_owned()
    }
}

/// Returns the packets of a file. Nothing follows an error: where the next packet begins is not known then.
pub(super) fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<Packet<'_>, String>> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let packet = packet(&mut reader);
        if packet.is_err() {
            reader = Reader::new(&[]);
        }
        Some(packet)
    })
}

fn packet<'a>(reader: &mut Reader<'a>) -> Result<Packet<'a>, String> {
    let start = reader.0;
    let header = reader.u8()?;
    let (tag, length) = match header >> 6 {
        0b11 => (header & 0x3f, new_length(reader)?),
        0b10 => {
            let length = match header & 3 {
                0 => reader.u8()?.into(),
                1 => reader.u16()?.into(),
                2 => reader.u32()?,
                _ => return Err("a packet in it has no length".to_owned()),
            };
            ((header >> 2) & 0xf, length)
        }
        _ => return Err(format!("IO error: unknown packet header version {header:b}")),
    };
    let body = reader.take(to_usize(length)?)?;
    let whole = start.get(..start.len() - reader.0.len()).unwrap_or_default();
    Ok(Packet { tag, body, whole })
}

/// Only data may come in parts; keys and signatures are whole.
fn new_length(reader: &mut Reader<'_>) -> Result<u32, String> {
    Ok(match reader.u8()? {
        first @ ..192 => first.into(),
        first @ 192..224 => two_octets(first, reader.u8()?),
        224..255 => return Err("a packet in it comes in parts".to_owned()),
        255 => reader.u32()?,
    })
}

fn two_octets(first: u8, second: u8) -> u32 {
    (u32::from(first - 192) << 8) + u32::from(second) + 192
}

fn to_usize(length: u32) -> Result<usize, String> {
    usize::try_from(length).map_err(|error| error.to_string())
}

/// Reads fields one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many bytes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Returns everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("a packet in it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("a packet in it is cut off")?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, String> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }

    /// Returns as many bytes as a length of four octets before them counts.
    pub fn counted(&mut self) -> Result<&'a [u8], String> {
        let length = to_usize(self.u32()?)?;
        self.take(length)
    }

    /// Returns a subpacket: its type and what is in it.
    pub fn subpacket(&mut self) -> Result<(u8, Reader<'a>), String> {
        let length = match self.u8()? {
            first @ ..192 => first.into(),
            first @ 192..255 => two_octets(first, self.u8()?),
            255 => self.u32()?,
        };
        let mut subpacket = Reader(self.take(to_usize(length)?)?);
        Ok((subpacket.u8()?, subpacket))
    }

    /// Returns a number without leading zeros; an `exact` one has none, and as many bits as it counts.
    pub fn mpi(&mut self, exact: bool) -> Result<&'a [u8], String> {
        let bits = self.u16()?;
        if bits > LARGEST_MPI {
            return Err(format!("a number in it has {bits} bits"));
        }
        let bytes = self.take(usize::from(bits.div_ceil(8)))?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let number = bytes.get(zeros..).unwrap_or_default();
        if exact && bit_length(number) != usize::from(bits) {
            return Err("a number in it has not the length that it says".to_owned());
        }
        Ok(number)
    }
}

/// Returns the bits of a number without leading zeros.
pub(super) fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<(u8, usize), String>> {
        packets(bytes).map(|packet| packet.map(|packet| (packet.tag, packet.body.len()))).collect()
    }

    #[test]
    fn old_and_new_headers_are_read() {
        let long = [&[0xc2, 193, 2][..], &[0; 450]].concat();
        assert_eq!(read(&long), [Ok((2, 450))]);
        let mixed = [0x88, 1, 7, 0xc2, 2, 7, 7, 0x99, 0, 1, 7, 0x9a, 0, 0, 0, 1, 7, 0xc6, 255, 0, 0, 0, 1, 7];
        assert_eq!(read(&mixed), [Ok((2, 1)), Ok((2, 2)), Ok((6, 1)), Ok((6, 1)), Ok((6, 1))]);
    }

    #[test]
    fn lengths_that_are_none_end_the_file() {
        for bytes in [
            &[0xc2, 224, 0, 0xc2, 0][..],
            &[0x8b, 1, 2],
            &[0xc2],
            &[0xc2, 5, 1],
            &[0xc2, 255, 255, 255, 255, 255],
        ] {
            let read = read(bytes);
            assert!(matches!(read[..], [Err(_)]), "{read:?}");
        }
    }

    #[test]
    fn a_number_has_as_many_bits_as_it_counts() {
        let mpi = |bytes: &[u8], exact| Reader::new(bytes).mpi(exact).map(<[u8]>::to_vec);
        assert_eq!(mpi(&[0, 9, 1, 255], true), Ok(vec![1, 255]));
        assert_eq!(mpi(&[0, 16, 0, 255], false), Ok(vec![255]));
        for wrong in [[0, 16, 1, 255], [0, 9, 0, 255], [0, 9, 3, 255], [0x7f, 255, 0, 0]] {
            assert!(mpi(&wrong, true).is_err());
        }
        assert!(mpi(&[0, 17, 1, 1], false).is_err());
    }
}
