//! Packages: their container, their archives, their text.

use std::cmp::Ordering;
use std::io::{self, Read, Write as _};

use bedplate_formats::control::stanzas;
use bedplate_formats::deb::{self, DebError, Entry, EntryKind, compare_versions};
use bedplate_formats::members;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use crate::described;

/// A package: read twice, with the content of its files and without, and its control
/// files alone.
pub fn deb(bytes: &[u8]) -> bool {
    let Ok((control, entries)) = entries(bytes, true) else { return false };
    let (again, skipped) = self::entries(bytes, false).expect("what was read once is read again");
    assert_eq!(format!("{entries:?}"), format!("{skipped:?}"));
    let alone = deb::read_control(bytes).expect("the control files stand at the front");
    for other in [&again, &alone] {
        assert_eq!(control.stanza(), other.stanza());
        assert!(control.files().map(|(name, _)| name).eq(other.files().map(|(name, _)| name)));
    }
    for field in [control.package(), control.version(), control.architecture()] {
        assert!(!field.is_empty() && !field.contains(['/', '\n', ' ', '\0']), "{field:?}");
    }
    true
}

/// Everything of a package; each file is as long as was said.
fn entries(bytes: &[u8], content: bool) -> Result<(deb::Control, Vec<Entry>), DebError> {
    let mut entries = Vec::new();
    let control = deb::read(
        bytes,
        |_| Ok(()),
        |entry, reader| {
            assert!(!entry.path.starts_with(b"/") && !entry.path.ends_with(b"/"), "{entry:?}");
            assert!(!entry.path.starts_with(b"./") && entry.mode <= 0o7777, "{entry:?}");
            let attributes = entry.xattrs.iter().map(|(name, value)| name.len() + value.len());
            assert!(entry.path.len() < 4096 && attributes.sum::<usize>() <= 1 << 20, "too much is kept");
            if let EntryKind::File { size } = entry.kind
                && content
            {
                assert_eq!(io::copy(reader, &mut io::sink())?, size, "{entry:?}");
            }
            entries.push(entry);
            Ok::<_, DebError>(())
        },
    )?;
    Ok((control, entries))
}

/// The container alone: what is read out of it is what another reader finds there.
pub fn ar(bytes: &[u8]) -> bool {
    let Ok(control) = deb::read_control(bytes) else { return false };
    let mut archive = ::ar::Archive::new(bytes);
    let mut member = || {
        let mut member = archive.next_entry()?.ok()?;
        let mut content = Vec::new();
        member.read_to_end(&mut content).ok()?;
        Some((member.header().identifier().to_vec(), content))
    };
    // The other one also reads what is of no meaning: times, owners, modes.
    let Some((first, _)) = member() else { return true };
    assert!(first.starts_with(b"debian-binary"), "{first:?}");
    let (name, content) = loop {
        match member() {
            None => return true,
            Some((name, _)) if name.starts_with(b"_") => {}
            Some(found) => break found,
        }
    };
    assert!(name.starts_with(b"control.tar"), "{name:?}");
    // What is compressed is not looked for in it.
    if name == b"control.tar" {
        let first = control.files().map(|(_, file)| &file.bytes).find(|bytes| !bytes.is_empty());
        let first = first.expect("a control file is not empty");
        assert!(content.windows(first.len()).any(|window| window == &first[..]));
    }
    true
}

/// A tar archive of files: as the data of a package, then written by our own writer
/// and read as the same.
pub fn tar(bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    sum_headers(&mut bytes);
    let Ok((_, entries)) = entries(&package(&bytes), true) else { return false };
    let Ok(tree) = tree(&package(&bytes)) else { return false };
    let mut written = Vec::new();
    bedplate_formats::tar::write(&tree, &mut written).expect("a tree in memory is written");
    let back = self::tree(&package(&written)).expect("what was written is read");
    assert_eq!(described(&tree), described(&back));
    !entries.is_empty()
}

/// The directories, files and links of a package.
fn tree(bytes: &[u8]) -> Result<Tree, DebError> {
    let mut tree = Tree::new();
    deb::read(
        bytes,
        |_| Ok(()),
        |entry, content| {
            let kind = match entry.kind {
                EntryKind::Directory => Kind::Directory,
                EntryKind::File { .. } => {
                    let mut bytes = Vec::new();
                    content.read_to_end(&mut bytes)?;
                    Kind::File(bytes.into())
                }
                EntryKind::Symlink(target) => Kind::Symlink(target),
                EntryKind::Hardlink(_) | EntryKind::Other(_) => return Ok::<_, DebError>(()),
            };
            // Nothing else can stand where the root is.
            if TreePath::new(&entry.path) == TreePath::root() {
                return Ok(());
            }
            let Entry { path, mode, uid, gid, mtime, xattrs, .. } = entry;
            tree.insert(TreePath::new(path), Node { kind, mode, uid, gid, mtime, xattrs });
            Ok(())
        },
    )?;
    Ok(tree)
}

/// A package of a tar archive.
fn package(data: &[u8]) -> Vec<u8> {
    const CONTROL: &[u8] = b"Package: a\nVersion: 1\nArchitecture: all\n";
    let mut header = vec![0; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, b"control");
    put(100, b"0000644\x000000000\x000000000\0");
    put(124, format!("{:011o}\x0000000000000\0", CONTROL.len()).as_bytes());
    put(156, b"0");
    put(257, b"ustar\x0000");
    let mut control = [&header, CONTROL].concat();
    control.resize(512 * 4, 0);
    sum_headers(&mut control);
    let mut package = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", data)] {
        let length = content.len();
        writeln!(package, "{name:<16}{:<12}{:<6}{:<6}{:<8}{length:<10}`", 0, 0, 0, 100_644)
            .expect("memory is written");
        package.extend(content);
        package.extend((length % 2 == 1).then_some(b'\n'));
    }
    package
}

/// Puts the checksum of every tar header right, or of what looks like one.
fn sum_headers(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Paragraphs of fields.
pub fn control(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut rest = text;
    let mut any = false;
    for stanza in stanzas(text) {
        let at = rest.find(stanza.text()).expect("a paragraph is a part of the text");
        assert!(rest[..at].trim().is_empty(), "between paragraphs is {:?}", &rest[..at]);
        rest = &rest[at + stanza.text().len()..];
        assert!(stanzas(stanza.text()).eq([stanza]), "a paragraph is one when it is read alone");
        for (name, value) in stanza.fields() {
            assert!(!name.contains([':', '\n']), "{name:?}");
            assert!(stanza.text().contains(value));
            let first = stanza.fields().find(|(other, _)| other.eq_ignore_ascii_case(name));
            assert_eq!(stanza.field(name), first.map(|(_, value)| value));
            any = true;
        }
    }
    assert!(rest.trim().is_empty(), "behind the last paragraph is {rest:?}");
    any
}

/// Three versions, a line each, whose order is one.
pub fn version(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut lines = text.split('\n');
    let (Some(a), Some(b), Some(c)) = (lines.next(), lines.next(), lines.next()) else { return false };
    for one in [a, b, c] {
        assert_eq!(compare_versions(one, one), Ordering::Equal);
        for other in [a, b, c] {
            assert_eq!(compare_versions(one, other), compare_versions(other, one).reverse());
            for third in [a, b, c] {
                if compare_versions(one, other).is_le() && compare_versions(other, third).is_le() {
                    assert!(compare_versions(one, third).is_le());
                }
            }
        }
    }
    true
}

/// An archive, compressed or not.
pub fn members(bytes: &[u8]) -> bool {
    let inner = members::decompressed(bytes);
    members::members(inner.as_ref().map_or(bytes, |(_, inner)| inner)).is_some()
}
