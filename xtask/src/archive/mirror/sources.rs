//! The host's apt sources, as far as they say which mirror is near.

use std::path::Path;

use bedplate_core::Distribution;
use bedplate_formats::control;

use super::Role;

/// The archives a host installs its own packages from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSources {
    /// `ID` of os-release(5).
    distribution: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    uri: String,
    suite: String,
}

impl HostSources {
    /// Reads the sources below `root`, which is `/` but in tests. A host without apt has none; a file that cannot
    /// be read is passed over, for the canonical address is always there to fall back on.
    pub fn read(root: &Path) -> Self {
        let os_release = std::fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
        let distribution = os_release.lines().find_map(|line| line.strip_prefix("ID=")).unwrap_or_default();
        let apt = root.join("etc/apt");
        let mut files = vec![apt.join("sources.list")];
        if let Ok(directory) = std::fs::read_dir(apt.join("sources.list.d")) {
            let mut parts: Vec<_> = directory.flatten().map(|entry| entry.path()).collect();
            parts.sort();
            files.extend(parts);
        }
        let texts: Vec<_> = files
            .iter()
            .filter_map(|file| Some((file.to_str()?.to_owned(), std::fs::read_to_string(file).ok()?)))
            .collect();
        let texts: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Self::parse(distribution.trim_matches('"'), &texts)
    }

    /// As [`HostSources::read`], from the texts of files with their names.
    pub(super) fn parse(distribution: &str, files: &[(&str, &str)]) -> Self {
        let mut entries = Vec::new();
        for (name, text) in files {
            match name.rsplit('.').next() {
                Some("list") => read_lines(text, &mut entries),
                Some("sources") => read_stanzas(text, &mut entries),
                _ => {}
            }
        }
        Self { distribution: distribution.to_owned(), entries }
    }

    /// The host's address of the archive in this role, if it runs this distribution.
    pub(super) fn mirror(&self, distribution: Distribution, base: &str, role: Role) -> Option<&str> {
        let id = match distribution {
            Distribution::Debian => "debian",
            Distribution::Ubuntu => "ubuntu",
        };
        if self.distribution != id {
            return None;
        }
        let wanted = last_segment(base);
        let found =
            self.entries.iter().filter(|entry| Role::of(&entry.uri, &entry.suite) == role).find(|entry| {
                match role {
                    Role::Main => last_segment(&entry.uri) == wanted && self.is_distributions_own(&entry.uri),
                    // Debian's security host also serves its archive at the root.
                    Role::Security => last_segment(&entry.uri) == wanted || path(&entry.uri).is_empty(),
                }
            })?;
        Some(&found.uri)
    }

    /// Third parties name their archives `…/debian` and their suites `bookworm` too. But only a distribution's own
    /// is at the root of its server or has an `-updates` pocket.
    fn is_distributions_own(&self, uri: &str) -> bool {
        !path(uri).contains('/')
            || self.entries.iter().any(|entry| entry.uri == uri && entry.suite.ends_with("-updates"))
    }
}

/// `deb [options] URI SUITE COMPONENT…`
fn read_lines(text: &str, entries: &mut Vec<Entry>) {
    for line in text.lines() {
        let Some(line) = line.trim_start().strip_prefix("deb ") else { continue };
        let line = line.trim_start();
        let line = match line.strip_prefix('[').and_then(|options| options.split_once(']')) {
            Some((_, rest)) => rest,
            None => line,
        };
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            add(entries, uri, suite, words);
        }
    }
}

fn read_stanzas(text: &str, entries: &mut Vec<Entry>) {
    // A comment may stand in the middle of a field, where control data has none.
    let text: String =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    for stanza in control::stanzas(&text) {
        let words = |name| stanza.field(name).unwrap_or_default().split_ascii_whitespace();
        let enabled = !matches!(stanza.field("Enabled"), Some("no" | "false" | "off" | "0"));
        if !enabled || !words("Types").any(|kind| kind == "deb") {
            continue;
        }
        for uri in words("URIs") {
            for suite in words("Suites") {
                add(entries, uri, suite, words("Components"));
            }
        }
    }
}

fn add<'a>(entries: &mut Vec<Entry>, uri: &str, suite: &str, mut components: impl Iterator<Item = &'a str>) {
    if path_of_http(uri).is_some() && components.any(|component| component == "main") {
        entries.push(Entry { uri: uri.trim_end_matches('/').to_owned(), suite: suite.to_owned() });
    }
}

/// What follows the host in an HTTP address, without slashes around it.
fn path_of_http(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"))?;
    Some(rest.split_once('/').map_or("", |(_, path)| path).trim_matches('/'))
}

fn path(uri: &str) -> &str {
    path_of_http(uri).unwrap_or_default()
}

fn last_segment(uri: &str) -> &str {
    path(uri).rsplit('/').next().unwrap_or_default()
}
