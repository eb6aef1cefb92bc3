//! X.509 certificates: who signs, and whether the devices will believe it.
//!
//! RFC 5280, as far as OpenSSL asks for it on a device: times, who issued whom, basic constraints, key usage, and code
//! signing as extended key usage (RAUC's `check-purpose=codesign`). Everything is checked before anything is signed,
//! because a device tells of a refused update nobody but its log. Revocation lists and name constraints are
//! deliberately absent.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::Time;

use crate::error::LocatedError;
use crate::paths;
use crate::sign::PublicKey;

#[cfg(test)]
mod tests;

/// The longest way from a signer to a root. Authorities that issued one another must not be walked for ever.
const MOST_DEPTH: usize = 10;

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// Reads the certificates of a PEM file, one at least, in their order.
    ///
    /// # Errors
    /// The file cannot be read, holds no certificate, or one that is damaged.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        let name = paths::path(path);
        let text = std::fs::read(path).with_context(|| format!("cannot read the certificate `{name}`"))?;
        Self::parse(&text, &name.to_string())
    }

    /// The same of a text, which `name` names in messages.
    ///
    /// # Errors
    /// It holds no certificate, or one that is damaged.
    pub fn parse(text: &[u8], name: &str) -> Result<Vec<Self>> {
        let help = "a certificate is a PEM block that begins with `-----BEGIN CERTIFICATE-----`";
        let refuse =
            |why: String| LocatedError::without_line(format!("invalid certificate in `{name}`: {why}"), help);
        let mut found = Vec::new();
        for block in CertificateDer::pem_slice_iter(text) {
            let bytes = block.map_err(|error| refuse(format!("the PEM block is damaged: {error:?}")))?;
            found.push(Self::from_der(&bytes).map_err(|error| refuse(error.to_string()))?);
        }
        if found.is_empty() {
            return Err(refuse("there is none".to_owned()).into());
        }
        Ok(found)
    }

    /// A certificate in DER.
    ///
    /// # Errors
    /// It is damaged, or not encoded as DER.
    pub fn from_der(bytes: &[u8]) -> Result<Self> {
        let certificate = x509_cert::Certificate::from_der(bytes)?;
        // What is signed is encoded anew where it is checked.
        anyhow::ensure!(certificate.to_der()? == bytes, "it is not encoded as DER");
        Ok(Self(certificate))
    }

    /// Takes a certificate from where it was read already.
    pub fn from_x509(certificate: x509_cert::Certificate) -> Self {
        Self(certificate)
    }

    /// The certificate, to be put elsewhere.
    pub fn as_x509(&self) -> &x509_cert::Certificate {
        &self.0
    }

    /// Its bytes, as DER.
    pub fn der(&self) -> Vec<u8> {
        // What was read was DER.
        self.0.to_der().unwrap_or_default()
    }

    /// Whom it names, as `CN=…,O=…`.
    pub fn subject(&self) -> String {
        self.0.tbs_certificate.subject.to_string()
    }

    /// Who issued it.
    pub fn issuer(&self) -> String {
        self.0.tbs_certificate.issuer.to_string()
    }

    /// From when to when it is valid, as `2026-01-31T00:00:00Z`.
    pub fn validity(&self) -> [String; 2] {
        let validity = &self.0.tbs_certificate.validity;
        [validity.not_before, validity.not_after].map(|time| time.to_date_time().to_string())
    }

    /// The public key.
    pub fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.0.tbs_certificate.subject_public_key_info
    }

    fn is_self_issued(&self) -> bool {
        self.0.tbs_certificate.issuer == self.0.tbs_certificate.subject
    }

    /// Whether another certificate has issued it: by name and by signature.
    fn is_issued_by(&self, issuer: &Self) -> bool {
        let Ok(signed) = self.0.tbs_certificate.to_der() else { return false };
        let signature = self.0.signature.raw_bytes();
        self.0.tbs_certificate.issuer == issuer.0.tbs_certificate.subject
            && verifies(issuer.public_key(), &self.0.signature_algorithm, None, &signed, signature)
    }

    fn refuse(&self, why: impl std::fmt::Display, help: &str) -> LocatedError {
        LocatedError::without_line(format!("invalid certificate of `{}`: {why}", self.subject()), help)
    }

    /// Whether it is valid at a moment.
    ///
    /// # Errors
    /// Not yet, or no more.
    pub fn check_time(&self, now: SystemTime) -> Result<(), LocatedError> {
        let [from, until] = self.validity();
        let time = |time: Time| time.to_system_time();
        let validity = &self.0.tbs_certificate.validity;
        if now < time(validity.not_before) {
            let help = "wait, or check the clock of this machine; devices refuse what is not valid yet";
            return Err(self.refuse(format!("it is not valid before {from}"), help));
        }
        if now > time(validity.not_after) {
            let help = "sign with a certificate that is valid, and take one that is expired out of the keyring: \
                        devices refuse it";
            return Err(self.refuse(format!("it expired at {until}"), help));
        }
        Ok(())
    }

    /// An extension, where it has it.
    fn extension<T>(&self) -> Result<Option<T>, LocatedError>
    where
        T: for<'a> der::Decode<'a> + der::oid::AssociatedOid,
    {
        let found = self.0.tbs_certificate.get::<T>();
        let found = found
            .map_err(|error| self.refuse(format!("an extension is damaged: {error}"), "issue it anew"))?;
        Ok(found.map(|(_critical, value)| value))
    }

    /// Whether it may sign code, and so updates. `strictly`: it says so itself.
    fn check_purpose(&self, strictly: bool) -> Result<(), LocatedError> {
        let help = "issue it with `extendedKeyUsage = codeSigning` and `keyUsage = digitalSignature`: devices check it \
                    as RAUC's `check-purpose=codesign`";
        match self.extension::<ExtendedKeyUsage>()? {
            None if strictly => Err(self.refuse("it has no extended key usage", help)),
            Some(usage) if !usage.0.contains(&CODE_SIGNING) => {
                let any = if usage.0.contains(&ANY_PURPOSE) { ", only any" } else { "" };
                Err(self.refuse(format!("its extended key usage has no code signing{any}"), help))
            }
            _ => Ok(()),
        }
    }

    fn check_signer(&self, now: SystemTime) -> Result<(), LocatedError> {
        self.check_time(now)?;
        self.check_purpose(true)?;
        let usage = self.extension::<KeyUsage>()?;
        if usage.is_some_and(|usage| !usage.digital_signature()) {
            return Err(
                self.refuse("its key usage has no digital signature", "issue it with `digitalSignature`")
            );
        }
        Ok(())
    }

    /// Whether it may have issued one below which there are so many more before the signer's.
    fn check_authority(&self, below: usize, now: SystemTime) -> Result<(), LocatedError> {
        self.check_time(now)?;
        self.check_purpose(false)?;
        let help = "issue it with `basicConstraints = critical,CA:TRUE` and `keyUsage = keyCertSign`";
        let constraints = self.extension::<BasicConstraints>()?.filter(|constraints| constraints.ca);
        let Some(constraints) = constraints else {
            return Err(self.refuse("it issued another and is no certificate authority's", help));
        };
        if constraints.path_len_constraint.is_some_and(|most| usize::from(most) < below) {
            return Err(self.refuse("there are more certificates below it than its path length allows", help));
        }
        let usage = self.extension::<KeyUsage>()?;
        if usage.is_some_and(|usage| !usage.key_cert_sign()) {
            return Err(self.refuse("its key usage has no signing of certificates", help));
        }
        Ok(())
    }
}

/// A signer's certificate with those that lead to one the devices accept.
#[derive(Debug, Clone)]
pub struct Chain {
    signer: Certificate,
    intermediates: Vec<Certificate>,
    public_key: PublicKey,
}

impl Chain {
    /// Checks certificates, the signer's first, against the keyring of the devices at a moment, which is the present
    /// outside of tests. As on a device, the chain ends in a certificate of the keyring that issued itself.
    ///
    /// # Errors
    /// One is not valid at the moment, nor may do what it is for; the keyring does not accept the signer; a certificate
    /// in the keyring is expired; the signer's key is not RSA of 2048 bits or more.
    pub fn new(certificates: Vec<Certificate>, keyring: &[Certificate], now: SystemTime) -> Result<Self> {
        let mut certificates = certificates.into_iter();
        let signer = certificates.next().context("there is no certificate to sign with")?;
        let intermediates: Vec<Certificate> = certificates.collect();
        let public_key =
            PublicKey::new(signer.public_key(), format!("the certificate of `{}`", signer.subject()))?;
        signer.check_signer(now)?;
        for accepted in keyring {
            accepted.check_time(now)?;
        }
        lead(&signer, &intermediates, keyring, 0, now)?;
        Ok(Self { signer, intermediates, public_key })
    }

    /// The signer's certificate.
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// The signer's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// All certificates, the signer's first.
    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.signer).chain(&self.intermediates)
    }
}

/// Finds a way from a certificate up to one of the keyring; `depth` counts the certificates below it.
fn lead(
    from: &Certificate,
    intermediates: &[Certificate],
    keyring: &[Certificate],
    depth: usize,
    now: SystemTime,
) -> Result<(), LocatedError> {
    if from.is_self_issued() && keyring.contains(from) {
        return Ok(());
    }
    let missing = || {
        let accepted: Vec<String> = keyring.iter().map(|known| format!("`{}`", known.subject())).collect();
        let why = format!(
            "no certificate of `{}` is in the keyring of the devices or among the intermediates; the keyring has {}",
            from.issuer(),
            if accepted.is_empty() { "none".to_owned() } else { accepted.join(", ") }
        );
        let help = "sign with a certificate of an authority that the devices accept, and put those in between behind \
                    it in its file";
        from.refuse(why, help)
    };
    let mut first = None;
    for issuer in
        keyring.iter().chain(intermediates).filter(|issuer| *issuer != from && from.is_issued_by(issuer))
    {
        let led = if depth < MOST_DEPTH { issuer.check_authority(depth, now) } else { Err(missing()) };
        match led.and_then(|()| lead(issuer, intermediates, keyring, depth + 1, now)) {
            Ok(()) => return Ok(()),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(missing))
}

/// Whether a key accepts a signature. `digest`: the algorithm of the digest, where the signature's does not name it.
pub fn verifies(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &AlgorithmIdentifierOwned,
    digest: Option<ObjectIdentifier>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let curve = key.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    let Some(algorithm) = algorithm_of(algorithm.oid, digest, curve) else { return false };
    let key = key.subject_public_key.raw_bytes();
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

fn algorithm_of(
    algorithm: ObjectIdentifier,
    digest: Option<ObjectIdentifier>,
    curve: Option<ObjectIdentifier>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let bits = match digest.map(|digest| digest.to_string()).as_deref() {
        None => None,
        Some("2.16.840.1.101.3.4.2.1") => Some(256),
        Some("2.16.840.1.101.3.4.2.2") => Some(384),
        Some("2.16.840.1.101.3.4.2.3") => Some(512),
        Some(_) => return None,
    };
    let curve = curve.map(|curve| curve.to_string());
    let (name, bits) = match (algorithm.to_string().as_str(), bits) {
        ("1.2.840.113549.1.1.1", Some(bits)) => ("rsa", bits),
        ("1.2.840.113549.1.1.11", _) => ("rsa", 256),
        ("1.2.840.113549.1.1.12", _) => ("rsa", 384),
        ("1.2.840.113549.1.1.13", _) => ("rsa", 512),
        ("1.2.840.10045.4.3.2", _) => ("ec", 256),
        ("1.2.840.10045.4.3.3", _) => ("ec", 384),
        ("1.3.101.112", _) => ("ed25519", 0),
        _ => return None,
    };
    Some(match (name, bits, curve.as_deref()) {
        ("rsa", 256, _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        ("rsa", 384, _) => &signature::RSA_PKCS1_2048_8192_SHA384,
        ("rsa", 512, _) => &signature::RSA_PKCS1_2048_8192_SHA512,
        ("ec", 256, Some("1.2.840.10045.3.1.7")) => &signature::ECDSA_P256_SHA256_ASN1,
        ("ec", 384, Some("1.2.840.10045.3.1.7")) => &signature::ECDSA_P256_SHA384_ASN1,
        ("ec", 256, Some("1.3.132.0.34")) => &signature::ECDSA_P384_SHA256_ASN1,
        ("ec", 384, Some("1.3.132.0.34")) => &signature::ECDSA_P384_SHA384_ASN1,
        ("ed25519", ..) => &signature::ED25519,
        _ => return None,
    })
}
