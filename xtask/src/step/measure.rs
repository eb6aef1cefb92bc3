//! What a TPM will have measured once the image has started: `image.pcrs.json`, and `image.nitro.json` for machines of EC2,
//! with the variables of their firmware.
//!
//! <https://uapi-group.org/specifications/specs/linux_tpm_pcr_registry/>. The values are those of a machine whose first
//! boot option is the disk. PCR 4 and 7 have one for each way in which firmware may start it.

use anyhow::{Context as _, Result};
use bedplate_core::plan::ArtifactNames;
use bedplate_formats::efi_variable::Variable;
use bedplate_formats::pcr::{self, Bank, Pcr, Phase, SecureBootPolicy};
use bedplate_formats::region::Region;
use bedplate_formats::signature_list::SignatureList;
use bedplate_formats::uefi_data::uefi_data;
use camino::Utf8Path;
use fs_err as fs;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::keys::Keys;

/// Writes the values for systemd-boot and the kernel image as they lie on the ESP.
///
/// # Errors
/// A kernel image that cannot be read.
pub fn write(names: &ArtifactNames, keys: Option<&Keys>, loader: &[u8], staging: &Utf8Path) -> Result<()> {
    let loader = Region::from(loader.to_vec());
    let uki = Region::of(fs::File::open(staging.join(&names.uki))?.into_parts().0)?;
    let values =
        |bank| values(bank, keys, &loader, &uki).context("working out what a TPM will have measured");
    let banks: Map<String, Value> = Bank::ALL
        .into_par_iter()
        .map(|bank| Ok((bank.name().to_owned(), values(bank)?)))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .collect();
    let nitro = &banks[Bank::Sha384.name()];
    let way = if keys.is_some() { ENFORCED } else { OFF };
    let nitro = json!({"Measurements": {
        "HashAlgorithm": "SHA384",
        "PCR4": nitro["4"][way],
        "PCR7": nitro["7"][way],
        "PCR12": nitro["12"],
    }});
    for (name, document) in [(&names.pcrs, Value::Object(banks)), (&names.nitro, nitro)] {
        fs::write(staging.join(name), format!("{document:#}\n"))?;
    }
    if let (Some(keys), Some(name)) = (keys, &names.uefi_data) {
        fs::write(staging.join(name), uefi_data(&lists(keys)))?;
    }
    Ok(())
}

/// Firmware has enrolled the keys, and starts nothing else.
const ENFORCED: &str = "secure-boot";
/// Firmware could enforce Secure Boot, and has no keys.
const OFF: &str = "no-keys";
/// Firmware knows nothing of Secure Boot.
const UNSUPPORTED: &str = "unsupported";

/// The registers of one bank, by number.
fn values(bank: Bank, keys: Option<&Keys>, loader: &Region, uki: &Region) -> Result<Value> {
    let code = |secure_boot| -> Result<String> {
        let mut executables = [loader.reader(), uki.reader()];
        Ok(pcr::boot_loader_code(bank, &mut executables, secure_boot)?.to_string())
    };
    let policy =
        |enforced| SecureBootPolicy { enforced, ..SecureBootPolicy::default() }.pcr(bank).to_string();
    let plain = code(false)?;
    let mut executables = json!({OFF: plain, UNSUPPORTED: plain});
    let mut policies = json!({OFF: policy(Some(false)), UNSUPPORTED: policy(None)});
    if let Some(keys) = keys {
        let enforced = SecureBootPolicy::enforced(lists(keys), &keys.certificate.der())
            .context("db does not have the certificate that signs")?;
        executables[ENFORCED] = json!(code(true)?);
        policies[ENFORCED] = json!(enforced.pcr(bank).to_string());
    }
    // The image is read once: each phase only adds to what it has left.
    let mut pcr = pcr::kernel_boot(bank, &mut uki.reader(), &[])?;
    let mut kernel = json!({"stub": pcr.to_string()});
    for phase in Phase::ALL {
        pcr.enter(phase);
        kernel[phase.word()] = json!(pcr.to_string());
    }
    Ok(json!({"4": executables, "7": policies, "11": kernel, "12": Pcr::new(bank).to_string()}))
}

/// What firmware has once the keys are enrolled.
fn lists(keys: &Keys) -> [Vec<SignatureList>; 4] {
    Variable::ALL.map(|variable| keys.variables.lists(variable).to_vec())
}
