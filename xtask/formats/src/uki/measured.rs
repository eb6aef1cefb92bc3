//! What an image will make of a TPM, before it is written: its signature is a section of it.

use super::{Parts, Uki, UkiError, copy_all, copying};
use crate::pcr::{Bank, Pcr, Phase, sections_and_phases};

impl Uki {
    /// PCR 11 once the image has been measured and the phases were entered: what
    /// [`kernel_boot`](crate::pcr::kernel_boot) says of the written image, with or without PCR signatures.
    ///
    /// # Errors
    /// Fails as [`write`](Self::write) does, but for what is found out when sections are given their places.
    pub fn kernel_boot(&self, bank: Bank, phases: &[Phase]) -> Result<Pcr, UkiError> {
        let Parts { stub, image, sections, .. } = self.parts()?;
        sections_and_phases(bank, phases, |name| {
            let mut hasher = bank.hasher();
            if let Some((_, pieces)) = sections.iter().find(|(place, _)| place.name() == name) {
                let length = copy_all(pieces, &mut hasher).map_err(copying(name))?;
                return Ok((length > 0).then(|| hasher.finalize()));
            }
            // One of the stub's own that nothing replaces.
            let own = image.section(name).and_then(|section| {
                let start = section.offset as usize;
                stub.get(start..start + section.size() as usize)
            });
            Ok(own.filter(|own| !own.is_empty()).map(|own| bank.hash(own)))
        })
    }
}
