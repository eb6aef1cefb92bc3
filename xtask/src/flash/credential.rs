//! Credentials on the data partition of an image that is about to be written: each a file in the directory that a device
//! has at `/etc/credstore`.
//!
//! The partition is copied out of the image, changed by `debugfs` in the sandbox, and takes the place of the image's own.
//! So nothing is mounted, the image's file stays as it is, and what goes wrong does so before a disk is touched.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bedplate_core::plan::{BACKING, guid};
use bedplate_formats::gpt::Partition;
use fs_err as fs;

use super::image::Image;
use crate::disk::{Disk, FileType};
use crate::error::{LocatedError, UsageError};
use crate::report::path;
use crate::sandbox::Sandbox;

/// Where the tool finds its directory.
const WORK: &str = "/run/work";
/// The unit by which a device has the directory of the data partition at `/etc/credstore`.
const MOUNT: &str = "/usr/lib/systemd/system/etc-credstore.mount";
/// The largest credential that systemd reads, in bytes.
const LARGEST: usize = 1 << 20;

/// What a device is handed, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    name: String,
    value: Vec<u8>,
}

impl Credential {
    /// Reads `NAME=FILE`.
    ///
    /// # Errors
    /// It is no such pair, the name cannot be one, or the file cannot be read.
    pub fn parse(pair: &str) -> Result<Self> {
        let usage = |message: String| Err(UsageError(message).into());
        let Some((name, file)) =
            pair.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty())
        else {
            return usage(format!("invalid credential `{pair}`: it is `NAME=FILE`"));
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
        if !name.bytes().all(is_plain) || matches!(name, "." | "..") || name.len() > 255 {
            return usage(format!(
                "invalid name `{name}` of a credential: it has letters, digits and `._-@+`"
            ));
        }
        let value = fs::read(file).with_context(|| format!("cannot read the credential `{name}`"))?;
        if value.is_empty() || value.len() > LARGEST {
            let length = value.len();
            return usage(format!("`{file}` has {length} bytes, and a credential has 1 to {LARGEST}"));
        }
        Ok(Self { name: name.to_owned(), value })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The data partition that a device reads credentials from.
///
/// # Errors
/// The image has none, with the other ways to hand one in.
pub fn partition(image: &Image) -> Result<&Partition> {
    let shown = path(image.path());
    // What is kept lies on the one that grows, else on the first.
    let data =
        || image.table.partitions.iter().filter(|partition| partition.type_guid == guid::LINUX_GENERIC);
    let grows = |partition: &&Partition| partition.attributes & guid::GROW_FILE_SYSTEM != 0;
    let Some(partition) = data().find(grows).or_else(|| data().next()) else {
        let message = format!(
            "`{shown}` has no data partition to put credentials on: one that is encrypted is made by each device"
        );
        return Err(elsewhere(message).into());
    };
    // A root that cannot be read here is not known to lack it.
    if let Some(disk) = image.raw().and_then(|file| Disk::open(file).ok())
        && let Ok(root) = disk.root()
        && !root.exists(MOUNT)?
    {
        let message = format!("`{shown}` reads no credentials from its data partition");
        return Err(elsewhere(message).into());
    }
    Ok(partition)
}

fn elsewhere(message: String) -> LocatedError {
    LocatedError::without_line(
        message,
        "hand them in by the firmware, with QEMU's `-smbios type=11,value=io.systemd.credential.binary:NAME=…`, or on \
         the EFI partition as `loader/credentials/NAME.cred`; the README says how, at Provisioning",
    )
}

/// Puts credentials onto the data partition of what is written. `tools` has debugfs, `directory` is empty.
///
/// # Errors
/// The partition has no ext4, or no room; the tool fails.
pub fn put(image: &mut Image, credentials: &[Credential], tools: &Sandbox, directory: &Path) -> Result<()> {
    let partition = partition(image)?;
    let (range, label) = (partition.offset()..partition.offset() + partition.size(), partition.name.clone());
    let file = directory.join("data.raw");
    image.extract(range.clone(), &File::create_new(&file)?)?;
    change(&file, &label, credentials, tools, directory)?;
    image.replace(range, File::open(&file)?);
    Ok(())
}

fn change(
    file: &Path,
    label: &str,
    credentials: &[Credential],
    tools: &Sandbox,
    directory: &Path,
) -> Result<()> {
    let disk = Disk::open(file).with_context(|| format!("cannot read the data partition `{label}`"))?;
    let files = disk.root().with_context(|| format!("cannot read the data partition `{label}`"))?;
    ensure!(
        files.filesystem() == "ext4",
        "cannot put credentials onto the data partition `{label}`: it has {}, and no ext4",
        files.filesystem()
    );
    let mut script = String::new();
    let mut at = String::new();
    // As `mkdir -p`, and nobody but root sees what is in the last one.
    for (directory, mode) in [(BACKING, 0o755), ("etc", 0o755), ("credstore", 0o700)] {
        at = format!("{at}/{directory}");
        if !files.exists(&at)? {
            script.push_str(&format!("mkdir {at}\nset_inode_field {at} mode 04{mode:04o}\n"));
        }
    }
    for (number, Credential { name, value }) in credentials.iter().enumerate() {
        let to = format!("{at}/{name}");
        if files.exists(&to)? {
            script.push_str(&format!("rm {to}\n"));
        }
        fs::File::create_new(directory.join(number.to_string()))?.write_all(value)?;
        script.push_str(&format!("write {WORK}/{number} {to}\n"));
        for field in ["mode 0100600", "uid 0", "gid 0"] {
            script.push_str(&format!("set_inode_field {to} {field}\n"));
        }
    }
    fs::write(directory.join("script"), script)?;
    let (script, data) = (format!("{WORK}/script"), format!("{WORK}/data.raw"));
    let said = tools
        .clone()
        .bind(directory, WORK)
        .run(["debugfs", "-w", "-f", &script, &data])
        .with_context(|| format!("cannot put credentials onto the data partition `{label}`"))?;
    // debugfs ends with success whatever it could not do.
    let disk = Disk::open(file)?;
    let files = disk.root()?;
    for Credential { name, value } in credentials {
        let to = format!("{at}/{name}");
        let is_there = files.file(&to).is_ok_and(|found| found == *value)
            && files.metadata(&to).is_ok_and(|found| {
                (found.kind, found.mode, found.uid, found.gid) == (FileType::Regular, 0o600, 0, 0)
            });
        ensure!(
            is_there,
            "cannot put the credential `{name}` onto the data partition `{label}`: {}",
            said.trim()
        );
    }
    Ok(())
}
