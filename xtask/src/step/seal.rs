//! Signatures on what firmware starts, and on what a TPM will have measured of it.

use std::io::Cursor;
use std::iter;

use anyhow::{Context as _, Result};
use bedplate_formats::authenticode::ToBeSigned;
use bedplate_formats::pcr::{self, Bank, PcrPolicy, PcrSignatures, Phase};
use bedplate_formats::uki;

use crate::keys::{Keys, Signers};
use crate::sign::Signer;

/// Signs an EFI program.
///
/// # Errors
/// It is none; who signs fails.
pub fn program(bytes: Vec<u8>, keys: &Keys, signer: &Signer) -> Result<Vec<u8>> {
    let mut file = Cursor::new(bytes);
    let program = ToBeSigned::new(&mut file, &keys.certificate.der())?;
    let signature = signer.sign(program.bytes(), &keys.db)?;
    program.attach(&signature, &mut file)?;
    Ok(file.into_inner())
}

/// Signs a kernel image: what a TPM has measured of it when its initrd is entered, and then the whole.
///
/// Later phases are not signed. What is sealed to the signature opens in the initrd alone, before a program of the root,
/// or of whoever got into it, can ask for it.
///
/// # Errors
/// It is none; who signs fails.
pub fn uki(bytes: Vec<u8>, keys: &Keys, signers: &Signers) -> Result<Vec<u8>> {
    let mut signatures = PcrSignatures::default();
    for bank in Bank::ALL {
        let pcr = pcr::kernel_boot(bank, &mut Cursor::new(&bytes), &[Phase::EnterInitrd])?;
        let policy = PcrPolicy::new(&pcr);
        // Where the key is being replaced, by both.
        for (key, signer) in keys.vouching().zip(iter::once(&signers.pcr).chain(&signers.former)) {
            let signature = signer.sign(policy.bytes(), key).context("signing PCR 11")?;
            signatures.add(&policy, &key.to_der()?, &signature)?;
        }
    }
    let bytes = uki::with_pcr_signatures(bytes, &signatures.section())?;
    program(bytes, keys, &signers.db).context("signing the kernel image")
}
