//! Why a package is there: which request of the description brought it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bedplate_core::plan::{PackagePlan, Plan};
use bedplate_formats::control::Stanza;

use crate::archive::index::relation_names;

/// What each of some packages depends on.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    needs: BTreeMap<String, Vec<String>>,
    provides: BTreeMap<String, BTreeSet<String>>,
}

impl Dependencies {
    /// Reads the paragraphs of an index or of dpkg's database. Of alternatives
    /// all that are there count: dpkg is content with any of them.
    pub fn of<'a>(stanzas: impl IntoIterator<Item = Stanza<'a>>) -> Self {
        let mut all = Self::default();
        for stanza in stanzas {
            let Some(name) = stanza.field("Package") else { continue };
            let fields = ["Pre-Depends", "Depends", "Recommends"];
            let needs = fields.iter().filter_map(|field| stanza.field(field));
            let needs = needs.flat_map(|value| value.split(',')).flat_map(|group| group.split('|'));
            let needs: Vec<String> = needs.flat_map(|one| relation_names(one).map(str::to_owned)).collect();
            all.needs.entry(name.to_owned()).or_default().extend(needs);
            for provided in relation_names(stanza.field("Provides").unwrap_or_default()) {
                all.provides.entry(provided.to_owned()).or_default().insert(name.to_owned());
            }
        }
        all
    }

    /// The request that leads to `package` over the fewest dependencies; the
    /// first of those with equally many.
    pub fn brought_by<'a>(
        &self,
        package: &str,
        requests: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let ways = requests.into_iter().filter_map(|request| Some((self.way(request, package)?, request)));
        ways.min_by_key(|(length, _)| *length).map(|(_, request)| request)
    }

    /// The package of the description that leads to `package`, as [`Dependencies::brought_by`] finds it.
    pub fn request<'a>(&self, plan: &'a Plan, package: &str) -> Option<&'a PackagePlan> {
        let requests = plan.packages.iter().filter(|package| package.at.is_some());
        plan.package(self.brought_by(package, requests.map(|package| package.name.as_str()))?)
    }

    /// Over how many dependencies one package leads to another.
    fn way(&self, from: &str, to: &str) -> Option<usize> {
        let mut seen = BTreeSet::from([from]);
        let mut next = VecDeque::from([(from, 0)]);
        while let Some((name, length)) = next.pop_front() {
            if name == to {
                return Some(length);
            }
            for need in self.needs.get(name).into_iter().flatten() {
                let providers = self.provides.get(need).into_iter().flatten();
                for name in std::iter::once(need).chain(providers) {
                    if self.needs.contains_key(name) && seen.insert(name) {
                        next.push_back((name, length + 1));
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_formats::control::stanzas;

    #[test]
    fn the_nearest_request_brought_a_package() {
        let text = "Package: meta\nDepends: kernel-6 (= 1), a | b\n\nPackage: kernel-6\nProvides: kernel\n\n\
                    Package: dkms\nDepends: kernel\n\nPackage: far\nDepends: dkms\n\nPackage: b\nPre-Depends: libc6\n";
        let all = Dependencies::of(stanzas(text));
        assert_eq!(all.brought_by("kernel-6", ["far", "dkms", "meta"]), Some("dkms"));
        assert_eq!(all.brought_by("kernel-6", ["far", "meta"]), Some("meta"));
        assert_eq!(all.brought_by("b", ["far", "meta"]), Some("meta"));
        assert_eq!(all.brought_by("meta", ["meta"]), Some("meta"));
        assert_eq!(all.brought_by("libc6", ["meta"]), None);
    }
}
