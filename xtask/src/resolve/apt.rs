//! apt, asked what it would install on an empty system.
//!
//! apt-get(8), apt.conf(5). It gets a sources list of made-up addresses, one for each archive, with our verified
//! files under the names it would have given them, and answers with `--print-uris`; the made-up host in each
//! address says which archive a package is from.
//!
//! What apt makes of the indexes is kept for as long as they are the same: reading them takes longer than any answer.
//!
//! Invariant: apt sees no network, no status but an empty one, and no configuration but its package's and ours.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use bedplate_core::value::{PackageName, Sha256};
use bedplate_formats::sparse;
use fs_err as fs;

use super::ResolveError;
use crate::archive::{Opened, Packages};
use crate::key::Key;
use crate::sandbox::{self, Sandbox};
use crate::store::Store;

/// Where apt finds the archives, inside of the sandbox.
const STATE: &str = "/run/apt";
/// Where it finds what is told of one question.
const QUESTION: &str = "/run/question";
const CONFIGURATION: &str = "--config-file=/run/question/apt.conf";

/// apt on verified indexes.
#[derive(Debug)]
pub(super) struct Apt {
    tree: PathBuf,
    /// The archives, a directory of the cache.
    state: PathBuf,
    /// What is told of each question.
    questions: PathBuf,
    architecture: String,
    /// Behind the archives: the number of the made-up one with the vendors' packages.
    vendors: usize,
    /// How often it was asked: questions may be asked side by side, and write files of their own.
    asked: AtomicUsize,
}

/// What is to be installed beyond what is named, or not at all.
#[derive(Debug)]
pub(super) struct Constraints {
    /// Names that are kept out.
    pub without: Vec<PackageName>,
    /// Names of which the vendor's package is the only one; `None` keeps out all packages of vendors.
    pub vendors: Option<Vec<PackageName>>,
}

/// A file apt chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Solved {
    /// The package's name.
    pub name: PackageName,
    /// Which of the archives has it.
    pub archive: usize,
    /// Of the file.
    pub sha256: Sha256,
}

impl Apt {
    /// apt out of `tree`, on the indexes of these archives and on that of the vendors' packages.
    pub(super) fn new(
        store: &Store,
        tree: PathBuf,
        opened: &[Opened],
        vendors: &str,
        architecture: &str,
    ) -> Result<Self> {
        let lists = Lists::of(opened, vendors, architecture)?;
        let mut key = Key::new("lists");
        // The layer of a tree has its key in its name.
        key.add(tree.file_name().unwrap_or_default().as_encoded_bytes());
        key.add(architecture);
        lists.add_to(&mut key);
        let questions = store.temporary()?;
        let state = store.alone().layer_or_make("lists", &key.finish(), |state| {
            lists.write(state)?;
            let question = questions.join("lists");
            prepare(&question, architecture, "")?;
            let sandbox = Sandbox::new(&tree).read_only().bind(state, STATE).bind(&question, QUESTION);
            sandbox.run(["apt-cache", CONFIGURATION, "gencaches"]).map(drop)
        })?;
        Ok(Self {
            tree,
            state,
            questions,
            architecture: architecture.to_owned(),
            vendors: opened.len(),
            asked: AtomicUsize::new(0),
        })
    }

    /// What apt would fetch to install `wanted` on an empty system, by these constraints.
    pub(super) fn install(&self, wanted: &BTreeSet<&str>, constraints: &Constraints) -> Result<Vec<Solved>> {
        // Only a pin keeps a package out for good: `NAME-` on the command line gives way to a dependency.
        let mut preferences = String::new();
        for name in &constraints.without {
            writeln!(preferences, "Package: {name}\nPin: release *\nPin-Priority: -1\n")?;
        }
        let origin = host(self.vendors);
        for name in constraints.vendors.iter().flatten() {
            // Above 1000 an older version wins, too.
            writeln!(preferences, "Package: {name}\nPin: origin \"{origin}\"\nPin-Priority: 1001\n")?;
        }
        if constraints.vendors.is_none() {
            writeln!(preferences, "Package: *\nPin: origin \"{origin}\"\nPin-Priority: -1\n")?;
        }
        let question = self.questions.join(self.asked.fetch_add(1, Ordering::Relaxed).to_string());
        prepare(&question, &self.architecture, &preferences)?;
        let options = ["apt-get", "-q", "-y", "--print-uris", CONFIGURATION, "install", "--"];
        let argv: Vec<String> = options.iter().chain(wanted).map(|&argument| argument.to_owned()).collect();
        let output = Sandbox::new(&self.tree)
            .read_only()
            .bind_read_only(&self.state, STATE)
            .bind(&question, QUESTION)
            .command(&argv)
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .context("cannot start apt in the sandbox")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(match unsatisfiable(&stdout, &stderr) {
                Some(error) => error.into(),
                None => sandbox::failed(&argv, output.status, &output.stderr),
            });
        }
        stdout.lines().filter(|line| line.starts_with('\'')).map(read_uri).collect()
    }
}

/// What apt gets of the archives.
struct Lists<'a> {
    /// By the names that apt gives them.
    files: Vec<(String, List<'a>)>,
    sources: String,
}

enum List<'a> {
    /// A file of the store, under its digest.
    Stored(&'a Path),
    Text(String),
}

impl<'a> Lists<'a> {
    fn of(opened: &'a [Opened], vendors: &str, architecture: &str) -> Result<Self> {
        let mut lists = Self { files: Vec::new(), sources: String::new() };
        for (number, opened) in opened.iter().enumerate() {
            let (host, suite, flat) = (host(number), suite(number), opened.archive.is_flat());
            let directory = if flat { format!("{host}/./") } else { format!("{host}/dists/{suite}/") };
            lists.add(&format!("{directory}Release"), List::Text(release(opened, &suite)));
            for Packages { component, architecture, path } in &opened.packages {
                let index = match flat {
                    true => "Packages".to_owned(),
                    false => format!("{component}/binary-{architecture}/Packages"),
                };
                lists.add(&format!("{directory}{index}"), List::Stored(path));
            }
            // Trusted: the signature was verified before apt came to see it.
            let place = if flat {
                "./".to_owned()
            } else {
                format!("{suite} {}", opened.archive.components.join(" "))
            };
            writeln!(lists.sources, "deb [trusted=yes] http://{host}/ {place}")?;
        }
        if !vendors.is_empty() {
            let host = host(opened.len());
            let address = format!("{host}/dists/vendor/main/binary-{architecture}/Packages");
            lists.add(&address, List::Text(vendors.to_owned()));
            // Trusted: each file was verified, by its signature or its digest.
            writeln!(lists.sources, "deb [trusted=yes] http://{host}/ vendor main")?;
        }
        Ok(lists)
    }

    fn add(&mut self, address: &str, list: List<'a>) {
        self.files.push((list_name(address), list));
    }

    fn add_to(&self, key: &mut Key) {
        key.add(&self.sources);
        for (name, list) in &self.files {
            key.add(name);
            match list {
                List::Stored(path) => key.add(path.file_name().unwrap_or_default().as_encoded_bytes()),
                List::Text(text) => key.add(text),
            }
        }
    }

    /// Writes them into an empty directory.
    fn write(&self, state: &Path) -> Result<()> {
        for directory in ["lists/partial", "lists/auxfiles", "preferences.d"] {
            fs::create_dir_all(state.join(directory))?;
        }
        for (name, list) in &self.files {
            let to = state.join("lists").join(name);
            match list {
                List::Stored(path) => copy(path, &to)?,
                List::Text(text) => fs::write(to, text)?,
            }
        }
        fs::write(state.join("sources.list"), &self.sources)?;
        Ok(fs::write(state.join("status"), "")?)
    }
}

/// Makes the directory of a question.
fn prepare(question: &Path, architecture: &str, preferences: &str) -> Result<()> {
    fs::create_dir_all(question.join("archives/partial"))?;
    fs::write(question.join("preferences"), preferences)?;
    Ok(fs::write(question.join("apt.conf"), configuration(architecture))?)
}

/// What apt is told of an archive: as much of its `Release` as counts for the choice of a version, and a suite of its
/// own, so that no two archives have one of the same name.
fn release(opened: &Opened, suite: &str) -> String {
    let mut release = format!("Suite: {suite}\nCodename: {suite}\n");
    for (field, said) in [
        ("NotAutomatic", opened.release.not_automatic),
        ("ButAutomaticUpgrades", opened.release.automatic_upgrades),
    ] {
        release.push_str(&if said { format!("{field}: yes\n") } else { String::new() });
    }
    release
}

/// What apt is told. What it made of the lists fits them by their sizes and times.
fn configuration(architecture: &str) -> String {
    format!(
        "\
APT::Architecture \"{architecture}\";
APT::Architectures {{ \"{architecture}\"; }};
APT::Install-Recommends \"false\";
APT::Install-Suggests \"false\";
APT::Sandbox::User \"root\";
Acquire::ForceHash \"SHA256\";
Acquire::Languages \"none\";
Dir::Cache \"{QUESTION}\";
Dir::Cache::pkgcache \"{STATE}/pkgcache.bin\";
Dir::Cache::srcpkgcache \"\";
Dir::Etc::sourcelist \"{STATE}/sources.list\";
Dir::Etc::sourceparts \"/dev/null\";
Dir::Etc::preferences \"{QUESTION}/preferences\";
Dir::Etc::preferencesparts \"{STATE}/preferences.d\";
Dir::Log \"{QUESTION}/log\";
Dir::State \"{STATE}\";
Dir::State::lists \"{STATE}/lists\";
Dir::State::status \"{STATE}/status\";
Dir::State::extended_states \"{STATE}/extended_states\";
Debug::NoLocking \"true\";
"
    )
}

/// `'http://archive-1.invalid/pool/…/jq_1.7-1_amd64.deb' jq_1.7-1_amd64.deb 65536 SHA256:…`
fn read_uri(line: &str) -> Result<Solved> {
    let read = || {
        let mut words = line.split(' ');
        let archive = words.next()?.strip_prefix("'http://archive-")?.split_once('.')?.0.parse().ok()?;
        let name = words.next()?.split_once('_')?.0;
        let sha256 = words.nth(1)?.strip_prefix("SHA256:")?;
        Some(Solved { name: name.parse().ok()?, archive, sha256: sha256.parse().ok()? })
    };
    read().with_context(|| format!("apt's answer `{line}` cannot be read"))
}

/// What apt says about why there is no solution, if that is why it failed.
fn unsatisfiable(stdout: &str, stderr: &str) -> Option<ResolveError> {
    /// Once one package is missing that all others need, apt lists them all.
    const LINES: usize = 20;
    let unmet: Vec<&str> = stdout
        .lines()
        .skip_while(|line| !line.starts_with("The following packages have unmet dependencies:"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .collect();
    let packages = unmet.iter().filter_map(|line| Some(line.strip_prefix(' ')?.split_once(" : ")?.0.trim()));
    let packages: Vec<String> = packages.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if unmet.is_empty() {
        // Said of one package and not of several together: that it has no version that may be installed.
        let line = stderr.lines().find_map(|line| line.strip_prefix("E: Package '"))?;
        let name = line.split('\'').next()?.to_owned();
        return Some(ResolveError::Unsatisfiable {
            packages: vec![name],
            explanation: format!(" Package '{line}"),
        });
    }
    let mut explanation = unmet[..unmet.len().min(LINES)].join("\n");
    if unmet.len() > LINES {
        explanation.push_str(&format!("\n and {} lines more", unmet.len() - LINES));
    }
    Some(ResolveError::Unsatisfiable { packages, explanation })
}

/// The made-up host of an archive. `.invalid` is reserved (RFC 2606): it can never be reached.
fn host(number: usize) -> String {
    format!("archive-{number}.invalid")
}

/// The made-up suite of an archive.
pub(super) fn suite(number: usize) -> String {
    format!("archive-{number}")
}

/// The name under which apt keeps a file: its address without the scheme, `_` for `/` (`URItoFileName` in apt's
/// `strutl.cc`).
fn list_name(address: &str) -> String {
    address.chars().fold(String::new(), |mut name, letter| {
        match letter {
            '/' => name.push('_'),
            '\\' | '|' | '{' | '}' | '[' | ']' | '<' | '>' | '"' | '^' | '~' | '_' | '=' | '!' | '@'
            | '#' | '$' | '%' | '&' | '*' => name.push_str(&format!("%{:02x}", u32::from(letter))),
            other => name.push(other),
        }
        name
    })
}

/// Copies a file of the store, which no program may come to write into.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let (source, target) = (fs::File::open(from)?, fs::File::create_new(to)?);
    sparse::copy_file(source.file(), target.file())
        .with_context(|| format!("cannot copy `{}`", from.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_archive_package_and_digest() {
        let sha256 = Sha256::of([0xab; 32]);
        let line = format!(
            "'http://archive-2.invalid/pool/main/j/jq/libjq1_1.7.1-6%2bdeb13u1_amd64.deb' \
             libjq1_1.7.1-6+deb13u1_amd64.deb 160196 SHA256:{sha256}"
        );
        let chosen = Solved { name: "libjq1".parse().unwrap(), archive: 2, sha256 };
        assert_eq!(read_uri(&line).unwrap(), chosen);
        let error = read_uri("'http://elsewhere/x' x 1 SHA256:00").unwrap_err().to_string();
        assert_eq!(error, "apt's answer `'http://elsewhere/x' x 1 SHA256:00` cannot be read");
    }

    #[test]
    fn what_cannot_be_satisfied_is_told_in_apts_words() {
        let stdout = "\
Reading package lists...
The following packages have unmet dependencies:
 exim4 : Depends: exim4-base but it is not installable or
                  exim4-custom but it is not installable
 jq : Depends: libjq1 (= 1.7) but it is not installable
";
        let stderr = "E: Unable to correct problems, you have held broken packages.\n";
        let Some(ResolveError::Unsatisfiable { packages, explanation }) = unsatisfiable(stdout, stderr)
        else {
            panic!("not understood")
        };
        assert_eq!(packages, ["exim4", "jq"]);
        assert_eq!(explanation.lines().count(), 3);
        assert!(explanation.ends_with(" jq : Depends: libjq1 (= 1.7) but it is not installable"));
    }

    #[test]
    fn a_package_that_may_not_be_installed_is_told() {
        let error = unsatisfiable("", "E: Package 'jq' has no installation candidate\n").unwrap().to_string();
        assert_eq!(
            error,
            "the packages cannot be installed together:\n Package 'jq' has no installation candidate"
        );
    }

    #[test]
    fn another_failure_of_apt_is_not_taken_for_an_unsatisfiable_wish() {
        assert_eq!(unsatisfiable("Reading package lists...\n", "E: Error reading the CPU table\n"), None);
    }

    #[test]
    fn lists_have_the_names_apt_gives_them() {
        let name = list_name("archive-0.invalid/dists/buster/updates/non_free/binary-amd64/Packages");
        assert_eq!(name, "archive-0.invalid_dists_buster_updates_non%5ffree_binary-amd64_Packages");
    }
}
