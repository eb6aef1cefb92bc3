//! The disk: partitions put where the plan says, sparse, under a GPT.
//!
//! <https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>

use std::fs::File;
use std::iter;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use bedplate_core::plan::{ArtifactNames, DiskPlan, PartitionGuid, PartitionPlan, RootPlan, VerityPlan};
use bedplate_formats::digest::{Sha256, hex};
use bedplate_formats::gpt::{Partition, Table};
use bedplate_formats::{gpt, sparse, verity};
use camino::Utf8Path;
use fs_err as fs;
use uuid::Uuid;

use crate::artifacts::{Digests, Spare, SpareKind};
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

/// Opens the disk, of the planned size; makes it where it is not there yet.
fn open(planned: &DiskPlan, names: &ArtifactNames, staging: &Utf8Path) -> Result<File> {
    let mut options = fs::File::options();
    let disk = options.read(true).write(true).create(true).truncate(false).open(staging.join(&names.disk))?;
    disk.set_len(planned.size)?;
    Ok(disk.into_parts().0)
}

/// Opens the disk before anything lies on it but what was in the place of its partitions. Where its table does not tell
/// the root hash, the table is written, and the hash of all before the root begun.
///
/// # Errors
/// As [`write()`].
pub fn begin(
    planned: &DiskPlan,
    names: &ArtifactNames,
    (staging, spare): (&Utf8Path, &Spare),
) -> Result<(File, Option<Sha256>)> {
    let mut disk = spare.open(SpareKind::Disk, &staging.join(&names.disk))?;
    disk.set_len(planned.size)?;
    let mut partitions: Vec<_> = planned.partitions().collect();
    partitions.sort_by_key(|partition| partition.offset);
    let mut end = 0;
    for PartitionPlan { offset, size, .. } in partitions {
        sparse::punch(&disk, end..*offset)?;
        end = offset + size;
    }
    sparse::punch(&disk, end..planned.size)?;
    if !planned.partitions().all(|partition| matches!(partition.guid, PartitionGuid::Fixed(_))) {
        return Ok((disk, None));
    }
    gpt::write(&table(planned, None), &mut disk).context("writing the partition table")?;
    let mut digest = Sha256::default();
    digest.file(&disk, 0..planned.root.partition.offset)?;
    Ok((disk, Some(digest)))
}

/// The hash of the disk up to the end of the root's partition, and where that is: behind a root of this length are zeros,
/// which are hashed while other partitions are made. Nothing is hashed yet of a disk that was not with its root.
pub fn up_to_root(planned: &DiskPlan, hashed: Option<&Hashed>, length: u64) -> JoinHandle<(Sha256, u64)> {
    let PartitionPlan { offset, size, .. } = planned.root.partition;
    let begun = hashed.and_then(|hashed| hashed.disk.clone());
    thread::spawn(move || {
        begun.map_or_else(Default::default, |mut digest| {
            digest.zeros(size - length);
            (digest, offset + size)
        })
    })
}

/// What of a disk is written: all up to here, the last of it as a copy of an artifact.
pub struct Written<'a> {
    to: u64,
    artifact: Option<&'a str>,
}

/// Writes the disk of the partitions' artifacts, from its first byte to its last. A root that was `hashed` as it was
/// written lies on it already. `written` hears what is done.
///
/// # Errors
/// A layout the table cannot hold, or a disk that is full.
pub fn write<'a>(
    planned: &'a DiskPlan,
    names: &'a ArtifactNames,
    root_hash: Option<&[u8; 32]>,
    hashed: Option<&Hashed>,
    staging: &Utf8Path,
    written: Sender<Written<'a>>,
) -> Result<()> {
    let mut disk = open(planned, names, staging)?;
    gpt::write(&table(planned, root_hash), &mut disk).context("writing the partition table")?;
    let mut partitions: Vec<_> = artifacts(planned, names).collect();
    partitions.sort_by_key(|(partition, _)| partition.offset);
    let done = |to, artifact| {
        // Who has failed to hash it listens no more, and tells.
        let _ = written.send(Written { to, artifact });
    };
    for (partition, artifact) in partitions {
        done(partition.offset, None);
        let content = File::open(staging.join(artifact))?;
        let length = content.metadata()?.len();
        let is_there = hashed.is_some() && *artifact == *names.root;
        for part in (0..length).step_by(PART).map(|from| from..length.min(from + PART as u64)) {
            if !is_there {
                sparse::copy(&content, part.clone(), &disk, partition.offset + part.start)
                    .with_context(|| format!("copying partition {} to the disk", partition.number))?;
            }
            done(partition.offset + part.end, Some(artifact));
        }
        sparse::punch(&disk, partition.offset + length..partition.offset + partition.size)?;
    }
    done(planned.size, None);
    Ok(())
}

/// The digests of the disk, whose hash is `begun` up to some offset, and of the artifacts behind that are not `known`,
/// which are the same bytes. They are worked out behind [`write()`], on a core of their own.
///
/// # Errors
/// Fails as reading does.
pub fn digests(
    name: &str,
    staging: &Utf8Path,
    known: &Digests,
    begun: (Sha256, u64),
    written: Receiver<Written<'_>>,
) -> Result<Digests> {
    let (mut digests, (mut disk, mut from)) = (Digests::new(), begun);
    let mut own: Option<(&str, Sha256)> = None;
    let finish = |(name, digest): (&str, Sha256)| (name.to_owned(), hex(&digest.finish()));
    for Written { to, artifact } in written {
        if to <= from {
            continue;
        }
        // It is there once something of it is written.
        let file = fs::File::open(staging.join(name))?;
        let artifact = artifact.filter(|artifact| known.iter().all(|(known, _)| known != artifact));
        if own.as_ref().map(|(name, _)| *name) != artifact {
            digests.extend(own.take().map(finish));
            own = artifact.map(|name| (name, Sha256::default()));
        }
        match &mut own {
            Some((_, own)) => disk.file_both(own, file.file(), from..to),
            None => disk.file(file.file(), from..to),
        }
        .context("hashing the disk")?;
        from = to;
    }
    digests.push(finish((name, disk)));
    Ok(digests)
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
    let ArtifactNames { root, verity, uki_slot, esp, data, .. } = names;
    let names = iter::once(root).chain(verity).chain(uki_slot).chain([esp]).chain(data);
    planned.partitions().zip(names.map(String::as_str))
}
