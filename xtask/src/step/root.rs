//! The root file system: a tree streamed as tar into the distribution's own
//! mkfs, so that owners and modes need neither mounts nor root.
//!
//! An erofs is written in two steps. What the packages brought is compressed
//! once and cached; what the description adds is appended to a copy of it, so
//! that a changed line costs no second compression. The two steps are taken in
//! every build, or the bytes would tell a first build from a second.

mod changes;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate_core::image::filesystem::Filesystem;
use bedplate_core::plan::RootPlan;
use bedplate_core::{Compression, Lock};
use bedplate_formats::deb::compare_versions;
use bedplate_formats::tree::{Node, Tree, TreePath};
use bedplate_formats::{sparse, tar};

pub(super) use self::changes::same;
use crate::key::Key;
use crate::sandbox::{Sandbox, failed};
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
    /// A sandbox with the mkfs.
    pub tools: &'a Sandbox,
    /// True when its `mkfs.erofs` can add to an image: [`appends`].
    pub appends: bool,
}

/// True when the `mkfs.erofs` of a lock's tools can append: 1.8 and newer can, Ubuntu 24.04's cannot.
#[must_use]
pub fn appends(lock: &Lock) -> bool {
    let package = lock.tools.iter().find(|package| package.name == "erofs-utils");
    package.is_some_and(|package| compare_versions(&package.version, "1.8").is_ge())
}

/// Writes the tree's file system to `file`; returns its name. `base` is the tree
/// before the description's files were added to it, `key` what it was made of.
///
/// # Errors
/// The tool's own words when it fails; a content of the tree that is gone.
pub fn write(
    options: Options<'_>,
    store: &Store,
    key: &str,
    base: &Tree,
    tree: &Tree,
    file: &Path,
) -> Result<&'static str> {
    let filesystem = options.root.filesystem;
    let top = tree.get(&TreePath::root()).context("the tree has no root")?;
    let mut argv = command(options.root, top);
    if filesystem == Filesystem::Ext4 && options.sector_size > 512 {
        // Small file systems have blocks of 1024 bytes otherwise, and none is smaller than a sector.
        argv.splice(1..1, ["-b", "4096"].map(str::to_owned));
    }
    let added = changes::since(base, tree).filter(|_| filesystem == Filesystem::Erofs);
    let Some(added) = added.filter(|_| options.appends) else {
        stream(options, &argv, tree, file)?;
        return Ok(filesystem.name());
    };
    let layer = store.layer_or_make(LAYER, &layer_key(options, key, &argv), |directory| {
        stream(options, &argv, base, &directory.join("root"))
    })?;
    let (from, to) = (File::open(layer.join("root"))?, File::create(file)?);
    sparse::copy_file(&from, &to).context("copying the packages' file system")?;
    let append = argv.iter().cloned().chain(["--incremental=data".to_owned()]).collect::<Vec<_>>();
    stream(options, &append, &added, file)?;
    Ok(filesystem.name())
}

/// Takes the packages' file system from another machine, where it is to be had. `key` is what [`write()`] gets.
pub fn take_ahead(options: Options<'_>, store: &Store, key: &str) {
    if options.root.filesystem == Filesystem::Erofs && options.appends {
        // Nothing of the top directory is in its command line.
        let argv = command(options.root, &Node::directory(0o755));
        store.take_ahead(LAYER, &layer_key(options, key, &argv));
    }
}

/// The kind of the packages' file system in the cache.
const LAYER: &str = "root";

fn layer_key(options: Options<'_>, key: &str, argv: &[String]) -> String {
    let mut layer = Key::new(LAYER);
    layer.add(key);
    layer.add(options.epoch.to_le_bytes());
    argv.iter().for_each(|word| layer.add(word));
    layer.finish()
}

/// Streams a tree into the tool, which writes `file`.
fn stream(
    Options { tools, epoch, .. }: Options<'_>,
    argv: &[String],
    tree: &Tree,
    file: &Path,
) -> Result<()> {
    let (directory, name) = (file.parent().unwrap_or(Path::new(".")), file.file_name().unwrap_or_default());
    let out = format!("{WORK}/{}", name.to_string_lossy());
    let argv: Vec<&str> =
        argv.iter().map(|word| if word == OUT { out.as_str() } else { word.as_str() }).collect();
    let sandbox = tools.clone().bind(directory, WORK).env("SOURCE_DATE_EPOCH", &epoch.to_string());
    let (reader, writer) = std::io::pipe()?;
    let tool = sandbox.command(&argv).stdin_file(reader).stdout_null().stderr_capture().unchecked();
    let (written, output) = std::thread::scope(|scope| {
        let tar = scope.spawn(move || {
            let mut writer = BufWriter::with_capacity(1 << 20, writer);
            tar::write(tree, &mut writer)?;
            writer.flush()
        });
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

fn command(root: &RootPlan, top: &Node) -> Vec<String> {
    let RootPlan { partition, compression, uuid, .. } = root;
    let compress = match compression {
        Compression::None => None,
        Compression::Lz4 => Some("-zlz4"),
        Compression::Lz4hc => Some("-zlz4hc,level=6"),
        Compression::Zstd => Some("-zzstd,level=3"),
    };
    let mut argv: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
    match root.filesystem {
        Filesystem::Erofs => {
            // Its time is that of SOURCE_DATE_EPOCH: 1.7 has no option for it that
            // leaves the files theirs.
            add(&["mkfs.erofs", "--quiet", "--tar=f", "-U", &uuid.to_string()]);
            // 64 KiB clusters: 5 % smaller than 4 KiB ones, at the same speed.
            add(&compress.map_or(vec![], |compress| vec![compress, "-C65536"]));
            add(&[OUT]);
        }
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
