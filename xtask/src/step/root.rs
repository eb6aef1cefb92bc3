//! The root file system: a tree streamed as tar into the distribution's own
//! mkfs, so that owners and modes need neither mounts nor root.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use bedplate_core::Compression;
use bedplate_core::image::filesystem::Filesystem;
use bedplate_core::plan::{PartitionContent, PartitionPlan, Plan};
use bedplate_formats::tar;
use bedplate_formats::tree::{Node, Tree, TreePath};
use uuid::Uuid;

use crate::sandbox::{Sandbox, failed};

/// Where the tool finds the output's directory.
const WORK: &str = "/run/work";

/// Writes the tree's file system to `file`; returns its name.
///
/// # Errors
/// The tool's own words when it fails; a content of the tree that is gone.
pub fn write(plan: &Plan, tree: &Tree, epoch: i64, tools: &Sandbox, file: &Path) -> Result<&'static str> {
    let partition = plan.root().context("the plan has no root partition")?;
    let PartitionContent::Root { filesystem, compression, uuid, .. } = &partition.content else {
        return Err(anyhow!("the plan's root partition holds no root"));
    };
    let (directory, name) = (file.parent().unwrap_or(Path::new(".")), file.file_name().unwrap_or_default());
    let out = format!("{WORK}/{}", name.to_string_lossy());
    let top = tree.get(&TreePath::root()).context("the tree has no root")?;
    let argv = command(partition, *filesystem, *compression, *uuid, top, &out);
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
        return Err(failed(&argv, output.status, &output.stderr));
    }
    written.context("streaming the system into its file system")?;
    Ok(filesystem.name())
}

fn command(
    partition: &PartitionPlan,
    filesystem: Filesystem,
    compression: Compression,
    uuid: Uuid,
    top: &Node,
    out: &str,
) -> Vec<String> {
    let compress = match compression {
        Compression::None => None,
        Compression::Lz4 => Some("-zlz4"),
        Compression::Lz4hc => Some("-zlz4hc,level=6"),
        Compression::Zstd => Some("-zzstd,level=3"),
    };
    let mut argv: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
    match filesystem {
        Filesystem::Erofs => {
            // Its time is that of SOURCE_DATE_EPOCH: 1.7 has no option for it that
            // leaves the files theirs.
            add(&["mkfs.erofs", "--quiet", "--tar=f", "-U", &uuid.to_string()]);
            // 64 KiB clusters: 5 % smaller than 4 KiB ones, at the same speed.
            add(&compress.map_or(vec![], |compress| vec![compress, "-C65536"]));
            add(&[out]);
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
            if compression == Compression::None {
                add(&["-noI", "-noD", "-noF", "-noX"]);
            }
            add(&[out]);
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
                out,
                &size,
            ]);
        }
    }
    argv
}
