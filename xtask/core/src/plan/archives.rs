//! Where packages come from.

use super::{ArchivePlan, Keyring};
use crate::image::repository::{Key, Repository};
use crate::image::target::Architecture;
use crate::image::{Distribution, Image};
use crate::location::SourceLocation;
use crate::release::Release;
use crate::secret::Secret;
use crate::value::Url;

/// The distribution's pockets, then the description's repositories, in order.
pub(crate) fn plan(image: &Image, release: &Release, architecture: Architecture) -> Vec<ArchivePlan> {
    let mut components: Vec<String> = release.archives.components.iter().map(ToString::to_string).collect();
    for component in &image.components {
        if !components.iter().any(|known| known == component.value.as_str()) {
            components.push(component.value.to_string());
        }
    }
    let moment = image.snapshot.as_ref().map(|snapshot| snapshot.value.to_string());
    let keyring = match (&image.signed_by, image.distribution) {
        (Some(key), _) => Keyring::of(key),
        (None, Distribution::Debian) => Keyring::Debian,
        (None, Distribution::Ubuntu) => Keyring::Ubuntu,
    };
    let own = release.pockets(architecture).map(|pocket| ArchivePlan {
        base: Url::known(pocket.base),
        suite: pocket.suite,
        pocket: pocket.name.to_string(),
        components: components.clone(),
        keyring: keyring.clone(),
        snapshots: moment.iter().flat_map(|moment| release.archives.snapshots(pocket.name, moment)).collect(),
        own: true,
        at: None,
        key_at: image.signed_by.as_ref().and_then(Key::place).cloned(),
    });
    let mut archives: Vec<ArchivePlan> = own.collect();
    for suite in &image.suites {
        // The first one is the release itself: its archive has the further suites too.
        let Some(release_itself) = archives.first().cloned() else { break };
        let name = suite.value.to_string();
        if archives.iter().any(|archive| archive.suite == name) {
            continue;
        }
        let pocket = name.split_once('-').map_or(name.as_str(), |(_, pocket)| pocket).to_string();
        archives.push(ArchivePlan { suite: name, pocket, at: Some(suite.at.clone()), ..release_itself });
    }
    archives.extend(image.repositories.iter().filter_map(third_party));
    archives
}

/// The archives that a package's `from` means: by their suite, or, where that says nothing, by their host.
pub(crate) fn origins_of<'a>(archives: &'a [ArchivePlan], from: &str) -> Vec<&'a ArchivePlan> {
    let by_suite: Vec<&ArchivePlan> = archives.iter().filter(|archive| archive.suite == from).collect();
    match by_suite.is_empty() {
        true => archives.iter().filter(|archive| !archive.own && archive.pocket == from).collect(),
        false => by_suite,
    }
}

fn third_party(repository: &Repository) -> Option<ArchivePlan> {
    let base = repository.url.as_ref()?.value.without_slash();
    let host = base.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(&base);
    Some(ArchivePlan {
        pocket: host.to_string(),
        suite: repository.suite.as_ref()?.value.to_string(),
        components: repository.components.iter().map(|component| component.value.to_string()).collect(),
        keyring: Keyring::of(&repository.key),
        snapshots: Vec::new(),
        own: false,
        at: Some(repository.at.clone()),
        key_at: None,
        base,
    })
}

impl ArchivePlan {
    /// Returns the line that names its key.
    #[must_use]
    pub fn key_place(&self) -> Option<&SourceLocation> {
        self.key_at.as_ref().or(self.at.as_ref())
    }
}

impl Keyring {
    /// The key a description names.
    pub(super) fn of(key: &Key) -> Self {
        Keyring::Key {
            file: key.file.as_ref().map(|file| file.at.beside(&file.value)),
            url: key.url.as_ref().map(|url| url.value.bare()),
            query: key.url.as_ref().and_then(|url| url.value.query().map(Secret::new)),
            fingerprint: key.fingerprint.as_ref().map(|print| print.value.as_str().to_ascii_uppercase()),
        }
    }
}
