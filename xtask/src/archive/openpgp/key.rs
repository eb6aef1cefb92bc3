//! Public keys: packets, and what belongs to one.
//!
//! Specification: RFC 9580, sections 5.5 (key material), 5.5.4 (fingerprints), 10.1 (transferable public keys).

use bedplate_formats::digest::hex;
use ring::digest;

use super::packet::{Packet, Reader, bit_length, packets, tag};
use super::signature::{Signature, kind};

/// The longest user id, in bytes: GnuPG's limit.
const LONGEST_USER_ID: usize = 2048;

/// Lengths of RSA keys that are verified: shorter ones are weak, and `ring` has no longer ones.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Object identifiers of curves.
const ED25519: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// A key of version 4 or 6.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    pub version: u8,
    /// When it was made, in seconds after 1970.
    pub created: i64,
    pub material: Material,
    /// Upper-case hexadecimal digits: 40 of version 4, 64 of version 6.
    pub fingerprint: String,
    /// What is hashed of it: its packet with a header that is always the same.
    pub hashed: Vec<u8>,
}

/// The numbers of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Curve Ed25519 with signatures as numbers.
    EdDsaLegacy([u8; 32]),
    Ed25519([u8; 32]),
    EcdsaP256(Vec<u8>),
    EcdsaP384(Vec<u8>),
    /// One whose signatures are not verified, with its name.
    Unsupported(String),
}

impl PublicKey {
    fn parse(body: &[u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(body);
        let version = reader.u8()?;
        if !matches!(version, 4 | 6) {
            return Err(Failure::Version(version));
        }
        let created = reader.u32()?.into();
        let algorithm = reader.u8()?;
        if version == 6 && reader.u32()? as usize != reader.left() {
            return Err("a key in it has not the length that it says".to_owned().into());
        }
        let material = material(version, algorithm, &mut reader)?;
        let length = u32::try_from(body.len()).map_err(|error| error.to_string())?;
        let header = match version {
            6 => [&[0x9b][..], &length.to_be_bytes()].concat(),
            _ => {
                let length = u16::try_from(length).map_err(|_| "a key in it is too long".to_owned())?;
                [&[0x99][..], &length.to_be_bytes()].concat()
            }
        };
        let hashed = [&header, body].concat();
        let fingerprint = digest::digest(
            if version == 6 { &digest::SHA256 } else { &digest::SHA1_FOR_LEGACY_USE_ONLY },
            &hashed,
        );
        let fingerprint = hex(fingerprint.as_ref()).to_ascii_uppercase();
        Ok(Self { version, created, material, fingerprint, hashed })
    }

    /// Returns the part of the fingerprint that signatures may name the key by.
    pub fn id(&self) -> &str {
        let digits = if self.version == 6 { self.fingerprint.get(..16) } else { self.fingerprint.get(24..) };
        digits.unwrap_or_default()
    }
}

fn material(version: u8, algorithm: u8, reader: &mut Reader<'_>) -> Result<Material, String> {
    let material = match algorithm {
        1 | 3 => {
            let (modulus, exponent) = (reader.mpi(true)?.to_vec(), reader.mpi(true)?.to_vec());
            Material::Rsa { modulus, exponent }
        }
        19 | 22 => {
            let length = reader.u8()?;
            let curve = reader.take(length.into())?;
            let point = reader.mpi(true)?;
            match (algorithm, curve) {
                // A native point has this byte before it.
                (22, ED25519) if version == 4 => match point.split_first() {
                    Some((0x40, point)) => Material::EdDsaLegacy(
                        point.try_into().map_err(|_| "a point in it is none of Ed25519".to_owned())?,
                    ),
                    _ => return Err("a point in it is none of Ed25519".to_owned()),
                },
                (19, P256) => Material::EcdsaP256(point.to_vec()),
                (19, P384) => Material::EcdsaP384(point.to_vec()),
                (19, _) => Material::Unsupported("ECDSA over another curve than P-256 and P-384".to_owned()),
                _ => Material::Unsupported("EdDSA over another curve than Ed25519".to_owned()),
            }
        }
        27 => Material::Ed25519(reader.array()?),
        other => {
            reader.rest();
            Material::Unsupported(algorithm_name(other))
        }
    };
    if !reader.is_empty() {
        return Err("a key in it is longer than its numbers".to_owned());
    }
    Ok(match material {
        Material::Rsa { modulus, .. } if !RSA_BITS.contains(&bit_length(&modulus)) => {
            Material::Unsupported(format!("an RSA key of {} bits", bit_length(&modulus)))
        }
        material => material,
    })
}

fn algorithm_name(number: u8) -> String {
    let name = match number {
        2 => "RSA for encryption",
        16 | 20 => "Elgamal",
        17 => "DSA",
        18 => "ECDH",
        25 => "X25519",
        26 => "X448",
        28 => "Ed448",
        other => return format!("the algorithm {other}"),
    };
    name.to_owned()
}

/// A primary key with everything that its owner publishes with it.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub primary: PublicKey,
    /// Revocations of the primary key.
    pub revocations: Vec<Signature>,
    /// Other signatures over the primary key alone.
    pub direct: Vec<Signature>,
    pub users: Vec<User>,
    pub subkeys: Vec<Subkey>,
    /// The packets, as they came.
    pub bytes: Vec<u8>,
}

/// Whose a key is.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub id: Vec<u8>,
    pub signatures: Vec<Signature>,
}

#[derive(Debug, Clone)]
pub(super) struct Subkey {
    pub key: PublicKey,
    pub signatures: Vec<Signature>,
}

/// Why a key is passed over.
#[derive(Debug)]
enum Failure {
    Version(u8),
    Malformed(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

/// What the signatures that follow are over.
#[derive(Clone, Copy)]
enum Over {
    Primary,
    User,
    Subkey,
    /// Nothing that is read: a picture, or a key of an unknown version.
    Other,
    /// Nothing of the key: what follows it is of something else.
    Ended,
}

/// Returns the keys in these packets. One that is malformed is an error, and the next one is read.
pub(super) fn certificates(bytes: &[u8]) -> Vec<Result<Certificate, String>> {
    let mut found: Vec<Result<Certificate, String>> = Vec::new();
    let mut over = Over::Ended;
    for packet in packets(bytes) {
        let begins = packet.as_ref().is_ok_and(|packet| packet.tag == tag::PUBLIC_KEY);
        let result = match (packet, found.last_mut()) {
            (Ok(packet), _) if begins => {
                over = Over::Primary;
                found.push(begin(&packet));
                continue;
            }
            // What is malformed ends with the next primary key.
            (_, Some(Err(_))) => continue,
            (Ok(packet), Some(Ok(certificate))) => certificate.add(&packet, &mut over),
            // There is no key yet that this could belong to.
            (Ok(_), None) => continue,
            (Err(reason), _) => Err(reason),
        };
        if let Err(reason) = result {
            found.pop();
            found.push(Err(reason));
        }
    }
    found
}

fn begin(packet: &Packet<'_>) -> Result<Certificate, String> {
    let primary = PublicKey::parse(packet.body).map_err(|failure| match failure {
        Failure::Version(version) => format!("a key in it is of the unknown version {version}"),
        Failure::Malformed(reason) => reason,
    })?;
    Ok(Certificate {
        primary,
        revocations: Vec::new(),
        direct: Vec::new(),
        users: Vec::new(),
        subkeys: Vec::new(),
        bytes: packet.whole.to_vec(),
    })
}

impl Certificate {
    fn add(&mut self, packet: &Packet<'_>, over: &mut Over) -> Result<(), String> {
        if matches!(over, Over::Ended) {
            return Ok(());
        }
        match packet.tag {
            tag::SIGNATURE => self.sign(packet.body, *over)?,
            tag::USER_ID => {
                if packet.body.len() > LONGEST_USER_ID {
                    return Err("a user id in it is too long".to_owned());
                }
                self.users.push(User { id: packet.body.to_vec(), signatures: Vec::new() });
                *over = Over::User;
            }
            tag::USER_ATTRIBUTE => *over = Over::Other,
            tag::PUBLIC_SUBKEY => match PublicKey::parse(packet.body) {
                Ok(key) if key.version == self.primary.version => {
                    self.subkeys.push(Subkey { key, signatures: Vec::new() });
                    *over = Over::Subkey;
                }
                Ok(_) => return Err("a subkey in it is of another version than its key".to_owned()),
                // Nothing is signed with it that could be verified.
                Err(Failure::Version(_)) => *over = Over::Other,
                Err(Failure::Malformed(reason)) => return Err(reason),
            },
            // Trust packets are notes of one machine's keyring, and Ubuntu's package has them between key and name.
            tag::TRUST | tag::MARKER | tag::PADDING => return Ok(()),
            // What may be unknown, and what data and secret keys come in, belongs to no public key.
            40.. | 1 | 3..=5 | 7..=9 | 11 | 18..=20 => {
                *over = Over::Ended;
                return Ok(());
            }
            unknown => return Err(format!("there is a packet of the unknown kind {unknown} in it")),
        }
        self.bytes.extend(packet.whole);
        Ok(())
    }

    fn sign(&mut self, body: &[u8], over: Over) -> Result<(), String> {
        let signatures = match over {
            Over::Primary => None,
            Over::User => self.users.last_mut().map(|user| &mut user.signatures),
            Over::Subkey => self.subkeys.last_mut().map(|subkey| &mut subkey.signatures),
            Over::Other | Over::Ended => return Ok(()),
        };
        let signature = Signature::parse(body)?;
        match signatures {
            Some(signatures) => signatures.push(signature),
            None if signature.kind == Some(kind::KEY_REVOCATION) => self.revocations.push(signature),
            None => self.direct.push(signature),
        }
        Ok(())
    }
}
