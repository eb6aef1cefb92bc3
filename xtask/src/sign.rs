//! Who signs: a private key in a file, or a command that has one.
//!
//! One kind of signature: RSA, PKCS#1 v1.5 over SHA-256, which firmware, TPMs and CMS all read and which is the same
//! for the same bytes. No signature leaves here that the public key does not accept, so a key that does not fit its
//! certificate, or a command that prints something else, is an error at the build and not on the devices.
//!
//! A private key is read where it lies and stays in memory: it goes into no file, no sandbox, no argument and no
//! message.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use der::asn1::{BitString, Null, ObjectIdentifier, UintRef};
use der::pem::LineEnding;
use der::{AnyRef, Decode as _, Encode as _, SecretDocument};
use pkcs8::EncryptedPrivateKeyInfo;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::error::LocatedError;
use crate::paths;

mod command;
mod password;
#[cfg(test)]
mod tests;

/// How long a command may take, by default: somebody may have to touch a token.
pub const TIMEOUT: Duration = Duration::from_secs(120);

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Somebody who signs.
pub struct Signer(Source);

enum Source {
    Key { name: String, pair: Box<RsaKeyPair> },
    Command(command::Command),
}

// A key is in no message, and arguments may hold a PIN.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.name()).finish()
    }
}

impl Signer {
    /// The private key in a PEM file: RSA of 2048 bits or more, as PKCS#8 or PKCS#1. For one that is encrypted (PKCS#8), the
    /// password is asked for on the terminal.
    ///
    /// # Errors
    /// The file cannot be read, holds no private key or one of another kind; an encrypted one, where there is no terminal or
    /// the password is another.
    pub fn key(path: &Path) -> Result<Self> {
        let name = paths::path(path).to_string();
        let text = std::fs::read(path).with_context(|| format!("cannot read the private key `{name}`"))?;
        Self::pem(&text, name)
    }

    /// The same of a text, which `name` names in messages.
    ///
    /// # Errors
    /// As [`Signer::key`].
    pub fn pem(text: &[u8], name: String) -> Result<Self> {
        Self::opened(text, name, password::ask)
    }

    fn opened(text: &[u8], name: String, ask: impl FnOnce(&str) -> Result<Option<String>>) -> Result<Self> {
        let refuse = |why: &str, help: &str| {
            LocatedError::without_line(format!("invalid private key in `{name}`: {why}"), help)
        };
        let has = |words: &str| text.windows(words.len()).any(|window| window == words.as_bytes());
        let decrypt =
            "decrypt it with `openssl pkey` into a file that only the build reads, or sign with a command";
        if has("Proc-Type: 4,ENCRYPTED") {
            return Err(refuse("it is encrypted in a form of old", decrypt).into());
        }
        let decrypted;
        let text = if has("BEGIN ENCRYPTED PRIVATE KEY") {
            let unreadable = || refuse("it is encrypted in a form that is not known", decrypt);
            let text = std::str::from_utf8(text).map_err(|_| unreadable())?;
            let (_, document) = SecretDocument::from_pem(text).map_err(|_| unreadable())?;
            let encrypted =
                EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| unreadable())?;
            let Some(password) = ask(&name)? else {
                return Err(refuse(
                    "it is encrypted, and there is no terminal to ask for its password",
                    decrypt,
                )
                .into());
            };
            let key =
                encrypted.decrypt(password).map_err(|_| refuse("its password is another one", decrypt))?;
            decrypted = key.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|_| unreadable())?;
            decrypted.as_bytes()
        } else {
            text
        };
        let rsa = "make one with `openssl genrsa 3072`";
        // The reasons of the parsers could quote the file.
        let key = PrivateKeyDer::from_pem_slice(text);
        let pair = match key {
            Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            Ok(_) => return Err(refuse("it is no RSA key", rsa).into()),
            Err(_) => return Err(refuse("it has no PEM block `PRIVATE KEY`", rsa).into()),
        };
        let pair = pair.map_err(|error| match error.to_string().as_str() {
            "TooSmall" => refuse("its RSA key is shorter than 2048 bits", rsa),
            "WrongAlgorithm" => refuse("it is no RSA key", rsa),
            why => refuse(&format!("its RSA key is not accepted ({why})"), rsa),
        })?;
        Ok(Self(Source::Key { name, pair: Box::new(pair) }))
    }

    /// A command: its program and arguments, separated by blanks; no shell is asked.
    ///
    /// It gets on its standard input the bytes that are to be signed, not their digest: a few hundred at most, so that a
    /// service that only signs short messages takes them whole. On its standard output it prints the raw signature, as
    /// long as the key's modulus. It has the environment of the build, and no terminal. For example
    /// `pkcs11-tool --sign --mechanism SHA256-RSA-PKCS --id 01`, `openssl dgst -sha256 -sign KEY`, or a script around
    /// `aws kms sign --message-type RAW --signing-algorithm RSASSA_PKCS1_V1_5_SHA_256`.
    ///
    /// # Errors
    /// No word is in it.
    pub fn command(words: &str, timeout: Duration) -> Result<Self> {
        let mut words = words.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or_else(|| {
            LocatedError::without_line(
                "invalid signing command: it is empty",
                "name a program and its arguments",
            )
        })?;
        Ok(Self(Source::Command(command::Command { program, arguments: words.collect(), timeout })))
    }

    /// How it is named in messages.
    pub fn name(&self) -> &str {
        match &self.0 {
            Source::Key { name, .. } => name,
            Source::Command(command) => &command.program,
        }
    }

    /// The public key that belongs to it. A command does not tell.
    pub fn public_key(&self) -> Option<PublicKey> {
        let Source::Key { name, pair } = &self.0 else { return None };
        let pkcs1 = pair.public().as_ref().to_vec();
        let bits = modulus_bits(&pkcs1).ok()?;
        Some(PublicKey { what: format!("`{name}`"), pkcs1, bits })
    }

    /// Checks that it is the private key of `public_key`, where that can be known before it signs.
    ///
    /// # Errors
    /// It belongs to another one.
    pub fn check(&self, public_key: &PublicKey) -> Result<()> {
        match &self.0 {
            Source::Key { name, pair } if pair.public().as_ref() != public_key.pkcs1 => {
                let message = format!("the private key in `{name}` is not the one of {}", public_key.what);
                let help = "give the private key and the certificate that belong together";
                Err(LocatedError::without_line(message, help).into())
            }
            _ => Ok(()),
        }
    }

    /// Signs bytes, and checks that the public key accepts the signature.
    ///
    /// # Errors
    /// The private key is not the public key's, or the command fails, takes too long or prints something else.
    pub fn sign(&self, message: &[u8], public_key: &PublicKey) -> Result<Vec<u8>> {
        let length = public_key.bits.div_ceil(8);
        let signature = match &self.0 {
            Source::Key { name, pair } => {
                self.check(public_key)?;
                let mut signature = vec![0; length];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| anyhow::anyhow!("cannot sign with the private key in `{name}`"))?;
                signature
            }
            Source::Command(command) => command.run(message, length)?,
        };
        if public_key.verify(message, &signature) {
            return Ok(signature);
        }
        let message =
            format!("the signature from `{}` is not accepted by the key of {}", self.name(), public_key.what);
        let help = "the command signs what is on its standard input by RSA, PKCS#1 v1.5 over SHA-256, with the private \
                    key of that certificate";
        Err(LocatedError::without_line(message, help).into())
    }
}

/// An RSA public key of 2048 bits or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Whose it is, for messages.
    what: String,
    /// `RSAPublicKey` of PKCS#1, in DER.
    pkcs1: Vec<u8>,
    bits: usize,
}

impl PublicKey {
    /// The key of a certificate, say, which `what` names in messages.
    ///
    /// # Errors
    /// It is of another kind, or too short.
    pub fn new(key: &SubjectPublicKeyInfoOwned, what: String) -> Result<Self> {
        let refuse = |why: String| {
            let help = "sign with an RSA key of 2048 bits or more: Secure Boot, TPMs and updates share one kind of \
                        signature here";
            LocatedError::without_line(format!("invalid key of {what}: {why}"), help)
        };
        if key.algorithm.oid != RSA {
            return Err(refuse("it is no RSA key".to_owned()).into());
        }
        let pkcs1 = key.subject_public_key.as_bytes().unwrap_or_default();
        let bits = modulus_bits(pkcs1).map_err(|_| refuse("it is damaged".to_owned()))?;
        if !(2048..=8192).contains(&bits) {
            return Err(refuse(format!("it has {bits} bits, and 2048 to 8192 are accepted")).into());
        }
        Ok(Self { what, pkcs1: pkcs1.to_vec(), bits })
    }

    /// Reads the public keys of a PEM text, one at least, which `name` names in messages.
    ///
    /// # Errors
    /// It holds none, one that is damaged, or one of another kind.
    pub fn parse(text: &[u8], name: &str) -> Result<Vec<Self>> {
        let refuse = |why: &str| {
            let help = "make one of the private key with `openssl pkey -in PRIVATE -pubout`";
            LocatedError::without_line(format!("invalid public key in `{name}`: {why}"), help)
        };
        let mut found = Vec::new();
        for block in SubjectPublicKeyInfoDer::pem_slice_iter(text) {
            let block = block.map_err(|_| refuse("the PEM block is damaged"))?;
            let key = SubjectPublicKeyInfoOwned::from_der(&block).map_err(|_| refuse("it is damaged"))?;
            found.push(Self::new(&key, format!("`{name}`"))?);
        }
        if found.is_empty() {
            return Err(refuse("it has no PEM block `PUBLIC KEY`").into());
        }
        Ok(found)
    }

    /// Its `SubjectPublicKeyInfo`, as DER.
    ///
    /// # Errors
    /// None that a key of these lengths has.
    pub fn to_der(&self) -> Result<Vec<u8>> {
        let algorithm = AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Null.into()) };
        let subject_public_key = BitString::from_bytes(&self.pkcs1)?;
        Ok(SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der()?)
    }

    /// Whether it is the same key, wherever it was read.
    pub fn is_same(&self, other: &Self) -> bool {
        self.pkcs1 == other.pkcs1
    }

    /// Whether it accepts a signature of a message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.pkcs1).verify(message, signature).is_ok()
    }
}

fn modulus_bits(pkcs1: &[u8]) -> der::Result<usize> {
    AnyRef::from_der(pkcs1)?.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        UintRef::decode(reader)?;
        let bytes = modulus.as_bytes();
        let zeros = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
        Ok(bytes.len() * 8 - zeros)
    })
}
