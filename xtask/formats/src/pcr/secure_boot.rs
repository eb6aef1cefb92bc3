//! PCR 7, `secure-boot-policy`: the keys that firmware trusts, and those by which it accepted executables.

use super::{Bank, Pcr, SEPARATOR};
use crate::efi_variable::{GLOBAL, Variable};
use crate::signature_list::{SignatureData, SignatureList};

/// The state of Secure Boot, as firmware measures it.
///
/// Virtual machines measure nothing else into PCR 7. Firmware of hardware may measure more: `dbt`, deployed mode, signers of
/// option ROMs, or a `dbx` of its maker's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecureBootPolicy {
    /// Whether it is enforced; `None` for firmware that does not support it and has no variable `SecureBoot`.
    pub enforced: Option<bool>,
    /// The content of `PK`, `KEK`, `db` and `dbx`; none for a variable that is not there.
    pub lists: [Vec<SignatureList>; 4],
    /// The entries of `db` by which the executables were accepted that were started, in their order. Counts only where
    /// Secure Boot is enforced.
    pub authorities: Vec<SignatureData>,
}

impl SecureBootPolicy {
    /// Secure Boot with these lists, enforced for executables that the certificate in DER has signed. `None` when the
    /// certificate is not in `db`.
    pub fn enforced(lists: [Vec<SignatureList>; 4], signer: &[u8]) -> Option<Self> {
        let [_, _, db, _] = &lists;
        let mut entries = db.iter().flat_map(|list| &list.entries);
        let authority = entries.find(|entry| entry.data == signer)?.clone();
        Some(Self { enforced: Some(true), lists, authorities: vec![authority] })
    }

    /// PCR 7 after a start.
    pub fn pcr(&self, bank: Bank) -> Pcr {
        let mut pcr = Pcr::new(bank);
        let enforced = self.enforced.map(|enforced| vec![u8::from(enforced)]);
        pcr.measure(&event(GLOBAL, "SecureBoot", &enforced.unwrap_or_default()));
        for (variable, lists) in Variable::ALL.into_iter().zip(&self.lists) {
            pcr.measure(&event(variable.vendor(), variable.name(), &SignatureList::write_all(lists)));
        }
        pcr.measure(&SEPARATOR);
        if self.enforced == Some(true) {
            for (number, authority) in self.authorities.iter().enumerate() {
                // Each once, however many executables it stands for.
                if !self.authorities[..number].contains(authority) {
                    pcr.measure(&event(Variable::Db.vendor(), Variable::Db.name(), &authority.to_bytes()));
                }
            }
        }
        pcr
    }
}

/// `UEFI_VARIABLE_DATA`: vendor, length of the name in characters, length of the data in bytes, both.
fn event(vendor: uuid::Uuid, name: &str, data: &[u8]) -> Vec<u8> {
    let name: Vec<u16> = name.encode_utf16().collect();
    let mut event = vendor.to_bytes_le().to_vec();
    event.extend((name.len() as u64).to_le_bytes());
    event.extend((data.len() as u64).to_le_bytes());
    event.extend(name.into_iter().flat_map(u16::to_le_bytes));
    event.extend(data);
    event
}
