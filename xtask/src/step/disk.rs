//! The disk: partitions put where the plan says, sparse, under a GPT.
//!
//! <https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>

use std::fs::File;
use std::sync::mpsc::{Receiver, Sender};

use anyhow::{Context as _, Result};
use bedplate_core::plan::{ArtifactNames, DiskPlan, PartitionGuid, PartitionPlan, RootPlan, VerityPlan};
use bedplate_formats::digest::Sha256;
use bedplate_formats::gpt::{Partition, Table};
use bedplate_formats::{gpt, sparse, verity};
use camino::Utf8Path;
use fs_err as fs;
use uuid::Uuid;

use crate::error::LocatedError;
use crate::report::bytes;
use crate::step::root::Hashed;

/// How much of the disk is written before it is hashed, in bytes: while the next part is written.
const PART: usize = 16 << 20;

/// Writes the hash tree of the root, where the plan has one, and returns the
/// root hash. `hashed` is of the root, where it was hashed as it was written.
///
/// # Errors
/// A root larger than its partition, at the partition's line.
pub fn verity(
    root: &RootPlan,
    names: &ArtifactNames,
    hashed: Option<&Hashed>,
    staging: &Utf8Path,
) -> Result<Option<[u8; 32]>> {
    let data = fs::File::open(staging.join(&names.root))?;
    let (size, partition) = (data.metadata()?.len(), &root.partition);
    if size > partition.size {
        let (size, most) = (bytes(size), bytes(partition.size));
        return Err(LocatedError {
            message: format!("the root file system has {size}, its partition {most}"),
            at: partition.at.clone(),
            word: None,
            help: "give it more room with `.size(GiB(…))`, or leave packages out".into(),
        }
        .into());
    }
    let (Some(planned), Some(artifact)) = (&root.verity, &names.verity) else { return Ok(None) };
    let parameters = parameters(planned);
    let made = match hashed.and_then(|hashed| hashed.salted.clone()) {
        Some(hashes) => verity::format_hashed(hashes, &parameters)?,
        None => verity::format(data.file(), 0..size, &parameters)?,
    };
    made.write(&mut fs::File::create(staging.join(artifact))?)?;
    Ok(Some(made.root_hash))
}

/// What the hash tree of the root is made with.
pub fn parameters(planned: &VerityPlan) -> verity::Parameters {
    verity::Parameters { salt: planned.salt, uuid: planned.uuid }
}

/// Writes the disk of the partitions' artifacts, from its first byte to its last. `written` hears up to where it is done.
///
/// # Errors
/// A layout the table cannot hold, or a disk that is full.
pub fn write(
    planned: &DiskPlan,
    names: &ArtifactNames,
    root_hash: Option<&[u8; 32]>,
    staging: &Utf8Path,
    written: Sender<u64>,
) -> Result<()> {
    let disk = fs::File::options().read(true).write(true).create_new(true).open(staging.join(&names.disk))?;
    disk.set_len(planned.size)?;
    let mut disk = disk.into_parts().0;
    gpt::write(&table(planned, root_hash), &mut disk).context("writing the partition table")?;
    let mut partitions: Vec<_> = artifacts(planned, names).collect();
    partitions.sort_by_key(|(partition, _)| partition.offset);
    let done = |end| {
        // Who has failed to hash it listens no more, and tells.
        let _ = written.send(end);
    };
    for (partition, artifact) in partitions {
        let content = File::open(staging.join(artifact))?;
        let length = content.metadata()?.len();
        for part in (0..length).step_by(PART).map(|from| from..length.min(from + PART as u64)) {
            sparse::copy(&content, part.clone(), &disk, partition.offset + part.start)
                .with_context(|| format!("copying partition {} to the disk", partition.number))?;
            done(partition.offset + part.end);
        }
        done(partition.offset + partition.size);
    }
    done(planned.size);
    Ok(())
}

/// The disk's digest, worked out behind [`write()`]: one core is busy with it for longer than all the rest takes.
///
/// # Errors
/// Fails as reading does.
pub fn digest(disk: &Utf8Path, written: Receiver<u64>) -> Result<[u8; 32]> {
    let (mut digest, mut from) = (Sha256::default(), 0);
    for to in written {
        // It is there once something of it is written.
        digest.file(fs::File::open(disk)?.file(), from..to).context("hashing the disk")?;
        from = to;
    }
    Ok(digest.finish())
}

/// The table the plan asks for, once the root hash is known.
pub fn table(planned: &DiskPlan, root_hash: Option<&[u8; 32]>) -> Table {
    let partition = |partition: &PartitionPlan| Partition {
        number: partition.number,
        type_guid: partition.type_guid,
        guid: guid(&partition.guid, root_hash),
        first_lba: partition.offset / 512,
        last_lba: (partition.offset + partition.size) / 512 - 1,
        attributes: partition.attributes,
        name: partition.label.clone(),
    };
    Table {
        guid: planned.guid,
        sector_size: planned.sector_size,
        partitions: planned.partitions().map(partition).collect(),
    }
}

/// A partition's id: the plan's, or the half of the root hash that systemd
/// looks for.
fn guid(planned: &PartitionGuid, root_hash: Option<&[u8; 32]>) -> Uuid {
    let half = |from: usize| {
        let mut bytes = [0; 16];
        if let Some(hash) = root_hash {
            bytes.copy_from_slice(&hash[from..from + 16]);
        }
        Uuid::from_bytes(bytes)
    };
    match planned {
        PartitionGuid::Fixed(guid) => *guid,
        PartitionGuid::RootHashFirst => half(0),
        PartitionGuid::RootHashLast => half(16),
    }
}

/// Every partition with the artifact that it is a copy of.
pub fn artifacts<'a>(
    planned: &'a DiskPlan,
    names: &'a ArtifactNames,
) -> impl Iterator<Item = (&'a PartitionPlan, &'a str)> {
    let names =
        [&names.esp, &names.root].into_iter().chain(&names.verity).chain(&names.uki_slot).chain(&names.data);
    planned.partitions().zip(names.map(String::as_str))
}
