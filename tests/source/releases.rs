//! The table of releases, held against what the distributions say of themselves.

use std::collections::BTreeSet;

use crate::product;
use bedplate::archive::mirror::{HostSources, Mirrors};
use bedplate::archive::{self, Archive, Keys};
use bedplate::fetch::{Fetcher, Silent};
use bedplate::release::{Named, RELEASES, Release};
use bedplate::store::Store;
use bedplate::{Architecture, Distribution};
use bedplate_formats::deb::compare_versions;

/// Two packages of Debian's that know Ubuntu, too: `distro-info-data`, and the templates of `python-apt`.
fn said(file: &str) -> String {
    product::agrees(product::root(), &["distro-info-data", "python-apt-common", "coreutils"], &["cat", file])
}

#[test]
fn names_and_numbers_are_the_distributions() {
    for (distribution, file) in [(Distribution::Ubuntu, "ubuntu"), (Distribution::Debian, "debian")] {
        let table = said(&format!("/usr/share/distro-info/{file}.csv"));
        for release in RELEASES.iter().filter(|release| release.distribution == distribution) {
            // `24.04 LTS,Noble Numbat,noble,…`
            let line = table.lines().find(|line| line.split(',').nth(2) == Some(release.name));
            let line = line.unwrap_or_else(|| panic!("{file} has no `{}`", release.name));
            assert_eq!(line.split([',', ' ']).next().unwrap(), release.version, "{}", release.name);
        }
    }
}

#[test]
fn ubuntus_archives_and_components_are_those_that_its_own_tools_write() {
    let template = said("/usr/share/python-apt/templates/ubuntu.info");
    // `Suite: devel`, which stands for the newest release, and `devel-security`; the first of each is of packages.
    let stanza = |suffix: &str| {
        let mut stanzas = template.split("\n\n");
        let start = format!("Suite: devel{suffix}\n");
        stanzas.find(|stanza| stanza.starts_with(&start)).unwrap().to_owned()
    };
    let words = |stanza: &str, field: &str| -> BTreeSet<String> {
        let lines = stanza.lines().filter_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        lines.map(|word| word.trim_end_matches('/').to_owned()).collect()
    };
    for release in RELEASES.iter().filter(|release| release.distribution == Distribution::Ubuntu) {
        let components = release.archives.components.iter().chain(release.archives.further);
        let components: BTreeSet<String> = components.map(ToString::to_string).collect();
        assert_eq!(components, words(&stanza(""), "Component"), "{}", release.name);
        for (architecture, field) in
            [(Architecture::X86_64, "BaseURI-amd64"), (Architecture::Aarch64, "BaseURI")]
        {
            for pocket in release.pockets(architecture) {
                // `-updates` is where the release is.
                let suffix = if pocket.name == "security" { "-security" } else { "" };
                let base = BTreeSet::from([pocket.base.to_owned()]);
                assert_eq!(base, words(&stanza(suffix), field), "{} {}", release.name, pocket.suite);
            }
        }
    }
}

/// Debian's archive is asked itself: each row's versions, and every package it names.
#[test]
fn versions_are_those_of_the_archive() {
    if !product::all() {
        return;
    }
    for release in RELEASES.iter().filter(|release| release.distribution == Distribution::Debian) {
        let (amd64, arm64) = (index(release, Architecture::X86_64), index(release, Architecture::Aarch64));
        let version = |package: &str| {
            let stanza = amd64.find(package).next().unwrap_or_else(|| panic!("{}: {package}", release.name));
            stanza.field("Version").unwrap().to_owned()
        };
        let numbers = |package: &str| -> Vec<u32> {
            let version = version(package);
            let digits = version.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
            digits.collect()
        };
        let name = release.name;
        assert_eq!(numbers("systemd")[0], release.systemd, "{name}");
        assert_eq!(numbers("linux-image-amd64")[..2], [release.kernel.0, release.kernel.1], "{name}");
        let (major, minor, patch) = release.e2fsprogs;
        let said = format!("{major}.{minor}.{patch}");
        assert!(compare_versions(&version("e2fsprogs"), &said).is_ge(), "{name}: {}", version("e2fsprogs"));
        let named = release.named.iter().flat_map(|(_, named)| match named {
            Named::As(names) => names.to_vec(),
            Named::Within(whole) => vec![*whole],
        });
        let tools = [release.repart, release.libarchive, release.emulators.0];
        for package in named.chain(release.verity.iter().copied()).chain(tools) {
            let known = [&amd64, &arm64].iter().any(|index| index.find(package).next().is_some());
            assert!(known, "{name} has no `{package}`");
        }
    }
}

fn index(release: &Release, architecture: Architecture) -> archive::index::Index {
    let pocket = release.pockets(architecture).next().unwrap();
    let archive = Archive {
        base: pocket.base.parse().unwrap(),
        suite: pocket.suite,
        pocket: pocket.name.to_owned(),
        components: vec!["main".to_owned()],
        distribution: Some(release.distribution),
        keys: Keys::Debian,
        snapshots: Vec::new(),
        not_before: None,
        key_at: None,
        at: None,
    };
    let host = HostSources::read(std::path::Path::new("/"));
    let mirrors = Mirrors::choose(std::slice::from_ref(&archive), &[], &[], &host);
    let fetcher = Fetcher::new(&Store::open().unwrap()).mirrors(mirrors);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    let opened = archive::open(&fetcher, &[archive], architecture.deb(), now, &Silent).unwrap();
    opened[0].packages[0].index().unwrap()
}
