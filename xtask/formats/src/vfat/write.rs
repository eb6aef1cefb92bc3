//! Writes a tree as a FAT32 file system.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

use super::device::Device;
use super::entry::{ENTRY, LONG_UNITS};
use super::mend::mend;
use super::{Options, WriteError, minimum};
use crate::tree::{Content, Kind, Tree, TreePath};

/// The slots `fatfs` takes for `.` and `..`: each with a long name.
const DOT_SLOTS: u64 = 4;

/// Writes a tree into a file, which is emptied first and has the given size
/// afterwards, with holes where nothing is.
///
/// # Errors
/// Fails when the tree cannot be on a FAT32 of this size, which is known before
/// the file is touched but for names that clash with made-up short ones, or when
/// reading files or writing does.
pub fn write(tree: &Tree, file: &File, options: &Options) -> Result<(), WriteError> {
    let Options { size, sector_size: sector, .. } = *options;
    if !matches!(sector, 512 | 4096)
        || !size.is_multiple_of(sector)
        || size < minimum(sector)
        || size / 512 > u32::MAX.into()
    {
        return Err(WriteError::Size { size, sector_size: sector });
    }
    let label = label(&options.label)?;
    let files = check(tree)?;
    let cluster = cluster_size(size, sector);
    check_room(tree, &files, clusters(size, cluster, sector), cluster)?;

    let root = &at(TreePath::root());
    let mut device = Device::new(file, size, front(size, cluster, sector)).map_err(root)?;
    let format = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_sector(u16::try_from(sector).unwrap_or(512))
        .bytes_per_cluster(u32::try_from(cluster).unwrap_or(4096))
        .volume_id(options.volume_id)
        .volume_label(label);
    fatfs::format_volume(&mut device, format).map_err(root)?;
    let system = FileSystem::new(&mut device, FsOptions::new()).map_err(root)?;
    // Once counted, the free clusters are kept track of; never counted, a check
    // finds them unknown.
    system.stats().map_err(root)?;
    for (path, content) in &files {
        write_node(&system, path, *content)?;
    }
    system.unmount().map_err(root)?;
    mend(&mut device, options.epoch, sector).map_err(WriteError::Broken)?;
    device.finish().map_err(root)
}

fn at(path: TreePath) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError::Io { path: path.clone(), source }
}

/// Every path but the root, with its content; `None` for a directory.
type Files<'a> = BTreeMap<TreePath, Option<&'a Content>>;

fn write_node<T: io::Read + io::Write + io::Seek>(
    system: &FileSystem<T>,
    path: &TreePath,
    content: Option<&Content>,
) -> Result<(), WriteError> {
    let name = String::from_utf8_lossy(&path.to_bytes()).into_owned();
    let root = system.root_dir();
    // A short name made up for one file may be the real name of the next, and
    // `fatfs` would open the first for it.
    let taken = match (root.open_file(&name).err(), root.open_dir(&name).err()) {
        (Some(file), Some(directory)) => {
            [file, directory].iter().any(|error| error.kind() != io::ErrorKind::NotFound)
        }
        _ => true,
    };
    if taken {
        let why = "its name is the short name of another file";
        return Err(WriteError::Path { path: path.clone(), why });
    }
    let written = match content {
        None => root.create_dir(&name).map(drop),
        Some(content) => root.create_file(&name).and_then(|file| copy(content, file)),
    };
    written.map_err(at(path.clone()))
}

/// Copies content that has the length it said to have.
fn copy(content: &Content, mut file: impl Write) -> io::Result<()> {
    let mut source = content.open()?.take(content.len() + 1);
    let mut buffer = vec![0; 1 << 18];
    let mut copied = 0;
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])?;
        copied += count as u64;
    }
    if copied != content.len() {
        return Err(io::Error::other("the file changed while it was read"));
    }
    file.flush()
}

/// What a tree holds, if FAT can hold it.
fn check(tree: &Tree) -> Result<Files<'_>, WriteError> {
    let mut files = Files::new();
    let mut seen: BTreeMap<Vec<String>, &TreePath> = BTreeMap::new();
    for (path, node) in tree.iter().filter(|(path, _)| **path != TreePath::root()) {
        let refuse = |why| Err(WriteError::Path { path: path.clone(), why });
        let name = path.name().unwrap_or_default();
        let Ok(name) = std::str::from_utf8(name) else {
            return refuse("its name is not UTF-8");
        };
        if let Some(why) = unfit(name) {
            return refuse(why);
        }
        let folded = path.components().map(|name| String::from_utf8_lossy(name).to_uppercase()).collect();
        if seen.insert(folded, path).is_some() {
            return refuse("another name differs from it in nothing but case");
        }
        let content = match &node.kind {
            Kind::Directory => None,
            Kind::File(_) | Kind::Hardlink(_) => tree.content(path),
            _ => return refuse("it is neither a file nor a directory"),
        };
        if content.is_none() && !node.is_directory() {
            return refuse("it is a hard link to nothing");
        }
        if content.is_some_and(|content| content.len() > u32::MAX.into()) {
            return refuse("it has 4 GiB or more");
        }
        files.insert(path.clone(), content);
    }
    Ok(files)
}

/// Why a name cannot be one on FAT, by the rules of `fatfs` and of Windows.
fn unfit(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "$%'-_@~`!(){}. +,;=[]^#&".contains(c);
    if name.len() > 255 {
        Some("its name is longer than 255 bytes")
    } else if !name.chars().all(|c| if c.is_ascii() { allowed(c) } else { u32::from(c) <= 0xffff }) {
        Some("its name has a character that is not allowed")
    } else if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        Some("its name begins or ends with a blank, or ends with a dot")
    } else {
        None
    }
}

/// Counts clusters before anything is written, so that what does not fit is told
/// whole and at once.
fn check_room(tree: &Tree, files: &Files<'_>, clusters: u64, cluster: u64) -> Result<(), WriteError> {
    let mut needed = directory_clusters(tree, &TreePath::root(), 1, cluster);
    for (path, content) in files {
        needed += match content {
            Some(content) => content.len().div_ceil(cluster),
            None => directory_clusters(tree, path, DOT_SLOTS, cluster),
        };
    }
    let available = clusters;
    if needed <= available {
        return Ok(());
    }
    let sized = files.iter().filter_map(|(path, content)| Some((path.clone(), content.as_ref()?.len())));
    let mut largest: Vec<(TreePath, u64)> = sized.collect();
    largest.sort_by(|(a, a_size), (b, b_size)| b_size.cmp(a_size).then_with(|| a.cmp(b)));
    largest.truncate(5);
    Err(WriteError::Full { needed: needed * cluster, available: available * cluster, largest })
}

/// How many clusters a directory takes: a slot for each short name, and one for
/// every 13 units of the long name each file gets.
fn directory_clusters(tree: &Tree, path: &TreePath, own_slots: u64, cluster: u64) -> u64 {
    let names = tree.children(path).filter_map(|(child, _)| child.name());
    let slots = names.map(|name| {
        let units = String::from_utf8_lossy(name).encode_utf16().count();
        1 + units.div_ceil(LONG_UNITS) as u64
    });
    ((own_slots + slots.sum::<u64>()) * ENTRY as u64).div_ceil(cluster).max(1)
}

/// The largest clusters, up to what is usual, with which there are enough of them
/// for a FAT32.
fn cluster_size(size: u64, sector: u64) -> u64 {
    let usual = match size >> 30 {
        0..8 => 4096,
        8..16 => 8192,
        16..32 => 16384,
        _ => 32768,
    };
    let mut cluster = usual;
    // Some more than the 65525 at which a FAT16 ends.
    while cluster > sector && clusters(size, cluster, sector) < 65_540 {
        cluster /= 2;
    }
    cluster
}

/// How many clusters there are, as `fatfs` lays the file system out.
fn clusters(size: u64, cluster: u64, sector: u64) -> u64 {
    (size / sector - RESERVED - 2 * fat_sectors(size, cluster, sector)) / (cluster / sector)
}

const RESERVED: u64 = 8;

fn fat_sectors(size: u64, cluster: u64, sector: u64) -> u64 {
    let per_cluster = cluster / sector;
    (size / sector - RESERVED + 2 * per_cluster).div_ceil(per_cluster * sector / 4 + 2)
}

/// The reserved area and both FATs, in bytes.
fn front(size: u64, cluster: u64, sector: u64) -> usize {
    usize::try_from((RESERVED + 2 * fat_sectors(size, cluster, sector)) * sector).unwrap_or_default()
}

fn label(text: &str) -> Result<[u8; 11], WriteError> {
    let allowed =
        |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" _-$%@#&!~".contains(byte);
    if text.is_empty() || text.len() > 11 || text.starts_with(' ') || !text.as_bytes().iter().all(allowed) {
        return Err(WriteError::Label(text.to_owned()));
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Ok(label)
}
