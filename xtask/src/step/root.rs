//! The root file system: a tree streamed as tar into the distribution's own
//! mkfs, so that owners and modes need neither mounts nor root.

use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use bedplate_core::Filesystem;
use bedplate_formats::tar;
use bedplate_formats::tree::Tree;
use uuid::Uuid;

use crate::sandbox::Sandbox;

/// What a root file system is made with.
pub struct Options {
    /// Which one.
    pub filesystem: Filesystem,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its creation time, in seconds since 1970.
    pub epoch: i64,
    /// Its greatest size in bytes: the partition's.
    pub limit: u64,
}

/// Writes the tree's file system to `file`, in a directory that is bound into
/// the tools' sandbox.
///
/// # Errors
/// The tool's own words when it fails; a content of the tree that is gone.
pub fn write(tree: &Tree, options: &Options, tools: &Sandbox, file: &Path) -> Result<()> {
    let (directory, name) = (file.parent().unwrap_or(Path::new(".")), file.file_name().unwrap_or_default());
    let out = format!("/mnt/{}", name.to_string_lossy());
    let argv = command(options, &out);
    let sandbox = tools.clone().bind(directory, "/mnt").env("SOURCE_DATE_EPOCH", options.epoch.to_string());
    let (reader, writer) = std::io::pipe()?;
    let tool = sandbox.command(&argv).stdin_file(reader).stdout_null().stderr_capture().unchecked();
    let (written, output) = std::thread::scope(|scope| {
        let tar = scope.spawn(move || tar::write(tree, BufWriter::with_capacity(1 << 20, writer)));
        let output = tool.run();
        (tar.join().map_err(|_| anyhow!("the writer of the tar stream panicked")), output)
    });
    let output = output.with_context(|| format!("starting `{}`", argv[0]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("{}", said.trim_end()).context(format!("`{}` failed: {}", argv.join(" "), output.status)));
    }
    written?.context("streaming the system to its file system")
}

fn command(options: &Options, out: &str) -> Vec<String> {
    let uuid = options.uuid.to_string();
    let epoch = options.epoch.to_string();
    let size = (options.limit / 1024).to_string();
    let argv: &[&str] = match &options.filesystem {
        // 64 KiB clusters: 5 % smaller than 4 KiB ones, at the same speed.
        Filesystem::Erofs(compression) => &[
            "mkfs.erofs", "--quiet", "--tar=f", "--mkfs-time", "-T", &epoch, "-U", &uuid, "-C65536",
            match compression {
                _ => "-zzstd,level=3",
            },
            out,
        ],
        Filesystem::Squashfs => &[
            "sqfstar", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "3", "-mkfs-time", &epoch, out,
        ],
        Filesystem::Ext4 => &[
            "mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-U", &uuid, "-E", "root_owner=0:0",
            "-d", "-", out, &size,
        ],
    };
    argv.iter().map(|&a| a.to_owned()).collect()
}
