//! apt before there is an apt: the packages it consists of, by their first alternatives.
//!
//! Only the release pocket is looked at, which is complete and consistent by itself, so no versions are compared.
//! This is good for one package we know and no more; everything else is resolved by apt.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bedplate_core::value::PackageName;
use bedplate_formats::unpack;
use fs_err as fs;

use super::{LockedPackage, stored};
use crate::archive::index::{Index, Package, relation_names};
use crate::archive::{Archive, Opened};
use crate::fetch::{Fetcher, Item, Progress};
use crate::key::Key;

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
    let packages = closure(&opened.archive, indexes)?;
    let mut key = Key::new("resolver");
    packages.iter().for_each(|package| key.add(&package.sha256));
    let store = fetcher.store();
    store.layer_or_make("resolver", &key.finish(), |directory| {
        let items: Vec<Item> = packages.iter().map(Item::package).collect();
        fetcher.fetch(&items, progress)?;
        let debs = stored(fetcher, &packages)?;
        let staging = store.temporary()?;
        unpack::unpack(&debs, directory, &staging)?;
        fs::remove_dir_all(&staging)?;
        Ok(())
    })
}

fn closure(archive: &Archive, indexes: &[Index]) -> Result<Vec<LockedPackage>> {
    let mut found: BTreeMap<PackageName, LockedPackage> = BTreeMap::new();
    let mut open: Vec<String> = ROOTS.map(str::to_owned).into();
    while let Some(name) = open.pop() {
        if found.contains_key(name.as_str()) || LEFT_OUT.contains(&name.as_str()) {
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
        let (pocket, url) = (archive.pocket.clone(), archive.package(&path)?);
        found.insert(name.clone(), LockedPackage { name, version, architecture, pocket, size, sha256, url });
    }
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Keys;

    fn names(packages: &[(&str, &str)]) -> Result<Vec<String>> {
        let text: String = packages
            .iter()
            .map(|(name, fields)| {
                format!(
                    "Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: {name}.deb\nSize: 1\nSHA256: {:064}\n{fields}\n\n",
                    0
                )
            })
            .collect();
        let archive = Archive {
            base: "http://archive.example/debian".parse().unwrap(),
            suite: "trixie".to_owned(),
            pocket: "release".to_owned(),
            components: vec!["main".to_owned()],
            keys: Keys::Debian,
            distribution: None,
            snapshots: Vec::new(),
            not_before: None,
            key_at: None,
            at: None,
        };
        let closure = closure(&archive, &[Index::parse(text.into_bytes())?])?;
        Ok(closure.into_iter().map(|package| package.name.to_string()).collect())
    }

    #[test]
    fn apt_comes_with_what_it_runs_on_and_without_what_it_verifies_with() {
        let packages = [
            ("apt", "Depends: libapt-pkg7.0 (>= 3.0), sqv | gpgv, adduser"),
            ("base-files", "Pre-Depends: awk"),
            ("dpkg", "Pre-Depends: libc6 (>= 2.38)"),
            ("libapt-pkg7.0", "Depends: libc6, libstdc++6, zlib"),
            ("libc6", "Depends: libgcc-s1\nBreaks: a"),
            ("libgcc-s1", "Depends: libc6"),
            ("libstdc++6", "Recommends: a"),
            ("zlib1g", "Provides: zlib (= 1)"),
            ("a", ""),
        ];
        let expected =
            ["apt", "base-files", "dpkg", "libapt-pkg7.0", "libc6", "libgcc-s1", "libstdc++6", "zlib1g"];
        assert_eq!(names(&packages).unwrap(), expected);
    }

    #[test]
    fn an_archive_without_apt_is_told_so() {
        let error = names(&[("base-files", ""), ("dpkg", "")]).unwrap_err().to_string();
        assert_eq!(error, "no archive has the package `apt`");
    }
}
