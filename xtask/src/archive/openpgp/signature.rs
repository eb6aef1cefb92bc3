//! Signature packets, and what they say besides the signature.
//!
//! Specification: RFC 9580, section 5.2.

use bedplate_formats::digest::hex;

use super::key::PublicKey;
use super::packet::{Reader, packets, tag};

/// Types of signatures.
pub(super) mod kind {
    pub const BINARY: u8 = 0x00;
    pub const TEXT: u8 = 0x01;
    pub const CERTIFICATION: std::ops::RangeInclusive<u8> = 0x10..=0x13;
    pub const SUBKEY_BINDING: u8 = 0x18;
    pub const PRIMARY_KEY_BINDING: u8 = 0x19;
    pub const DIRECT_KEY: u8 = 0x1f;
    pub const KEY_REVOCATION: u8 = 0x20;
    pub const SUBKEY_REVOCATION: u8 = 0x28;
    pub const CERTIFICATION_REVOCATION: u8 = 0x30;
}

/// More signatures than anybody puts under one file. Each may cost a digest of the whole file.
const MOST: usize = 32;

/// The bits of a key's flags that say what it may do.
const MAY_SIGN: u8 = 0x02;
const MAY_ANYTHING: u8 = 0x01 | MAY_SIGN | 0x04 | 0x08 | 0x20;

/// A signature that is not verified. Of an unknown version, everything in it is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Signature {
    pub version: u8,
    pub kind: Option<u8>,
    /// The number of the digest algorithm.
    pub digest: Option<u8>,
    pub algorithm: u8,
    /// What is hashed after the salt and what was signed.
    pub trailer: Vec<u8>,
    /// Hashed before everything else, in version 6.
    pub salt: Vec<u8>,
    /// The first two bytes of the digest.
    pub left: [u8; 2],
    /// The signature itself, as many numbers as its algorithm has.
    pub numbers: Vec<Vec<u8>>,
    /// When it was made, in seconds after 1970.
    pub created: Option<i64>,
    /// After how many seconds it expires.
    pub expires: Option<i64>,
    /// After how many seconds the key expires that it is over.
    pub key_expires: Option<i64>,
    /// What the key may do that it is over.
    flags: Option<u8>,
    /// Versions and fingerprints of keys that made it, as it says.
    fingerprints: Vec<(u8, String)>,
    /// Ids of keys that made it, as it says.
    ids: Vec<String>,
    /// The signature of a subkey over its primary key.
    pub embedded: Option<Box<Signature>>,
    /// A signed part that must be understood, and is not.
    pub not_understood: Option<u8>,
    /// It names a key of a version that cannot have made it.
    pub is_contradictory: bool,
}

/// Returns the signatures in these packets, at least one.
pub(super) fn all(bytes: &[u8]) -> Result<Vec<Signature>, String> {
    let mut signatures = Vec::new();
    for packet in packets(bytes) {
        let packet = packet?;
        if packet.tag != tag::SIGNATURE {
            return Err(format!("there is a packet of the kind {} in it", packet.kind()));
        }
        if signatures.len() == MOST {
            return Err(format!("there are more than {MOST} signatures in it"));
        }
        signatures.push(Signature::parse(packet.body)?);
    }
    if signatures.is_empty() {
        return Err("there is none in it".to_owned());
    }
    Ok(signatures)
}

impl Signature {
    /// Reads the body of a packet.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        Self::read(body, false)
    }

    fn read(body: &[u8], is_embedded: bool) -> Result<Self, String> {
        let mut reader = Reader::new(body);
        let mut signature = Self { version: reader.u8()?, ..Self::default() };
        match signature.version {
            2 | 3 => signature.read_version_3(&mut reader)?,
            4 | 6 => signature.read_version_4(body, &mut reader, is_embedded)?,
            // Keys have such ones, which then count for nothing.
            _ => return Ok(signature),
        }
        // An embedded signature has one form alone, so that nothing can be hidden in its length.
        let mut mpi = || reader.mpi(is_embedded).map(<[u8]>::to_vec);
        signature.numbers = match signature.algorithm {
            1 | 3 => vec![mpi()?],
            17 | 19 | 22 => vec![mpi()?, mpi()?],
            27 => vec![reader.array::<64>()?.to_vec()],
            _ => vec![reader.rest().to_vec()],
        };
        if !reader.is_empty() {
            return Err("a signature in it is longer than its numbers".to_owned());
        }
        Ok(signature)
    }

    fn read_version_3(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        if reader.u8()? != 5 {
            return Err("a signature in it is malformed".to_owned());
        }
        let trailer: [u8; 5] = reader.array()?;
        let [kind, created @ ..] = trailer;
        self.kind = Some(kind);
        self.created = Some(u32::from_be_bytes(created).into());
        self.trailer = trailer.to_vec();
        self.ids.push(hex(&reader.array::<8>()?).to_ascii_uppercase());
        self.algorithm = reader.u8()?;
        self.digest = Some(reader.u8()?);
        self.left = reader.array()?;
        Ok(())
    }

    fn read_version_4(
        &mut self,
        body: &[u8],
        reader: &mut Reader<'_>,
        is_embedded: bool,
    ) -> Result<(), String> {
        let kind = reader.u8()?;
        if is_embedded && kind != kind::PRIMARY_KEY_BINDING {
            return Err("a signature in it has one of another kind in it".to_owned());
        }
        self.kind = Some(kind);
        self.algorithm = reader.u8()?;
        self.digest = Some(reader.u8()?);
        let version = self.version;
        let area = |reader: &mut Reader<'_>| match version {
            6 => reader.counted().map(<[u8]>::to_vec),
            _ => {
                let length = reader.u16()?;
                reader.take(length.into()).map(<[u8]>::to_vec)
            }
        };
        let hashed = area(reader)?;
        let signed = body.get(..body.len() - reader.left()).unwrap_or_default();
        let length = u32::try_from(signed.len()).map_err(|error| error.to_string())?;
        self.trailer = [signed, &[version, 0xff], &length.to_be_bytes()].concat();
        self.read_subpackets(&hashed, true, is_embedded)?;
        let unhashed = area(reader)?;
        self.read_subpackets(&unhashed, false, is_embedded)?;
        self.left = reader.array()?;
        if version == 6 {
            let length = reader.u8()?;
            self.salt = reader.take(length.into())?.to_vec();
        }
        Ok(())
    }

    /// Of several subpackets of one type, the first one counts, and a hashed one before any other. What is not hashed
    /// says who signed, and holds a signature of its own: neither can be believed without being verified.
    fn read_subpackets(&mut self, area: &[u8], is_hashed: bool, is_embedded: bool) -> Result<(), String> {
        let mut reader = Reader::new(area);
        while !reader.is_empty() {
            let (kind, mut subpacket) = reader.subpacket()?;
            let (kind, is_critical) = (kind & 0x7f, kind & 0x80 != 0);
            match kind {
                2 | 3 | 9 => {
                    let seconds = subpacket.u32()?.into();
                    let field = match kind {
                        2 => &mut self.created,
                        3 => &mut self.expires,
                        _ => &mut self.key_expires,
                    };
                    if is_hashed {
                        field.get_or_insert(seconds);
                    }
                }
                16 => self.ids.push(hex(&subpacket.array::<8>()?).to_ascii_uppercase()),
                27 => {
                    let flags = subpacket.rest().first().copied().unwrap_or_default();
                    if is_hashed {
                        self.flags.get_or_insert(flags);
                    }
                }
                32 if is_embedded => return Err("a signature in it is in another one".to_owned()),
                32 => {
                    let embedded = Self::read(subpacket.rest(), true)?;
                    self.embedded.get_or_insert(Box::new(embedded));
                }
                33 => {
                    let version = subpacket.u8()?;
                    let fingerprint = match version {
                        4 => subpacket.take(20)?,
                        5 | 6 => subpacket.take(32)?,
                        _ => subpacket.rest(),
                    };
                    self.is_contradictory |= is_hashed && version != self.version;
                    self.fingerprints.push((version, hex(fingerprint).to_ascii_uppercase()));
                }
                // They decide nothing here.
                4..=7 | 11 | 12 | 20..=26 | 28..=31 | 34 | 35 | 39 => {
                    subpacket.rest();
                }
                unknown => {
                    subpacket.rest();
                    if is_hashed && is_critical {
                        self.not_understood.get_or_insert(unknown);
                    }
                }
            }
            if !subpacket.is_empty() {
                return Err("a part of a signature in it is longer than what it holds".to_owned());
            }
        }
        Ok(())
    }

    /// Whether it says that this key made it: by its fingerprint, or by its id where it has no fingerprint.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        self.names_fingerprint(key) || (self.fingerprints.is_empty() && self.names_id(key))
    }

    /// Whether it does not say that only other keys made it.
    pub fn may_be_by(&self, key: &PublicKey) -> bool {
        (self.fingerprints.is_empty() && self.ids.is_empty())
            || self.names_fingerprint(key)
            || self.names_id(key)
    }

    fn names_fingerprint(&self, key: &PublicKey) -> bool {
        self.fingerprints.iter().any(|(version, print)| *version == key.version && *print == key.fingerprint)
    }

    fn names_id(&self, key: &PublicKey) -> bool {
        self.ids.iter().any(|id| id == key.id())
    }

    /// Returns who made it, for messages.
    pub fn issuer(&self) -> String {
        let fingerprint = self.fingerprints.first().map(|(_, fingerprint)| fingerprint);
        fingerprint.or(self.ids.first()).cloned().unwrap_or_else(|| "an unnamed key".to_owned())
    }

    /// Whether the key that it is over may sign, as it says.
    pub fn lets_sign(&self) -> bool {
        self.flags.is_some_and(|flags| flags & MAY_SIGN != 0)
    }

    /// Whether it says anything of what the key may do that it is over.
    pub fn has_flags(&self) -> bool {
        self.flags.is_some_and(|flags| flags & MAY_ANYTHING != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a signature of version 4 with these subpackets.
    fn signature(hashed: &[u8], unhashed: &[u8]) -> Vec<u8> {
        let area = |area: &[u8]| [&u16::try_from(area.len()).unwrap().to_be_bytes(), area].concat();
        [&[4, 0, 1, 8][..], &area(hashed), &area(unhashed), &[7, 7, 0, 1, 1]].concat()
    }

    fn parse(hashed: &[u8], unhashed: &[u8]) -> Result<Signature, String> {
        Signature::parse(&signature(hashed, unhashed))
    }

    #[test]
    fn the_first_signed_subpacket_of_a_type_counts() {
        let dates = [5, 2, 0, 0, 0, 1, 5, 2, 0, 0, 0, 2];
        assert_eq!(parse(&dates, &[]).unwrap().created, Some(1));
        let unsigned = [&dates[..], &[5, 9, 0, 0, 0, 1, 2, 27, 2]].concat();
        let signature = parse(&[], &unsigned).unwrap();
        assert_eq!((signature.created, signature.key_expires, signature.lets_sign()), (None, None, false));
    }

    #[test]
    fn what_must_be_understood_is_found_where_it_is_signed() {
        assert_eq!(parse(&[2, 0x80 | 99, 7], &[]).unwrap().not_understood, Some(99));
        assert_eq!(parse(&[2, 0x80 | 100, 7], &[]).unwrap().not_understood, Some(100));
        assert_eq!(parse(&[2, 99, 7], &[2, 0x80 | 99, 7]).unwrap().not_understood, None);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for hashed in [
            &[0][..],
            &[2, 2],
            &[255, 255, 255, 255, 255, 2],
            &[192],
            &[4, 2, 0, 0, 0],
            &[6, 2, 0, 0, 0, 0, 0],
            &[8, 16, 1, 1, 1, 1, 1, 1, 1],
            &[3, 33, 4, 1],
            &[2, 32, 4],
        ] {
            assert!(parse(hashed, &[]).is_err(), "{hashed:?}");
            assert!(parse(&[], hashed).is_err(), "{hashed:?}");
        }
        let whole = signature(&[], &[]);
        for length in 0..whole.len() {
            assert!(Signature::parse(&whole[..length]).is_err(), "{length}");
        }
        assert!(Signature::parse(&[&whole[..], &[0]].concat()).is_err());
    }

    #[test]
    fn an_embedded_signature_is_of_a_subkey_and_holds_none() {
        let subpacket = |body: &[u8]| [&[u8::try_from(body.len()).unwrap() + 1, 32], body].concat();
        let mut back = signature(&[], &[]);
        assert!(parse(&subpacket(&back), &[]).is_err());
        back[1] = kind::PRIMARY_KEY_BINDING;
        assert!(parse(&subpacket(&back), &[]).unwrap().embedded.is_some());
        let mut nested = signature(&subpacket(&back), &[]);
        nested[1] = kind::PRIMARY_KEY_BINDING;
        assert!(parse(&subpacket(&nested), &[]).is_err());
    }

    #[test]
    fn no_file_has_many_signatures() {
        let packet = [&[0xc2, 13][..], &signature(&[], &[])].concat();
        assert_eq!(all(&packet.repeat(MOST)).unwrap().len(), MOST);
        assert!(all(&packet.repeat(MOST + 1)).is_err());
        assert!(all(&[]).is_err());
    }
}
