//! The `newc` archive of an initrd, from a tree.
//!
//! Format: <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>.
//! Written through the cpio crate, whose two habits are undone here: it flushes
//! its writer after most files, which costs a compressor blocks and ratio, and
//! it accepts content shorter than announced.
//!
//! Invariant: equal trees give equal bytes. Inode numbers count the entries, and
//! every entry has the same time. Deliberately absent: extended attributes,
//! which `newc` cannot hold.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use cpio::newc::{Builder, ModeFileType, Reader, trailer};

use crate::tree::{Content, Kind, Node, Tree, TreePath};

/// Why a tree is no archive, or an archive no tree.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// The crate holds names as text.
    #[error("`{0}` has a name that is not UTF-8")]
    Name(TreePath),
    /// Lengths are 32 bits wide.
    #[error("`{path}` has {len} bytes, and an initrd holds files of less than 4 GiB")]
    Large {
        /// The file.
        path: TreePath,
        /// Its length in bytes.
        len: u64,
    },
    /// A hard link points at no regular file.
    #[error("`{path}` is a hard link to `{target}`, which is no file")]
    Hardlink {
        /// The link.
        path: TreePath,
        /// What it names.
        target: TreePath,
    },
    /// A file changed or vanished under the build.
    #[error("`{path}` has {found} bytes instead of {len}")]
    Changed {
        /// The file.
        path: TreePath,
        /// The length in bytes it had when the tree was made.
        len: u64,
        /// The length in bytes it has now.
        found: u64,
    },
    /// The content could not be read.
    #[error("cannot read `{path}`")]
    Content {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// The bytes are no archive.
    #[error("no newc entry at byte {offset}")]
    Entry {
        /// Where the entry starts, in bytes from the archive's beginning.
        offset: usize,
        /// Why.
        source: io::Error,
    },
    /// An entry has a name at which it cannot be.
    #[error("the entry at byte {offset} cannot be at `{}`", name.escape_debug())]
    Place {
        /// Where the entry starts, in bytes from the archive's beginning.
        offset: usize,
        /// Its name.
        name: String,
    },
    /// An entry is of a kind a tree does not have.
    #[error("the entry at byte {offset} has the unknown mode `{mode:o}`")]
    Mode {
        /// Where the entry starts, in bytes from the archive's beginning.
        offset: usize,
        /// Its mode.
        mode: u32,
    },
}

/// Writes a tree as a `newc` archive, every entry with the time `mtime`
/// (seconds since 1970), and gives the writer back unflushed.
///
/// # Errors
/// A name that is not UTF-8, a file of 4 GiB, content that cannot be read or
/// is not as long as the tree says, and whatever the writer fails with.
pub fn write<W: Write>(tree: &Tree, mtime: u32, writer: W) -> Result<W, CpioError> {
    let links = Links::of(tree)?;
    let mut writer = Unflushed(writer);
    for (number, (path, node)) in tree.iter().enumerate().skip(1) {
        let name = String::from_utf8(path.to_bytes()).map_err(|_| CpioError::Name(path.clone()))?;
        let entry = Builder::new(&name).mode(node.mode).uid(node.uid).gid(node.gid).mtime(mtime);
        let entry = entry.ino(u32::try_from(number).unwrap_or(u32::MAX));
        writer = match &node.kind {
            Kind::Directory => {
                small(entry.set_mode_file_type(ModeFileType::Directory).nlink(2), &[], writer)?
            }
            Kind::Symlink(target) => small(entry.set_mode_file_type(ModeFileType::Symlink), target, writer)?,
            Kind::Fifo => small(entry.set_mode_file_type(ModeFileType::Fifo), &[], writer)?,
            Kind::CharDevice(major, minor) => {
                let entry = entry.rdev_major(*major).rdev_minor(*minor);
                small(entry.set_mode_file_type(ModeFileType::Char), &[], writer)?
            }
            Kind::BlockDevice(major, minor) => {
                let entry = entry.rdev_major(*major).rdev_minor(*minor);
                small(entry.set_mode_file_type(ModeFileType::Block), &[], writer)?
            }
            Kind::File(_) | Kind::Hardlink(_) => {
                let entry = entry.set_mode_file_type(ModeFileType::Regular);
                match links.of_name(path, node) {
                    None => file(entry, path, content(node), writer)?,
                    Some(link) => {
                        let entry = entry.ino(link.number).nlink(link.names).mode(link.mode);
                        let entry = entry.set_mode_file_type(ModeFileType::Regular);
                        // The content stands at the last name, as cpio has it.
                        let data = (link.last == *path).then_some(link.content);
                        file(entry, path, data, writer)?
                    }
                }
            }
        };
    }
    Ok(trailer(writer).map_err(CpioError::Write)?.0)
}

/// Reads a `newc` archive up to its trailer. Times are dropped, for archives
/// written here have but one. Names of one file have the owner and the mode of the
/// first of them in order, whichever came first in the archive.
///
/// # Errors
/// Bytes that are no entry, and entries that are no node of a tree (sockets).
pub fn read(bytes: &[u8]) -> Result<Tree, CpioError> {
    let mut tree = Tree::new();
    let mut rest = bytes;
    // The inodes of files with several names, and what each holds: the content
    // stands at one of the names, mostly the last.
    let mut inodes: BTreeMap<TreePath, u32> = BTreeMap::new();
    let mut contents: BTreeMap<u32, Content> = BTreeMap::new();
    loop {
        let offset = bytes.len() - rest.len();
        let wrong = |source| CpioError::Entry { offset, source };
        let mut reader = Reader::new(rest).map_err(wrong)?;
        let entry = reader.entry().clone();
        if entry.is_trailer() {
            break;
        }
        let mut data = Vec::new();
        reader.read_to_end(&mut data).map_err(wrong)?;
        rest = reader.finish().map_err(wrong)?;
        let device = (entry.rdev_major(), entry.rdev_minor());
        let kind = match entry.mode() & 0o170_000 {
            0o040_000 => Kind::Directory,
            0o100_000 => Kind::File(data.into()),
            0o120_000 => Kind::Symlink(data),
            0o020_000 => Kind::CharDevice(device.0, device.1),
            0o060_000 => Kind::BlockDevice(device.0, device.1),
            0o010_000 => Kind::Fifo,
            _ => return Err(CpioError::Mode { offset, mode: entry.mode() }),
        };
        let path = place(entry.name(), &kind)
            .ok_or_else(|| CpioError::Place { offset, name: entry.name().to_owned() })?;
        inodes.remove(&path);
        if let Kind::File(content) = &kind
            && entry.nlink() > 1
        {
            inodes.insert(path.clone(), entry.ino());
            if content.len() > 0 {
                contents.insert(entry.ino(), content.clone());
            }
        }
        let node =
            Node { kind, uid: entry.uid(), gid: entry.gid(), ..Node::directory(entry.mode() & 0o7777) };
        tree.insert(path, node);
    }
    let mut firsts: BTreeMap<u32, (TreePath, Node)> = BTreeMap::new();
    for (path, inode) in inodes {
        // Another entry may have taken its place, or that of a directory above.
        let Some(node) = tree.get_mut(&path).filter(|node| matches!(node.kind, Kind::File(_))) else {
            continue;
        };
        if let Some((first, known)) = firsts.get(&inode) {
            *node = Node { kind: Kind::Hardlink(first.clone()), ..known.clone() };
            continue;
        }
        if let Some(content) = contents.get(&inode) {
            node.kind = Kind::File(content.clone());
        }
        firsts.insert(inode, (path, node.clone()));
    }
    Ok(tree)
}

/// The path of an entry, if there can be such a file: none above the root, none in
/// place of the root, none longer than a path of Linux.
fn place(name: &str, kind: &Kind) -> Option<TreePath> {
    let path = TreePath::new(name);
    let inside = name.len() < 4096 && path.components().all(|name| name != b"..");
    (inside && (path.depth() > 0 || matches!(kind, Kind::Directory))).then_some(path)
}

/// A file with several names.
struct Link<'a> {
    number: u32,
    names: u32,
    mode: u32,
    last: TreePath,
    content: &'a Content,
}

/// Files with several names, by their first.
struct Links<'a>(BTreeMap<TreePath, Link<'a>>);

impl<'a> Links<'a> {
    fn of(tree: &'a Tree) -> Result<Self, CpioError> {
        let mut links: BTreeMap<TreePath, Link<'a>> = BTreeMap::new();
        let mut count = 0;
        for (path, node) in tree.iter() {
            let Kind::Hardlink(target) = &node.kind else { continue };
            if let Some(link) = links.get_mut(target) {
                link.names += 1;
                link.last = path.clone();
                continue;
            }
            let Some(Node { kind: Kind::File(content), mode, .. }) = tree.get(target) else {
                return Err(CpioError::Hardlink { path: path.clone(), target: target.clone() });
            };
            // Counted from the far end, where the entries' own numbers never come.
            let link = Link { number: u32::MAX - count, names: 2, mode: *mode, last: path.clone(), content };
            count += 1;
            links.insert(target.clone(), link);
        }
        Ok(Self(links))
    }

    fn of_name(&self, path: &TreePath, node: &Node) -> Option<&Link<'a>> {
        match &node.kind {
            Kind::Hardlink(first) => self.0.get(first),
            _ => self.0.get(path),
        }
    }
}

fn content(node: &Node) -> Option<&Content> {
    match &node.kind {
        Kind::File(content) => Some(content),
        _ => None,
    }
}

fn small<W: Write>(entry: Builder, data: &[u8], writer: W) -> Result<W, CpioError> {
    let mut out = entry.write(writer, u32::try_from(data.len()).unwrap_or(u32::MAX));
    out.write_all(data).map_err(CpioError::Write)?;
    out.finish().map_err(CpioError::Write)
}

fn file<W: Write>(
    entry: Builder,
    path: &TreePath,
    content: Option<&Content>,
    writer: W,
) -> Result<W, CpioError> {
    let Some(content) = content else { return small(entry, &[], writer) };
    let len = content.len();
    let size = u32::try_from(len).map_err(|_| CpioError::Large { path: path.clone(), len })?;
    let unread = |source| CpioError::Content { path: path.clone(), source };
    let data = content.read().map_err(unread)?;
    if data.len() as u64 != len {
        return Err(CpioError::Changed { path: path.clone(), len, found: data.len() as u64 });
    }
    let mut out = entry.write(writer, size);
    out.write_all(&data).map_err(CpioError::Write)?;
    out.finish().map_err(CpioError::Write)
}

/// A writer that is not flushed between two files.
struct Unflushed<W>(W);

impl<W: Write> Write for Unflushed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("/etc/empty".into(), Node::file("", 0o600));
        tree.insert("/etc/name".into(), Node { uid: 7, gid: 8, ..Node::file("edge\n", 0o4755) });
        tree.insert("/init".into(), Node::symlink("usr/lib/systemd/systemd"));
        tree.insert("/dev/console".into(), Node { kind: Kind::CharDevice(5, 1), ..Node::file("", 0o600) });
        for name in ["/etc/other", "/usr/third"] {
            let node = Node { kind: Kind::Hardlink("/etc/name".into()), ..Node::file("", 0o4755) };
            tree.insert(name.into(), Node { uid: 7, gid: 8, ..node });
        }
        tree
    }

    fn written(tree: &Tree) -> Vec<u8> {
        write(tree, 1, Vec::new()).unwrap()
    }

    #[test]
    fn an_entry_lies_as_the_kernel_documents_it() {
        let mut tree = Tree::new();
        tree.insert("/a".into(), Node::file("xyz", 0o644));
        let bytes = written(&tree);
        let fields = |from: usize| std::str::from_utf8(&bytes[from..from + 110]).unwrap();
        let first = concat!(
            "070701", "00000001", "000081a4", "00000000",
            "00000000", // magic, inode, mode, owner, group
            "00000001", "00000001", "00000003", "00000000", "00000000", // names, time, length, device
            "00000000", "00000000", "00000002", "00000000", // of a node, length of the name, checksum
        );
        assert_eq!(fields(0), first);
        assert_eq!(&bytes[110..116], b"a\0xyz\0");
        assert_eq!(&fields(116)[..6], "070701");
        assert!(bytes.windows(11).any(|w| w == b"TRAILER!!!\0"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let tree = tree();
        let back = read(&written(&tree)).unwrap();
        assert_eq!(format!("{back:?}").replace("mtime: 1", "mtime: 0"), format!("{tree:?}"));
    }

    #[test]
    fn a_file_with_three_names_has_its_content_once_and_last() {
        let bytes = written(&tree());
        let at = |text: &[u8]| bytes.windows(text.len()).rposition(|w| w == text).unwrap();
        assert!(at(b"edge\n") > at(b"usr/third"));
        assert_eq!(bytes.windows(5).filter(|w| w == b"edge\n").count(), 1);
    }

    #[test]
    fn the_compressor_is_not_flushed_between_files() {
        struct Counting(u32);
        impl Write for Counting {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                self.0 += 1;
                Ok(())
            }
        }
        assert_eq!(write(&tree(), 0, Counting(0)).unwrap().0, 0);
    }

    #[test]
    fn content_that_shrank_is_an_error_and_no_broken_archive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "long").unwrap();
        let tree = Tree::scan(directory.path()).unwrap();
        std::fs::write(&path, "x").unwrap();
        let error = write(&tree, 0, Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "`/a` has 1 bytes instead of 4");
    }

    #[test]
    fn names_that_are_not_text_are_refused_by_name() {
        let mut tree = Tree::new();
        tree.insert(TreePath::new(b"b\xff"), Node::file("", 0o644));
        assert!(
            matches!(write(&tree, 0, Vec::new()), Err(CpioError::Name(path)) if path.name() == Some(b"b\xff"))
        );
    }

    #[test]
    fn a_truncated_archive_names_the_entry() {
        let bytes = written(&tree());
        let error = read(&bytes[..150]).unwrap_err();
        assert_eq!(error.to_string(), "no newc entry at byte 116");
    }
}
