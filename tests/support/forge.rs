//! Makes packages: maintainer scripts, files, conffiles, whatever the control
//! file is to say.

#![allow(dead_code, reason = "each test binary uses its own part")]

use bedplate_formats::tree::{Node, Tree};

/// A package in the making.
pub struct Forged {
    control: String,
    scripts: Tree,
    files: Tree,
    conffiles: String,
}

impl Forged {
    /// A package for all architectures, with nothing in it.
    pub fn new(name: &str, version: &str) -> Self {
        Self::of(name, version, "all")
    }

    /// The same for one architecture.
    pub fn of(name: &str, version: &str, architecture: &str) -> Self {
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: nobody <nobody@example.org>\nDescription: a test\n"
        );
        Self { control, scripts: Tree::new(), files: Tree::new(), conffiles: String::new() }
    }

    /// More fields of the control file, a line each, with the line feeds.
    pub fn control(mut self, more: &str) -> Self {
        self.control.push_str(more);
        self
    }

    /// A maintainer script: `postinst`.
    pub fn script(mut self, name: &str, text: &str) -> Self {
        self.scripts.insert(name.into(), Node::file(text, 0o755));
        self
    }

    /// A file at an absolute path, and the directories it is in.
    pub fn file(mut self, path: &str, mode: u32, content: &str) -> Self {
        self.files.insert(path.trim_start_matches('/').into(), Node::file(content, mode));
        self
    }

    /// An empty directory at an absolute path.
    pub fn directory(mut self, path: &str, mode: u32) -> Self {
        self.files.insert(path.trim_start_matches('/').into(), Node::directory(mode));
        self
    }

    /// A file that belongs to the administrator once it is installed.
    pub fn conffile(mut self, path: &str, content: &str) -> Self {
        self.conffiles.push_str(&format!("{path}\n"));
        self.file(path, 0o644, content)
    }

    /// The bytes of the `.deb`: the same for the same package.
    pub fn build(mut self) -> Vec<u8> {
        self.scripts.insert("control".into(), Node::file(self.control, 0o644));
        if !self.conffiles.is_empty() {
            self.scripts.insert("conffiles".into(), Node::file(self.conffiles, 0o644));
        }
        archive([
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar", tar(&self.scripts)),
            ("data.tar", tar(&self.files)),
        ])
    }
}

/// The members of a `.deb` as one.
pub fn archive<const N: usize>(members: [(&str, Vec<u8>); N]) -> Vec<u8> {
    let mut deb = b"!<arch>\n".to_vec();
    for (member, bytes) in members {
        let header = format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len());
        deb.extend(header.bytes());
        deb.extend(&bytes);
        // A member begins at an even offset.
        deb.extend(if bytes.len() % 2 == 1 { &b"\n"[..] } else { b"" });
    }
    deb
}

/// A package of nothing but one maintainer script.
pub fn package(name: &str, more: &str, script: &str, text: &str) -> Vec<u8> {
    Forged::new(name, "1").control(more).script(script, text).build()
}

fn tar(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    bedplate_formats::tar::write(tree, &mut bytes).unwrap();
    bytes
}
