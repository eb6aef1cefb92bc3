//! What is told of a comparison: sections of rows, which a page for people and one for a pull request lay out.

use bedplate_core::bytes::bytes;
use bedplate_core::plan::diff::Difference;

use super::content::Content;
use super::files::{FileDifference, FileFacts, FilesDifference};
use super::side::PartitionFacts;
use super::{Comparison, PackageDifference, PartitionDifference, SizeDifference};
use crate::disk::size as binary;

/// A part of what differs.
#[derive(Debug)]
pub struct Section {
    /// What it is about: `packages`.
    pub title: String,
    /// What there is to say of all of it: `1 added, 2 changed`.
    pub summary: String,
    /// The names of the columns behind the mark; empty where none is needed.
    pub columns: Vec<&'static str>,
    /// What differs.
    pub rows: Vec<Row>,
    /// What is summed up in place of being told.
    pub rest: Option<String>,
}

/// One thing that differs.
#[derive(Debug)]
pub struct Row {
    /// How.
    pub mark: Mark,
    /// Its columns.
    pub cells: Vec<String>,
    /// Lines of a unified diff.
    pub lines: Vec<String>,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed,
    /// Devices in the field break.
    Grave,
}

impl Mark {
    /// Its sign at the beginning of a line.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
            Self::Grave => "!",
        }
    }

    fn of<T>(before: &Option<T>, after: &Option<T>) -> Self {
        match (before, after) {
            (None, _) => Self::Added,
            (_, None) => Self::Removed,
            _ => Self::Changed,
        }
    }
}

/// What is told, the gravest first. With `all`, files are told, too, that differ because their package does.
pub fn sections(found: &Comparison, all: bool) -> Vec<Section> {
    let mut sections = Vec::new();
    let stranded = found.stranded.iter().map(|reason| row(Mark::Grave, [reason.clone()])).collect();
    sections.push(section("devices of the one cannot be updated to the other", stranded));
    let (moved, others): (Vec<_>, Vec<_>) = found.partitions.iter().partition(|one| one.moves);
    // Sentences, which no terminal is too narrow for.
    let sentence = |row: Row| Row { cells: vec![row.cells.join(": ")], ..row };
    let rows = moved.iter().map(|one| sentence(partition(one, Mark::Grave))).collect();
    sections.push(section("partitions that move", rows));
    let rows = others.iter().map(|one| partition(one, Mark::of(&one.before, &one.after))).collect();
    sections.push(Section { columns: vec!["partition", "what"], ..section("partitions", rows) });
    sections.push(packages(found));
    for (title, list) in [
        ("kernel image and command line", &found.boot),
        ("units", &found.units),
        ("users and groups", &found.people),
    ] {
        sections.push(facts(title, list));
    }
    sections.extend(found.files.iter().map(|files| of_files(files, all)));
    sections.push(facts("settings and the rest", &found.others));
    let rows = found.artifacts.iter().map(artifact).collect();
    sections.push(Section { columns: vec!["artifact", "size", "by"], ..section("artifacts", rows) });
    sections.retain(|section| !section.rows.is_empty() || section.rest.is_some());
    sections
}

/// What a device fetches for the update, in a sentence.
pub fn download(found: &Comparison) -> Option<String> {
    let download = found.download.as_ref()?;
    let by = match download.delta {
        Some(delta) => format!("{} of a delta for the root, and what else is new", bytes(delta)),
        None => format!("at most {} in blocks that it has not", bytes(download.blocks)),
    };
    Some(format!(
        "a device that has the one fetches for the other: {by}; the whole bundle is {}",
        bytes(download.bundle)
    ))
}

fn section(title: impl Into<String>, rows: Vec<Row>) -> Section {
    let count = |mark| rows.iter().filter(|row| row.mark == mark).count();
    let counts = [(Mark::Added, "added"), (Mark::Removed, "removed"), (Mark::Changed, "changed")];
    let counts = counts.map(|(mark, name)| (count(mark), name));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    Section { title: title.into(), summary: counts.join(", "), columns: Vec::new(), rows, rest: None }
}

fn row<const N: usize>(mark: Mark, cells: [String; N]) -> Row {
    Row { mark, cells: cells.to_vec(), lines: Vec::new() }
}

/// `old -> new`, or the one that there is; a text of several lines by their number.
fn change(before: Option<&str>, after: Option<&str>) -> String {
    let brief = |text: &str| match text.trim_end().lines().count() {
        0 | 1 => text.trim_end().to_owned(),
        lines => format!("{lines} lines"),
    };
    match (before, after) {
        (Some(before), Some(after)) => format!("{} -> {}", brief(before), brief(after)),
        (one, other) => brief(one.or(other).unwrap_or_default()),
    }
}

fn facts(title: &str, list: &[Difference]) -> Section {
    let fact = |one: &Difference| {
        let cells = [one.what.clone(), change(one.before.as_deref(), one.after.as_deref())];
        row(Mark::of(&one.before, &one.after), cells)
    };
    Section { columns: vec!["what", "how"], ..section(title, list.iter().map(fact).collect()) }
}

fn partition(one: &PartitionDifference, mark: Mark) -> Row {
    let whole = |facts: &PartitionFacts| {
        format!("{} of {} at {}", binary(facts.size), facts.type_name, binary(facts.start))
    };
    let what = match (&one.before, &one.after) {
        (Some(before), Some(after)) => {
            let mut parts = Vec::new();
            let mut part = |name: &str, before: String, after: String| {
                if before != after {
                    parts.push(format!("{name} {before} -> {after}"));
                }
            };
            part("begins at", binary(before.start), binary(after.start));
            part("size", binary(before.size), binary(after.size));
            part("number", before.number.to_string(), after.number.to_string());
            part("type", before.type_name.clone(), after.type_name.clone());
            let flags = |facts: &PartitionFacts| match facts.flags.is_empty() {
                true => "none".to_owned(),
                false => facts.flags.join(" "),
            };
            part("flags", flags(before), flags(after));
            if let (Some(before), Some(after)) = (before.id, after.id) {
                // Its first digits tell one from another.
                let short = |id: uuid::Uuid| format!("{}…", id.to_string().get(..8).unwrap_or_default());
                part("id", short(before), short(after));
            }
            if one.other_content {
                parts.push("other bytes".to_owned());
            }
            parts.join(", ")
        }
        (Some(before), None) => format!("is gone: {}", whole(before)),
        (None, Some(after)) => whole(after),
        (None, None) => String::new(),
    };
    row(mark, [one.label.clone(), what])
}

fn packages(found: &Comparison) -> Section {
    let package = |one: &PackageDifference| {
        let version = match one.rebuilt {
            true => format!("{}, other bytes", one.after.as_deref().unwrap_or_default()),
            false => change(one.before.as_deref(), one.after.as_deref()),
        };
        row(
            Mark::of(&one.before, &one.after),
            [one.name.clone(), version, grown(one.size_before, one.size_after)],
        )
    };
    let rows: Vec<Row> = found.packages.iter().map(package).collect();
    let mut section = section("packages", rows);
    let total =
        |size: fn(&PackageDifference) -> Option<u64>| found.packages.iter().filter_map(size).sum::<u64>();
    let by = grown(Some(total(|one| one.size_before)), Some(total(|one| one.size_after)));
    if let Some(what) = found.sizes_are.filter(|_| !by.is_empty()) {
        section.summary.push_str(&format!("; {by} {what}"));
    }
    section.columns = vec!["package", "version", "size"];
    section
}

/// By how much a size has grown: `+1.2 MB`. Empty where it is the same, or not known.
fn grown(before: Option<u64>, after: Option<u64>) -> String {
    if before.is_none() && after.is_none() {
        return String::new();
    }
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    match after.cmp(&before) {
        std::cmp::Ordering::Equal => String::new(),
        std::cmp::Ordering::Greater => format!("+{}", bytes(after - before)),
        std::cmp::Ordering::Less => format!("-{}", bytes(before - after)),
    }
}

fn artifact(one: &SizeDifference) -> Row {
    let size = |size: Option<u64>| size.map(bytes);
    let (before, after) = (size(one.before), size(one.after));
    let sizes = match before == after {
        true => before.clone().unwrap_or_default(),
        false => change(before.as_deref(), after.as_deref()),
    };
    row(Mark::of(&one.before, &one.after), [one.name.clone(), sizes, grown(one.before, one.after)])
}

fn of_files(files: &FilesDifference, all: bool) -> Section {
    let (told, summed): (Vec<&FileDifference>, Vec<&FileDifference>) =
        files.files.iter().partition(|file| all || !file.explained);
    let title = match files.of.as_str() {
        "root" => "files of the root".to_owned(),
        "esp" => "files of the EFI system partition".to_owned(),
        "initrd" => "files of the initrd".to_owned(),
        "overlays" => "files of overlays".to_owned(),
        label => format!("files of `{label}`"),
    };
    let mut section = section(title, told.iter().map(|file| of_file(file)).collect());
    if files.size_before != files.size_after {
        let (by, now) = (grown(Some(files.size_before), Some(files.size_after)), bytes(files.size_after));
        let comma = if section.summary.is_empty() { "" } else { "; " };
        section.summary.push_str(&format!("{comma}{by}, now {now}"));
    }
    section.columns = vec!["path", "what"];
    let mut rest = Vec::new();
    if !summed.is_empty() {
        rest.push(format!("{} of the packages above", many(summed.len(), "file")));
    }
    if files.other_times > 0 {
        rest.push(format!("{} with another time alone", many(files.other_times, "file")));
    }
    let and = if told.is_empty() { "" } else { "and " };
    section.rest = (!rest.is_empty()).then(|| format!("{and}{}", rest.join(", and ")));
    section
}

fn of_file(file: &FileDifference) -> Row {
    let what = match (&file.before, &file.after) {
        (Some(before), Some(after)) => changed(file, before, after),
        (one, other) => one.as_ref().or(other.as_ref()).map(whole).unwrap_or_default(),
    };
    let lines = match &file.content {
        Some(Content::Text { lines, .. }) => lines.clone(),
        Some(Content::Archive { members, .. }) => members.iter().map(line).collect(),
        Some(Content::Elf { facts, .. }) => facts.iter().map(line).collect(),
        _ => Vec::new(),
    };
    Row { mark: Mark::of(&file.before, &file.after), cells: vec![file.path.clone(), what], lines }
}

/// `1 file`, `2 files`.
fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A fact within a file, as a line of a unified diff.
fn line(fact: &Difference) -> String {
    let sign = match (&fact.before, &fact.after) {
        (None, _) => '+',
        (_, None) => '-',
        _ => ' ',
    };
    format!("{sign}{}: {}", fact.what, change(fact.before.as_deref(), fact.after.as_deref()))
}

/// What a file is that is there on one side alone.
fn whole(facts: &FileFacts) -> String {
    let owner = match (facts.uid, facts.gid) {
        (0, 0) => String::new(),
        (uid, gid) => format!(" of {uid}:{gid}"),
    };
    match (&facts.target, facts.kind) {
        (Some(target), _) => format!("link to {target}"),
        (None, "file") => format!("{}{owner}, {}", facts.mode, bytes(facts.size)),
        (None, kind) => format!("{kind} {}{owner}", facts.mode),
    }
}

fn changed(file: &FileDifference, before: &FileFacts, after: &FileFacts) -> String {
    if before.kind != after.kind {
        return format!("{} {} -> {} {}", before.kind, whole(before), after.kind, whole(after));
    }
    let mut parts = Vec::new();
    let mut part = |name: &str, before: String, after: String| {
        if before != after {
            parts.push(format!("{name} {before} -> {after}"));
        }
    };
    part("link to", before.target.clone().unwrap_or_default(), after.target.clone().unwrap_or_default());
    part("owner", format!("{}:{}", before.uid, before.gid), format!("{}:{}", after.uid, after.gid));
    if before.kind != "link" {
        part("mode", before.mode.clone(), after.mode.clone());
    }
    if before.size == after.size || !file.other_content || bytes(before.size) == bytes(after.size) {
        part("bytes", before.size.to_string(), after.size.to_string());
    } else {
        part("size", bytes(before.size), bytes(after.size));
    }
    match &file.content {
        Some(Content::Text { compressed, added, removed, lines }) => {
            let within = compressed.map(|format| format!(" in {format}")).unwrap_or_default();
            let long = if lines.is_empty() { ", too long to compare" } else { "" };
            parts.push(format!("text{within} +{added} -{removed}{long}"));
        }
        Some(Content::Elf { compressed, facts }) => {
            let within = compressed.map(|format| format!(" in {format}")).unwrap_or_default();
            parts.push(format!("ELF{within}{}", if facts.is_empty() { ", other code" } else { "" }));
        }
        Some(Content::Archive { format, members }) => {
            parts.push(format!("{format}, {} otherwise", many(members.len(), "member")));
        }
        Some(Content::Binary { first }) => parts.push(format!("other bytes from {first} on")),
        None if file.other_content && before.kind == "file" => parts.push("other content".to_owned()),
        None => {}
    }
    parts.join(", ")
}
