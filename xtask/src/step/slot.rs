//! A slot's kernel image, as it lies on a partition: a block that says how long it is, then the UKI.
//!
//! ```text
//! size=25165824          the UKI's bytes
//! sha256=…               their digest
//! version=1.4.0          the image's
//! ```
//!
//! Zeros fill the first 4096 bytes, and the last block. The same bytes are in an update and on the partition, so that an
//! update takes from the running slot what is the same; `slots.sh` reads the block and copies the UKI to the ESP.

use std::io::{BufWriter, Read as _, Write as _};

use anyhow::{Context as _, Result};
use bedplate_core::plan::{ArtifactNames, SlotsPlan, UpdatesPlan};
use bedplate_formats::digest::{Sha256, hex};
use bedplate_formats::tree::Content;
use camino::Utf8Path;
use fs_err as fs;
use rayon::prelude::*;

use crate::artifacts::Digests;
use crate::bundle::Source;
use crate::error::LocatedError;
use crate::report::bytes;
use crate::step::root::Hashed;

/// The blocks that an update takes one by one, and the room for what stands before the UKI, in bytes.
const BLOCK: u64 = 4096;

/// Writes the partition's content, for an image of this version.
///
/// # Errors
/// A UKI larger than the partition, at the line of the updates; a disk that is full.
pub fn write(slots: &SlotsPlan, names: &ArtifactNames, version: &str, staging: &Utf8Path) -> Result<()> {
    let (partition, Some(name)) = (&slots.uki, &names.uki_slot) else { return Ok(()) };
    let uki = staging.join(&names.uki);
    let size = fs::metadata(&uki)?.len();
    let length = BLOCK + size.next_multiple_of(BLOCK);
    if length > partition.size {
        let (size, most) = (bytes(size), bytes(partition.size - BLOCK));
        return Err(LocatedError {
            message: format!("the unified kernel image has {size}, its partition in a slot room for {most}"),
            at: partition.at.clone(),
            word: None,
            help: "it is as large as a quarter of the EFI system partition: give that one more room".into(),
        }
        .into());
    }
    let mut digest = Sha256::default();
    let mut source = fs::File::open(&uki)?;
    let mut chunk = vec![0; 1 << 20];
    let file = fs::File::create_new(staging.join(name))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&[0; 4096])?;
    loop {
        let count = source.read(&mut chunk)?;
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        digest.update(read);
        out.write_all(read)?;
    }
    let mut file = out.into_inner().map_err(|error| error.into_error())?;
    file.set_len(length)?;
    let head = format!("size={size}\nsha256={}\nversion={version}\n", hex(&digest.finish()));
    std::io::Seek::rewind(&mut file)?;
    file.write_all(head.as_bytes()).context("writing what stands before the kernel image")
}

/// What a slot is made of, among the artifacts in a directory, in the order in which a device writes it.
pub fn images(names: &ArtifactNames, directory: &Utf8Path) -> Vec<Source> {
    let names = [Some(&names.root), names.verity.as_ref(), names.uki_slot.as_ref()];
    let parts = SlotsPlan::PARTS.into_iter().zip(names);
    let source = |(part, name): (&str, Option<&String>)| {
        Some(Source {
            class: part.to_owned(),
            name: format!("{part}.img"),
            path: directory.join(name?).into(),
        })
    };
    parts.filter_map(source).collect()
}

/// What RAUC would know of the first slot if it had installed it, as files of the ESP, and the digests of the artifacts
/// that it is made of. A new device takes the files over, and does not read whole partitions before its first update.
/// `hashed` is of the root, where it was hashed as it was written.
///
/// # Errors
/// An image of the slot that cannot be read.
pub fn known(
    UpdatesPlan { compatible, .. }: &UpdatesPlan,
    names: &ArtifactNames,
    version: &str,
    hashed: Option<&Hashed>,
    staging: &Utf8Path,
) -> Result<(Vec<(String, Content)>, Digests)> {
    let images = images(names, staging);
    let digest = |source: &Source| match hashed.filter(|_| source.path.ends_with(&names.root)) {
        Some(Hashed { sha256, index: Some(index), .. }) => Ok((source.image(*sha256)?, index.clone())),
        _ => source.digest(),
    };
    let indexes = images.par_iter().map(digest).collect::<Result<Vec<_>>>()?;
    let (mut files, mut status, mut digests) = (Vec::new(), String::new(), Digests::new());
    for (source, (image, index)) in images.iter().zip(indexes) {
        let (part, digest) = (&image.class, hex(&image.sha256));
        status += &format!(
            "[slot.{part}.0]\nbundle.compatible={compatible}\nbundle.version={version}\nstatus=ok\nsha256={digest}\n\
             size={}\n\n",
            image.size
        );
        status += &format!("[slot.{part}.1]\nstatus=pending\nsha256={}\nsize=0\n\n", SlotsPlan::EMPTY);
        files.push((format!("EFI/bedplate/{part}-{digest}.index"), Content::from(index)));
        let artifact = source.path.file_name().context("an image of the slot has no name")?;
        digests.push((artifact.to_string_lossy().into_owned(), digest));
    }
    files.push(("EFI/bedplate/central.raucs".to_owned(), Content::from(status.as_str())));
    Ok((files, digests))
}
