//! Packages of vendors, and what weakens a device among them.

use super::{DangerPlan, DebPlan, Keyring};
use crate::image::Image;
use crate::image::deb::{Deb, Trust};

/// In the order of the description.
pub(super) fn plan(image: &Image) -> Vec<DebPlan> {
    image.debs.iter().filter_map(deb).collect()
}

fn deb(deb: &Deb) -> Option<DebPlan> {
    let url = deb.url.as_ref()?.value.as_str().to_string();
    let at = Some(deb.at.clone());
    Some(match &deb.trust {
        Trust::Signed { key, signature } => {
            let beside = || format!("{url}.sig");
            let signature = signature.as_ref().map_or_else(beside, |given| given.value.as_str().to_string());
            DebPlan { signature: Some(signature), keyring: Some(Keyring::of(key)), sha256: None, url, at }
        }
        Trust::Unsigned { sha256 } => {
            let sha256 = Some(sha256.as_ref()?.value.as_str().to_string());
            DebPlan { signature: None, keyring: None, sha256, url, at }
        }
    })
}

/// What is installed on nobody's word.
pub(super) fn dangers(debs: &[DebPlan]) -> impl Iterator<Item = DangerPlan> {
    debs.iter().filter(|deb| deb.signature.is_none()).map(|deb| DangerPlan {
        what: format!("`{}` is installed without a signature", deb.url),
        why: "its digest says that it is always the same file, and not whose".to_string(),
        at: deb.at.clone(),
    })
}
