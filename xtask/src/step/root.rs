//! The root file system. An erofs is written here, from compressed files in the store (`extents`), so that what did not
//! change is not compressed again. A squashfs and an ext4 are a tree streamed as tar into the distribution's own mkfs;
//! none of them needs mounts or root for owners and modes.

mod changes;
mod digests;
mod extents;

use std::io::{self, PipeWriter};

use anyhow::{Context as _, Result};
use bedplate_core::Compression;
use bedplate_core::image::filesystem::Filesystem;
use bedplate_core::plan::RootPlan;
use bedplate_formats::digest::{self, Place, Sha256};
use bedplate_formats::erofs::write::Compressor;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};
use bedplate_formats::{erofs, tar};
use camino::Utf8Path;

pub(super) use self::changes::same;
use self::extents::{Packs, Told};
use crate::artifacts::{Spare, SpareKind};
use crate::key::Key;
use crate::sandbox::{Sandbox, failed};
use crate::step::disk;
use crate::store::Store;

/// Where the tool finds the output's directory.
const WORK: &str = "/run/work";
/// Stands for the output in a command line that is part of a key.
const OUT: &str = "OUT";

/// What a root is written with, apart from its tree.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The partition.
    pub root: &'a RootPlan,
    /// The size of the disk's sectors in bytes.
    pub sector_size: u64,
    /// The time of the file system, in seconds since 1970.
    pub epoch: i64,
    /// It is installed in slots: its blocks are found in another root by their digests.
    pub slots: bool,
    /// A sandbox with the mkfs, for which an erofs has no use.
    pub tools: &'a Sandbox,
}

/// What a root is hashed to as it is written, and copied to the disk.
pub struct Hashed {
    /// The digest of all of it.
    pub sha256: [u8; 32],
    /// With slots, the digests of its blocks of 4096 bytes, one after another.
    pub index: Option<Vec<u8>>,
    /// With a hash tree, the hashes that this is made over.
    pub salted: Option<Vec<u8>>,
    /// The hash of the disk up to its end, where the disk was hashed from its beginning.
    pub disk: Option<Sha256>,
}

/// Writes the tree's file system to `file`; returns its name, and what it was hashed to where it is written here: then
/// it lies at its `place` on the disk, too. `base` is the tree before the description's files were added to it, `key`
/// what it was made of. `told` hears how many bytes of how many are in.
///
/// # Errors
/// The tool's own words when it fails; a content of the tree that is gone; what the file system has no room for.
pub fn write(
    options: Options<'_>,
    (store, key): (&Store, &str),
    (base, tree): (&Tree, &Tree),
    (file, spare): (&Utf8Path, &Spare),
    place: Option<Place<'_>>,
    told: Told<'_>,
) -> Result<(&'static str, Option<Hashed>)> {
    let filesystem = options.root.filesystem;
    if let Some(erofs) = erofs_options(options) {
        let key = layer_key(options, key);
        if store.exchanges() && !store.layer(extents::KIND, &key).is_dir() {
            // Other machines get what packages brought, and nothing of the description's.
            let packs = Packs::open(store, &key, told)?;
            erofs::write::prepare(base, &erofs, &packs)?;
            packs.share(&key)?;
        }
        let packs = Packs::open(store, &key, told)?;
        let image = erofs::write::prepare(tree, &erofs, &packs)?;
        let index = options.slots.then(Sha256::default);
        let salted = options.root.verity.as_ref().map(|verity| disk::parameters(verity).begun());
        let begun: Vec<Sha256> = index.iter().chain(&salted).cloned().collect();
        let file = spare.open(SpareKind::Root, file)?;
        file.set_len(image.length())?;
        let written = digest::hashing(&file, place, &begun, |to| image.write(to))?;
        packs.keep()?;
        let mut blocks = written.blocks.into_iter();
        let (index, salted) = (index.and_then(|_| blocks.next()), salted.and_then(|_| blocks.next()));
        let hashed = Hashed { sha256: written.sha256, index, salted, disk: written.copied };
        return Ok((filesystem.name(), Some(hashed)));
    }
    let top = tree.get(&TreePath::root()).context("the tree has no root")?;
    let mut argv = command(options.root, top);
    if filesystem == Filesystem::Ext4 && options.sector_size > 512 {
        // Small file systems have blocks of 1024 bytes otherwise, and none is smaller than a sector.
        argv.splice(1..1, ["-b", "4096"].map(str::to_owned));
    }
    stream(options, &argv, tree, file, told)?;
    Ok((filesystem.name(), None))
}

/// Takes compressed files from another machine, where they are to be had. `key` is what [`write()`] gets.
pub fn take_ahead(options: Options<'_>, store: &Store, key: &str) {
    if erofs_options(options).is_some() {
        store.take_ahead(extents::KIND, &layer_key(options, key));
    }
}

/// How thoroughly `lz4hc` searches: less than 2 % larger than at level 6, in two thirds of the time.
pub const LZ4HC_LEVEL: i32 = 3;

/// What an erofs is written with; none for another file system.
fn erofs_options(options: Options<'_>) -> Option<erofs::write::Options> {
    let RootPlan { filesystem: Filesystem::Erofs, compression, uuid, .. } = options.root else { return None };
    let compressor = match compression {
        Compression::None => Compressor::None,
        Compression::Lz4 => Compressor::Lz4,
        Compression::Lz4hc => Compressor::Lz4hc { level: LZ4HC_LEVEL },
        Compression::Zstd => Compressor::Zstd { level: 3 },
    };
    Some(erofs::write::Options { uuid: *uuid, epoch: options.epoch, compressor })
}

/// The key of what is compressed for these packages.
fn layer_key(options: Options<'_>, key: &str) -> String {
    let mut layer = Key::new(extents::KIND);
    layer.add(key);
    layer.add(options.root.compression.name());
    layer.finish()
}

/// Streams a tree into the tool, which writes `file`.
fn stream(
    Options { tools, epoch, .. }: Options<'_>,
    argv: &[String],
    tree: &Tree,
    file: &Utf8Path,
    told: Told<'_>,
) -> Result<()> {
    let (directory, name) =
        (file.parent().unwrap_or(Utf8Path::new(".")), file.file_name().unwrap_or_default());
    let out = format!("{WORK}/{name}");
    let argv: Vec<&str> =
        argv.iter().map(|word| if word == OUT { out.as_str() } else { word.as_str() }).collect();
    let sandbox =
        tools.clone().bind(directory.as_std_path(), WORK).env("SOURCE_DATE_EPOCH", &epoch.to_string());
    let (reader, writer) = std::io::pipe()?;
    let tool = sandbox.command(&argv).stdin_file(reader).stdout_null().stderr_capture().unchecked();
    let (written, output) = std::thread::scope(|scope| {
        let contents = tree.iter().map(|(_, node)| match &node.kind {
            Kind::File(content) => content.len(),
            _ => 0,
        });
        let all = contents.sum();
        let tar = scope.spawn(move || tar::write(tree, Counted { writer, done: 0, all, told }));
        // The expression holds the pipe's reading end; without it a tool that
        // has failed would leave the writer waiting.
        let output = tool.run();
        drop(tool);
        (tar.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), output)
    });
    let output = output.with_context(|| format!("starting `{}`", argv[0]))?;
    if !output.status.success() {
        let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
        return Err(failed(&argv, output.status, &output.stderr));
    }
    written.context("streaming the system into its file system")
}

/// A tool's input, which tells how much of it is written: the tool reads it as it works.
struct Counted<'a> {
    writer: PipeWriter,
    done: u64,
    /// The contents of all files, in bytes; what is between them is on top.
    all: u64,
    told: Told<'a>,
}

impl io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(bytes)?;
        self.done += count as u64;
        (self.told)(self.done.min(self.all), self.all);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn command(root: &RootPlan, top: &Node) -> Vec<String> {
    let RootPlan { partition, compression, uuid, .. } = root;
    let mut argv: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
    match root.filesystem {
        // Written here, by nobody's command.
        Filesystem::Erofs => {}
        Filesystem::Squashfs => {
            let (compressor, level) = match compression {
                Compression::Lz4 | Compression::Lz4hc => ("lz4", None),
                _ => ("zstd", Some("3")),
            };
            // Its time is that of SOURCE_DATE_EPOCH, beside which it takes no option.
            add(&["sqfstar", "-quiet", "-no-progress", "-comp", compressor]);
            // It passes over the stream's entry of the root, and leaves that to everybody.
            let (mode, uid, gid) = (format!("{:o}", top.mode), top.uid.to_string(), top.gid.to_string());
            add(&["-root-mode", &mode, "-root-uid", &uid, "-root-gid", &gid]);
            add(&level.map_or(vec![], |level| vec!["-Xcompression-level", level]));
            if *compression == Compression::None {
                add(&["-noI", "-noD", "-noF", "-noX"]);
            }
            add(&[OUT]);
        }
        Filesystem::Ext4 => {
            let extended = format!("hash_seed={uuid},root_owner=0:0,nodiscard");
            let size = format!("{}k", partition.size / 1024);
            add(&[
                "mke2fs",
                "-q",
                "-t",
                "ext4",
                "-m",
                "0",
                "-U",
                &uuid.to_string(),
                "-E",
                &extended,
                "-d",
                "-",
                OUT,
                &size,
            ]);
        }
    }
    argv
}
