//! A manifest with its signature: CMS SignedData around the signed bytes, RFC 5652.
//!
//! As `rauc bundle` makes it, without the time of signing: the same manifest, key and certificates are the same bytes.

use anyhow::{Context as _, Result, bail, ensure};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode as _, Encode as _, Tag, Tagged as _};
use sha2::{Digest as _, Sha256};
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::certificate::{Certificate, Chain, verifies};
use crate::sign::Signer;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Signs a content with SHA-256, and puts it together with the signature and all certificates, in DER.
pub fn sign(content: &[u8], chain: &Chain, signer: &Signer) -> Result<Vec<u8>> {
    let sha256 = AlgorithmIdentifierOwned { oid: SHA256, parameters: None };
    let attributes = SetOfVec::try_from([
        attribute(CONTENT_TYPE, Any::encode_from(&DATA)?)?,
        attribute(MESSAGE_DIGEST, Any::new(Tag::OctetString, &Sha256::digest(content)[..])?)?,
    ])?;
    // What is signed is the set, not the field that holds it.
    let signature = signer.sign(&attributes.to_der()?, chain.public_key())?;
    let certificate = &chain.signer().as_x509().tbs_certificate;
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: certificate.issuer.clone(),
            serial_number: certificate.serial_number.clone(),
        }),
        digest_alg: sha256.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm: AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::null()) },
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let mut certificates = SetOfVec::new();
    for certificate in chain.iter() {
        certificates
            .insert(CertificateChoices::Certificate(certificate.as_x509().clone()))
            .with_context(|| format!("the certificate of `{}` is given twice", certificate.subject()))?;
    }
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from([sha256])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: DATA,
            econtent: Some(Any::new(Tag::OctetString, content)?),
        },
        certificates: Some(CertificateSet(certificates)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from([info])?),
    };
    Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&data)? }.to_der()?)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from([value])? })
}

/// A content whose signature holds, by the key of a certificate that came with it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What was signed.
    pub content: Vec<u8>,
    /// Who signed it; whether that is somebody to be believed is for the keyring.
    pub signer: Certificate,
    /// The other certificates that came with it.
    pub others: Vec<Certificate>,
}

/// Reads what anybody made, and checks the signature.
///
/// # Errors
/// It is no SignedData of one signer over SHA-256, is damaged, or the signature does not hold.
pub fn read(bytes: &[u8]) -> Result<Signed> {
    let info = ContentInfo::from_der(bytes).context("it is no CMS")?;
    ensure!(info.content_type == SIGNED_DATA, "it is no signed data, but of type {}", info.content_type);
    let data: SignedData = info.content.decode_as().context("its signed data is damaged")?;
    let content = data.encap_content_info.econtent.context("what is signed is not in it")?;
    ensure!(content.tag() == Tag::OctetString, "what is signed is no string of bytes");
    let content = content.value().to_vec();

    let mut certificates = Vec::new();
    for choice in data.certificates.iter().flat_map(|certificates| certificates.0.iter()) {
        match choice {
            CertificateChoices::Certificate(certificate) => certificates.push(certificate.clone()),
            CertificateChoices::Other(_) => bail!("it has a certificate that is not X.509"),
        }
    }
    let [signer] = data.signer_infos.0.as_slice() else {
        bail!("it has {} signers, and one is read here", data.signer_infos.0.len());
    };
    let at = certificates.iter().position(|certificate| is_of(certificate, &signer.sid));
    let certificate = certificates.remove(at.context("the signer's certificate is not in it")?);
    let attributes = signer.signed_attrs.as_ref().context("it has no signed attributes")?;
    let only = |oid: ObjectIdentifier| {
        let values =
            attributes.iter().find(|attribute| attribute.oid == oid).map(|found| found.values.as_slice());
        match values {
            Some([value]) => Ok(value),
            _ => Err(anyhow::anyhow!("it has no signed attribute {oid} of one value")),
        }
    };
    let of: ObjectIdentifier = only(CONTENT_TYPE)?.decode_as().context("its type of content is damaged")?;
    ensure!(of == data.encap_content_info.econtent_type, "its type of content is not the signed one");
    ensure!(
        signer.digest_alg.oid == SHA256,
        "its digest is {}, and SHA-256 is read here",
        signer.digest_alg.oid
    );
    ensure!(
        only(MESSAGE_DIGEST)?.value() == &Sha256::digest(&content)[..],
        "its content is not the signed one"
    );
    let (key, signature) =
        (&certificate.tbs_certificate.subject_public_key_info, signer.signature.as_bytes());
    let holds = verifies(key, &signer.signature_algorithm, Some(SHA256), &attributes.to_der()?, signature);
    let signer = Certificate::from_x509(certificate);
    ensure!(holds, "its signature does not hold by the key of `{}`", signer.subject());
    Ok(Signed { content, signer, others: certificates.into_iter().map(Certificate::from_x509).collect() })
}

fn is_of(certificate: &x509_cert::Certificate, id: &SignerIdentifier) -> bool {
    let certificate = &certificate.tbs_certificate;
    match id {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.issuer == certificate.issuer && id.serial_number == certificate.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            matches!(certificate.get::<SubjectKeyIdentifier>(), Ok(Some((_, of))) if of == *id)
        }
    }
}
