//! A plan for people: everything that was decided, on a page or two.
//!
//! Wide tables are cut to the terminal, never wrapped: a row is a line.

use std::fmt;

use super::{FileKind, PartitionContent, PartitionGuid, PartitionPlan, Plan, Why};

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.page(100))
    }
}

impl Plan {
    /// The plan as text, no line wider than `width` columns (at least 40).
    #[must_use]
    pub fn page(&self, width: usize) -> String {
        let width = width.max(40);
        let mut page = Page { text: String::new(), width };
        page.line(&format!("{}: {} {} for {}", self.name, self.distribution, self.release, self.architecture));
        self.disk(&mut page);
        self.kept(&mut page);
        self.software(&mut page);
        self.generated(&mut page);
        self.results(&mut page);
        page.text
    }

    fn disk(&self, page: &mut Page) {
        page.heading(&format!("disk, {}", size(self.disk.size)));
        page.table(
            &["", "partition", "at", "size", "content", "id"],
            self.disk.partitions.iter().map(|partition| {
                vec![
                    partition.number.to_string(),
                    partition.label.clone(),
                    size(partition.offset),
                    size(partition.size),
                    content(partition),
                    match partition.guid {
                        PartitionGuid::Fixed(guid) => guid.to_string(),
                        PartitionGuid::RootHashFirst => "first half of the root hash".to_string(),
                        PartitionGuid::RootHashLast => "second half of the root hash".to_string(),
                    },
                ]
            }),
        );
    }

    fn kept(&self, page: &mut Page) {
        if self.binds.is_empty() {
            return;
        }
        page.heading("kept");
        page.table(
            &["directory", "on the data partition", ""],
            self.binds.iter().map(|bind| {
                let start = if bind.seeded { "starts with the packages' files" } else { "" };
                vec![bind.path.clone(), bind.backing.clone(), start.to_string()]
            }),
        );
    }

    fn software(&self, page: &mut Page) {
        page.heading("kernel command line");
        let hash = self.root().is_some_and(|root| {
            matches!(root.content, PartitionContent::Root { verity: true, .. })
        });
        let words = hash.then_some("roothash=…").into_iter().chain(self.command_line.iter().map(String::as_str));
        page.words(words);

        page.heading("archives");
        page.table(
            &["suite", "components", "from"],
            self.archives.iter().map(|archive| {
                let from = match (&archive.snapshot_base, &self.mirror) {
                    (Some(snapshot), _) => snapshot.clone(),
                    (None, Some(mirror)) if archive.at.is_none() => format!("{} by way of {mirror}", archive.base),
                    (None, _) => archive.base.clone(),
                };
                vec![archive.suite.clone(), archive.components.join(" "), from]
            }),
        );

        let asked = self.packages.iter().filter(|package| package.why == Why::Asked).count();
        page.heading(&format!("packages: {asked} asked for, and what they depend on"));
        page.words(self.packages.iter().filter(|package| package.why == Why::Asked).map(|package| package.name.as_str()));
        let implied = |package: &super::PackagePlan| match &package.why {
            Why::Implied(why) => Some(vec![format!("+ {}", package.name), why.clone()]),
            Why::Asked => None,
        };
        page.table(&["", ""], self.packages.iter().filter_map(implied));
        page.table(&["", ""], self.without.iter().map(|name| vec![format!("- {name}"), "kept out".to_string()]));

        if !self.units.enable.is_empty() {
            page.heading("started at boot");
            page.words(self.units.enable.iter().map(|unit| unit.name.as_str()));
        }
        if !self.users.is_empty() {
            page.heading("users");
            page.table(
                &["name", "id", "groups", "logs in with"],
                self.users.iter().map(|user| {
                    let login = match user.authorized_keys.len() {
                        0 => "nothing yet".to_string(),
                        1 => "1 key".to_string(),
                        count => format!("{count} keys"),
                    };
                    vec![user.name.clone(), user.uid.to_string(), user.groups.join(" "), login]
                }),
            );
        }
    }

    fn generated(&self, page: &mut Page) {
        page.heading("generated files");
        page.table(
            &["path", "why"],
            self.files.iter().filter(|file| file.kind != FileKind::Directory).map(|file| {
                let arrow = match &file.kind {
                    FileKind::Symlink { target } => format!(" -> {target}"),
                    _ => String::new(),
                };
                vec![format!("{}{arrow}", file.path), file.why.clone()]
            }),
        );
        if !self.overlays.is_empty() {
            page.heading("copied over it");
            page.words(self.overlays.iter().map(|overlay| overlay.source.as_str()));
        }
    }

    fn results(&self, page: &mut Page) {
        page.heading(&format!("artifacts, in build/{}/", self.name));
        page.words(self.artifacts.names().into_iter());
    }
}

impl super::ArtifactNames {
    /// All of them, the disk first.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let fixed = [&self.disk, &self.disk_link, &self.uki, &self.esp, &self.root];
        let rest = [&self.kernel, &self.initrd, &self.initrd_cpio, &self.initrd_link, &self.manifest, &self.checksums];
        let middle = self.verity.iter().chain(&self.data);
        fixed.into_iter().chain(middle).chain(rest).map(String::as_str).collect()
    }
}

fn content(partition: &PartitionPlan) -> String {
    match &partition.content {
        PartitionContent::Esp { .. } => "fat32".to_string(),
        PartitionContent::Root { filesystem, compression, verity, .. } => {
            let verified = if *verity { ", verified" } else { "" };
            match compression {
                crate::Compression::None => format!("{filesystem}{verified}"),
                compression => format!("{filesystem} {compression}{verified}"),
            }
        }
        PartitionContent::Verity { .. } => "dm-verity".to_string(),
        PartitionContent::Data { filesystem, mount, grow, .. } => {
            let mount = mount.as_ref().map(|mount| format!(" at {mount}")).unwrap_or_default();
            format!("{filesystem}{mount}{}", if *grow { ", grows" } else { "" })
        }
    }
}

fn size(bytes: u64) -> String {
    let mib = bytes / (1024 * 1024);
    if mib >= 1024 && mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if line.chars().count() > self.width {
            self.text.extend(line.chars().take(self.width - 1));
            self.text.push('…');
        } else {
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        self.text.push('\n');
        self.line(heading);
    }

    /// Columns as wide as what is in them; no header when it is empty.
    fn table(&mut self, header: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        let rows: Vec<Vec<String>> = rows.collect();
        if rows.is_empty() {
            return;
        }
        let titles: Vec<String> = header.iter().map(ToString::to_string).collect();
        let titles = header.iter().any(|title| !title.is_empty()).then_some(titles);
        let all: Vec<&Vec<String>> = titles.iter().chain(&rows).collect();
        let widths: Vec<usize> = (0..header.len())
            .map(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        for row in all {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = format!("  {}", cells.collect::<Vec<_>>().join("  "));
            self.line(&line);
        }
    }

    /// Words one after the other, as many a line as there is room for.
    fn words<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let mut line = String::from(" ");
        for word in words {
            if line.chars().count() + 1 + word.chars().count() > self.width && line != " " {
                self.line(&line);
                line = String::from(" ");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }
}

#[cfg(test)]
mod tests {
    use crate::explain::device;
    use crate::{Bind, User};
    use expect_test::expect;

    #[test]
    fn a_plan_is_a_page_for_people() {
        let image = device().hostname("edge").bind("/greengrass").bind(Bind::new("/etc/amazon/ssm").seeded());
        let plan = image.user(User::new("operator").group("sudo")).enable("docker.service").plan().unwrap();
        expect![[r#""#]].assert_eq(&plan.to_string());
    }

    #[test]
    fn no_line_of_a_plan_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 100] {
            let page = device().bind("/opt/aws/amazon-cloudwatch-agent/etc").plan().unwrap().page(width);
            for line in page.lines() {
                assert!(line.chars().count() <= width, "{line}");
            }
        }
    }
}
