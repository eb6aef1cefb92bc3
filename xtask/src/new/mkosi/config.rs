//! The configuration of mkosi's images: which files are read, in which order, and what each setting comes to.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;

use super::ini::{self, Section};
use super::{Left, left};
use crate::error::UsageError;

/// A setting that some file has.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its name today.
    pub key: String,
    /// Its value, specifiers filled in.
    pub value: String,
    /// The directory that paths in it start from.
    pub directory: PathBuf,
}

/// One image of mkosi's.
#[derive(Debug, Default)]
pub struct Config {
    /// Its name; none for the main one.
    pub name: Option<String>,
    /// All settings in the order in which mkosi takes them.
    pub said: Vec<Said>,
    /// What all images of the project have from the main one.
    universal: Vec<Said>,
    /// What was not read.
    pub left: Vec<Left>,
}

/// What an image takes from the main one: where packages come from.
const UNIVERSAL: [&str; 7] =
    ["Distribution", "Release", "Architecture", "Mirror", "Snapshot", "Repositories", "SandboxTrees"];

/// What the files of a directory stand for, in the order in which mkosi looks for them.
const BY_NAME: [(&str, &str); 19] = [
    ("mkosi.repart", "RepartDirectories"),
    ("mkosi.packages", "PackageDirectories"),
    ("mkosi.skeleton", "SkeletonTrees"),
    ("mkosi.skeleton.tar", "SkeletonTrees"),
    ("mkosi.extra", "ExtraTrees"),
    ("mkosi.extra.tar", "ExtraTrees"),
    ("mkosi.sandbox", "SandboxTrees"),
    ("mkosi.pkgmngr", "SandboxTrees"),
    ("mkosi.configure", "ConfigureScripts"),
    ("mkosi.sync", "SyncScripts"),
    ("mkosi.prepare", "PrepareScripts"),
    ("mkosi.prepare.chroot", "PrepareScripts"),
    ("mkosi.build", "BuildScripts"),
    ("mkosi.build.chroot", "BuildScripts"),
    ("mkosi.postinst", "PostInstallationScripts"),
    ("mkosi.postinst.chroot", "PostInstallationScripts"),
    ("mkosi.finalize", "FinalizeScripts"),
    ("mkosi.finalize.chroot", "FinalizeScripts"),
    ("mkosi.postoutput", "PostOutputScripts"),
];

/// Directories with several scripts.
const SCRIPTS: [(&str, &str); 6] = [
    ("mkosi.sync.d", "SyncScripts"),
    ("mkosi.prepare.d", "PrepareScripts"),
    ("mkosi.build.d", "BuildScripts"),
    ("mkosi.postinst.d", "PostInstallationScripts"),
    ("mkosi.finalize.d", "FinalizeScripts"),
    ("mkosi.postoutput.d", "PostOutputScripts"),
];

/// Files whose text is a setting.
const TEXTS: [(&str, &str); 4] = [
    ("mkosi.version", "ImageVersion"),
    ("mkosi.snapshot", "Snapshot"),
    ("mkosi.rootpw", "RootPassword"),
    ("mkosi.machine-id", "MachineId"),
];

/// Names of former versions.
const FORMER: [(&str, &str); 7] = [
    ("PackageManagerTrees", "SandboxTrees"),
    ("PrepareScript", "PrepareScripts"),
    ("BuildScript", "BuildScripts"),
    ("PostInstallationScript", "PostInstallationScripts"),
    ("FinalizeScript", "FinalizeScripts"),
    ("KernelModulesInitrdInclude", "KernelInitrdModules"),
    ("Profile", "Profiles"),
];

/// Reads the main image of a project, and the others.
///
/// # Errors
/// There is no configuration, or a line of it means nothing.
pub fn read(project: &Path) -> Result<Vec<Config>> {
    let is_one =
        ["mkosi.conf", "mkosi.conf.d", "mkosi.images"].iter().any(|name| project.join(name).exists());
    if !is_one {
        let message = format!("there is no `mkosi.conf` in `{}`", project.display());
        return Err(UsageError(message).into());
    }
    let mut main = Config::default();
    main.directory(project)?;
    for name in ["mkosi.profiles", "mkosi.local.conf", "mkosi.local", "mkosi.presets"] {
        if project.join(name).exists() {
            main.left.push(left(name, "it is not read: of a project, what every build has is described"));
        }
    }
    let mut images = vec![];
    for path in entries(&project.join("mkosi.images"))? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let universal =
            main.said.iter().filter(|said| UNIVERSAL.contains(&said.key.as_str())).cloned().collect();
        let mut image = Config { name: Some(name), universal, ..Config::default() };
        if path.is_dir() {
            image.directory(&path)?;
        } else {
            image.file(&path, path.parent().unwrap_or(project))?;
        }
        images.push(image);
    }
    images.insert(0, main);
    Ok(images)
}

impl Config {
    /// A directory: the files that count by their names, `mkosi.conf`, then `mkosi.conf.d`.
    fn directory(&mut self, directory: &Path) -> Result<()> {
        let conf = directory.join("mkosi.conf");
        let sections = match conf.is_file() {
            true => sections(&conf)?,
            false => Vec::new(),
        };
        if !self.matches(&sections, &conf) {
            return Ok(());
        }
        for (name, key) in BY_NAME.iter().filter(|(name, _)| directory.join(name).exists()) {
            self.say(key, (*name).to_owned(), directory);
        }
        for (name, key) in SCRIPTS {
            for script in entries(&directory.join(name))? {
                self.say(key, script.display().to_string(), directory);
            }
        }
        for (name, key) in TEXTS {
            if let Ok(text) = fs::read_to_string(directory.join(name)) {
                // One that is run prints the text.
                match text.starts_with("#!") {
                    true => self.left.push(left(name, "it is a program, and mkosi takes what it prints")),
                    false => self.say(key, text.trim().to_owned(), directory),
                }
            }
        }
        self.settings(sections, directory)?;
        for path in entries(&directory.join("mkosi.conf.d"))? {
            if path.is_dir() {
                self.directory(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "conf") {
                self.file(&path, directory)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, directory: &Path) -> Result<()> {
        let sections = sections(path)?;
        if self.matches(&sections, path) { self.settings(sections, directory) } else { Ok(()) }
    }

    fn settings(&mut self, sections: Vec<Section>, directory: &Path) -> Result<()> {
        let of_the_image = |section: &Section| {
            !["Match", "TriggerMatch", "Assert", "TriggerAssert"].contains(&section.name.as_str())
        };
        for section in sections.into_iter().filter(of_the_image) {
            if ["Runtime", "Host"].contains(&section.name.as_str()) {
                let why = "how a machine is started is an option of `cargo xtask boot`, or a word of `Vm` in a test";
                self.left.push(left(format!("[{}]", section.name), why));
                continue;
            }
            if section.name.starts_with("X-") || section.name == "UKIProfile" {
                self.left.push(left(format!("[{}]", section.name), "the section has no word here"));
                continue;
            }
            for (key, value) in section.settings {
                let key = key.trim_start_matches('@');
                let key = FORMER.iter().find(|(former, _)| *former == key).map_or(key, |(_, today)| today);
                let value = self.expand(&value, directory);
                if key == "Include" {
                    self.include(&value, directory)?;
                } else {
                    self.say(key, value, directory);
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, value: &str, directory: &Path) -> Result<()> {
        for name in value.split([',', ' ', '\n']).filter(|name| !name.is_empty()) {
            let path = directory.join(name);
            if path.is_dir() {
                self.directory(&path)?;
            } else if path.is_file() {
                self.file(&path, path.parent().unwrap_or(directory))?;
            } else {
                self.left.push(left(format!("Include={name}"), "it is mkosi's own, or not there"));
            }
        }
        Ok(())
    }

    fn say(&mut self, key: &str, value: String, directory: &Path) {
        self.said.push(Said { key: key.to_owned(), value, directory: directory.to_owned() });
    }

    /// Whether a file is for this image; of what mkosi alone knows, it is not, and that is told.
    fn matches(&mut self, sections: &[Section], file: &Path) -> bool {
        let mut triggered: Option<bool> = None;
        for section in sections.iter().filter(|section| section.name.ends_with("Match")) {
            let holds = self.holds(section, file);
            if section.name == "TriggerMatch" {
                triggered = Some(triggered.unwrap_or(false) || holds);
            } else if !holds {
                return false;
            }
        }
        triggered != Some(false)
    }

    fn holds(&mut self, section: &Section, file: &Path) -> bool {
        let mut any: Option<bool> = None;
        for (key, value) in &section.settings {
            let (is_trigger, value) =
                value.strip_prefix('|').map_or((false, value.as_str()), |rest| (true, rest));
            let (negated, value) = value.strip_prefix('!').map_or((false, value), |rest| (true, rest));
            let Some(is) = self.answer(key) else {
                let of = file.file_name().unwrap_or_default().to_string_lossy();
                let what = format!("[{}] {key}={value} of {of}", section.name);
                self.left.push(left(what, "only mkosi knows whether this holds; the file is not read"));
                return false;
            };
            let result = is.iter().any(|is| is == value) != negated;
            if is_trigger {
                any = Some(any.unwrap_or(false) || result);
            } else if !result {
                return false;
            }
        }
        any != Some(false)
    }

    /// What a setting is now, for `[Match]`: nothing at all for a profile, since none is read.
    fn answer(&self, key: &str) -> Option<Vec<String>> {
        let or = |default: &str| vec![self.last(key).unwrap_or(default).to_owned()];
        Some(match key {
            "Distribution" | "Release" | "ImageId" | "ImageVersion" | "Bootable" => or(""),
            "Architecture" | "HostArchitecture" => or("x86-64"),
            "Format" => or("disk"),
            "Image" => vec![self.name.clone().unwrap_or_else(|| "main".to_owned())],
            "Profiles" | "Profile" => vec![],
            _ => return None,
        })
    }

    /// The value of a setting that has one: the last that is not empty.
    pub fn last(&self, key: &str) -> Option<&str> {
        let said = self.universal.iter().chain(&self.said).rev().find(|said| said.key == key)?;
        Some(said.value.trim()).filter(|value| !value.is_empty())
    }

    /// The values of a setting that is a list, each with where it was said: an empty one forgets those before it.
    pub fn list(&self, key: &str) -> Vec<(String, &Path)> {
        let mut values = Vec::new();
        for said in self.universal.iter().chain(&self.said).filter(|said| said.key == key) {
            if said.value.trim().is_empty() {
                values.clear();
            }
            let words = match key {
                "KernelCommandLine" => arguments(&said.value),
                _ => said.value.split([',', ' ', '\t', '\n']).map(str::to_owned).collect(),
            };
            for word in words.into_iter().filter(|word| !word.is_empty()) {
                // A file that is named, and found by its name.
                let value = (word, said.directory.as_path());
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        values
    }

    /// Fills in `%d` and the like. What mkosi alone knows stays as it is.
    fn expand(&self, value: &str, directory: &Path) -> String {
        let mut expanded = String::new();
        let mut characters = value.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                expanded.push(character);
                continue;
            }
            let specifier = characters.next();
            let filled = match specifier {
                Some('%') => Some("%".to_owned()),
                Some('d') => self.last("Distribution").map(str::to_owned),
                Some('r') => self.last("Release").map(str::to_owned),
                Some('a') => Some(self.last("Architecture").unwrap_or("x86-64").to_owned()),
                Some('i') => self.last("ImageId").map(str::to_owned),
                Some('v') => self.last("ImageVersion").map(str::to_owned),
                Some('o') => self.last("Output").or(self.last("ImageId")).map(str::to_owned),
                Some('I') => Some(self.name.clone().unwrap_or_else(|| "main".to_owned())),
                Some('C' | 'P' | 'D') => Some(directory.display().to_string()),
                _ => None,
            };
            expanded.push_str(
                &filled.unwrap_or_else(|| format!("%{}", specifier.map(String::from).unwrap_or_default())),
            );
        }
        expanded
    }
}

/// The sections of a file.
fn sections(path: &Path) -> Result<Vec<Section>> {
    let text = fs::read_to_string(path)?;
    ini::parse(&text).map_err(|(line, why)| {
        UsageError(format!("invalid line {line} of `{}`: {why}", path.display())).into()
    })
}

/// What is in a directory, by name; nothing where there is none.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let paths: std::io::Result<Vec<PathBuf>> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}

/// The arguments of a command line: blanks within quotation marks divide none, and marks around a whole one go.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                arguments.last_mut().into_iter().for_each(|argument| argument.push('"'));
            }
            ' ' | '\t' | '\n' if !quoted => arguments.push(String::new()),
            _ => arguments.last_mut().into_iter().for_each(|argument| argument.push(character)),
        }
    }
    let bare = |argument: String| {
        let inner = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.map(str::to_owned).unwrap_or(argument)
    };
    arguments.into_iter().map(bare).collect()
}
