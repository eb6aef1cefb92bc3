//! Packages that were brought along: a directory of files and their digests, which a machine without a network builds
//! from.
//!
//! ```text
//! DIR/SHA256SUMS                                      as sha256sum(1) writes it
//! DIR/docker.io_26.1.5+dfsg1-9_amd64_1b6c0d4e.deb     name, version, architecture, and the digest's first digits
//! ```
//!
//! Several locks may share a directory. Nothing in it is believed but by its digest, which the lock has.

use std::collections::BTreeMap;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bedplate_core::Sha256;
use bedplate_core::lock::LockedPackage;
use bedplate_formats::sparse;
use fs_err as fs;

use crate::paths;
use crate::store::{self, Claim, Store};

/// The list of what is there.
const SUMS: &str = "SHA256SUMS";

/// A directory of packages.
#[derive(Debug, Clone)]
pub struct Carried {
    directory: PathBuf,
    files: BTreeMap<Sha256, String>,
}

impl Carried {
    /// Reads the list of a directory.
    ///
    /// # Errors
    /// There is none, or it is not what sha256sum(1) writes.
    pub fn open(directory: &Path) -> Result<Self> {
        let list = directory.join(SUMS);
        let text = match fs::read_to_string(&list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "`{}` is no directory of packages: it has no {SUMS}; `cargo xtask vendor DIR` makes one",
                paths::path(directory)
            ),
            text => text?,
        };
        let line = |line: &str| {
            let (sha256, name) = line.split_once(" *").or_else(|| line.split_once("  "))?;
            let plain = !name.contains('/') && name != "." && name != "..";
            Some((sha256.parse().ok()?, name.to_owned())).filter(|_| plain)
        };
        let files = text.lines().map(|text| {
            line(text).with_context(|| format!("`{}` has the invalid line `{text}`", paths::path(&list)))
        });
        Ok(Self { directory: directory.to_owned(), files: files.collect::<Result<_>>()? })
    }

    /// Takes a package into a store, where the directory has it; whether it has.
    ///
    /// # Errors
    /// The file is not what the list says, or cannot be read; a store that cannot be written to.
    pub fn take(&self, sha256: &Sha256, store: &Store) -> Result<bool> {
        let Some(name) = self.files.get(sha256) else { return Ok(false) };
        let path = self.directory.join(name);
        let Claim::Partial(mut partial) = store.claim(sha256)? else { return Ok(true) };
        let copied = (|| -> Result<Sha256> {
            partial.restart()?;
            io::copy(fs::File::open(&path)?.file_mut(), partial.file())?;
            partial.file().rewind()?;
            Ok(store::hash(partial.file())?)
        })();
        match copied {
            Ok(found) if found == *sha256 => partial.finish().map(|_| true),
            Ok(found) => {
                partial.discard();
                bail!("`{}` is damaged: its sha256 is `{found}` instead of `{sha256}`", paths::path(&path))
            }
            Err(error) => {
                partial.discard();
                Err(error.context(format!("cannot take `{}` into the cache", paths::path(&path))))
            }
        }
    }
}

/// Puts packages of a store into a directory, beside those that it has; how many files came to it, and their bytes.
///
/// # Errors
/// A package that is not in the store; a directory that cannot be written to, or a full disk: the list is written last,
/// and has what was there before until then.
pub fn carry<'a>(
    packages: impl IntoIterator<Item = &'a LockedPackage>,
    store: &Store,
    directory: &Path,
) -> Result<(usize, u64)> {
    fs::create_dir_all(directory)?;
    let mut carried = match fs::exists(directory.join(SUMS))? {
        true => Carried::open(directory)?,
        false => Carried { directory: directory.to_owned(), files: BTreeMap::new() },
    };
    carried.files.retain(|_, name| directory.join(name).is_file());
    let (mut count, mut bytes) = (0, 0);
    for package in packages {
        let LockedPackage { name, version, architecture, sha256, .. } = package;
        if carried.files.contains_key(sha256) {
            continue;
        }
        let digits = sha256.as_str().get(..8).unwrap_or_default();
        let file = format!("{name}_{version}_{architecture}_{digits}.deb").replace([':', '/'], "_");
        let stored = store.path(sha256).with_context(|| format!("`{name}` has left the store"))?;
        let new = tempfile::Builder::new().prefix(".").tempfile_in(directory)?;
        sparse::copy_file(fs::File::open(&stored)?.file(), new.as_file())
            .with_context(|| format!("cannot write `{}`", paths::path(&directory.join(&file))))?;
        bytes += new.as_file().metadata()?.len();
        count += 1;
        persist(new, &directory.join(&file))?;
        carried.files.insert(sha256.clone(), file);
    }
    let mut lines: Vec<(&String, &Sha256)> = carried.files.iter().map(|(sum, name)| (name, sum)).collect();
    lines.sort();
    let list: String = lines.iter().map(|(name, sum)| format!("{sum} *{name}\n")).collect();
    let mut new = tempfile::Builder::new().prefix(".").tempfile_in(directory)?;
    new.write_all(list.as_bytes())?;
    persist(new, &directory.join(SUMS))?;
    Ok((count, bytes))
}

/// Gives a finished file its name; everybody may read it.
fn persist(new: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    new.persist(path).with_context(|| format!("cannot write `{}`", paths::path(path)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with these packages.
    fn store(directory: &Path, contents: &[&str]) -> (Store, Vec<LockedPackage>) {
        let store = Store::at(&directory.join("store")).unwrap();
        let package = |content: &&str| LockedPackage {
            name: "one".parse().unwrap(),
            version: "1:2.0".to_owned(),
            architecture: "amd64".to_owned(),
            pocket: "release".to_owned(),
            size: content.len() as u64,
            sha256: store.insert(content.as_bytes()).unwrap(),
            url: "http://archive.example/a.deb".parse().unwrap(),
        };
        let packages = contents.iter().map(package).collect();
        (store, packages)
    }

    #[test]
    fn what_one_machine_carries_another_takes() {
        let directory = tempfile::tempdir().unwrap();
        let (store, packages) = store(directory.path(), &["one", "two"]);
        let carried = directory.path().join("carried");
        assert_eq!(carry(&packages[..1], &store, &carried).unwrap(), (1, 3));
        // Another lock's come beside it, and what is there is not written again.
        assert_eq!(carry(&packages, &store, &carried).unwrap(), (1, 3));
        let list = fs::read_to_string(carried.join(SUMS)).unwrap();
        assert_eq!(list.lines().count(), 2);
        assert!(list.contains(" *one_1_2.0_amd64_"), "{list}");

        let empty = Store::at(&directory.path().join("empty")).unwrap();
        let from = Carried::open(&carried).unwrap();
        for package in &packages {
            assert!(from.take(&package.sha256, &empty).unwrap());
            assert!(empty.verified(&package.sha256).is_some());
        }
        let unknown = Sha256::of([7; 32]);
        assert!(!from.take(&unknown, &empty).unwrap());
    }

    #[test]
    fn what_is_damaged_or_no_list_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (store, packages) = store(directory.path(), &["one"]);
        let carried = directory.path().join("carried");
        let said = |error: anyhow::Error| format!("{error:#}");
        assert!(said(Carried::open(&carried).unwrap_err()).contains("it has no SHA256SUMS"));
        carry(&packages, &store, &carried).unwrap();
        let from = Carried::open(&carried).unwrap();
        let file = carried.join(from.files.values().next().unwrap());
        fs::write(&file, "two").unwrap();
        let empty = Store::at(&directory.path().join("empty")).unwrap();
        assert!(
            said(from.take(&packages[0].sha256, &empty).unwrap_err()).contains("is damaged: its sha256 is")
        );
        assert!(empty.path(&packages[0].sha256).is_none());
        // A file that is gone is carried again.
        fs::remove_file(&file).unwrap();
        assert_eq!(carry(&packages, &store, &carried).unwrap().0, 1);
        for line in ["x", "zz *a", &format!("{} *../a", packages[0].sha256)] {
            fs::write(carried.join(SUMS), line).unwrap();
            assert!(said(Carried::open(&carried).unwrap_err()).contains("invalid line"), "{line}");
        }
    }
}
