//! Signed data of PKCS#7 with one signer, as firmware reads it: RSA, PKCS#1 v1.5 over SHA-256.
//!
//! RFC 2315, section 9. It is not CMS: a content may be any structure, and its digest is over the value without tag and
//! length. A time of signing is deliberately absent, so that the same content, certificate and key are the same bytes.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, Tagged as _};
use sha2::{Digest as _, Sha256};

use self::structure::{Attribute, IssuerAndSerial, SetOf, SignedData, SignerInfo};

pub(crate) use self::structure::{Algorithm, Content};

mod structure;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// The most bytes that are read as signed data: the longest ones hold a handful of certificates and a time stamp.
const MOST_BYTES: usize = 64 * 1024;

/// What is wrong with a certificate or with signed data.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs7Error {
    /// Bytes that should be a certificate are none.
    #[error("invalid X.509 certificate")]
    Certificate(#[source] der::Error),
    /// The structure is damaged, or is another one.
    #[error("invalid PKCS#7 signed data")]
    Encoding(#[source] der::Error),
    /// It is longer than any that was seen.
    #[error("invalid PKCS#7 signed data: it has `{0}` bytes, and 65536 are read")]
    TooLong(usize),
    /// It has no signer, or several.
    #[error("invalid PKCS#7 signed data: it has `{0}` signers, and one is read")]
    Signers(usize),
    /// The signer's certificate is not among the certificates.
    #[error("invalid PKCS#7 signed data: the signer's certificate is missing")]
    NoCertificate,
    /// A digest or a signature is of a kind that is not used with Secure Boot here.
    #[error("unknown algorithm `{0}`: RSA with SHA-256 is read")]
    Algorithm(ObjectIdentifier),
    /// A signed attribute is missing, or has several values.
    #[error("invalid PKCS#7 signed data: missing signed attribute `{0}`")]
    Attribute(ObjectIdentifier),
    /// The signed attributes belong to another content.
    #[error("invalid PKCS#7 signed data: its content is not the signed one")]
    Content,
}

/// Checks that bytes are a certificate, as far as it is used here.
pub(crate) fn check_certificate(certificate: &[u8]) -> Result<(), Pkcs7Error> {
    IssuerAndSerial::of(certificate).map(drop).map_err(Pkcs7Error::Certificate)
}

/// The attributes of a content, in DER: the bytes that are signed.
pub(crate) fn attributes(content: Content<'_>) -> Result<Vec<u8>, Pkcs7Error> {
    let digest = digest_of(content.value);
    let encode = || {
        let attribute = |kind, value| Attribute { kind, values: SetOf(vec![value]) };
        // The shorter one first, as DER wants it.
        SetOf(vec![
            attribute(CONTENT_TYPE, AnyRef::from(&content.kind)),
            attribute(MESSAGE_DIGEST, OctetStringRef::new(&digest)?.into()),
        ])
        .to_der()
    };
    encode().map_err(Pkcs7Error::Encoding)
}

fn digest_of(value: Option<AnyRef<'_>>) -> [u8; 32] {
    Sha256::digest(value.map_or(&[][..], AnyRef::value)).into()
}

/// Puts signed data together: the bare structure, as it is in variables of firmware.
///
/// `attributes` is the set that was signed, in DER; without it, the signature is over the content.
pub(crate) fn signed_data(
    content: Content<'_>,
    attributes: Option<&[u8]>,
    certificate: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>, Pkcs7Error> {
    let named = IssuerAndSerial::of(certificate).map_err(Pkcs7Error::Certificate)?;
    let encode = || {
        let sha256 = Algorithm::new(SHA256);
        let signer = SignerInfo {
            version: 1,
            certificate: named,
            digest: sha256,
            attributes: attributes.map(SetOf::from_der).transpose()?,
            algorithm: Algorithm::new(RSA),
            signature: OctetStringRef::new(signature)?,
            others: None,
        };
        let data = SignedData {
            version: 1,
            digests: SetOf(vec![sha256]),
            content,
            certificates: Some(SetOf(vec![AnyRef::from_der(certificate)?])),
            revocations: None,
            signers: SetOf(vec![signer]),
        };
        data.to_der()
    };
    encode().map_err(Pkcs7Error::Encoding)
}

/// Puts `ContentInfo` around signed data, as it is in files.
pub(crate) fn content_info(signed_data: &[u8]) -> Result<Vec<u8>, Pkcs7Error> {
    let encode = || Content { kind: SIGNED_DATA, value: Some(AnyRef::from_der(signed_data)?) }.to_der();
    encode().map_err(Pkcs7Error::Encoding)
}

/// Signed data whose signature nobody has checked.
pub(crate) struct Signed<'a> {
    pub(crate) content: Content<'a>,
    /// The signer's, in DER.
    pub(crate) certificate: Vec<u8>,
    /// The signed attributes in DER, where it has any: they fit the content, and the signature is over them.
    pub(crate) attributes: Option<Vec<u8>>,
    pub(crate) signature: &'a [u8],
}

impl Signed<'_> {
    /// The bytes that the signature is over, where the content is not detached.
    pub(crate) fn message(&self) -> Vec<u8> {
        let content = || self.content.value.map(|value| value.value().to_vec());
        self.attributes.clone().or_else(content).unwrap_or_default()
    }
}

/// Reads signed data, bare or with `ContentInfo` around it. What follows it is ignored: tables pad their entries.
pub(crate) fn read(bytes: &[u8]) -> Result<Signed<'_>, Pkcs7Error> {
    if bytes.len() > MOST_BYTES {
        return Err(Pkcs7Error::TooLong(bytes.len()));
    }
    let data = decode(bytes).map_err(Pkcs7Error::Encoding)?;
    let [signer] = &data.signers.0[..] else { return Err(Pkcs7Error::Signers(data.signers.0.len())) };
    if signer.digest.oid != SHA256 {
        return Err(Pkcs7Error::Algorithm(signer.digest.oid));
    }
    if ![RSA, SHA256_WITH_RSA].contains(&signer.algorithm.oid) {
        return Err(Pkcs7Error::Algorithm(signer.algorithm.oid));
    }
    let certificates = data.certificates.iter().flat_map(|certificates| &certificates.0);
    let certificates = certificates.filter_map(|certificate| certificate.to_der().ok());
    let is_signers = |certificate: &Vec<u8>| IssuerAndSerial::of(certificate) == Ok(signer.certificate);
    let certificate = { certificates }.find(is_signers).ok_or(Pkcs7Error::NoCertificate)?;
    let attributes = match &signer.attributes {
        Some(attributes) => {
            let value = |kind| {
                let found = attributes.0.iter().find(|attribute| attribute.kind == kind);
                match found.map(|found| &found.values.0[..]) {
                    Some([value]) => Ok(value.value()),
                    _ => Err(Pkcs7Error::Attribute(kind)),
                }
            };
            let fits = value(CONTENT_TYPE)? == data.content.kind.as_bytes()
                && value(MESSAGE_DIGEST)? == digest_of(data.content.value);
            if !fits {
                return Err(Pkcs7Error::Content);
            }
            Some(attributes.to_der().map_err(Pkcs7Error::Encoding)?)
        }
        None => None,
    };
    let signature = signer.signature.as_bytes();
    Ok(Signed { content: data.content, certificate, attributes, signature })
}

fn decode(bytes: &[u8]) -> der::Result<SignedData<'_>> {
    let mut reader = SliceReader::new(bytes)?;
    let outer: AnyRef<'_> = reader.decode()?;
    outer.tag().assert_eq(Tag::Sequence)?;
    if SliceReader::new(outer.value())?.peek_tag()? != Tag::ObjectIdentifier {
        return outer.decode_as();
    }
    let info: Content<'_> = outer.decode_as()?;
    let kind_is_signed = info.kind == SIGNED_DATA;
    let value = info.value.filter(|_| kind_is_signed);
    value.ok_or_else(|| Tag::ObjectIdentifier.value_error())?.decode_as()
}
