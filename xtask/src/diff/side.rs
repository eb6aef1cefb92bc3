//! One side of a comparison: what a file or a directory is, and all that is compared of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use anyhow::{Context as _, Result};
use bedplate_core::Architecture;
use bedplate_core::lock::{Lock, LockFile};
use bedplate_core::plan::{SavedPlan, guid};
use bedplate_formats::region::Region;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use uuid::Uuid;

use super::boot;
use super::holder::Holder;
use super::system::{self, Facts, Package};
use crate::artifacts;
use crate::bundle::Bundle;
use crate::disk::{self, Disk, Uki};
use crate::error::UsageError;

/// All that can be read of one side; nothing of what it does not have.
#[derive(Debug, Default)]
pub struct Side {
    /// What it is called: its path, or `the description of \`edge\``.
    pub name: String,
    /// What it is: `disk`, `root`, `ESP`, `kernel image`, `build`, `lock`, `bundle` or `description`.
    pub kind: &'static str,
    /// The files whose bytes are all there is to it.
    pub bytes: Vec<Utf8PathBuf>,
    /// Whose machines it is for.
    pub architecture: Option<Architecture>,
    /// The partitions by label.
    pub partitions: Option<BTreeMap<String, PartitionFacts>>,
    /// The content of partitions that hold no files.
    pub raw: BTreeMap<String, Region>,
    /// Files: of the `root`, of the `esp`, of the `initrd`, and of other partitions by their label.
    pub files: BTreeMap<String, Holder>,
    /// What the kernel image says.
    pub boot: Option<Facts>,
    /// The kernel's command line.
    pub command_line: Option<Vec<String>>,
    /// The packages by name.
    pub packages: Option<BTreeMap<String, Package>>,
    /// What is said of sizes of packages: `installed` or `download`.
    pub sizes_are: &'static str,
    /// Which package brings which file.
    pub owners: BTreeMap<Vec<u8>, String>,
    /// What starts which unit.
    pub units: Option<Facts>,
    /// Users and groups.
    pub people: Option<Facts>,
    /// A whole lock file.
    pub lock: Option<LockFile>,
    /// A bundle that brings it to devices.
    pub bundle: Option<Utf8PathBuf>,
    /// The plan of a build, where it tells it.
    pub plan: Option<SavedPlan>,
    /// The sizes of artifacts by name.
    pub artifacts: Option<BTreeMap<String, u64>>,
}

/// A partition of one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionFacts {
    /// Its place in the table.
    pub number: u32,
    /// Where it begins, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub size: u64,
    /// What it is for, in `fdisk`'s words.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its id; none where the build makes it of the root hash.
    pub id: Option<Uuid>,
    /// `read-only`, `grows` and `no-auto`.
    pub flags: Vec<&'static str>,
}

impl PartitionFacts {
    pub(super) fn flags(attributes: u64) -> Vec<&'static str> {
        let flags =
            [(guid::READ_ONLY, "read-only"), (guid::GROW_FILE_SYSTEM, "grows"), (guid::NO_AUTO, "no-auto")];
        flags.iter().filter(|(bit, _)| attributes & bit != 0).map(|(_, name)| *name).collect()
    }
}

/// The names in a directory of artifacts, as each plan has them.
mod artifact {
    pub(super) const DISK: &str = "image.raw";
    pub(super) const UKI: &str = "image.efi";
    pub(super) const MANIFEST: &str = "image.manifest";
    pub(super) const BUNDLE: &str = "image.raucb";
}

impl Side {
    /// Opens whatever a path names.
    ///
    /// # Errors
    /// There is nothing, it is nothing that can be compared, or it is damaged.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        let name = path.to_string();
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(UsageError(format!("there is no file `{path}`")).into());
            }
            Err(error) => return Err(error).with_context(|| format!("cannot open `{path}`")),
        };
        let side = Side { name, ..Side::default() };
        if metadata.is_dir() {
            return side.of_build(path);
        }
        let side = Side { bytes: vec![path.to_owned()], ..side };
        if path.extension() == Some("lock") {
            return side.of_lock(path);
        }
        if Bundle::is(path.as_std_path()) {
            return Ok(Side { kind: "bundle", bundle: Some(path.to_owned()), ..side });
        }
        side.of_disk(&Disk::open(path)?)
    }

    fn of_build(self, directory: &Utf8Path) -> Result<Self> {
        if !artifacts::is_build(directory) && !directory.join(artifact::DISK).exists() {
            let name = &self.name;
            return Err(UsageError(format!(
                "`{name}` holds no build: there is no `{}` in it",
                artifact::DISK
            ))
            .into());
        }
        let there = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
        let mut sizes = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let (name, metadata) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
            // What was printed, who built it where, and a page about it, are not part of an image.
            let about = [".log", ".provenance.json", ".SHA256SUMS", ".html"];
            if metadata.is_file() && !name.starts_with('.') && !about.iter().any(|end| name.ends_with(end)) {
                sizes.insert(name, metadata.len());
            }
        }
        let mut side = self;
        // A build that nobody has signed yet has no disk.
        if let Some(disk) = there(artifact::DISK) {
            side = side.of_disk(&Disk::open(&disk)?)?;
            side.bytes = vec![disk];
        } else if let Some(uki) = there(artifact::UKI) {
            side = side.of_disk(&Disk::open(uki)?)?;
        }
        if side.packages.is_none()
            && let Some(manifest) = there(artifact::MANIFEST)
        {
            let text = fs::read_to_string(&manifest)?;
            side.packages =
                Some(of_manifest(&text).with_context(|| format!("invalid manifest `{manifest}`"))?);
        }
        side.bundle = there(artifact::BUNDLE);
        side.plan = artifacts::made_of(directory).ok().and_then(|(_, plan)| SavedPlan::new(plan).ok());
        Ok(Side { kind: "build", artifacts: Some(sizes), ..side })
    }

    fn of_lock(self, path: &Utf8Path) -> Result<Self> {
        let what = || format!("cannot read the lock `{path}`");
        let text = fs::read_to_string(path).with_context(what)?;
        let file = LockFile::parse(&text).with_context(what)?;
        Ok(Side { kind: "lock", lock: Some(file), sizes_are: "download", ..self })
    }

    fn of_disk(mut self, disk: &Disk) -> Result<Self> {
        let name = self.name.clone();
        self.architecture = disk.architecture();
        if disk.is_uki() {
            self.kind = "kernel image";
            return self.with_uki(&disk.uki()?);
        }
        if let Some(files) = disk.only_filesystem()? {
            let is_esp = files.filesystem() == "vfat";
            let (kind, key) = if is_esp { ("ESP", "esp") } else { ("root", "root") };
            self.kind = kind;
            self.add(key, Holder::of_filesystem(format!("`{name}`"), files.into_filesystem())?);
            return if is_esp { self.with_kernel_images(disk) } else { self.with_root() };
        }
        self.kind = "disk";
        let mut facts = BTreeMap::new();
        let roots = disk.partitions().iter().filter(|partition| partition.is_root()).count();
        for partition in disk.partitions() {
            let label = &partition.label;
            let what = PartitionFacts {
                number: partition.number,
                start: partition.offset,
                size: partition.size,
                type_name: partition.type_name(),
                id: Some(partition.guid),
                flags: PartitionFacts::flags(partition.attributes),
            };
            facts.insert(label.clone(), what);
            match partition.filesystem_name()? {
                // A hash tree and the kernel image of a slot are made of what is compared.
                Some("DM_verity_hash") => {}
                None if partition.type_guid == guid::KERNEL_IMAGE => {}
                None => _ = self.raw.insert(label.clone(), partition.region().clone()),
                Some(_) => {
                    let key = match () {
                        () if partition.is_root() && roots == 1 => "root",
                        () if partition.type_guid == guid::ESP => "esp",
                        () => label,
                    };
                    let files = partition.filesystem()?.into_filesystem();
                    self.add(key, Holder::of_filesystem(format!("`{label}` of `{name}`"), files)?);
                }
            }
        }
        self.partitions = Some(facts);
        if self.files.contains_key("esp") {
            self = self.with_kernel_images(disk)?;
        }
        self.with_root()
    }

    fn add(&mut self, key: &str, files: Holder) {
        self.files.insert(key.to_owned(), files);
    }

    /// What the one kernel image on an ESP says; of several, nothing.
    fn with_kernel_images(self, disk: &Disk) -> Result<Self> {
        let esp = self.files.get("esp");
        let is_image = |path: &&[u8]| {
            let path = path.to_ascii_lowercase();
            path.starts_with(b"efi/linux/") && path.ends_with(b".efi")
        };
        match esp.map_or(0, |esp| esp.paths().filter(is_image).count()) {
            1 => self.with_uki(&disk.uki()?),
            _ => Ok(self),
        }
    }

    fn with_uki(mut self, uki: &Uki) -> Result<Self> {
        self.boot = Some(boot::facts(uki)?);
        self.command_line = Some(uki.command_line()?.split_whitespace().map(str::to_owned).collect());
        if let Some(initrd) = boot::initrd(uki)? {
            self.add("initrd", initrd);
        }
        Ok(self)
    }

    fn with_root(mut self) -> Result<Self> {
        let Some(root) = self.files.get("root") else { return Ok(self) };
        // A data partition's file system says nothing of a system.
        if root.metadata(b"etc").is_none() {
            return Ok(self);
        }
        self.units = Some(system::units(root)?);
        self.people = Some(system::people(root)?);
        if let Some(mut packages) = system::packages(root)? {
            let owners = system::owners(root)?;
            for (name, size) in system::sizes(root, &owners) {
                packages.entry(name).and_modify(|package| package.size = Some(size));
            }
            (self.packages, self.owners, self.sizes_are) = (Some(packages), owners, "installed");
        }
        Ok(self)
    }

    /// Takes the packages out of a lock file: those for `other`, else those of each architecture it has.
    pub fn settle_lock(&mut self, other: Option<Architecture>) {
        let Some(file) = &self.lock else { return };
        let all = [Architecture::X86_64, Architecture::Aarch64];
        let there: Vec<(Architecture, &Lock)> = all
            .into_iter()
            .filter(|architecture| other.is_none_or(|other| other == *architecture))
            .filter_map(|architecture| Some((architecture, file.of(architecture)?)))
            .collect();
        let mut packages = BTreeMap::new();
        for (architecture, lock) in &there {
            packages.extend(locked(
                lock,
                match there.len() {
                    1 => String::new(),
                    _ => format!(":{}", architecture.deb()),
                },
            ));
        }
        self.packages = Some(packages);
    }
}

/// The packages of a lock by name, behind which stands `end`.
pub(super) fn locked(lock: &Lock, end: String) -> impl Iterator<Item = (String, Package)> {
    lock.packages.iter().map(move |package| {
        let what = Package {
            version: package.version.clone(),
            size: Some(package.size),
            sha256: Some(package.sha256.to_string()),
        };
        (format!("{}{end}", package.name), what)
    })
}

fn of_manifest(text: &str) -> Result<BTreeMap<String, Package>> {
    let manifest: serde_json::Value = serde_json::from_str(text)?;
    let packages = manifest["packages"].as_array().context("it has no `packages`")?;
    let package = |package: &serde_json::Value| {
        let text = |field: &str| package[field].as_str().map(str::to_owned);
        Some((text("name")?, Package { version: text("version")?, size: None, sha256: None }))
    };
    packages.iter().map(|one| package(one).context("a package has no name or no version")).collect()
}

pub(super) use disk::type_name;
