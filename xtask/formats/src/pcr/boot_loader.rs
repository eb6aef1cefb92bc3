//! PCR 4, `boot-loader-code`: the executables that firmware starts.

use std::io::{Cursor, Read, Seek};

use sha2::{Sha256, Sha384};

use super::{Bank, Pcr, PcrError, SEPARATOR};
use crate::authenticode;
use crate::pe::Image;

/// The first version of systemd's stub that starts a kernel by firmware although firmware would not accept it: nothing
/// of the kernel is measured with Secure Boot.
const OVERRIDES: u32 = 252;
/// The first version that starts the kernel without firmware: it is not measured here at all.
const LOADS_ITSELF: u32 = 258;

/// PCR 4 after a start of these executables, first to last: systemd-boot and a unified kernel image, as they are on the
/// ESP, with their signatures.
///
/// It holds for the first boot option of a machine. One that failed before it is measured, too.
///
/// # Errors
/// Fails when an executable is none, or the version of a unified kernel image's stub cannot be told.
pub fn boot_loader_code(
    bank: Bank,
    executables: &mut [impl Read + Seek],
    secure_boot: bool,
) -> Result<Pcr, PcrError> {
    let mut pcr = Pcr::new(bank);
    pcr.measure(b"Calling EFI Application from Boot Option");
    pcr.measure(&SEPARATOR);
    for source in executables {
        pcr.extend(&digest(bank, source)?);
        let image = Image::read(source)?;
        let Some(kernel) = image.section(".linux") else { continue };
        let version = stub_version(&image, source)?;
        if version < OVERRIDES || version < LOADS_ITSELF && !secure_boot {
            pcr.extend(&digest(bank, &mut Cursor::new(Image::content(source, kernel)?))?);
        }
    }
    Ok(pcr)
}

fn digest(bank: Bank, source: &mut (impl Read + Seek)) -> Result<Vec<u8>, PcrError> {
    Ok(match bank {
        Bank::Sha256 => authenticode::digest::<Sha256>(source)?.to_vec(),
        Bank::Sha384 => authenticode::digest::<Sha384>(source)?.to_vec(),
    })
}

/// The major version in `#### LoaderInfo: systemd-stub 257.13-1~deb13u1 ####`.
fn stub_version(image: &Image, source: &mut (impl Read + Seek)) -> Result<u32, PcrError> {
    let magic = image.section(".sdmagic").ok_or(PcrError::StubVersion)?;
    let magic = Image::content(source, magic)?;
    let text = String::from_utf8_lossy(&magic);
    let (_, version) = text.split_once("LoaderInfo: systemd-stub ").ok_or(PcrError::StubVersion)?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().map_err(|_| PcrError::StubVersion)
}
