//! apt before there is an apt: the packages it consists of, by their first alternatives.
//!
//! Only the release pocket is looked at, which is complete and consistent by itself, so no versions are compared.
//! This is good for one package we know and no more; everything else is resolved by apt.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bedplate_formats::unpack;
use fs_err as fs;
use sha2::{Digest, Sha256};

use super::{LockedPackage, stored};
use crate::archive::Opened;
use crate::archive::index::{Index, Package, relation_names};
use crate::fetch::{Fetcher, Item, Progress, Subject};
use crate::store::hex;

/// `base-files` has the links of a merged `/usr`, without which no program finds its loader; `dpkg` the table of
/// architectures.
const ROOTS: [&str; 3] = ["apt", "base-files", "dpkg"];

/// What apt needs to install and to verify, which it does not do for us, and what brings half a system with it.
const LEFT_OUT: [&str; 8] =
    ["adduser", "awk", "base-passwd", "debconf", "debian-archive-keyring", "gpgv", "sqv", "ubuntu-keyring"];

/// A directory with apt in it, from the store when it was there before.
pub(super) fn tree(
    fetcher: &Fetcher,
    opened: &[Opened],
    indexes: &[Vec<Index>],
    progress: &dyn Progress,
) -> Result<PathBuf> {
    let Some((opened, indexes)) =
        opened.iter().zip(indexes).find(|(opened, _)| opened.archive.pocket == "release")
    else {
        bail!("none of the archives is a distribution's release")
    };
    let packages = closure(opened, indexes)?;
    let key: String = packages.iter().flat_map(|package| [&package.sha256, "\n"]).collect();
    let key = hex(&Sha256::digest(key));
    let store = fetcher.store();
    let layer = store.layer("resolver", &key);
    if layer.is_dir() {
        return Ok(layer);
    }
    let items: Vec<Item> = packages.iter().map(item).collect();
    fetcher.fetch(&items, progress)?;
    let debs = stored(fetcher, &packages)?;
    store.layer_or_make("resolver", &key, |directory| {
        let staging = store.temporary()?;
        unpack::unpack(&debs, directory, &staging)?;
        fs::remove_dir_all(&staging)?;
        Ok(())
    })
}

fn closure(opened: &Opened, indexes: &[Index]) -> Result<Vec<LockedPackage>> {
    let mut found: BTreeMap<String, LockedPackage> = BTreeMap::new();
    let mut open: Vec<String> = ROOTS.map(str::to_owned).into();
    while let Some(name) = open.pop() {
        if found.contains_key(&name) || LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let Some(stanza) = indexes.iter().find_map(|index| index.find(&name).next()) else {
            let provider = indexes
                .iter()
                .find_map(|index| Some((*index.provided().get(name.as_str())?.first()?).to_owned()));
            open.push(provider.with_context(|| format!("no archive has the package `{name}`"))?);
            continue;
        };
        for field in ["Depends", "Pre-Depends"] {
            open.extend(relation_names(stanza.field(field).unwrap_or_default()).map(str::to_owned));
        }
        let Package { name, version, architecture, path, size, sha256 } = Package::from_stanza(stanza)?;
        let (pocket, url) = (opened.archive.pocket.clone(), opened.archive.url(&path));
        found.insert(name.clone(), LockedPackage { name, version, architecture, pocket, size, sha256, url });
    }
    Ok(found.into_values().collect())
}

fn item(package: &LockedPackage) -> Item {
    Item {
        subject: Subject::Package { name: package.name.clone(), version: package.version.clone() },
        url: package.url.clone(),
        sha256: package.sha256.clone(),
        size: package.size,
    }
}
