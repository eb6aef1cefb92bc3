//! What is signed of an executable: its digest, in `SpcIndirectDataContent`.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode as _, Encode as _, Sequence};

use super::AuthenticodeError;
use crate::pkcs7::{self, Algorithm, Content, Pkcs7Error};

const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
const PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");

/// `SpcPeImageData` as every signer has it: no flags, and `<<<Obsolete>>>` in place of a file's name.
const PE_IMAGE: &[u8] =
    b"\x30\x25\x03\x01\x00\xa0\x20\xa2\x1e\x80\x1c\0<\0<\0<\0O\0b\0s\0o\0l\0e\0t\0e\0>\0>\0>";

#[derive(Sequence)]
struct IndirectData<'a> {
    data: Data<'a>,
    digest: Digest<'a>,
}

#[derive(Sequence)]
struct Data<'a> {
    kind: ObjectIdentifier,
    value: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct Digest<'a> {
    algorithm: Algorithm<'a>,
    digest: OctetStringRef<'a>,
}

/// The content of a signature over an executable with this SHA-256, in DER.
pub(super) fn write(digest: &[u8; 32]) -> Result<Vec<u8>, AuthenticodeError> {
    let encode = || {
        let data = Data { kind: PE_IMAGE_DATA, value: Some(AnyRef::from_der(PE_IMAGE)?) };
        let digest =
            Digest { algorithm: Algorithm::new(pkcs7::SHA256), digest: OctetStringRef::new(digest)? };
        IndirectData { data, digest }.to_der()
    };
    encode().map_err(AuthenticodeError::Digest)
}

/// The content of signed data.
pub(super) fn of(indirect_data: &[u8]) -> Result<Content<'_>, AuthenticodeError> {
    let value = AnyRef::from_der(indirect_data).map_err(AuthenticodeError::Digest)?;
    Ok(Content { kind: INDIRECT_DATA, value: Some(value) })
}

/// The SHA-256 in a content.
pub(super) fn read(content: Content<'_>) -> Result<[u8; 32], AuthenticodeError> {
    let value = content.value.filter(|_| content.kind == INDIRECT_DATA);
    let value = value.ok_or(AuthenticodeError::Content(content.kind))?;
    let data: IndirectData<'_> = value.decode_as().map_err(AuthenticodeError::Digest)?;
    if data.data.kind != PE_IMAGE_DATA {
        return Err(AuthenticodeError::Content(data.data.kind));
    }
    let Digest { algorithm, digest } = data.digest;
    let digest = digest.as_bytes().try_into().ok().filter(|_| algorithm.oid == pkcs7::SHA256);
    digest.ok_or_else(|| Pkcs7Error::Algorithm(algorithm.oid).into())
}
