//! Trust: who signs what is started, and what follows from it.

use serde::Serialize;

use super::Plan;
use crate::image::Image;
use crate::image::secure_boot::SecureBoot;
use crate::location::SourceLocation;
use crate::page::Page;

/// Secure Boot with keys of the description's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecureBootPlan {
    /// The directory of the certificates and variables, relative to the project: `image/keys`.
    pub keys: String,
    /// The key of measurements replaces another one, by which the kernel image is signed, too.
    pub replaces_pcr_key: bool,
    /// The line that asked for it.
    pub at: SourceLocation,
}

/// The files of a build that nobody has signed yet: what is signed, and what else signing has to know. Signing removes
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnsignedNames {
    /// The unified kernel image.
    pub uki: String,
    /// systemd-boot.
    pub loader: String,
    /// What the papers tell of the packages, as JSON.
    pub papers: String,
}

pub(super) fn plan(image: &Image) -> Option<SecureBootPlan> {
    let SecureBoot { directory, replaces_pcr_key } = image.secure_boot.as_ref()?;
    Some(SecureBootPlan {
        keys: directory.at.beside(&directory.value),
        replaces_pcr_key: replaces_pcr_key.is_some(),
        at: directory.at.clone(),
    })
}

pub(super) fn unsigned(image: &Image) -> Option<UnsignedNames> {
    image.secure_boot.as_ref().map(|_| UnsignedNames {
        uki: "image.unsigned.efi".to_string(),
        loader: "image.unsigned.loader.efi".to_string(),
        papers: "image.unsigned.json".to_string(),
    })
}

impl Plan {
    /// What is verified by what, from firmware to a file.
    pub(super) fn trust(&self, page: &mut Page) {
        page.heading("what is verified by what");
        let root = match (&self.disk.root.verity, &self.secure_boot) {
            (Some(_), _) => "by the kernel, block by block, against the root hash in the kernel image",
            (None, _) => "by nothing",
        };
        let mut rows = match &self.secure_boot {
            Some(secure_boot) => vec![
                ("keys", format!("{}: enrolled by the first start in setup mode", secure_boot.keys)),
                ("systemd-boot", "by firmware, with Secure Boot: signed by db".to_string()),
                ("kernel image", "by firmware, with Secure Boot: signed by db".to_string()),
                ("initrd, command line", "as parts of the kernel image".to_string()),
            ],
            None => vec![
                ("systemd-boot", "by nothing: no Secure Boot".to_string()),
                ("kernel image", "by nothing: no Secure Boot; a TPM measures it".to_string()),
                ("initrd, command line", "as parts of the kernel image".to_string()),
            ],
        };
        rows.push(("root", root.to_string()));
        if let Some(updates) = &self.updates {
            rows.push(("update", format!("by RAUC: signed by {}", updates.certificates.join(", "))));
        }
        if let Some(data) = self.disk.encrypted() {
            let replaced = self.secure_boot.as_ref().is_some_and(|keys| keys.replaces_pcr_key);
            let by = if replaced { "pcr.pem, and until then by pcr-former.pem" } else { "pcr.pem" };
            let how = format!(
                "encrypted; the TPM opens it to kernel images signed by {by}, started with these keys"
            );
            rows.push(("data", format!("{}: {how}", data.partition.label)));
        }
        let plain = self.disk.data.iter().filter(|data| !data.encrypted);
        let data: Vec<&str> = plain.map(|data| data.partition.label.as_str()).collect();
        if !data.is_empty() {
            rows.push((
                "data",
                format!("by nothing: {} can be read and changed by who has the disk", data.join(", ")),
            ));
        }
        if self.secure_boot.is_some() {
            let open = "arguments and credentials that the host of a virtual machine adds (PCR 12); an older image that \
                        was signed, too";
            rows.push(("not covered", open.to_string()));
        }
        page.table(&["", ""], rows.into_iter().map(|(name, how)| vec![name.to_string(), how]));
    }
}
