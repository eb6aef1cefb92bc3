//! What an erofs of a directory costs with nothing cached: `-- --root DIRECTORY`, beside `mkfs.erofs`, where it is to be
//! had, for the same compression.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use bedplate::step::root::LZ4HC_LEVEL as LEVEL;
use bedplate_formats::erofs::write::{Compressor, Options, write};
use bedplate_formats::tree::Tree;

use super::{measure, say};

/// Writes both to `to`, one after the other.
pub fn measure(directory: &Path, to: &Path) -> Result<()> {
    let told = |who: &str, seconds: f64, file: &Path| -> Result<()> {
        say(format_args!("{who}: {seconds:.1} s, {} MB", fs::metadata(file)?.len() / 1_000_000));
        Ok(fs::remove_file(file)?)
    };
    let file = to.join("root.erofs");
    let started = Instant::now();
    let tree = Tree::scan(directory)?;
    let options =
        Options { uuid: uuid::Uuid::nil(), epoch: 0, compressor: Compressor::Lz4hc { level: LEVEL } };
    let mut writer = BufWriter::with_capacity(1 << 20, fs::File::create(&file)?);
    write(&tree, &options, &mut writer)?;
    writer.flush()?;
    told("bedplate", started.elapsed().as_secs_f64(), &file)?;

    let mut mkfs = Command::new("mkfs.erofs");
    mkfs.arg(format!("-zlz4hc,{LEVEL}")).args(["-C65536", "-T0"]).arg(&file).arg(directory);
    match measure::run(&mut mkfs) {
        Ok(cost) => told("mkfs.erofs", cost.wall.as_secs_f64(), &file)?,
        Err(error) => say(format_args!("mkfs.erofs: {error:#}")),
    }
    Ok(())
}
