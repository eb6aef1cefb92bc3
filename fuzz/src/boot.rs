//! What boots: executables, unified kernel images, initrds, kernel modules.

use std::collections::BTreeSet;
use std::io::Cursor;

use bedplate_formats::elf::Elf;
use bedplate_formats::modules::Modules;
use bedplate_formats::pe::Image;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};
use bedplate_formats::uki::Uki;

use crate::described;

/// An executable of firmware: its sections lie inside of it, and what is made of it
/// as stub and as kernel is one with the sections it was given.
pub fn pe(bytes: &[u8]) -> bool {
    let Ok(image) = Image::read(&mut Cursor::new(bytes)) else { return false };
    for section in &image.sections {
        let end = u64::from(section.offset) + u64::from(section.size());
        if section.size() > 0 {
            assert!(end <= bytes.len() as u64, "{section:?}");
            let content = Image::content(&mut Cursor::new(bytes), section).expect("it lies inside");
            assert_eq!(content.len(), section.size() as usize);
        }
    }
    let (release, line) = ("ID=fuzz\n", "root=/dev/vda");
    let uki = Uki::new(bytes).osrel(release).cmdline(line).linux(bytes).initrd("one").initrd("two");
    let mut written = Vec::new();
    if let Ok(length) = uki.write(&mut written) {
        assert_eq!(length, written.len() as u64);
        let image = Image::read(&mut Cursor::new(&written)).expect("what was written is an executable");
        let content = |name| {
            let section = image.section(name).unwrap_or_else(|| panic!("there is no {name}"));
            Image::content(&mut Cursor::new(&written), section).expect("it lies inside")
        };
        assert_eq!(content(".osrel"), release.as_bytes());
        assert_eq!(content(".cmdline"), line.as_bytes());
        assert_eq!(content(".initrd"), b"one\0two\0");
        assert!(content(".sbat").starts_with(b"sbat,1,"));
        assert_eq!(content(".linux"), bytes);
    }
    true
}

/// An archive of an initrd: read, written, and read as the same.
pub fn cpio(bytes: &[u8]) -> bool {
    use bedplate_formats::cpio::{read, write};
    let Ok(tree) = read(bytes) else { return false };
    for (path, node) in tree.iter() {
        let is_directory = |path: TreePath| tree.get(&path).is_some_and(Node::is_directory);
        assert!(path.parent().map_or(node.is_directory(), is_directory), "{path}");
        if let Kind::Hardlink(first) = &node.kind {
            assert!(first < path, "{path} is a further name of {first}");
            assert!(matches!(tree.get(first).map(|node| &node.kind), Some(Kind::File(_))), "{path}");
        }
    }
    let written = write(&tree, 0, Vec::new()).expect("a tree in memory is written");
    let back = read(&written).expect("what was written is read");
    // An archive has no root of its own.
    assert_eq!(described(&tree)[1..], described(&back)[1..]);
    true
}

/// A program or a library.
pub fn elf(bytes: &[u8]) -> bool {
    matches!(Elf::parse(bytes), Ok(Some(_)))
}

/// The lists of a kernel's modules, one after another with a NUL between them: what
/// is cut out of them is read as lists again.
pub fn modules(bytes: &[u8]) -> bool {
    const LISTS: [&str; 6] = ["dep", "order", "builtin", "softdep", "alias", "devname"];
    let directory = TreePath::new("lib/modules/1");
    let mut tree = Tree::new();
    for (list, text) in LISTS.iter().zip(bytes.split(|&byte| byte == 0)) {
        tree.insert(directory.join(format!("modules.{list}")), Node::file(text, 0o644));
    }
    let Ok(modules) = Modules::read(&tree, &directory) else { return false };
    let _ = modules.closure(["virtio", "no_such_module"]);
    let text = String::from_utf8_lossy(bytes);
    // A module's name stands for it, and so does an alias.
    let names = text.split_whitespace().take(16).map(|word| {
        let file = word.rsplit('/').next().unwrap_or(word);
        file.split(".ko").next().unwrap_or(file)
    });
    let names: BTreeSet<String> =
        names.filter(|name| modules.get(name).is_some()).map(str::to_owned).collect();
    let Ok(closure) = modules.closure(names.iter().map(String::as_str)) else { return true };
    let mut cut = Tree::new();
    for (name, content) in modules.indexes(&closure) {
        cut.insert(directory.join(name), Node::file(content, 0o644));
    }
    let cut = Modules::read(&cut, &directory).expect("what was written is read");
    for name in &closure {
        assert!(cut.get(name).is_some(), "{name}");
    }
    !closure.is_empty()
}
