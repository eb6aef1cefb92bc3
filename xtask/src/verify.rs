//! Opens the finished disk and holds it against the plan: what was decided,
//! what was written and what is there are the same.

use std::fs::File;
use std::io;

use anyhow::{Context as _, Result, ensure};
use bedplate_core::plan::Plan;
use bedplate_formats::pcr::{self, Bank, PcrPolicy, PcrSignatures, Phase};
use bedplate_formats::region::Region;
use bedplate_formats::{authenticode, gpt, pe, sparse, verity};
use camino::Utf8Path;
use fs_err as fs;

use crate::disk::Disk;
use crate::key::digest as hex_digest;
use crate::keys::Keys;
use crate::step;

/// Checks the artifacts in a directory; with Secure Boot, against the `keys` of the description.
///
/// # Errors
/// The first thing that is not as the plan says.
pub fn disk(plan: &Plan, keys: Option<&Keys>, directory: &Utf8Path) -> Result<()> {
    let names = &plan.artifacts;
    let mut image = File::open(directory.join(&names.disk)).context("opening the disk")?;
    let (root_hash, _) = of_uki(plan, directory)?;
    let found = gpt::read(&mut image).context("reading the disk's partition table")?;
    let planned = step::disk::table(&plan.disk, root_hash.as_ref());
    ensure!(found == planned, "the disk's partition table is\n{found:#?}\nwhere the plan has\n{planned:#?}");

    for (partition, name) in step::disk::artifacts(&plan.disk, names) {
        let artifact = File::open(directory.join(name))?;
        let length = artifact.metadata()?.len();
        ensure!(
            sparse::same(&artifact, 0..length, &image, partition.offset)?,
            "partition {} does not hold `{name}`",
            partition.number
        );
    }

    let root = &plan.disk.root;
    if let (Some(root_hash), Some(verity)) = (&root_hash, &root.verity) {
        let data = root.partition.offset..root.partition.offset + root.partition.size;
        verity::verify(&image, data, &image, verity.partition.offset, root_hash)
            .context("the root does not fit the root hash in the UKI")?;
    }
    esp(plan, keys, directory)
}

/// What the UKI says: the root hash on its command line, and the kernel's release (`uname -r`).
///
/// # Errors
/// It is damaged, or another one than the plan's.
pub fn of_uki(plan: &Plan, directory: &Utf8Path) -> Result<(Option<[u8; 32]>, String)> {
    let uki = Disk::open(directory.join(&plan.artifacts.uki))?.uki()?;
    let (command_line, hash) = (uki.command_line()?, uki.root_hash());
    let hash = hash.as_deref().map(hex_digest).transpose();
    let hash = hash.context("reading the root hash of the UKI's command line")?;
    let expected = step::boot::command_line(&plan.command_line, hash.as_ref());
    ensure!(command_line == expected, "the UKI's command line is `{command_line}`, the plan's `{expected}`");
    ensure!(
        hash.is_some() == plan.artifacts.verity.is_some(),
        "the UKI and the plan differ about a root hash"
    );
    Ok((hash, uki.text(".uname")?))
}

/// The ESP holds the UKI and a loader at the place firmware looks for it, and with Secure Boot the keys, which accept both.
fn esp(plan: &Plan, keys: Option<&Keys>, directory: &Utf8Path) -> Result<()> {
    let esp = Disk::open(directory.join(&plan.artifacts.esp))?.esp()?;
    let loader = format!("EFI/BOOT/BOOT{}.EFI", plan.architecture.efi().to_uppercase());
    ensure!(esp.exists(&loader)?, "the ESP has no `{loader}`");
    // It is tens of megabytes on arm64, and the ESP's is in memory already.
    let uki = Region::of(fs::File::open(directory.join(&plan.artifacts.uki))?.into_parts().0)?;
    let mut held = false;
    for name in esp.read_dir("EFI/Linux")? {
        held |= is_same(&uki, &esp.file(&format!("EFI/Linux/{name}"))?)?;
    }
    ensure!(held, "the ESP does not hold `{}` below EFI/Linux", plan.artifacts.uki);
    let Some(keys) = keys else { return Ok(()) };
    for (name, bytes) in keys.variables.files() {
        let path = format!("loader/keys/auto/{name}");
        ensure!(esp.file(&path)? == bytes, "`{path}` of the ESP is not the description's");
    }
    let second = format!("EFI/systemd/systemd-boot{}.efi", plan.architecture.efi());
    for (name, program) in [
        (&loader, Region::from(esp.file(&loader)?)),
        (&second, Region::from(esp.file(&second)?)),
        (&plan.artifacts.uki, uki.clone()),
    ] {
        let signatures =
            authenticode::signatures(&mut program.reader()).with_context(|| format!("reading `{name}`"))?;
        let certificate = keys.certificate.der();
        let holds = |one: &authenticode::Signature| {
            one.fits && one.certificate == certificate && keys.db.verify(&one.message, &one.signature)
        };
        ensure!(signatures.iter().any(holds), "`{name}` is not signed by `{}`", keys.certificate.subject());
    }
    measured(&uki, keys)
}

/// Whether a file has these bytes.
fn is_same(file: &Region, bytes: &[u8]) -> io::Result<bool> {
    const PIECE: usize = 1 << 20;
    if file.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut buffer = vec![0; PIECE.min(bytes.len())];
    for (number, piece) in bytes.chunks(PIECE).enumerate() {
        file.read_at((number * PIECE) as u64, &mut buffer[..piece.len()])?;
        if buffer[..piece.len()] != *piece {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The UKI carries what the TPM is told about it: as the initrd is entered, for each bank, by the key that it names.
fn measured(uki: &Region, keys: &Keys) -> Result<()> {
    let mut source = uki.reader();
    let image = pe::Image::read(&mut source)?;
    let mut section = |name: &str| -> Result<Vec<u8>> {
        let section = image.section(name).with_context(|| format!("the UKI has no section `{name}`"))?;
        Ok(pe::Image::content(&mut source, section)?)
    };
    ensure!(
        section(".pcrpkey")? == keys.pcr_pem,
        "the UKI names another key for measurements than the description"
    );
    let signatures =
        PcrSignatures::read(&section(".pcrsig")?).context("reading what the UKI says of measurements")?;
    for bank in Bank::ALL {
        let pcr = pcr::kernel_boot(bank, &mut uki.reader(), &[Phase::EnterInitrd])?;
        let policy = PcrPolicy::new(&pcr);
        for key in keys.vouching() {
            let holds =
                signatures.of(bank.name()).iter().any(|one| key.verify(policy.bytes(), &one.signature));
            ensure!(holds, "the UKI has no signature of PCR 11 in {} that holds", bank.name());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_to_its_last_byte() {
        let mut bytes = vec![7; 3 << 19];
        let file = Region::from(bytes.clone());
        assert!(is_same(&file, &bytes).unwrap());
        assert!(!is_same(&file, &bytes[1..]).unwrap());
        *bytes.last_mut().unwrap() = 8;
        assert!(!is_same(&file, &bytes).unwrap());
        assert!(is_same(&Region::from(Vec::new()), &[]).unwrap());
    }
}
