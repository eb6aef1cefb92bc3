//! Whether a key made a signature.
//!
//! Specification: RFC 9580, sections 5.2.4 (computing signatures), 9 (constants). `ring` does the arithmetic. It
//! hashes by itself where OpenPGP's signature is over a digest, so that it is given what the digest is of.

use std::borrow::Cow;

use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::key::{Material, PublicKey};
use super::signature::{Signature, kind};

/// What a signature is over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signed<'a> {
    Document(&'a [u8]),
    Key(&'a PublicKey),
    UserId { key: &'a PublicKey, id: &'a [u8] },
    Subkey { primary: &'a PublicKey, subkey: &'a PublicKey },
}

/// Why a signature does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The key did not make it, or it is over something else.
    Wrong,
    /// It may be good or not. A revocation is believed then, and nothing else is.
    Unsupported(String),
}

/// Returns the name of a digest algorithm.
pub(super) fn digest_name(number: u8) -> String {
    let name = match number {
        0 => "NONE",
        1 => "MD5",
        2 => "SHA1",
        3 => "RIPEMD160",
        8 => "SHA256",
        9 => "SHA384",
        10 => "SHA512",
        11 => "SHA224",
        12 => "SHA3-256",
        14 => "SHA3-512",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    fn of(signature: &Signature) -> Result<Self, Flaw> {
        match signature.digest {
            Some(2) => Ok(Self::Sha1),
            Some(8) => Ok(Self::Sha256),
            Some(9) => Ok(Self::Sha384),
            Some(10) => Ok(Self::Sha512),
            Some(other) => Err(Flaw::Unsupported(digest_name(other))),
            None => Err(Flaw::Wrong),
        }
    }

    /// Bytes of salt in a signature of version 6.
    fn salt(self) -> Option<usize> {
        match self {
            Self::Sha1 => None,
            Self::Sha256 => Some(16),
            Self::Sha384 => Some(24),
            Self::Sha512 => Some(32),
        }
    }

    fn hash(self, parts: &[&[u8]]) -> Result<Vec<u8>, Flaw> {
        let algorithm = match self {
            Self::Sha1 => return sha1(parts),
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha384 => &ring::digest::SHA384,
            Self::Sha512 => &ring::digest::SHA512,
        };
        let mut context = ring::digest::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        Ok(context.finish().as_ref().to_vec())
    }
}

/// Two texts with one digest show in either of them.
fn sha1(parts: &[&[u8]]) -> Result<Vec<u8>, Flaw> {
    use sha1_checked::Digest as _;

    let mut hasher = sha1_checked::Sha1::new();
    parts.iter().for_each(|part| hasher.update(part));
    let result = hasher.try_finalize();
    if result.has_collision() { Err(Flaw::Wrong) } else { Ok(result.hash().to_vec()) }
}

/// Whether `key` made this signature over `signed`.
pub(super) fn check(signature: &Signature, key: &PublicKey, signed: Signed<'_>) -> Result<(), Flaw> {
    let of_kind = signature.kind.ok_or(Flaw::Wrong)?;
    let fits = match signed {
        Signed::Document(_) => matches!(of_kind, kind::BINARY | kind::TEXT),
        Signed::Key(_) => matches!(of_kind, kind::DIRECT_KEY | kind::KEY_REVOCATION),
        Signed::UserId { .. } => {
            kind::CERTIFICATION.contains(&of_kind) || of_kind == kind::CERTIFICATION_REVOCATION
        }
        Signed::Subkey { .. } => {
            matches!(of_kind, kind::SUBKEY_BINDING | kind::SUBKEY_REVOCATION | kind::PRIMARY_KEY_BINDING)
        }
    };
    // Keys of version 6 make signatures of version 6, and nobody else does.
    let is_aligned = (signature.version == 6) == (key.version == 6) && !signature.is_contradictory;
    let is_named = matches!(signed, Signed::Subkey { .. }) || signature.may_be_by(key);
    if !fits || !is_aligned || !is_named {
        return Err(Flaw::Wrong);
    }
    if let Some(number) = signature.not_understood {
        return Err(Flaw::Unsupported(format!("a critical part of the unknown kind {number}")));
    }
    let digest = Digest::of(signature)?;
    if signature.version == 6 && digest.salt() != Some(signature.salt.len()) {
        return Err(Flaw::Wrong);
    }

    let canonical;
    let prefix;
    let mut parts: Vec<&[u8]> = vec![&signature.salt];
    match signed {
        Signed::Document(bytes) if of_kind == kind::TEXT => {
            canonical = with_crlf(bytes);
            parts.push(&canonical);
        }
        Signed::Document(bytes) => parts.push(bytes),
        Signed::Key(key) => parts.push(&key.hashed),
        Signed::UserId { key, id } => {
            parts.push(&key.hashed);
            let length = u32::try_from(id.len()).map_err(|_| Flaw::Wrong)?.to_be_bytes();
            prefix = [&[0xb4][..], &length].concat();
            // Version 3 has the bare name.
            if signature.version >= 4 {
                parts.push(&prefix);
            }
            parts.push(id);
        }
        Signed::Subkey { primary, subkey } => parts.extend([&primary.hashed[..], &subkey.hashed]),
    }
    parts.push(&signature.trailer);

    let hash = digest.hash(&parts)?;
    if !hash.starts_with(&signature.left) {
        return Err(Flaw::Wrong);
    }
    holds(signature, key, digest, &hash, &parts)
}

fn holds(
    signature: &Signature,
    key: &PublicKey,
    digest: Digest,
    hash: &[u8],
    parts: &[&[u8]],
) -> Result<(), Flaw> {
    let over =
        |name: &str| Flaw::Unsupported(format!("{name} over {}", digest_name(signature.digest.unwrap_or(0))));
    let result = match (&key.material, signature.algorithm, signature.numbers.as_slice()) {
        (Material::Unsupported(name), ..) => return Err(Flaw::Unsupported(name.clone())),
        (Material::Rsa { modulus, exponent }, 1 | 3, [number]) => {
            let parameters: &RsaParameters = match digest {
                Digest::Sha1 => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
                Digest::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                Digest::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                Digest::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            };
            let components = RsaPublicKeyComponents { n: modulus, e: exponent };
            components.verify(parameters, &parts.concat(), &padded(number, modulus.len())?)
        }
        // A digest shorter than the curve's order is no message for it.
        (Material::EdDsaLegacy(_) | Material::Ed25519(_), 22 | 27, _) if digest == Digest::Sha1 => {
            return Err(over("Ed25519"));
        }
        (Material::EdDsaLegacy(point), 22, [r, s]) => {
            verify(&ED25519, point, hash, &[padded(r, 32)?, padded(s, 32)?].concat())
        }
        (Material::Ed25519(point), 27, [number]) => verify(&ED25519, point, hash, number),
        (Material::EcdsaP256(point), 19, [r, s]) => {
            if digest != Digest::Sha256 {
                return Err(over("ECDSA with P-256"));
            }
            let numbers = [padded(r, 32)?, padded(s, 32)?].concat();
            verify(&ECDSA_P256_SHA256_FIXED, point, &parts.concat(), &numbers)
        }
        (Material::EcdsaP384(point), 19, [r, s]) => {
            if digest != Digest::Sha384 {
                return Err(over("ECDSA with P-384"));
            }
            let numbers = [padded(r, 48)?, padded(s, 48)?].concat();
            verify(&ECDSA_P384_SHA384_FIXED, point, &parts.concat(), &numbers)
        }
        _ => return Err(Flaw::Wrong),
    };
    result.map_err(|_| Flaw::Wrong)
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), ring::error::Unspecified> {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature)
}

/// Returns a number with its leading zeros, as many bytes as are asked for.
fn padded(number: &[u8], length: usize) -> Result<Vec<u8>, Flaw> {
    let zeros = length.checked_sub(number.len()).ok_or(Flaw::Wrong)?;
    Ok([&vec![0; zeros], number].concat())
}

/// Returns a text with `\r\n` at the ends of lines.
fn with_crlf(text: &[u8]) -> Cow<'_, [u8]> {
    let is_bare = |at: usize| at.checked_sub(1).and_then(|before| text.get(before)) != Some(&b'\r');
    if !memchr::memchr_iter(b'\n', text).any(is_bare) {
        return Cow::Borrowed(text);
    }
    let mut canonical = Vec::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(content) => {
                canonical.extend(content.strip_suffix(b"\r").unwrap_or(content));
                canonical.extend(b"\r\n");
            }
            None => canonical.extend(line),
        }
    }
    Cow::Owned(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_text_has_one_form() {
        for text in ["a\nb\r\n\n\rc\r", "a\r\nb\n\r\n\rc\r", "a\r\nb\r\n\r\n\rc\r"] {
            assert_eq!(&*with_crlf(text.as_bytes()), b"a\r\nb\r\n\r\n\rc\r", "{text:?}");
        }
        assert_eq!(&*with_crlf(b"\n"), b"\r\n");
        assert!(matches!(with_crlf(b"a\r\nb"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_number_has_the_length_of_its_field() {
        assert_eq!(padded(&[7], 2), Ok(vec![0, 7]));
        assert_eq!(padded(&[7; 3], 2), Err(Flaw::Wrong));
    }
}
