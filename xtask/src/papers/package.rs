//! The packages of an image: what dpkg's database says of each, and what the lock does.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_core::Plan;
use bedplate_core::lock::{Lock, LockedPackage};
use bedplate_formats::control::{Stanza, stanzas};
use bedplate_formats::deb::compare_versions;
use serde::{Deserialize, Serialize};

use super::copyright::Licences;
use super::purl;

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// One line.
    pub summary: String,
    pub homepage: Option<String>,
    /// Who maintains it: `Name <address>`.
    pub maintainer: Option<Maintainer>,
    /// The source package that it was built of, and its version.
    pub source: (String, String),
    pub purl: String,
    /// The file's digest, in hexadecimal.
    pub sha256: String,
    /// Where the file was fetched from; none for a file of the project.
    pub location: Option<String>,
    /// None where no machine-readable file says them.
    pub licences: Option<Licences>,
    /// The names of the installed packages that it depends on.
    pub depends: BTreeSet<String>,
}

/// `Debian Systemd Maintainers <pkg-systemd-maintainers@lists.alioth.debian.org>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintainer {
    pub name: String,
    pub email: Option<String>,
}

impl Maintainer {
    fn of(field: &str) -> Option<Self> {
        let (name, email) = match field.split_once('<') {
            Some((name, email)) => (name, Some(email.trim_end_matches('>').trim().to_owned())),
            None => (field, None),
        };
        let name = name.trim().trim_matches('"').to_owned();
        // Some have the address of a page there.
        let email = email.filter(|email| email.contains('@') && !email.contains(' '));
        match (name.is_empty(), email) {
            (true, None) => None,
            (true, Some(email)) => Some(Self { name: email.clone(), email: Some(email) }),
            (false, email) => Some(Self { name, email }),
        }
    }
}

/// What all packages have in common.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub plan: &'a Plan,
    pub lock: &'a Lock,
    /// The release in the form of scanners: `debian-13`.
    pub distro: &'a str,
}

impl Origin<'_> {
    /// Returns the packages that are installed by the text of dpkg's database, by name.
    #[must_use]
    pub fn installed(self, status: &str, licences: &BTreeMap<String, Licences>) -> Vec<Package> {
        let is_installed =
            |stanza: &Stanza<'_>| stanza.field("Status").is_some_and(|status| status.ends_with(" installed"));
        let stanzas: Vec<Stanza<'_>> = stanzas(status).filter(is_installed).collect();
        let installed = Installed::of(&stanzas);
        let mut packages: Vec<Package> = stanzas
            .iter()
            .filter_map(|stanza| {
                let name = stanza.field("Package")?;
                let locked = self.lock.packages.iter().find(|package| package.name == name)?;
                let depends = installed.dependencies(stanza);
                Some(Package { depends, ..self.package(locked, stanza, licences.get(name)) })
            })
            .collect();
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        packages
    }

    /// Returns a package by its control file, without dependencies.
    #[must_use]
    pub fn package(
        self,
        locked: &LockedPackage,
        control: &Stanza<'_>,
        licences: Option<&Licences>,
    ) -> Package {
        let field = |name| control.field(name).filter(|value| !value.is_empty());
        let (name, version) = (locked.name.to_string(), locked.version.clone());
        let source = match field("Source").map(|source| source.split_once('(').unwrap_or((source, ""))) {
            Some((source, "")) => (source.trim().to_owned(), version.clone()),
            Some((source, of)) => (source.trim().to_owned(), of.trim_end_matches(')').trim().to_owned()),
            None => (name.clone(), version.clone()),
        };
        let location = (!locked.url.is_file()).then(|| locked.url.to_string());
        Package {
            purl: purl::of(self.plan, self.lock, locked, self.distro),
            architecture: locked.architecture.clone(),
            summary: field("Description").and_then(|text| text.lines().next()).unwrap_or_default().to_owned(),
            homepage: field("Homepage").filter(|page| is_address(page)).map(str::to_owned),
            maintainer: field("Maintainer").and_then(Maintainer::of),
            sha256: locked.sha256.to_string(),
            licences: licences.cloned(),
            depends: BTreeSet::new(),
            name,
            version,
            source,
            location,
        }
    }
}

fn is_address(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte))
}

/// What each name stands for among the packages that are installed.
struct Installed<'a> {
    /// The packages that have a name or provide it, with the version they have it in.
    by_name: BTreeMap<&'a str, Vec<(&'a str, Option<&'a str>)>>,
}

impl<'a> Installed<'a> {
    fn of(stanzas: &[Stanza<'a>]) -> Self {
        let mut by_name: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for stanza in stanzas {
            let name = stanza.field("Package").unwrap_or_default();
            by_name.entry(name).or_default().insert(0, (name, stanza.field("Version")));
            for provided in stanza.field("Provides").unwrap_or_default().split(',') {
                let Some(relation) = Relation::of(provided) else { continue };
                by_name.entry(relation.name).or_default().push((name, relation.version.map(|(_, of)| of)));
            }
        }
        Self { by_name }
    }

    /// The installed packages that a package depends on: of alternatives the first that is there.
    fn dependencies(&self, stanza: &Stanza<'_>) -> BTreeSet<String> {
        let fields = ["Pre-Depends", "Depends"].into_iter().filter_map(|name| stanza.field(name));
        let clauses = fields.flat_map(|field| field.split(','));
        let found = clauses.filter_map(|clause| {
            let alternatives = clause.split('|').filter_map(Relation::of);
            alternatives.filter_map(|relation| self.provider(&relation)).next()
        });
        found.filter(|name| stanza.field("Package") != Some(name)).map(str::to_owned).collect()
    }

    fn provider(&self, relation: &Relation<'_>) -> Option<&'a str> {
        let candidates = self.by_name.get(relation.name)?;
        candidates.iter().find(|(_, version)| relation.allows(*version)).map(|(name, _)| *name)
    }
}

/// `libc6:any (>= 2.38)`
struct Relation<'a> {
    name: &'a str,
    /// `>=` and `2.38`.
    version: Option<(&'a str, &'a str)>,
}

impl<'a> Relation<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_once('(').unwrap_or((text, ""));
        // An architecture in brackets is for sources, but some write it.
        let name = name.split(['[', ':']).next().unwrap_or_default().trim();
        let version = rest.split(')').next().unwrap_or_default().trim();
        let digits = version.find(|c: char| !"<>=".contains(c)).unwrap_or(version.len());
        let (operator, version) = version.split_at(digits);
        let version = (!operator.is_empty()).then(|| (operator, version.trim()));
        (!name.is_empty()).then_some(Self { name, version })
    }

    /// True for a package of this version; one that is provided without a version fits no relation that has one.
    fn allows(&self, version: Option<&str>) -> bool {
        let Some((operator, wanted)) = self.version else { return true };
        let Some(version) = version else { return false };
        let order = compare_versions(version, wanted);
        match operator {
            "<<" => order.is_lt(),
            "<=" | "<" => order.is_le(),
            "=" => order.is_eq(),
            ">=" | ">" => order.is_ge(),
            _ => order.is_gt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: a
Status: install ok installed
Version: 1
Pre-Depends: libc6:any (>= 2.38)
Depends: gone | mail-agent, b (<< 2) | c, awk (>= 2) | mawk, a

Package: b
Status: install ok installed
Version: 2-1

Package: c
Status: install ok installed
Version: 1

Package: libc6
Status: install ok installed
Version: 2.41-12

Package: mawk
Status: install ok installed
Version: 1.3
Provides: awk

Package: postfix
Status: install ok installed
Version: 3
Provides: mail-agent (= 3), smtp
";

    #[test]
    fn dependencies_are_what_is_installed_for_them() {
        let stanzas: Vec<Stanza<'_>> = stanzas(STATUS).collect();
        let depends = Installed::of(&stanzas).dependencies(&stanzas[0]);
        assert_eq!(depends.into_iter().collect::<Vec<_>>(), ["c", "libc6", "mawk", "postfix"]);
    }

    #[test]
    fn whatever_stands_for_a_relation_is_read() {
        for text in ["", "(", "a (", "a ()", "a (>=)", "[x]", ":any", "a:b:c (>> 1) (2)", "\u{fc} (= \u{fc})"]
        {
            let _ = Relation::of(text).map(|relation| relation.allows(Some("1")));
        }
        assert!(Relation::of("a (<< 1~)").unwrap().allows(Some("1~~")));
    }

    #[test]
    fn a_maintainer_is_a_name_an_address_or_both() {
        let shown = |field| Maintainer::of(field).map(|of| (of.name, of.email.unwrap_or_default()));
        let both = |name: &str, email: &str| Some((name.to_owned(), email.to_owned()));
        assert_eq!(shown("A Team <a@example.com>"), both("A Team", "a@example.com"));
        assert_eq!(shown("\"Vendor, Inc.\""), both("Vendor, Inc.", ""));
        assert_eq!(shown("<a@example.com>"), both("a@example.com", "a@example.com"));
        assert_eq!(shown("Vendor <https://vendor.example>"), both("Vendor", ""));
        assert_eq!((shown(""), shown("<>")), (None, None));
    }
}
