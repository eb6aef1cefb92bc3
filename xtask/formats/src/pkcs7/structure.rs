//! The structures of RFC 2315, borrowed from the bytes they were read from.

use der::asn1::{AnyRef, Null, ObjectIdentifier, OctetStringRef};
use der::{
    Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Sequence, SliceReader, Tag,
    Tagged as _, Writer,
};

/// A content with its type; `ContentInfo` of the RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Sequence)]
pub(crate) struct Content<'a> {
    pub(crate) kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) value: Option<AnyRef<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Sequence)]
pub(crate) struct Algorithm<'a> {
    pub(crate) oid: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

impl Algorithm<'_> {
    pub(crate) fn new(oid: ObjectIdentifier) -> Self {
        Self { oid, parameters: Some(AnyRef::from(Null)) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct SignedData<'a> {
    pub(super) version: u8,
    pub(super) digests: SetOf<Algorithm<'a>>,
    pub(super) content: Content<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) certificates: Option<SetOf<AnyRef<'a>>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) revocations: Option<SetOf<AnyRef<'a>>>,
    pub(super) signers: SetOf<SignerInfo<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct SignerInfo<'a> {
    pub(super) version: u8,
    pub(super) certificate: IssuerAndSerial<'a>,
    pub(super) digest: Algorithm<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) attributes: Option<SetOf<Attribute<'a>>>,
    pub(super) algorithm: Algorithm<'a>,
    pub(super) signature: OctetStringRef<'a>,
    /// Those that are not signed, a time stamp among them.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) others: Option<SetOf<AnyRef<'a>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Sequence)]
pub(super) struct IssuerAndSerial<'a> {
    issuer: AnyRef<'a>,
    serial: AnyRef<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct Attribute<'a> {
    pub(super) kind: ObjectIdentifier,
    pub(super) values: SetOf<AnyRef<'a>>,
}

/// A set in the order of its bytes: signed attributes are encoded as they were read, and the time for that is linear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetOf<T>(pub(super) Vec<T>);

impl<T> FixedTag for SetOf<T> {
    const TAG: Tag = Tag::Set;
}

impl<'a, T: Decode<'a>> DecodeValue<'a> for SetOf<T> {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        reader.read_nested(header.length, |reader| {
            let mut elements = Vec::new();
            while !reader.is_finished() {
                elements.push(T::decode(reader)?);
            }
            Ok(Self(elements))
        })
    }
}

impl<T: Encode> EncodeValue for SetOf<T> {
    fn value_len(&self) -> der::Result<Length> {
        self.0.iter().try_fold(Length::ZERO, |length, element| length + element.encoded_len()?)
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.iter().try_for_each(|element| element.encode(writer))
    }
}

impl<'a> IssuerAndSerial<'a> {
    /// What a certificate is named by.
    pub(super) fn of(certificate: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(certificate)?;
        let body: AnyRef<'a> = reader.sequence(|outer| {
            let body = outer.decode()?;
            let (_algorithm, _signature): (AnyRef<'_>, AnyRef<'_>) = (outer.decode()?, outer.decode()?);
            Ok(body)
        })?;
        body.tag().assert_eq(Tag::Sequence)?;
        let mut reader = reader.finish(SliceReader::new(body.value())?)?;
        // The version has a default.
        let version = |byte: u8| byte == 0xa0;
        if reader.peek_byte().is_some_and(version) {
            reader.decode::<AnyRef<'_>>()?;
        }
        let serial: AnyRef<'a> = reader.decode()?;
        serial.tag().assert_eq(Tag::Integer)?;
        reader.decode::<AnyRef<'_>>()?;
        let issuer: AnyRef<'a> = reader.decode()?;
        issuer.tag().assert_eq(Tag::Sequence)?;
        Ok(Self { issuer, serial })
    }
}
