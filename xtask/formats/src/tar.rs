//! A tar stream of a tree, as `mkfs.erofs --tar`, `sqfstar` and `mke2fs -d`
//! take it: owners and modes without mounts or root.
//!
//! <https://www.gnu.org/software/tar/manual/html_node/Standard.html>. GNU
//! headers; names beyond a hundred bytes in `L` and `K` entries, which carry
//! any byte where pax records promise UTF-8; extended attributes in pax records
//! (`SCHILY.xattr.`), which all three read. Equal trees give equal bytes: no
//! owner names, no access times, nothing of the host.
//!
//! Deliberately absent: reading (see [`crate::deb`]) and sparse entries.

use std::io::{self, Read, Write};

use crate::tree::{Content, Kind, Node, Tree, TreePath};

/// What a header holds of a name or of a link's target, in bytes.
const SHORT: usize = 100;

/// Writes a tree as a tar stream, in the order of its paths, the root as `./`.
///
/// # Errors
/// Fails as the output or a file of the host does, and where such a file is
/// not as long as the tree says, each naming the path.
pub fn write(tree: &Tree, output: impl Write) -> io::Result<()> {
    let mut output = io::BufWriter::with_capacity(256 << 10, output);
    let mut buffer = vec![0; 256 << 10];
    for (path, node) in tree.iter() {
        write_node(&mut output, path, node, &mut buffer)
            .map_err(|e| io::Error::new(e.kind(), format!("`{path}`: {e}")))?;
    }
    output.write_all(&[0; 1024])?;
    output.flush()
}

fn write_node(output: &mut impl Write, path: &TreePath, node: &Node, buffer: &mut [u8]) -> io::Result<()> {
    if !node.xattrs.is_empty() {
        write_extension(output, tar::EntryType::XHeader, b"./PaxHeaders", &records(node))?;
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(node.mode);
    header.set_uid(node.uid.into());
    header.set_gid(node.gid.into());
    // Nothing is older than 1970; a negative time could not be written.
    header.set_mtime(u64::try_from(node.mtime).unwrap_or(0));
    let mut name = [b"./", &path.to_bytes()[..]].concat();
    let mut link = None;
    let mut content = None;
    let kind = match &node.kind {
        Kind::Directory => {
            if name.last() != Some(&b'/') {
                name.push(b'/');
            }
            tar::EntryType::Directory
        }
        Kind::File(bytes) => {
            header.set_size(bytes.len());
            content = Some(bytes);
            tar::EntryType::Regular
        }
        Kind::Symlink(target) => {
            link = Some(target.clone());
            tar::EntryType::Symlink
        }
        Kind::Hardlink(first) => {
            link = Some([b"./", &first.to_bytes()[..]].concat());
            tar::EntryType::Link
        }
        Kind::CharDevice(major, minor) => {
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
            tar::EntryType::Char
        }
        Kind::BlockDevice(major, minor) => {
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
            tar::EntryType::Block
        }
        Kind::Fifo => tar::EntryType::Fifo,
    };
    header.set_entry_type(kind);
    if let Some(link) = &link {
        put(output, &mut header.as_old_mut().linkname, tar::EntryType::GNULongLink, link)?;
    }
    put(output, &mut header.as_old_mut().name, tar::EntryType::GNULongName, &name)?;
    header.set_cksum();
    output.write_all(header.as_bytes())?;
    content.map_or(Ok(()), |content| write_content(output, content, buffer))
}

/// Puts a name into a header, and ahead of it what does not fit.
fn put(
    output: &mut impl Write,
    field: &mut [u8; SHORT],
    kind: tar::EntryType,
    name: &[u8],
) -> io::Result<()> {
    if name.len() > SHORT {
        write_extension(output, kind, b"././@LongLink", &[name, b"\0"].concat())?;
    }
    let short = &name[..name.len().min(SHORT)];
    field[..short.len()].copy_from_slice(short);
    Ok(())
}

fn write_extension(
    output: &mut impl Write,
    kind: tar::EntryType,
    name: &[u8],
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    output.write_all(header.as_bytes())?;
    output.write_all(bytes)?;
    pad(output, bytes.len() as u64)
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn records(node: &Node) -> Vec<u8> {
    let mut records = Vec::new();
    for (name, value) in &node.xattrs {
        let record = [b" SCHILY.xattr.", &name[..], b"=", &value[..], b"\n"].concat();
        let mut length = record.len();
        while length != record.len() + length.to_string().len() {
            length = record.len() + length.to_string().len();
        }
        records.extend(length.to_string().bytes());
        records.extend(record);
    }
    records
}

fn write_content(output: &mut impl Write, content: &Content, buffer: &mut [u8]) -> io::Result<()> {
    let mut reader = content.open()?;
    let mut written = 0;
    loop {
        match reader.read(buffer) {
            Ok(0) => break,
            Ok(n) => {
                written += n as u64;
                output.write_all(&buffer[..n])?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    if written != content.len() {
        let what = format!("it is {written} bytes long and was {}", content.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    pad(output, written)
}

/// Fills the last block up.
fn pad(output: &mut impl Write, length: u64) -> io::Result<()> {
    let padding = length.next_multiple_of(512) - length;
    output.write_all(&[0; 512][..usize::try_from(padding).unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::new();
        let long = "directory/".repeat(30);
        tree.insert(TreePath::new(&long), Node::directory(0o1777));
        tree.insert(TreePath::new(&long).join("file"), Node { mtime: 5, ..Node::file("long", 0o4755) });
        let hard = Kind::Hardlink(TreePath::new(&long).join("file"));
        tree.insert(TreePath::new(&long).join("hard"), Node { kind: hard, ..Node::file("", 0o4755) });
        tree.insert("link".into(), Node::symlink("x".repeat(300)));
        tree.insert(TreePath::new(b"odd\xff\n"), Node::file(vec![7; 1000], 0o640));
        let mut capable = Node::file("", 0o755);
        capable.xattrs.insert(b"user.binary".to_vec(), b"\x00\n=\xff".to_vec());
        tree.insert("capable".into(), capable);
        tree.insert("null".into(), Node { kind: Kind::CharDevice(1, 3), ..Node::file("", 0o666) });
        tree
    }

    fn bytes(tree: &Tree) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(tree, &mut bytes).unwrap();
        bytes
    }

    /// The reference is the `tar` of the host, which every Debian has.
    #[test]
    fn gnu_tar_restores_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut tree = sample();
        tree.remove(&"null".into());
        let archive = directory.path().join("a.tar");
        std::fs::write(&archive, bytes(&tree)).unwrap();
        let out = directory.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let run = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=user.*", "-xpf"])
            .arg(&archive)
            .arg("-C")
            .arg(&out)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let found = Tree::scan(&out).unwrap();
        let paths = |t: &Tree| t.iter().map(|(p, n)| format!("{p} {:o}", n.mode)).collect::<Vec<_>>();
        assert_eq!(paths(&found), paths(&tree));
        let odd = out.join(OsStr::from_bytes(b"odd\xff\n"));
        assert_eq!(std::fs::read(odd).unwrap(), vec![7; 1000]);
        let file = out.join("directory/".repeat(30)).join("file");
        assert_eq!((file.metadata().unwrap().nlink(), file.metadata().unwrap().mtime()), (2, 5));
        assert_eq!(std::fs::read_link(out.join("link")).unwrap().as_os_str().len(), 300);
        let capable = found.get(&"capable".into()).unwrap();
        assert_eq!(capable.xattrs, tree.get(&"capable".into()).unwrap().xattrs);
    }

    #[test]
    fn equal_trees_give_equal_bytes() {
        assert_eq!(bytes(&sample()), bytes(&sample()));
    }

    #[test]
    fn devices_keep_their_numbers() {
        let bytes = bytes(&sample());
        let mut archive = tar::Archive::new(&bytes[..]);
        let null = archive.entries().unwrap().map(Result::unwrap);
        let null = null.filter(|e| e.path_bytes().ends_with(b"null")).last().unwrap();
        assert_eq!(null.header().device_major().unwrap(), Some(1));
        assert_eq!(null.header().device_minor().unwrap(), Some(3));
    }

    #[test]
    fn a_file_that_changed_its_length_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut tree = Tree::new();
        let content = Content::File { path: file.path().into(), len: 1 };
        tree.insert("a".into(), Node::file("", 0o644));
        tree.get_mut(&"a".into()).unwrap().kind = Kind::File(content);
        let error = write(&tree, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "`/a`: it is 0 bytes long and was 1");
    }
}
