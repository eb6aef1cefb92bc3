//! Reads a FAT32 file system of any origin, and believes none of it.
//!
//! No cluster is visited twice, no chain leaves the file system, nothing is
//! allocated before it is known to be there: damage ends in an error that says
//! where, never in a loop.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};

use super::SECTOR;
use super::entry::{Entry, entries};
use crate::tree::{Node, Tree, TreePath};

/// The most content that is taken into memory, in bytes.
const MOST_CONTENT: u64 = 2 << 30;
/// The deepest path; the specification allows 32 characters less than 80 of them.
const MOST_DEPTH: usize = 64;
/// The longest directory, in bytes: 65536 entries, says the specification.
const MOST_DIRECTORY: u64 = 65536 * 32;

/// What is wrong with a FAT file system.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read, or ends too early.
    #[error("reading the FAT file system failed at offset `{offset}`")]
    Io {
        /// Where, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The boot sector is none of a FAT32.
    #[error("no FAT32 file system: the {field} at offset `{offset}` is `{value}`")]
    BootSector {
        /// Which field.
        field: &'static str,
        /// Where it stands, in bytes.
        offset: u64,
        /// What it holds.
        value: u64,
    },
    /// A chain of clusters leaves the file system or goes on in an unused cluster.
    #[error("`{path}` goes on in cluster `{cluster}`, and there is none")]
    Cluster {
        /// The file or directory.
        path: TreePath,
        /// The cluster.
        cluster: u32,
    },
    /// A cluster belongs to two files, or twice to one.
    #[error("`{path}` and another file, or itself, share cluster `{cluster}`")]
    Shared {
        /// The file or directory that comes second.
        path: TreePath,
        /// The cluster.
        cluster: u32,
    },
    /// A file has fewer or more clusters than its size needs.
    #[error("`{path}` says to have `{size}` bytes, and its clusters hold `{clusters}`")]
    Size {
        /// The file.
        path: TreePath,
        /// The size it says, in bytes.
        size: u64,
        /// The size of its clusters, in bytes.
        clusters: u64,
    },
    /// A name is no Unicode, empty, or one that could lead elsewhere.
    #[error("an entry at offset `{at}` of directory `{path}` has a name that is none")]
    Name {
        /// The directory.
        path: TreePath,
        /// Where in the directory, in bytes.
        at: usize,
    },
    /// Two entries of a directory have the same name.
    #[error("`{0}` is listed twice")]
    Twice(TreePath),
    /// There is no such directory.
    #[error("there is no directory `{0}`")]
    Missing(TreePath),
    /// More than a system partition can reasonably hold.
    #[error("`{0}` goes beyond what is read: directories 64 deep and 2 MiB long, and 2 GiB of files")]
    TooMuch(TreePath),
}

/// An open file system: what its boot sector says, and the source it lies in.
#[derive(Debug)]
pub struct Volume<R> {
    source: R,
    /// Where the file system begins in the source.
    offset: u64,
    /// The serial number.
    pub volume_id: u32,
    /// The label in the boot sector, without padding.
    pub label: String,
    pub(super) cluster_size: u64,
    fat: u64,
    data: u64,
    pub(super) root: u32,
    /// One more than the last cluster.
    end: u32,
    /// A page of the FAT: its number, and its bytes.
    page: (u64, Vec<u8>),
    used: BTreeSet<u32>,
}

/// Reads a file system at an offset of a disk into memory. Directories get mode
/// 0755, files 0644, as they are mounted by most.
///
/// # Errors
/// Fails with the first thing that is wrong with it.
pub fn read<R: Read + Seek>(source: &mut R, offset: u64) -> Result<Tree, ReadError> {
    Volume::open(source, offset)?.tree()
}

impl<R: Read + Seek> Volume<R> {
    /// Reads the boot sector of a file system at an offset of a disk.
    ///
    /// # Errors
    /// Fails when there is no FAT32, or it is longer than the disk.
    pub fn open(mut source: R, offset: u64) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { offset, source };
        let length = source.seek(SeekFrom::End(0)).map_err(io)?.saturating_sub(offset);
        let mut boot = [0; 512];
        source.seek(SeekFrom::Start(offset)).map_err(io)?;
        source.read_exact(&mut boot).map_err(io)?;
        let number = |at: usize, bytes: usize| {
            boot[at..at + bytes].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
        };
        let refuse = |field, at: usize, bytes| {
            let (offset, value) = (offset + at as u64, number(at, bytes));
            Err(ReadError::BootSector { field, offset, value })
        };
        if boot[510..] != [0x55, 0xaa] {
            return refuse("signature", 510, 2);
        }
        let sector = number(11, 2);
        if !matches!(sector, SECTOR | 4096) {
            return refuse("size of a sector", 11, 2);
        }
        let per_cluster = number(13, 1);
        if !per_cluster.is_power_of_two() {
            return refuse("sectors of a cluster", 13, 1);
        }
        // What FAT12 and FAT16 have, and FAT32 has elsewhere.
        if number(17, 2) != 0 {
            return refuse("number of root entries", 17, 2);
        }
        if number(22, 2) != 0 {
            return refuse("short field for sectors of a table", 22, 2);
        }
        let (reserved, fats, per_fat) = (number(14, 2), number(16, 1), number(36, 4));
        if reserved == 0 {
            return refuse("number of reserved sectors", 14, 2);
        }
        if !(1..=2).contains(&fats) {
            return refuse("number of tables", 16, 1);
        }
        let sectors = number(32, 4);
        let data = reserved + fats * per_fat;
        if sectors <= data || sectors * sector > length {
            return refuse("number of sectors", 32, 4);
        }
        let clusters = (sectors - data) / per_cluster;
        // Below 65525 clusters, everyone else takes it for a FAT16.
        if !(65_525..0x0fff_fff5).contains(&clusters) || (clusters + 2) * 4 > per_fat * sector {
            return refuse("sectors of a table", 36, 4);
        }
        let volume = Self {
            source,
            offset,
            volume_id: u32::try_from(number(67, 4)).unwrap_or_default(),
            label: String::from_utf8_lossy(&boot[71..82]).trim_end_matches(' ').to_owned(),
            cluster_size: per_cluster * sector,
            fat: reserved * sector,
            data: data * sector,
            root: u32::try_from(number(44, 4)).unwrap_or_default(),
            end: u32::try_from(clusters + 2).unwrap_or_default(),
            page: (u64::MAX, Vec::new()),
            used: BTreeSet::new(),
        };
        Ok(volume)
    }

    /// Reads every file into memory.
    ///
    /// # Errors
    /// Fails with the first thing that is wrong with the file system.
    pub fn tree(&mut self) -> Result<Tree, ReadError> {
        self.used.clear();
        let mut tree = Tree::new();
        let mut content_size = 0;
        let mut directories = vec![(TreePath::root(), self.root)];
        while let Some((path, first)) = directories.pop() {
            if path.depth() > MOST_DEPTH {
                return Err(ReadError::TooMuch(path));
            }
            let bytes = self.directory(&path, first)?.0;
            for entry in entries(&bytes) {
                let path = self.child(&path, &entry)?;
                if tree.contains(&path) {
                    return Err(ReadError::Twice(path));
                }
                let mut node = if entry.directory {
                    directories.push((path.clone(), entry.first_cluster));
                    Node::directory(0o755)
                } else {
                    content_size += u64::from(entry.size);
                    if content_size > MOST_CONTENT {
                        return Err(ReadError::TooMuch(path));
                    }
                    Node::file(self.file(&path, &entry)?, 0o644)
                };
                node.mtime = entry.modified;
                tree.insert(path, node);
            }
        }
        Ok(tree)
    }

    /// Reads the files of one directory whose names `wanted` accepts, as firmware does: whatever else is damaged, as a
    /// power cut leaves it, is not looked at.
    ///
    /// # Errors
    /// Fails when there is no such directory, or one of these files is damaged.
    pub fn files(
        &mut self,
        directory: &TreePath,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.used.clear();
        let mut at = (TreePath::root(), self.root);
        while at.0 != *directory {
            let mut found = None;
            for entry in entries(&self.directory(&at.0, at.1)?.0) {
                let path = self.child(&at.0, &entry)?;
                if entry.directory && directory.starts_with(&path) {
                    found = Some((path, entry.first_cluster));
                }
            }
            at = found.ok_or_else(|| ReadError::Missing(directory.clone()))?;
        }
        let mut files = Vec::new();
        for entry in entries(&self.directory(&at.0, at.1)?.0) {
            let Some(name) = entry.name.clone().filter(|name| !entry.directory && wanted(name)) else {
                continue;
            };
            files.push((name, self.file(&at.0.join(entry.name.as_deref().unwrap_or_default()), &entry)?));
        }
        Ok(files)
    }

    /// The path of an entry, if its name is one a tree may hold.
    fn child(&self, directory: &TreePath, entry: &Entry) -> Result<TreePath, ReadError> {
        let name = entry.name.as_deref().unwrap_or_default();
        if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\0']) {
            return Err(ReadError::Name { path: directory.clone(), at: entry.at });
        }
        Ok(directory.join(name))
    }

    fn file(&mut self, path: &TreePath, entry: &Entry) -> Result<Vec<u8>, ReadError> {
        let size = u64::from(entry.size);
        let chain = match (entry.first_cluster, size) {
            (0, _) => Vec::new(),
            (first, _) => self.chain(path, first, size)?,
        };
        let clusters = chain.len() as u64 * self.cluster_size;
        if size.next_multiple_of(self.cluster_size) != clusters {
            return Err(ReadError::Size { path: path.clone(), size, clusters });
        }
        let mut content = self.content(&chain)?;
        content.truncate(entry.size as usize);
        Ok(content)
    }

    /// The bytes of a directory, and the clusters they lie in.
    pub(super) fn directory(
        &mut self,
        path: &TreePath,
        first: u32,
    ) -> Result<(Vec<u8>, Vec<u32>), ReadError> {
        let chain = self.chain(path, first, MOST_DIRECTORY)?;
        if chain.len() as u64 * self.cluster_size > MOST_DIRECTORY.max(self.cluster_size) {
            return Err(ReadError::TooMuch(path.clone()));
        }
        Ok((self.content(&chain)?, chain))
    }

    /// The clusters that follow one another, up to one more than so many bytes need.
    fn chain(&mut self, path: &TreePath, first: u32, most: u64) -> Result<Vec<u32>, ReadError> {
        let mut chain = Vec::new();
        let mut cluster = first;
        while (chain.len() as u64) * self.cluster_size < most + self.cluster_size {
            if !(2..self.end).contains(&cluster) {
                return Err(ReadError::Cluster { path: path.clone(), cluster });
            }
            if !self.used.insert(cluster) {
                return Err(ReadError::Shared { path: path.clone(), cluster });
            }
            chain.push(cluster);
            cluster = self.next(cluster)?;
            if cluster >= 0x0fff_fff8 {
                break;
            }
        }
        Ok(chain)
    }

    /// What the FAT says follows a cluster.
    fn next(&mut self, cluster: u32) -> Result<u32, ReadError> {
        const PAGE: u64 = 4096;
        let at = u64::from(cluster) * 4;
        if self.page.0 != at / PAGE {
            let start = at / PAGE * PAGE;
            // The last page may end with the FAT, which ends with a sector.
            let mut page = Vec::new();
            self.read_at(self.fat + start, (self.data - self.fat - start).min(PAGE), &mut page)?;
            self.page = (at / PAGE, page);
        }
        let within = usize::try_from(at % PAGE).unwrap_or_default();
        let bytes = &self.page.1[within..within + 4];
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x0fff_ffff)
    }

    /// The bytes of clusters, neighbours read in one go.
    fn content(&mut self, chain: &[u32]) -> Result<Vec<u8>, ReadError> {
        let mut content = Vec::new();
        for run in chain.chunk_by(|&one, &next| one + 1 == next) {
            let size = run.len() as u64 * self.cluster_size;
            self.read_at(self.cluster_offset(run[0]), size, &mut content)?;
        }
        Ok(content)
    }

    /// Where a cluster lies in the file system, in bytes.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster - 2) * self.cluster_size
    }

    fn read_at(&mut self, at: u64, size: u64, to: &mut Vec<u8>) -> Result<(), ReadError> {
        let offset = self.offset + at;
        let before = to.len();
        self.source
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.source.by_ref().take(size).read_to_end(to))
            .and_then(|_| match (to.len() - before) as u64 == size {
                true => Ok(()),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            })
            .map_err(|source| ReadError::Io { offset, source })
    }
}
