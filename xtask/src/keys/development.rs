//! `keys new`: a set of keys to develop with. They are made here, and whoever has the directory has them: for devices in
//! the field, keys belong into a token or a service that signs.

use std::os::unix::fs::DirBuilderExt as _;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use der::asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString};
use der::{Decode as _, Encode as _, EncodePem as _, pem::LineEnding};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use ring::digest::{SHA256, digest};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey as _;
use std::io::Write as _;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_cert::{TbsCertificate, Version};

use crate::certificate::Certificate;
use crate::error::LocatedError;
use crate::sign::{PublicKey, Signer};

/// What stands before each certificate, so that a build knows and says what it signs with.
const MARK: &str = "DEVELOPMENT KEY: whoever has the repository of this file may have the private key";

/// The length of all of them: what every firmware and every TPM takes.
const BITS: usize = 2048;
/// How long certificates are valid.
const VALID: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// Whether the text of a certificate says that it is for development.
pub fn is_marked(text: &[u8]) -> bool {
    text.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

/// Makes a set of keys in a directory that is not there yet: what everybody may see, and `private/`.
///
/// # Errors
/// The directory is there, or cannot be written.
pub fn make(directory: &Utf8Path, now: SystemTime) -> Result<()> {
    if directory.exists() {
        let message = format!("`{directory}` is there already");
        let help = "keys are never written over: name another directory, or move that one away";
        return Err(LocatedError::without_line(message, help).into());
    }
    let private = directory.join("private");
    fs::create_dir_all(directory)?;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&private)
        .with_context(|| format!("cannot make `{private}`"))?;
    // The keys stay out of a repository that the directory lies in.
    fs::write(private.join(".gitignore"), "*\n")?;
    fs::write(directory.join("README.txt"), include_str!("development.txt"))?;

    for name in ["PK", "KEK", "db", "update"] {
        let (signer, key) = generate(&private, name)?;
        let certificate = certificate(name, &signer, key, now)?;
        let pem = certificate.as_x509().to_pem(LineEnding::LF).context("encoding a certificate")?;
        fs::write(directory.join(format!("{name}.pem")), format!("{MARK}\n{pem}"))?;
    }
    let (_, key) = generate(&private, "pcr")?;
    let pem = key.to_pem(LineEnding::LF).context("encoding a public key")?;
    fs::write(directory.join("pcr.pem"), pem)?;

    let signer = |name: &str| Signer::key(private.join(format!("{name}.key")).as_std_path());
    super::auth::make(directory, &signer("PK")?, &signer("KEK")?, now).map(drop)
}

/// Makes a private key, and returns who signs with it and its public key.
fn generate(private: &Utf8Path, name: &str) -> Result<(Signer, SubjectPublicKeyInfoOwned)> {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, BITS).context("making an RSA key")?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).context("encoding a private key")?;
    let path = private.join(format!("{name}.key"));
    let mut file = fs::OpenOptions::new();
    file.write(true).create_new(true).mode(0o600);
    file.open(&path)?.write_all(pem.as_bytes())?;
    let public = rsa::pkcs8::EncodePublicKey::to_public_key_der(&key.to_public_key())?;
    let public = SubjectPublicKeyInfoOwned::from_der(public.as_bytes())?;
    Ok((Signer::key(path.as_std_path())?, public))
}

/// A certificate that its key signed itself.
fn certificate(
    name: &str,
    signer: &Signer,
    key: SubjectPublicKeyInfoOwned,
    now: SystemTime,
) -> Result<Certificate> {
    let subject: x509_cert::name::Name = format!("CN=Development {name}").parse()?;
    let time = |time: SystemTime| -> Result<Time> {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?))
    };
    let algorithm =
        AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(der::asn1::Null.into()) };
    let public_key = PublicKey::new(&key, format!("`{name}`"))?;
    // Positive, and another one for another key.
    let mut serial = digest(&SHA256, &key.to_der()?).as_ref()[..16].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    let tbs_certificate = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial)?,
        signature: algorithm.clone(),
        issuer: subject.clone(),
        validity: Validity { not_before: time(now)?, not_after: time(now + VALID)? },
        subject,
        subject_public_key_info: key,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions(name == "update")?),
    };
    let signature = signer.sign(&tbs_certificate.to_der()?, &public_key)?;
    Ok(Certificate::from_x509(x509_cert::Certificate {
        tbs_certificate,
        signature_algorithm: algorithm,
        signature: BitString::from_bytes(&signature)?,
    }))
}

/// What a certificate may be used for.
fn extensions(signs_code: bool) -> Result<Vec<Extension>> {
    fn one<T: der::Encode + der::oid::AssociatedOid>(value: &T, critical: bool) -> Result<Extension> {
        Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
    }
    let mut all = vec![
        one(&BasicConstraints { ca: false, path_len_constraint: None }, true)?,
        one(&KeyUsage(KeyUsages::DigitalSignature.into()), true)?,
    ];
    if signs_code {
        all.push(one(&ExtendedKeyUsage(vec![CODE_SIGNING]), false)?);
    }
    Ok(all)
}
