//! What is signed for firmware and for a TPM: executables, signature lists, variables, PCRs.

use std::io::Cursor;

use bedplate_formats::authenticode::{ToBeSigned, signatures};
use bedplate_formats::efi_variable::{AuthenticatedVariable, Variable, VariableUpdate};
use bedplate_formats::pcr::{Bank, PcrSignatures, Phase, SecureBootPolicy, boot_loader_code, kernel_boot};
use bedplate_formats::signature_list::SignatureList;

/// A certificate that stands for any other; nobody signs with its key here.
const CERTIFICATE: &[u8] = include_bytes!("../../xtask/formats/tests/trust/signer.der");

/// A signed executable: one more signature leaves those that are there as they are, and fits.
pub fn authenticode(bytes: &[u8]) -> bool {
    let mut file = Cursor::new(bytes.to_vec());
    let Ok(before) = signatures(&mut file) else { return false };
    let message = ToBeSigned::new(&mut file, CERTIFICATE).expect("its signatures were read");
    // One that is about another file stays so: the digest is of the file as it will be.
    let length = message.attach(&[7; 256], &mut file).expect("a file in memory takes a signature");
    assert_eq!(length, file.get_ref().len() as u64);
    let after = signatures(&mut file).expect("what was written is read");
    let (new, old) = after.split_last().expect("a signature was added");
    assert_eq!(old, before);
    assert!(new.fits && new.certificate == CERTIFICATE && new.message == message.bytes());
    true
}

/// A unified kernel image or another executable as a machine measures it.
pub fn measured(bytes: &[u8]) -> bool {
    let four = boot_loader_code(Bank::Sha384, &mut [Cursor::new(bytes)], false);
    let eleven = kernel_boot(Bank::Sha256, &mut Cursor::new(bytes), &Phase::ALL);
    four.is_ok() && eleven.is_ok()
}

/// A signature database: read, written, and the same bytes.
pub fn signature_list(bytes: &[u8]) -> bool {
    let Ok(lists) = SignatureList::read_all(bytes) else { return false };
    assert_eq!(SignatureList::write_all(&lists), bytes);
    let policy =
        SecureBootPolicy { lists: [lists.clone(), Vec::new(), Vec::new(), Vec::new()], ..Default::default() };
    let empty = policy.pcr(Bank::Sha256) == SecureBootPolicy::default().pcr(Bank::Sha256);
    assert_eq!(empty, lists.is_empty());
    !empty
}

/// An update of a variable: its content is what the signature is over.
pub fn efi_variable(bytes: &[u8]) -> bool {
    let Ok(read) = AuthenticatedVariable::read(bytes) else { return false };
    let message = read.message(Variable::Db, false);
    assert!(message.ends_with(&SignatureList::write_all(&read.lists)) && !read.time().is_empty());
    let update = VariableUpdate::new(Variable::Db, 1_800_000_000, &read.lists).expect("it is a year of ours");
    let written = update.auth(CERTIFICATE, &read.signature).expect("it is a certificate");
    let back = AuthenticatedVariable::read(&written).expect("what was written is read");
    assert_eq!((&back.lists, &back.signature), (&read.lists, &read.signature));
    assert_eq!(back.message(Variable::Db, false), update.bytes());
    true
}

/// PCR signatures: read, written, and read as the same.
pub fn pcr_signatures(bytes: &[u8]) -> bool {
    let Ok(read) = PcrSignatures::read(bytes) else { return false };
    for text in [read.section(), read.file()] {
        assert_eq!(PcrSignatures::read(text.as_bytes()).expect("what was written is read"), read);
    }
    true
}
