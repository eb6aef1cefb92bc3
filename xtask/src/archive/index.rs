//! `Packages`: the index of a component, 56 MB for Debian's `main`.
//!
//! Read whole, looked at where needed. What runs over all of it is `memchr`; a stanza is parsed when it is asked
//! for. Names are in a table of offsets, sorted.
//!
//! Deliberately absent: relations between packages beyond their first alternatives. apt resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context, Result, bail};
use bedplate_core::value::{PackageName, Sha256, Value as _};
use bedplate_formats::control::{self, Stanza};
use memchr::memmem;

/// One verified `Packages` file.
#[derive(Debug)]
pub struct Index {
    text: String,
    /// Where each stanza is, by package name; several versions of a package follow each other.
    stanzas: Vec<(Range<usize>, Range<usize>)>,
}

/// What an index says of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `docker.io`
    pub name: PackageName,
    /// `26.1.5+dfsg1-9`
    pub version: String,
    /// `amd64` or `all`
    pub architecture: String,
    /// Below the archive's base.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of the file.
    pub sha256: Sha256,
}

impl Index {
    /// Takes a `Packages` file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let text = String::from_utf8(bytes).context("the index is not UTF-8")?;
        let mut stanzas = Vec::with_capacity(text.len() / 800);
        let mut start = 0;
        let ends = memmem::find_iter(text.as_bytes(), b"\n\n").map(|at| at + 1).chain([text.len()]);
        for end in ends {
            let stanza = &text[start..end];
            if let Some(name) = name_of(stanza) {
                stanzas.push((start + name.start..start + name.end, start..end));
            } else if !stanza.trim_ascii().is_empty() {
                bail!("the paragraph at byte {start} of the index names no package");
            }
            start = end;
        }
        stanzas.sort_by(|(left, _), (right, _)| text[left.clone()].cmp(&text[right.clone()]));
        Ok(Self { text, stanzas })
    }

    /// The stanzas of this package, one for each version.
    pub fn find<'a>(&'a self, name: &str) -> impl Iterator<Item = Stanza<'a>> {
        let start = self.stanzas.partition_point(|(found, _)| &self.text[found.clone()] < name);
        let end = self.stanzas.partition_point(|(found, _)| &self.text[found.clone()] <= name);
        let found = self.stanzas[start..end].iter().filter_map(|(_, stanza)| self.stanza(stanza.clone()));
        // Where it was looked for quickly, a paragraph may have named another one.
        found.filter(move |stanza| stanza.field("Package") == Some(name))
    }

    /// Every package's name, sorted; a name with two versions comes twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stanzas.iter().map(|(name, _)| &self.text[name.clone()])
    }

    /// Names of the packages every system has.
    pub fn essential(&self) -> BTreeSet<String> {
        memmem::find_iter(self.text.as_bytes(), b"\nEssential: yes\n")
            .filter_map(|at| self.around(at)?.field("Package").map(str::to_owned))
            .collect()
    }

    /// The virtual packages, and who provides each.
    pub fn provided(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut provided: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for at in memmem::find_iter(self.text.as_bytes(), b"\nProvides: ") {
            let Some(stanza) = self.around(at) else { continue };
            let (Some(provider), Some(names)) = (stanza.field("Package"), stanza.field("Provides")) else {
                continue;
            };
            for name in relation_names(names) {
                provided.entry(name).or_default().insert(provider);
            }
        }
        provided
    }

    fn around(&self, at: usize) -> Option<Stanza<'_>> {
        let bytes = self.text.as_bytes();
        let start = memmem::rfind(&bytes[..at], b"\n\n").map_or(0, |before| before + 2);
        let end = memmem::find(&bytes[at..], b"\n\n").map_or(bytes.len(), |after| at + after + 1);
        self.stanza(start..end)
    }

    fn stanza(&self, range: Range<usize>) -> Option<Stanza<'_>> {
        control::stanzas(&self.text[range]).next()
    }
}

impl Package {
    /// Reads the fields that matter here.
    pub fn from_stanza(stanza: Stanza<'_>) -> Result<Self> {
        let field = |name| {
            stanza.field(name).map(str::to_owned).with_context(|| {
                format!("the index says no `{name}` for `{}`", stanza.field("Package").unwrap_or_default())
            })
        };
        let path = field("Filename")?;
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            bail!("the index names the file `{path}`, which is outside of the archive");
        }
        let sha256 = field("SHA256")?;
        let Ok(sha256) = Sha256::parse(&sha256) else {
            bail!("the index says a `SHA256` that is none: `{}`", sha256.escape_debug());
        };
        let name = PackageName::parse(&field("Package")?).context("the index has an invalid package name")?;
        Ok(Self {
            name,
            version: field("Version")?,
            architecture: field("Architecture")?,
            path,
            size: field("Size")?.parse().context("the index says a `Size` that is no number")?,
            sha256,
        })
    }
}

/// The names in a relation field, first alternatives only: `libc6 (>= 2.38), a:any | b` is `libc6`, `a`.
pub fn relation_names(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').filter_map(|relation| {
        let first = relation.split('|').next()?.trim();
        let end = first
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | ':' | '[' | '<'))
            .unwrap_or(first.len());
        (end > 0).then(|| &first[..end])
    })
}

/// Where the package's name is in its stanza. It is the first field everywhere, by custom and not by rule.
fn name_of(stanza: &str) -> Option<Range<usize>> {
    let blank = stanza.len() - stanza.trim_start_matches('\n').len();
    let value = match stanza[blank..].strip_prefix("Package:") {
        Some(_) => blank + "Package:".len(),
        None => memmem::find(stanza.as_bytes(), b"\nPackage:")? + "\nPackage:".len(),
    };
    let line = stanza[value..].lines().next()?;
    let name = line.trim();
    let start = value + (line.len() - line.trim_start().len());
    (!name.is_empty()).then(|| start..start + name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGES: &str = "\
Package: zsh
Version: 5.9
Depends: libc6 (>= 2.38), zsh-common (= 5.9), a:any | b

Version: 2
Package: dash
Essential: yes
Provides: sh, posix-shell (= 2)

Package: bash
Version: 1
Essential: yes

Package: bash
Version: 2
Essential: yes
Provides: sh
";

    #[test]
    fn packages_are_found_by_name_in_every_version() {
        let index = Index::parse(PACKAGES.into()).unwrap();
        assert_eq!(index.names().collect::<Vec<_>>(), ["bash", "bash", "dash", "zsh"]);
        let versions: Vec<_> = index.find("bash").map(|stanza| stanza.field("Version").unwrap()).collect();
        assert_eq!(versions, ["1", "2"]);
        assert_eq!(index.find("ba").count(), 0);
        assert_eq!(index.find("zsh").next().unwrap().field("Version"), Some("5.9"));
    }

    #[test]
    fn essential_and_virtual_packages_are_told() {
        let index = Index::parse(PACKAGES.into()).unwrap();
        assert_eq!(index.essential(), BTreeSet::from(["bash".to_owned(), "dash".to_owned()]));
        assert_eq!(index.provided()["sh"], BTreeSet::from(["bash", "dash"]));
        assert_eq!(index.provided()["posix-shell"], BTreeSet::from(["dash"]));
    }

    #[test]
    fn only_first_alternatives_are_named() {
        let names: Vec<_> = relation_names("libc6 (>= 2.38), a:any | b,c(= 1)").collect();
        assert_eq!(names, ["libc6", "a", "c"]);
    }

    #[test]
    fn an_index_cannot_name_a_file_outside_of_the_archive() {
        let text =
            "Package: a\nVersion: 1\nArchitecture: all\nFilename: pool/../../x.deb\nSize: 1\nSHA256: 0\n";
        let stanza = control::stanzas(text).next().unwrap();
        let error = Package::from_stanza(stanza).unwrap_err().to_string();
        assert_eq!(error, "the index names the file `pool/../../x.deb`, which is outside of the archive");
    }

    #[test]
    fn what_is_no_index_is_refused() {
        assert!(Index::parse(b"<html>\n\n</html>".to_vec()).is_err());
        assert_eq!(Index::parse(Vec::new()).unwrap().names().count(), 0);
    }
}
