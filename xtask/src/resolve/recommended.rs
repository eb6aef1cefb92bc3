//! What packages recommend, and an image does not have.
//!
//! Debian Policy, section 7.2: a recommended package is one that "would be found together with this one in all but
//! unusual installations". An image is unusual, so none is installed unasked; but what is left out is told, under the
//! package that the description names.
//!
//! Deliberately absent: versions of relationships, which apt looks at when it resolves what is found here.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use bedplate_core::lock::Recommended;
use bedplate_core::value::PackageName;
use bedplate_formats::control::Stanza;

use super::ResolveError;
use crate::archive::index::relation_names;

/// Names that only something else than an image's own initrd builder would serve.
const REPLACED: [&str; 4] = ["dracut", "initramfs-tools", "linux-initramfs-tool", "tiny-initramfs"];

/// The packages of a solution, with what is said of them.
pub(super) struct Installed<'a> {
    stanzas: BTreeMap<&'a str, Stanza<'a>>,
    /// A name that others provide, and who does.
    provided: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Installed<'a> {
    /// Takes the paragraphs of a solution's packages.
    pub(super) fn new(stanzas: impl IntoIterator<Item = Stanza<'a>>) -> Self {
        let named = |stanza: Stanza<'a>| Some((stanza.field("Package")?, stanza));
        let stanzas: BTreeMap<_, _> = stanzas.into_iter().filter_map(named).collect();
        let mut provided: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, stanza) in &stanzas {
            for provides in relation_names(stanza.field("Provides").unwrap_or_default()) {
                provided.entry(provides).or_default().push(name);
            }
        }
        Self { stanzas, provided }
    }

    /// Returns what each of the packages `asked` recommends and nobody brought, in their order. A package that two of
    /// them need is the first one's; what the packages `base` need is nobody's.
    ///
    /// `choose` says which package a name that is not installed stands for, if any.
    pub(super) fn left_out<N: Borrow<str> + Clone>(
        &self,
        base: &BTreeSet<String>,
        asked: &[N],
        choose: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<(N, BTreeSet<String>)> {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        self.closure(base.iter().map(String::as_str), &mut known);
        // What is named is its own, whoever else needs it.
        let named: BTreeSet<&str> = asked.iter().map(N::borrow).collect();
        let mut found = Vec::new();
        for name in asked {
            let mut own: BTreeSet<&str> =
                named.iter().copied().filter(|other| *other != name.borrow()).collect();
            own.extend(&known);
            own.remove(name.borrow());
            let mine = self.closure(std::iter::once(name.borrow()), &mut own);
            known.extend(&mine);
            let names = mine.iter().flat_map(|package| self.recommends(package, choose)).collect();
            found.push((name.clone(), names));
        }
        found
    }

    /// Adds to `known` what these packages need, and returns what was added.
    fn closure<'b>(
        &'b self,
        names: impl Iterator<Item = &'b str>,
        known: &mut BTreeSet<&'b str>,
    ) -> Vec<&'b str> {
        let mut open: Vec<&str> = names.collect();
        let mut added = Vec::new();
        while let Some(name) = open.pop() {
            let Some((name, stanza)) = self.stanzas.get_key_value(name) else { continue };
            if !known.insert(name) {
                continue;
            }
            added.push(*name);
            for field in ["Depends", "Pre-Depends"] {
                for relation in stanza.field(field).unwrap_or_default().split(',') {
                    open.extend(alternatives(relation).flat_map(|name| self.who_is(name)));
                }
            }
        }
        added
    }

    fn recommends(&self, package: &str, choose: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let field = self.stanzas.get(package).and_then(|stanza| stanza.field("Recommends"));
        let missing = |relation: &&str| {
            let has = |name: &str| self.who_is(name).next().is_some() || REPLACED.contains(&name);
            !alternatives(relation).any(has)
        };
        let relations = field.unwrap_or_default().split(',').filter(missing);
        relations.filter_map(|relation| alternatives(relation).find_map(choose)).collect()
    }

    /// The installed packages that a name stands for.
    fn who_is<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        let itself = self.stanzas.contains_key(name).then_some(name);
        itself.into_iter().chain(self.provided.get(name).into_iter().flatten().copied())
    }
}

/// The names in one relationship: `a:any (>= 1) | b` is `a`, `b`.
fn alternatives(relation: &str) -> impl Iterator<Item = &str> {
    relation.split('|').flat_map(relation_names)
}

/// Why a name that is in no index is not installed.
pub(super) const UNKNOWN: &str = "no archive of the image has it";

/// What became of the recommendations of a package that were asked for.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Those that are installed.
    pub installed: BTreeSet<String>,
    /// Those that cannot be, and why.
    pub refused: BTreeMap<String, String>,
}

/// Why apt cannot install a package: the first line of its explanation.
pub(super) fn reason(error: &anyhow::Error) -> String {
    let text = match error.downcast_ref::<ResolveError>() {
        Some(ResolveError::Unsatisfiable { explanation, .. }) => explanation.clone(),
        _ => format!("{error:#}"),
    };
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As the lock has them: those that are installed because they are asked for, those that cannot be, and those that
/// are left out because nobody asks for them.
pub(super) fn locked(
    left_out: Vec<(PackageName, BTreeSet<String>)>,
    followed: &BTreeMap<PackageName, Followed>,
) -> Vec<Recommended> {
    let one = |by: &PackageName, installed: bool, names: Vec<String>, why: &str| Recommended {
        by: by.clone(),
        installed,
        names,
        why: why.to_owned(),
    };
    let left_out = left_out.into_iter().filter(|(by, names)| !names.is_empty() && !followed.contains_key(by));
    let left_out = left_out.map(|(by, names)| one(&by, false, names.into_iter().collect(), ""));
    let asked = followed.iter().flat_map(|(by, Followed { installed, refused })| {
        let refused = refused.iter().map(|(name, why)| one(by, false, vec![name.clone()], why));
        refused.chain([one(by, true, installed.iter().cloned().collect(), "")])
    });
    let mut all: Vec<Recommended> = left_out.chain(asked).collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use bedplate_formats::control::stanzas;

    use super::*;

    const INSTALLED: &str = "\
Package: podman
Depends: netavark | cni, libc6 (>= 2)
Recommends: passt | slirp4netns, uidmap, dbus-session, mail-transport-agent

Package: netavark
Recommends: aardvark-dns (>= 1)

Package: libc6
Recommends: libidn2-0

Package: linux-image
Depends: kmod
Recommends: initramfs-tools | linux-initramfs-tool, firmware

Package: kmod

Package: dbus
Provides: dbus-session (= 1)
";

    fn left_out(asked: &[&str]) -> Vec<String> {
        let installed = Installed::new(stanzas(INSTALLED));
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        let choose = |name: &str| (name != "mail-transport-agent").then(|| name.to_owned());
        let base = BTreeSet::from(["libc6".to_owned()]);
        let found = installed.left_out(&base, &asked, &choose);
        found
            .iter()
            .map(|(by, names)| format!("{by}: {}", names.iter().cloned().collect::<Vec<_>>().join(" ")))
            .collect()
    }

    /// Case 32.
    #[test]
    fn what_is_recommended_is_told_under_the_package_that_was_asked_for() {
        assert_eq!(left_out(&["podman"]), ["podman: aardvark-dns passt uidmap"]);
        // What has a name of its own answers for itself.
        assert_eq!(left_out(&["podman", "netavark"]), ["podman: passt uidmap", "netavark: aardvark-dns"]);
        // An image has an initrd of its own.
        assert_eq!(left_out(&["linux-image"]), ["linux-image: firmware"]);
    }
}
