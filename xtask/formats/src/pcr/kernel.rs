//! PCR 11, `kernel-boot`: the sections of a unified kernel image, and how far the start has come.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Bank, Pcr, PcrError};
use crate::pe::Image;

/// The sections that systemd's stub measures, in its order. `.pcrsig` is about the result.
const MEASURED: [&str; 13] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey",
    ".profile", ".dtbauto", ".hwids",
];

/// A phase of the boot; `systemd-pcrphase` measures each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The initrd begins.
    EnterInitrd,
    /// The initrd has done its work.
    LeaveInitrd,
    /// Early services have started.
    Sysinit,
    /// All services have.
    Ready,
}

impl Phase {
    /// All of them, in their order. In a phase, those before it have been measured, too.
    pub const ALL: [Self; 4] = [Self::EnterInitrd, Self::LeaveInitrd, Self::Sysinit, Self::Ready];

    /// The word that is measured.
    pub fn word(self) -> &'static str {
        match self {
            Self::EnterInitrd => "enter-initrd",
            Self::LeaveInitrd => "leave-initrd",
            Self::Sysinit => "sysinit",
            Self::Ready => "ready",
        }
    }
}

/// PCR 11 once a unified kernel image has been measured and the phases were entered, first to last; without any, as the
/// stub leaves it. It is what `systemd-measure calculate` prints.
///
/// Of an image with profiles, it is that of the first one.
///
/// # Errors
/// Fails when it is no executable, has a section that is longer in memory than in the file, or reading does.
pub fn kernel_boot(bank: Bank, uki: &mut (impl Read + Seek), phases: &[Phase]) -> Result<Pcr, PcrError> {
    let image = Image::read(uki)?;
    let mut pcr = Pcr::new(bank);
    for name in MEASURED {
        let Some(section) = image.section(name).filter(|section| section.virtual_size > 0) else { continue };
        if section.virtual_size > section.raw_size {
            return Err(PcrError::Section(name.to_owned()));
        }
        let mut hasher = bank.hasher();
        uki.seek(SeekFrom::Start(section.offset.into()))?;
        let copied = io::copy(&mut uki.take(section.virtual_size.into()), &mut hasher)?;
        if copied != u64::from(section.virtual_size) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        pcr.measure(&[name.as_bytes(), b"\0"].concat());
        pcr.extend(&hasher.finalize());
    }
    phases.iter().for_each(|phase| pcr.enter(*phase));
    Ok(pcr)
}

impl Pcr {
    /// PCR 11 once a further phase was entered: what [`kernel_boot`] says with that phase, too.
    pub fn enter(&mut self, phase: Phase) {
        self.measure(phase.word().as_bytes());
    }
}
