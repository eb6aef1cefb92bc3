//! PCR signatures: the values of PCR 11 at which a secret may be unsealed that is bound to a key.
//!
//! The section `.pcrsig`, <https://www.freedesktop.org/software/systemd/man/latest/systemd-measure.html>. A TPM compares
//! its PCRs with a policy, and accepts any policy whose digest the key has signed. `systemd-measure` before 260
//! signs a policy of the SHA-384 bank with SHA-384, and no systemd accepts that; here, the signature is always
//! over SHA-256.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding as _};
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode as _, Sequence};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Bank, Pcr};
use crate::digest::{hex, unhex};

/// The PCR that is signed.
const PCR: u8 = 11;
/// `TPM2_CC_PolicyPCR`.
const POLICY_PCR: [u8; 4] = 0x0000_017f_u32.to_be_bytes();

/// What is wrong with PCR signatures, or with their key.
#[derive(Debug, thiserror::Error)]
pub enum PcrSignatureError {
    /// It is no public key.
    #[error("invalid public key")]
    Key(#[source] der::Error),
    /// It is not the JSON that systemd reads.
    #[error("invalid PCR signatures")]
    Json(#[source] serde_json::Error),
    /// A value in it is not encoded as it should be.
    #[error("invalid PCR signatures: `{0}` is damaged")]
    Value(&'static str),
}

/// A TPM's policy that PCR 11 has one value: what is signed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrPolicy {
    bank: Bank,
    digest: [u8; 32],
}

impl PcrPolicy {
    /// The policy of a value of PCR 11.
    pub fn new(pcr: &Pcr) -> Self {
        // `TPM2_ALG_SHA256` or `TPM2_ALG_SHA384`.
        let algorithm = match pcr.bank() {
            Bank::Sha256 => [0x00, 0x0b],
            Bank::Sha384 => [0x00, 0x0c],
        };
        let mut selected = [0; 3];
        selected[usize::from(PCR / 8)] = 1 << (PCR % 8);
        let policy = Sha256::new()
            .chain_update([0; 32])
            .chain_update(POLICY_PCR)
            // `TPML_PCR_SELECTION`: one bank, and a bit mask of three bytes.
            .chain_update(1u32.to_be_bytes())
            .chain_update(algorithm)
            .chain_update([3])
            .chain_update(selected)
            .chain_update(Sha256::digest(pcr.value()));
        Self { bank: pcr.bank(), digest: policy.finalize().into() }
    }

    /// The bytes that are to be signed, the policy's digest: RSA, PKCS#1 v1.5 over their SHA-256.
    pub fn bytes(&self) -> &[u8] {
        &self.digest
    }
}

/// Signed policies, of several banks and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PcrSignatures(Vec<(String, Vec<PcrSignature>)>);

/// A signed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrSignature {
    /// The PCRs that the policy compares.
    pub pcrs: Vec<u32>,
    /// The SHA-256 of the key as `RSAPublicKey`.
    pub key: [u8; 32],
    /// The policy's digest, which is what was signed.
    pub policy: [u8; 32],
    /// The signature.
    pub signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Json {
    pcrs: Vec<u32>,
    pkfp: String,
    pol: String,
    sig: String,
}

#[derive(Sequence)]
struct SubjectPublicKeyInfo<'a> {
    algorithm: AnyRef<'a>,
    key: BitStringRef<'a>,
}

impl PcrSignatures {
    /// Adds a signature of a policy by the key of `public_key`, the DER of a PEM block `PUBLIC KEY`. One that is there
    /// already is left out, as ukify does.
    ///
    /// # Errors
    /// Fails when it is no public key.
    pub fn add(
        &mut self,
        policy: &PcrPolicy,
        public_key: &[u8],
        signature: &[u8],
    ) -> Result<(), PcrSignatureError> {
        let info = SubjectPublicKeyInfo::from_der(public_key).map_err(PcrSignatureError::Key)?;
        let signature = PcrSignature {
            pcrs: vec![PCR.into()],
            key: Sha256::digest(info.key.raw_bytes()).into(),
            policy: policy.digest,
            signature: signature.to_vec(),
        };
        self.put(policy.bank.name(), signature);
        Ok(())
    }

    fn put(&mut self, bank: &str, signature: PcrSignature) {
        match self.0.iter_mut().find(|(name, _)| name == bank) {
            Some((_, signatures)) if signatures.contains(&signature) => {}
            Some((_, signatures)) => signatures.push(signature),
            None => self.0.push((bank.to_owned(), vec![signature])),
        }
    }

    /// The signatures of a bank, by its name.
    pub fn of(&self, bank: &str) -> &[PcrSignature] {
        self.0.iter().find(|(name, _)| name == bank).map_or(&[], |(_, signatures)| signatures)
    }

    /// Reads the section `.pcrsig`, or a file with the same content.
    ///
    /// # Errors
    /// Fails when it is not the JSON that systemd reads.
    pub fn read(text: &[u8]) -> Result<Self, PcrSignatureError> {
        let banks: std::collections::BTreeMap<String, Vec<Json>> =
            serde_json::from_slice(text).map_err(PcrSignatureError::Json)?;
        let mut read = Self::default();
        for (bank, signatures) in banks {
            for Json { pcrs, pkfp, pol, sig } in signatures {
                let signature = PcrSignature {
                    pcrs,
                    key: unhex(&pkfp).ok_or(PcrSignatureError::Value("pkfp"))?,
                    policy: unhex(&pol).ok_or(PcrSignatureError::Value("pol"))?,
                    signature: Base64::decode_vec(&sig).map_err(|_| PcrSignatureError::Value("sig"))?,
                };
                read.put(&bank, signature);
            }
        }
        Ok(read)
    }

    /// The content of the section `.pcrsig`, as ukify writes it.
    pub fn section(&self) -> String {
        self.json(", ", ": ")
    }

    /// The same as `systemd-measure sign` prints it, with its line feed.
    pub fn file(&self) -> String {
        format!("{}\n", self.json(",", ":"))
    }

    fn json(&self, comma: &str, colon: &str) -> String {
        let banks = self.0.iter().map(|(bank, signatures)| {
            let signatures = signatures.iter().map(|signature| {
                let mut text = format!("{{\"pcrs\"{colon}[");
                let pcrs: Vec<String> = signature.pcrs.iter().map(u32::to_string).collect();
                let (key, policy) = (hex(&signature.key), hex(&signature.policy));
                let signature = Base64::encode_string(&signature.signature);
                // Writing to a String cannot fail.
                let _ = write!(
                    text,
                    "{}]{comma}\"pkfp\"{colon}\"{key}\"{comma}\"pol\"{colon}\"{policy}\"{comma}\"sig\"{colon}\"{signature}\"}}",
                    pcrs.join(comma)
                );
                text
            });
            let signatures: Vec<String> = signatures.collect();
            format!("{}{colon}[{}]", serde_json::Value::from(bank.as_str()), signatures.join(comma))
        });
        let banks: Vec<String> = banks.collect();
        format!("{{{}}}", banks.join(comma))
    }
}
