//! mkosi's settings, each with its word.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bedplate_core::rule::device;
use bedplate_core::value::{Hostname, ImageVersion, Locale, PackageName, Timezone, Url, Value};
use bedplate_core::{Architecture, Diagnostic, Image, Snapshot};
use fs_err as fs;

use super::config::Config;
use super::trees::{self, Mounts};
use super::{Line, apt, call, left, partitions, resolve};
use crate::new::{Content, File, Settings};

/// Settings of which nothing is said: they follow, are always so, or are of how mkosi itself works.
pub const FOLLOWS: [&str; 62] = [
    "Dependencies",
    "MinimumVersion",
    "ConfigureScripts",
    "PassEnvironment",
    "Distribution",
    "Release",
    "RepositoryKeyCheck",
    "RepositoryKeyFetch",
    "LocalMirror",
    "Format",
    "ManifestFormat",
    "Output",
    "OutputExtension",
    "CompressOutput",
    "CompressLevel",
    "OutputDirectory",
    "OutputMode",
    "ImageId",
    "SplitArtifacts",
    "Seed",
    "CleanScripts",
    "BaseTrees",
    "CleanPackageMetadata",
    "SourceDateEpoch",
    "UnifiedKernelImages",
    "UnifiedKernelImageFormat",
    "Initrds",
    "MicrocodeHost",
    "MakeInitrd",
    "Checksum",
    "VerityKey",
    "VerityCertificate",
    "VerityKeySource",
    "SecureBootKey",
    "SecureBootCertificate",
    "SecureBootKeySource",
    "SecureBootSignTool",
    "SignExpectedPcrKey",
    "SignExpectedPcrCertificate",
    "ToolsTree",
    "ToolsTreeDistribution",
    "ToolsTreeRelease",
    "ToolsTreeProfiles",
    "ToolsTreeMirror",
    "ToolsTreeRepositories",
    "ToolsTreeSandboxTrees",
    "ToolsTreePackages",
    "ExtraSearchPaths",
    "Incremental",
    "CacheOnly",
    "WorkspaceDirectory",
    "CacheDirectory",
    "PackageCacheDirectory",
    "BuildDirectory",
    "UseSubvolumes",
    "RepartOffline",
    "History",
    "WithNetwork",
    "WithTests",
    "BuildSources",
    "BuildSourcesEphemeral",
    "ProxyUrl",
];

/// Settings that the functions below take up.
pub const SAID: [&str; 29] = [
    "Architecture",
    "Mirror",
    "Snapshot",
    "Repositories",
    "SandboxTrees",
    "Packages",
    "RemovePackages",
    "PackageDirectories",
    "RemoveFiles",
    "RepartDirectories",
    "Verity",
    "KernelCommandLine",
    "SkeletonTrees",
    "ExtraTrees",
    "PostInstallationScripts",
    "FinalizeScripts",
    "PrepareScripts",
    "BuildScripts",
    "SyncScripts",
    "PostOutputScripts",
    "Locale",
    "Keymap",
    "Timezone",
    "Hostname",
    "ImageVersion",
    "SectorSize",
    "Autologin",
    "KernelInitrdModules",
    "Bootable",
];

/// Settings without a word, and what is to be known instead. An empty value is as good as none.
pub const INSTEAD: [(&str, &str); 25] = [
    ("KernelModules", "the system has all modules of its kernel, the initrd those for common disks"),
    ("KernelModulesExclude", "the system has all modules of its kernel; `.remove(PATH)` takes some away"),
    ("KernelModulesInitrd", "the initrd has the modules for common disks"),
    ("KernelModulesInitrdExclude", "the initrd has the modules for common disks, and those it is asked for"),
    ("FirmwareFiles", "firmware comes in packages; `.remove(PATH)` takes some away"),
    (
        "RootPassword",
        "no password lets anybody in; `.user(User::new(NAME).administrator().login(Login::Credential))` does",
    ),
    ("RootShell", "nobody logs in as root"),
    ("MachineId", "each device makes its own at its first start"),
    (
        "SecureBoot",
        "`cargo xtask keys new image/keys/secure-boot`, then `.secure_boot(SecureBoot::keys(\"keys/secure-boot\"))`",
    ),
    ("SecureBootAutoEnroll", "with `.secure_boot(…)`, a device in setup mode takes the keys over"),
    ("SignExpectedPcr", "with `.secure_boot(…)`, the kernel image has signed measurements"),
    ("Passphrase", "with `.secure_boot(…)`, `Data::encrypted(Tpm)` encrypts on the device"),
    ("WithRecommends", "for one package, `Package::new(NAME).recommends()`"),
    ("BuildPackages", "nothing is compiled into an image; build a package, and install it with `Deb::file`"),
    ("InitrdPackages", "the initrd is made of the image's own packages"),
    ("InitrdProfiles", "the initrd is made of the image's own packages"),
    ("LocaleMessages", "`.locale(…)` is for all of it"),
    ("Ssh", "`User::login(Login::Credential)` lets in by ssh"),
    ("SELinuxRelabel", "nothing is labelled for SELinux, which neither distribution turns on"),
    ("Profiles", "of a project, what every build has is described"),
    ("Environment", "scripts find what they need in the image"),
    ("EnvironmentFiles", "scripts find what they need in the image"),
    ("ShimBootloader", "firmware starts systemd-boot, signed with your keys"),
    ("BiosBootloader", "an image is started by UEFI"),
    ("Sign", "`image.SHA256SUMS` is yours to sign; bundles are signed by `cargo xtask bundle`"),
];

/// Whether a text is one of systemd's words for yes.
pub fn is_yes(text: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on", "always", "enabled"].contains(&text.to_lowercase().as_str())
}

/// The words for one image, in the order of a description.
pub struct Words<'a> {
    settings: &'a Settings,
    image: &'a Config,
    is_base: bool,
    inherited: Vec<&'a Config>,
    packages: BTreeSet<String>,
    /// What is said.
    pub lines: Vec<Line>,
    /// The files that it names.
    pub files: Vec<File>,
}

impl<'a> Words<'a> {
    /// For an image, or for what others start from, with what it inherits.
    pub fn new(settings: &'a Settings, image: &'a Config, is_base: bool, inherited: Vec<&'a Config>) -> Self {
        let (packages, lines, files) = (BTreeSet::new(), Vec::new(), Vec::new());
        Self { settings, image, is_base, inherited, packages, lines, files }
    }

    /// Says all of it. `bases` are the functions of the images it starts from.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn say(&mut self, bases: Vec<String>) -> Result<()> {
        self.lines.extend(bases.into_iter().map(|base| call(format!("with({base})"))));
        let trees = self.every_tree();
        let mounts = Mounts::of(trees.iter().map(PathBuf::as_path));
        if !self.is_base {
            self.names();
            self.archives();
            self.partitions(&mounts)?;
            self.command_line();
        }
        self.repositories();
        self.packages();
        self.trees(&mounts)?;
        self.contents();
        self.scripts();
        self.rest();
        Ok(())
    }

    fn call(&mut self, text: impl Into<String>) {
        self.lines.push(call(text));
    }

    fn left(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.lines.push(Line::Left(left(what, why)));
    }

    /// A value of the image, or of one that it starts from.
    fn last(&self, key: &str) -> Option<String> {
        let images = std::iter::once(self.image).chain(self.inherited.iter().copied());
        images.filter_map(|image| image.last(key)).next().map(str::to_owned)
    }

    /// Says a value with its word, where it has the form of one.
    fn value<T: Value>(&mut self, key: &str, word: &str, text: &str) {
        match T::parse(text) {
            Ok(_) => self.call(format!("{word}({text:?})")),
            Err(malformed) => self.left(format!("{key}={text}"), malformed.reason),
        }
    }

    fn names(&mut self) {
        let name = &self.settings.name;
        if let Some(id) = self.last("ImageId").filter(|id| self.image.name.is_none() && id != name) {
            self.left(
                format!("ImageId={id}"),
                format!("the image is called `{name}`, which `--name` gives another name"),
            );
        }
        if let Some(version) = self.last("ImageVersion") {
            self.value::<ImageVersion>("ImageVersion", "version", &version);
        }
        // mkosi takes the name from a tree, too.
        let of_tree = || {
            let trees = self.every_tree();
            trees.iter().rev().find_map(|tree| fs::read_to_string(tree.join("etc/hostname")).ok())
        };
        if let Some(name) = self.last("Hostname").or_else(of_tree) {
            self.value::<Hostname>("Hostname", "hostname", name.trim());
        }
        if let Some(locale) = self.last("Locale") {
            self.value::<Locale>("Locale", "locale", &locale);
        }
        if let Some(timezone) = self.last("Timezone") {
            self.value::<Timezone>("Timezone", "timezone", &timezone);
        }
        if let Some(keymap) = self.last("Keymap") {
            self.call(format!("file(\"/etc/vconsole.conf\", {:?})", format!("KEYMAP={keymap}\n")));
        }
        if self.last("Autologin").is_some_and(|value| is_yes(&value)) {
            self.call("dangerous_autologin()");
        }
        if let Some(architecture) =
            self.last("Architecture").filter(|name| name != "x86-64" && name != "native")
        {
            self.left(format!("Architecture={architecture}"), "say `--arch` to each command");
        }
        if let Some(bootloader) = self
            .last("Bootloader")
            .filter(|name| !name.starts_with("systemd-boot") && !name.starts_with("uki"))
        {
            self.left(format!("Bootloader={bootloader}"), "systemd-boot starts the kernel image");
        }
    }

    fn archives(&mut self) {
        let moment = |text: &str| {
            let is = |part: &&str| part.len() == 16 && part.ends_with('Z') && part.as_bytes()[8] == b'T';
            text.split('/').find(is).map(str::to_owned)
        };
        let mirror = self.last("Mirror");
        let snapshot = self.last("Snapshot").or(mirror.as_deref().and_then(moment));
        if let Some(snapshot) = &snapshot {
            self.value::<Snapshot>("Snapshot", "snapshot", snapshot);
        }
        if let Some(mirror) = mirror.filter(|mirror| moment(mirror).is_none()) {
            self.value::<Url>("Mirror", "mirror", mirror.trim_end_matches('/'));
        }
        let archives = self.settings.release.archives;
        for (name, _) in self.image.list("Repositories") {
            if archives.further.contains(&name.as_str()) {
                self.call(format!("component({name:?})"));
            } else if !archives.components.contains(&name.as_str()) {
                self.left(
                    format!("Repositories={name}"),
                    "`.suite(…)` or `.repository(…)` names where it is",
                );
            }
        }
        if let Some(size) = self.last("SectorSize").filter(|size| size != "512") {
            self.call(format!("sector_size({size})"));
        }
    }

    fn partitions(&mut self, mounts: &Mounts) -> Result<()> {
        if self.last("Bootable").is_some_and(|value| ["no", "false", "0"].contains(&value.as_str())) {
            self.left("Bootable=no", "an image has a kernel, and is started by UEFI");
        }
        let verity = self.last("Verity").filter(|value| !["no", "false", "0"].contains(&value.as_str()));
        if verity.as_deref().is_some_and(|value| is_yes(value) || value == "signed") {
            self.left("Verity=signed", "the root's hash is in the kernel image, which Secure Boot signs");
        }
        let directories = self.image.list("RepartDirectories");
        let directories: Vec<PathBuf> = directories.iter().map(|(path, from)| resolve(from, path)).collect();
        let directories: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
        let is_verified = verity.is_some_and(|value| value != "defer" && value != "auto");
        self.lines.extend(partitions::lines(&directories, is_verified, mounts, self.settings.release)?);
        for bind in &mounts.binds {
            self.call(format!("bind({bind:?})"));
        }
        Ok(())
    }

    /// Arguments as the rules of a description take them.
    fn command_line(&mut self) {
        let mut said = BTreeSet::new();
        for (argument, _) in self.image.list("KernelCommandLine") {
            if !said.insert(argument.clone()) {
                continue;
            }
            match argument.strip_prefix("systemd.volatile=") {
                Some("overlay") => self.call("volatile(Volatile::Overlay)"),
                Some(_) => self.left(argument, "writes go to memory (`Volatile::Overlay`) or to the data partition (`Volatile::Persistent`)"),
                None => match refusal(|image| image.command_line(argument.as_str())) {
                    None => self.call(format!("command_line({argument:?})")),
                    Some(mistake) if mistake.code == "dangerous-argument" => {
                        self.call(format!("dangerous_command_line({argument:?})"));
                    }
                    Some(mistake) => self.left(format!("KernelCommandLine={argument}"), because(&mistake)),
                },
            }
        }
        for (pattern, _) in self.image.list("KernelInitrdModules") {
            // Those for common disks are there. A pattern is held against paths, which end with the name of a module.
            let (_, module) = pattern.rsplit_once('/').unwrap_or(("", &pattern));
            let module = module.strip_suffix(".ko").unwrap_or(module);
            match refusal(|image| image.initrd_module(module)) {
                None if ["default", "host"].contains(&module) => {}
                None if !module.is_empty() => self.call(format!("initrd_module({module:?})")),
                _ => self.left(
                    format!("KernelInitrdModules={pattern}"),
                    "`.initrd_module(NAME)` takes one module, and what it needs",
                ),
            }
        }
    }

    fn packages(&mut self) {
        let removed: BTreeSet<String> =
            self.image.list("RemovePackages").into_iter().map(|(name, _)| name).collect();
        let inherited: BTreeSet<String> =
            self.inherited.iter().flat_map(|base| base.list("Packages")).map(|(name, _)| name).collect();
        let local = self.local_packages();
        for (package, from) in self.image.list("Packages") {
            let is_new = !removed.contains(&package) && !inherited.contains(&package);
            if !is_new || !self.packages.insert(package.clone()) {
                continue;
            }
            let file = resolve(from, &package);
            let local = local.iter().find(|path| is_package(path, &package)).cloned();
            if let Some(file) =
                local.or_else(|| package.contains('/').then_some(file).filter(|file| file.is_file()))
            {
                let name = Path::new("debs").join(file.file_name().unwrap_or_default());
                self.call(format!("deb(Deb::file({:?}))", name.display().to_string()));
                self.files.push(File { path: Path::new("image").join(name), content: Content::Copy(file) });
                continue;
            }
            let (name, word) = if let Some((name, version)) = package.split_once('=') {
                (name, format!("package(Package::new({name:?}).version({version:?}))"))
            } else if let Some((name, suite)) = package.split_once('/') {
                (name, format!("package(Package::new({name:?}).from({suite:?}))"))
            } else {
                (package.as_str(), format!("package({package:?})"))
            };
            match PackageName::parse(name) {
                Ok(_) => self.call(word),
                Err(malformed) => self.left(format!("Packages={package}"), malformed.reason),
            }
        }
        for name in removed {
            let is_asked_for = inherited.contains(&name);
            match PackageName::parse(&name) {
                Ok(_) if !is_asked_for => self.call(format!("without({name:?})")),
                Ok(_) => self.left(
                    format!("RemovePackages={name}"),
                    "what it starts from installs it: take it out there",
                ),
                Err(malformed) => self.left(format!("RemovePackages={name}"), malformed.reason),
            }
        }
    }

    /// The packages that lie in the project.
    fn local_packages(&self) -> Vec<PathBuf> {
        let directories = self.image.list("PackageDirectories");
        let entries =
            directories.iter().filter_map(|(path, from)| fs::read_dir(resolve(from, path)).ok()).flatten();
        entries.flatten().map(|entry| entry.path()).collect()
    }

    /// Trees with sources of apt's: those that mkosi shows to apt, and those that are there before packages are.
    fn repositories(&mut self) {
        // What mkosi shows to apt is the same for all images of a project, and is said once for each that is built.
        let mut trees = if self.is_base { Vec::new() } else { self.trees_of("SandboxTrees") };
        trees.extend(self.trees_of("SkeletonTrees"));
        let trees: Vec<PathBuf> = trees.into_iter().map(|(tree, _)| tree).collect();
        let mut said = BTreeSet::new();
        for source in trees.iter().flat_map(|tree| apt::sources(tree)) {
            if said.insert((source.url.clone(), source.suites.clone())) {
                self.repository(source, &trees);
            }
        }
    }

    fn repository(&mut self, source: apt::Source, trees: &[PathBuf]) {
        let release = self.settings.release;
        let pockets: Vec<_> = release.pockets(Architecture::X86_64).collect();
        // Of `archive.ubuntu.com` and its mirrors in each country: the last two names of a host are its owner's.
        let owner = |url: &str| {
            let host = url.split("//").nth(1).unwrap_or(url).split('/').next().unwrap_or_default();
            host.rsplitn(3, '.').take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let is_own = pockets.iter().any(|pocket| owner(pocket.base) == owner(&source.url));
        for suite in &source.suites {
            if is_own && pockets.iter().any(|pocket| pocket.suite == *suite) {
                continue;
            }
            if is_own && release.further_suites().any(|further| further == *suite) {
                self.call(format!("suite({suite:?})"));
                continue;
            }
            let what = format!("deb {} {suite}", source.url);
            let find = |key: &str| {
                let mut files = trees.iter().map(|tree| tree.join(key.trim_start_matches('/')));
                files.find(|file| file.is_file())
            };
            let Some(key) = source.key.as_deref().and_then(find) else {
                self.left(what, "the file of its key is not there: `Repository::signed(URL, SUITE, [COMPONENT], Key::file(FILE))`");
                continue;
            };
            let name = Path::new("keys").join(key.file_name().unwrap_or_default());
            let mut arguments = vec![format!("{:?}", source.url.trim_end_matches('/')), format!("{suite:?}")];
            let word = if suite.ends_with('/') { "flat" } else { "signed" };
            arguments.extend((word == "signed").then(|| format!("{:?}", source.components)));
            arguments.push(format!("Key::file({:?})", name.display().to_string()));
            // In one line, or, as rustfmt has it, in one for each argument.
            let line = format!("repository(Repository::{word}({}))", arguments.join(", "));
            self.call(match line.len() <= 100 {
                true => line,
                false => {
                    let arguments = arguments.iter().map(|argument| format!("            {argument},\n"));
                    format!("repository(Repository::{word}(\n{}        ))", arguments.collect::<String>())
                }
            });
            self.files.push(File { path: Path::new("image").join(name), content: Content::Copy(key) });
        }
    }

    /// The trees of a setting, with where they go.
    fn trees_of(&self, key: &str) -> Vec<(PathBuf, PathBuf)> {
        let of = |(value, from): &(String, &Path)| {
            let (path, target) = value.split_once(':').unwrap_or((value, "/"));
            (resolve(from, path), PathBuf::from(target))
        };
        self.image.list(key).iter().map(of).collect()
    }

    fn all_trees(&self) -> Vec<(PathBuf, PathBuf)> {
        let mut trees: Vec<(PathBuf, PathBuf)> = Vec::new();
        for tree in ["SkeletonTrees", "ExtraTrees"].iter().flat_map(|key| self.trees_of(key)) {
            // Named with a target, `/`, and without.
            if !trees.contains(&tree) {
                trees.push(tree);
            }
        }
        trees
    }

    /// All that is in the image, the trees of the images that this one starts from among it.
    fn every_tree(&self) -> Vec<PathBuf> {
        let inherited =
            self.inherited.iter().rev().map(|base| Words::new(self.settings, base, true, Vec::new()));
        inherited.flat_map(|base| base.all_trees()).chain(self.all_trees()).map(|(tree, _)| tree).collect()
    }

    fn trees(&mut self, mounts: &Mounts) -> Result<()> {
        let base = self.image.name.as_ref().map_or("overlay".to_owned(), |name| format!("overlay.{name}"));
        let mut number = 0;
        for (tree, target) in self.all_trees() {
            let shown = tree.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_archive =
                [".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".raw"].iter().any(|end| shown.ends_with(end));
            if !tree.exists() || is_archive {
                let why = if is_archive { "an overlay is a directory" } else { "it is not there" };
                self.left(shown, why);
                continue;
            }
            let overlay = if number == 0 { base.clone() } else { format!("{base}.{}", number + 1) };
            let mut told = Vec::new();
            let files = trees::overlay(&tree, &target, &overlay, mounts, &mut told)?;
            self.lines.extend(told.into_iter().map(Line::Left));
            if !files.is_empty() {
                number += 1;
                self.call(format!("overlay({overlay:?})"));
                self.files.extend(files);
            }
        }
        Ok(())
    }

    fn contents(&mut self) {
        for (pattern, _) in self.image.list("RemoveFiles") {
            match refusal(|image| image.remove(pattern.as_str())) {
                None => self.call(format!("remove({pattern:?})")),
                Some(mistake) => self.left(format!("RemoveFiles={pattern}"), because(&mistake)),
            }
        }
        if self.last("WithDocs").is_some_and(|value| !is_yes(&value)) && !self.is_base {
            self.call("path_exclude(\"/usr/share/doc/*\")");
            self.call("path_exclude(\"/usr/share/man/*\")");
        }
    }

    fn scripts(&mut self) {
        let network =
            "nothing is fetched while an image is built: packages, `Deb::signed` and overlays bring files";
        for (key, why) in [
            ("SyncScripts", network),
            ("PrepareScripts", network),
            (
                "BuildScripts",
                "nothing is compiled into an image: build a package, and install it with `Deb::file`",
            ),
        ] {
            for (script, _) in self.image.list(key) {
                self.left(file_name(&script), why);
            }
        }
        for key in ["PostInstallationScripts", "FinalizeScripts"] {
            for (script, from) in self.image.list(key) {
                let path = resolve(from, &script);
                let name = file_name(&script);
                match fs::read_to_string(&path) {
                    Ok(text)
                        if ["chpasswd", "--password", "usermod -p"]
                            .iter()
                            .any(|word| text.contains(word)) =>
                    {
                        self.left(name, "it sets a password, and none lets anybody in here");
                    }
                    Ok(_) if name.ends_with(".chroot") => {
                        let name = name.trim_start_matches("mkosi.").trim_end_matches(".chroot").to_owned();
                        let of_image =
                            self.image.name.as_ref().map_or(String::new(), |image| format!("{image}."));
                        let to = format!("scripts/{of_image}{name}");
                        self.call(format!("script(script!({to:?}))"));
                        self.files
                            .push(File { path: Path::new("image").join(to), content: Content::Copy(path) });
                    }
                    Ok(_) => self
                        .left(name, "it runs outside of the image; `.script(script!(FILE))` runs one inside"),
                    Err(_) => self.left(name, "it is no text, or not there"),
                }
            }
        }
        for (script, _) in self.image.list("PostOutputScripts") {
            self.left(file_name(&script), "what is done with an image is done after `cargo xtask image`");
        }
    }

    /// All settings that have not been spoken of.
    fn rest(&mut self) {
        let mut seen = BTreeSet::new();
        let said: Vec<(String, String)> =
            self.image.said.iter().map(|said| (said.key.clone(), said.value.clone())).collect();
        for (key, value) in said.iter().rev() {
            let is_spoken_of = FOLLOWS.contains(&key.as_str()) || SAID.contains(&key.as_str());
            if is_spoken_of || !seen.insert(key.clone()) || value.is_empty() {
                continue;
            }
            let is_no = ["no", "false", "0", "auto"].contains(&value.as_str());
            match INSTEAD.iter().find(|(known, _)| known == key) {
                Some(_) if is_no => {}
                Some(("RootPassword", why)) => self.left("RootPassword=…", *why),
                Some((_, why)) => self.left(format!("{key}={}", value.trim()), *why),
                None if ["Bootloader", "WithDocs"].contains(&key.as_str()) => {}
                None => self.left(
                    format!("{key}={}", value.trim()),
                    "nothing here is like it, or it is new to this program",
                ),
            }
        }
    }
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file is a package of this name: `NAME_VERSION_ARCHITECTURE.deb`.
fn is_package(path: &Path, name: &str) -> bool {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.ends_with(".deb") && file.split('_').next() == Some(name)
}

/// Why the rules of a description refuse a word; nothing when they take it.
fn refusal(word: impl FnOnce(Image) -> Image) -> Option<Diagnostic> {
    word(device()).plan().err()?.iter().next().cloned()
}

fn because(mistake: &Diagnostic) -> String {
    match &mistake.help {
        Some(help) => help.clone(),
        None => mistake.message.clone(),
    }
}
