//! Packages of vendors, and what weakens a device among them.

use super::{DangerPlan, DebPlan, Keyring};
use crate::image::Image;
use crate::image::deb::{Deb, Trust};
use crate::secret::Secret;
use crate::value::{DebLocation, FileUrl, Url};

/// In the order of the description.
pub(super) fn plan(image: &Image) -> Vec<DebPlan> {
    image.debs.iter().filter_map(deb).collect()
}

fn deb(deb: &Deb) -> Option<DebPlan> {
    let at = |url: DebLocation| DebPlan {
        url,
        query: None,
        signature: None,
        signature_query: None,
        keyring: None,
        sha256: None,
        recommends: deb.recommends,
        at: Some(deb.at.clone()),
    };
    if let Trust::Project { path } = &deb.trust {
        return Some(at(DebLocation::known(deb.at.beside(path))));
    }
    let address = &deb.url.as_ref()?.value;
    let query = |address: &FileUrl| address.query().map(Secret::new);
    let plain = DebPlan { query: query(address), ..at(address.bare().into()) };
    Some(match &deb.trust {
        Trust::Signed { key, signature } => {
            let signature = signature.as_ref().map(|given| &given.value);
            let beside = || Url::known(format!("{}.sig", plain.url));
            DebPlan {
                signature: Some(signature.map_or_else(beside, FileUrl::bare)),
                signature_query: query(signature.unwrap_or(address)),
                keyring: Some(Keyring::of(key)),
                ..plain
            }
        }
        Trust::Unsigned { sha256 } => DebPlan { sha256: Some(sha256.as_ref()?.value.clone()), ..plain },
        Trust::Project { .. } => return None,
    })
}

/// What is installed on nobody's word.
pub(super) fn dangers(debs: &[DebPlan]) -> impl Iterator<Item = DangerPlan> {
    debs.iter().filter(|deb| deb.signature.is_none() && !deb.is_file()).map(|deb| DangerPlan {
        what: format!("`{}` is installed without a signature", deb.url),
        why: "its digest says that it is always the same file, and not whose".to_string(),
        at: deb.at.clone(),
    })
}
