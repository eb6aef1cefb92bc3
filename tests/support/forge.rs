//! Makes a package of nothing but control files.

use bedplate_formats::tree::{Node, Tree};

/// A package with one maintainer script.
pub fn package(name: &str, more: &str, script: &str, text: &str) -> Vec<u8> {
    let control = format!(
        "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n\
         Description: a test\n{more}"
    );
    let mut tree = Tree::new();
    tree.insert("control".into(), Node::file(control, 0o644));
    tree.insert(script.into(), Node::file(text, 0o755));
    let mut deb = b"!<arch>\n".to_vec();
    for (member, bytes) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar", tar(&tree)), ("data.tar", tar(&Tree::new()))]
    {
        deb.extend(
            format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes(),
        );
        deb.extend(bytes);
    }
    deb
}

fn tar(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    bedplate_formats::tar::write(tree, &mut bytes).unwrap();
    bytes
}
