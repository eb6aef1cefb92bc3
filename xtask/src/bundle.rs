//! Update bundles in RAUC's verity format.
//!
//! A squashfs with the images; the hash tree over it, without a superblock; the manifest with the tree's root hash and
//! the signature (CMS); the signature's length in 8 bytes, the highest first. A device believes the manifest by the
//! signature, and every block by the tree, so that it can ask for single blocks over HTTP and keep what it has
//! (`adaptive`): beside each image lies the list of its blocks' digests.
//!
//! <https://rauc.readthedocs.io/en/latest/reference.html#bundle-formats>, and RAUC's `src/bundle.c`. Formats `plain` and
//! `crypt` are deliberately absent, as are hooks: they would be programs from outside of the image.
//!
//! Invariant: the bytes are a function of the contents, the certificates, the key and the version of Zstandard.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use bedplate_formats::digest::{self, Sha256};
use bedplate_formats::tree::{Content, Node, Tree};
use bedplate_formats::verity::BLOCK;
use bedplate_formats::{squashfs, verity};
use rayon::prelude::*;

use self::manifest::{BLOCK_INDEX, Image, Manifest, Verity};
use crate::certificate::Chain;
use crate::sign::Signer;

pub use self::read::Bundle;

pub mod cms;
pub mod delta;
pub mod manifest;
pub mod page;
mod read;
#[cfg(test)]
mod tests;

/// The copy of the manifest in the payload, for who takes a bundle apart.
const MANIFEST: &str = "manifest.raucm";
/// The longest signature that RAUC reads, in bytes.
const MOST_SIGNATURE: u64 = 64 << 10;
/// The size of a block that a device asks for, in bytes.
const BLOCK_SIZE: u32 = 4096;
/// How much of an image is hashed by one core at a time, in bytes.
const RUN: usize = 1 << 20;

/// What a bundle is made of.
#[derive(Debug, Clone)]
pub struct Contents {
    /// What devices it is for: `compatible` of their `system.conf`.
    pub compatible: String,
    /// The version that it brings.
    pub version: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Which build it is of.
    pub build: Option<String>,
    /// What goes into slots, in the order in which a device writes it.
    pub images: Vec<Source>,
    /// Further files, by name; nothing installs them, but a device's own programs find them in the mounted bundle.
    pub extra: Vec<(String, Vec<u8>)>,
    /// The salt of the hash tree: any bytes, the same for the same bundle.
    pub salt: [u8; 32],
    /// The time of the files, in seconds since 1970.
    pub epoch: u32,
}

/// An image of a bundle.
#[derive(Debug, Clone)]
pub struct Source {
    /// The class of the slots that it goes into.
    pub class: String,
    /// Its name in the bundle.
    pub name: String,
    /// The file that holds it, of a multiple of 4096 bytes.
    pub path: PathBuf,
}

/// Writes a bundle into a file that is empty, and open for reading and writing. Of the images, some MiB are in memory at
/// a time, and one percent for digests.
///
/// # Errors
/// A name that cannot be in a bundle or is there twice; an image that cannot be read, is empty or no multiple of 4096
/// bytes; a signer that does not sign for the certificate; more certificates than RAUC reads; a full disk.
pub fn write(contents: &Contents, signer: &Signer, chain: &Chain, to: &File) -> Result<()> {
    check(contents)?;
    ensure!(to.metadata()?.len() == 0, "the file for the bundle is not empty");
    let images = contents.images.par_iter().map(Source::digest).collect::<Result<Vec<_>>>()?;
    let mut manifest = Manifest {
        compatible: contents.compatible.clone(),
        version: Some(contents.version.clone()),
        description: contents.description.clone(),
        build: contents.build.clone(),
        verity: None,
        images: images.iter().map(|(image, _)| image.clone()).collect(),
    };
    let mut tree = Tree::new();
    let mut put = |name: &str, content: Content| tree.insert(name.into(), Node::file(content, 0o644));
    for (source, (image, index)) in contents.images.iter().zip(images) {
        put(&format!("{}.{BLOCK_INDEX}", source.name), index.into());
        put(&source.name, Content::File { path: source.path.as_path().into(), len: image.size });
    }
    for (name, bytes) in &contents.extra {
        put(name, bytes.clone().into());
    }
    put(MANIFEST, manifest.render().into_bytes().into());

    let options = squashfs::Options { epoch: contents.epoch, block_size: BLOCK_SIZE };
    let mut writer = BufWriter::with_capacity(RUN, to);
    let size =
        squashfs::write(&tree, &options, &mut writer).context("cannot write the payload of the bundle")?;
    writer.flush().context("cannot write the payload of the bundle")?;
    drop(writer);
    let hashes =
        verity::tree(to, 0..size, &contents.salt).context("cannot make the hash tree of the bundle")?;
    let verity = Verity { hash: hashes.root_hash, salt: contents.salt, size: hashes.blocks.len() as u64 };
    manifest.verity = Some(verity);

    let signature =
        cms::sign(manifest.render().as_bytes(), chain, signer).context("cannot sign the bundle")?;
    let length = signature.len() as u64;
    ensure!(
        length <= MOST_SIGNATURE,
        "the manifest with its signature has {length} bytes, and RAUC reads {MOST_SIGNATURE}: give fewer certificates"
    );
    let mut to = to;
    to.seek(SeekFrom::Start(size))?;
    for part in [&hashes.blocks, &signature, &length.to_be_bytes()[..]] {
        to.write_all(part).context("cannot write the bundle")?;
    }
    Ok(())
}

/// Names and facts that RAUC would refuse, or take for something else.
fn check(contents: &Contents) -> Result<()> {
    let line = |what: &str, value: &str| {
        let fits = !value.is_empty() && value.trim() == value && !value.contains(char::is_control);
        ensure!(fits, "invalid {what} `{}` of a bundle: it is one line of text", value.escape_debug());
        Ok(())
    };
    line("compatible", &contents.compatible)?;
    line("version", &contents.version)?;
    for (what, value) in [("description", &contents.description), ("build", &contents.build)] {
        value.as_deref().map_or(Ok(()), |value| line(what, value))?;
    }
    let (mut classes, mut names) = (BTreeSet::new(), BTreeSet::from([MANIFEST.to_owned()]));
    let plain = |name: &str| {
        let of = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(of)
    };
    let mut name = |name: &str| {
        let fits = plain(name);
        ensure!(
            fits,
            "invalid file name `{}` in a bundle: A-Z, a-z, 0-9, `.`, `-` and `_`",
            name.escape_debug()
        );
        ensure!(names.insert(name.to_owned()), "duplicate file name `{name}` in a bundle");
        Ok(())
    };
    ensure!(!contents.images.is_empty(), "a bundle without an image updates nothing");
    for image in &contents.images {
        let fits = plain(&image.class) && !image.class.contains('.');
        ensure!(fits, "invalid slot class `{}`: A-Z, a-z, 0-9, `-` and `_`", image.class.escape_debug());
        ensure!(classes.insert(&image.class), "duplicate slot class `{}` in a bundle", image.class);
        name(&image.name)?;
        name(&format!("{}.{BLOCK_INDEX}", image.name))?;
    }
    contents.extra.iter().try_for_each(|(extra, _)| name(extra))
}

impl Source {
    /// The digest of an image, and those of its blocks one after another: its block index.
    ///
    /// # Errors
    /// It cannot be read, or is no multiple of 4096 bytes.
    pub fn digest(&self) -> Result<(Image, Vec<u8>)> {
        let what = || format!("cannot read the image `{}` of the bundle", self.path.display());
        let file = File::open(&self.path).with_context(what)?;
        let size = file.metadata().with_context(what)?.len();
        let (whole, blocks) = rayon::join(|| digest::sha256(&file), || blocks(&file, size));
        Ok((self.image(whole.with_context(what)?)?, blocks.with_context(what)?))
    }

    /// What a manifest says of an image with this digest.
    ///
    /// # Errors
    /// It is not there, or no multiple of 4096 bytes.
    pub fn image(&self, sha256: [u8; 32]) -> Result<Image> {
        let name = self.path.display();
        let size = self.path.metadata().with_context(|| format!("cannot find the image `{name}`"))?.len();
        ensure!(
            size > 0 && size.is_multiple_of(BLOCK as u64),
            "the image `{name}` has {size} bytes: an image of a bundle has a multiple of {BLOCK} bytes above zero"
        );
        Ok(Image {
            class: self.class.clone(),
            filename: self.name.clone(),
            sha256,
            size,
            adaptive: vec![BLOCK_INDEX.to_owned()],
        })
    }
}

fn blocks(file: &File, size: u64) -> std::io::Result<Vec<u8>> {
    let runs = size.div_ceil(RUN as u64);
    let digests = (0..runs).into_par_iter().map(|run| {
        let start = run * RUN as u64;
        let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(RUN).min(RUN)];
        file.read_exact_at(&mut bytes, start)?;
        Ok(digest::of_blocks(&Sha256::default(), &bytes))
    });
    Ok(digests.collect::<std::io::Result<Vec<_>>>()?.concat())
}
