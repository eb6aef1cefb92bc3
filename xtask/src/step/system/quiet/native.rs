//! This machine's own programs in place of those of the image, where these would be emulated. Scripts of packages start
//! thousands of programs that do next to nothing, and each time it is the emulator that takes the time.
//!
//! A program stands in where its package is of the source that the image's is of, and where nothing that it says depends on
//! the processor: not `uname`, and not `dpkg`. It is a copy that finds its loader and its libraries below [`AT`], since
//! those that the image has are not for it. Perl stands in for scripts that are known: others may load modules that were
//! compiled for the image's processor.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use bedplate_formats::elf::Elf;
use bedplate_formats::tree::{Kind, Tree};
use bedplate_formats::unpack::Inside;
use memchr::memmem;

use super::write_program;
use crate::sandbox::Sandbox;
use crate::sandbox::emulation;

/// Where the loader and the libraries are in the sandbox. It takes the place of longer paths in programs.
const AT: &str = "/run/bedplate";

/// The loader in a tree of programs, and the directory of its libraries.
const LOADER: (&str, &str) = match cfg!(target_arch = "x86_64") {
    true => ("usr/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu"),
    false => ("usr/lib/ld-linux-aarch64.so.1", "/usr/lib/aarch64-linux-gnu"),
};

/// Programs in `/usr/bin` that stand in for the image's, by their packages.
const PROGRAMS: [(&str, &[&str]); 4] = [
    (
        "coreutils",
        &[
            "[", "basename", "cat", "chgrp", "chmod", "chown", "cp", "cut", "date", "dirname", "expr",
            "head", "id", "install", "ln", "ls", "mkdir", "mktemp", "mv", "readlink", "rm", "rmdir", "sort",
            "stat", "tail", "test", "touch", "tr", "uniq", "wc",
        ],
    ),
    ("dash", &["dash"]),
    ("grep", &["grep"]),
    ("sed", &["sed"]),
];

/// Programs that stand in for others than their namesakes, by their packages.
const FURTHER: [(&str, &str); 2] = [("kmod", "kmod"), ("perl-base", "perl")];

/// Scripts for Perl that use no module of the image's processor, or go without. What a script of ours stands in for
/// ([`super::STAND_INS`]) is another.
const SCRIPTS: [&str; 5] = [
    "/usr/bin/deb-systemd-invoke",
    "/usr/sbin/adduser",
    "/usr/sbin/pam-auth-update",
    "/usr/sbin/update-rc.d",
    "/usr/share/debconf/frontend",
];

/// Programs that stand in for others.
pub(super) struct Native {
    /// Where their copies are, on the host.
    directory: PathBuf,
    /// Their libraries.
    libraries: PathBuf,
}

impl Native {
    /// Copies programs into a directory. None where the tree has no loader.
    pub(super) fn new(native: &emulation::Native, directory: PathBuf) -> Result<Option<Self>> {
        let Ok(loader) = fs_err::read(native.tree.join(LOADER.0)) else { return Ok(None) };
        fs_err::create_dir_all(directory.join("scripts"))?;
        write_program(&directory.join("ld.so"), &relocated(loader, None))?;
        let named =
            PROGRAMS.iter().flat_map(|(package, names)| names.iter().map(move |name| (package, name)));
        for (package, name) in named.chain(FURTHER.iter().map(|(package, name)| (package, name))) {
            let file = native.tree.join("usr/bin").join(name);
            // A link leads to a program that has other names, too.
            if !native.has(package) || !fs_err::symlink_metadata(&file).is_ok_and(|found| found.is_file()) {
                continue;
            }
            let program = fs_err::read(&file)?;
            if let Some(interpreter) = Elf::parse(&program)?.and_then(|elf| elf.interpreter) {
                write_program(&directory.join(name), &relocated(program, Some(&interpreter)))?;
            }
        }
        let libraries = native.tree.join(LOADER.1.trim_start_matches('/'));
        Ok(Some(Self { directory, libraries }))
    }

    /// The copy of a program, where it stands in.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        Some(self.directory.join(name)).filter(|file| file.exists())
    }

    /// A script as one for this machine's Perl, where it is for Perl, and that stands in.
    pub(super) fn script(&self, script: &[u8]) -> Option<Vec<u8>> {
        self.program("perl").and_then(|_| of_perl(script))
    }

    /// Shows what they need to start, and Perl.
    pub(super) fn libraries(&self, sandbox: Sandbox) -> Sandbox {
        let loader = self.directory.join("ld.so");
        let sandbox = sandbox
            .bind_read_only(&loader, &format!("{AT}/ld.so"))
            .bind_read_only(&self.libraries, &format!("{AT}/lib"));
        match self.program("perl") {
            Some(perl) => sandbox.bind_read_only(&perl, &format!("{AT}/perl")),
            None => sandbox,
        }
    }

    /// Shows the programs that stand in for those of a root.
    pub(super) fn show(&self, mut sandbox: Sandbox, inside: &Inside) -> Result<Sandbox> {
        for name in PROGRAMS.iter().flat_map(|(_, names)| *names) {
            let (path, Some(program)) = (format!("/usr/bin/{name}"), self.program(name)) else { continue };
            // What was diverted may have a script in its place.
            if inside.read(&path)?.is_some_and(|bytes| bytes.starts_with(b"\x7fELF")) {
                sandbox = sandbox.bind_read_only(&program, &path);
            }
        }
        for path in SCRIPTS {
            let Some(script) = inside.read(path)?.and_then(|script| self.script(&script)) else { continue };
            let file = self.directory.join("scripts").join(path.rsplit('/').next().unwrap_or(path));
            if fs_err::read(&file).ok().as_ref() != Some(&script) {
                write_program(&file, &script)?;
            }
            sandbox = sandbox.bind_read_only(&file, path);
        }
        Ok(sandbox)
    }
}

/// Finds what a script has copied of the programs that stand in: they would not start on a device.
///
/// # Errors
/// There is one.
pub(super) fn check(tree: &Tree) -> Result<()> {
    let loader = format!("{AT}/ld.so");
    for (path, node) in tree.iter().filter(|(_, node)| node.mode & 0o111 != 0) {
        let Kind::File(content) = &node.kind else { continue };
        let mut start = Vec::new();
        content.open()?.take(1024).read_to_end(&mut start)?;
        if start.starts_with(b"\x7fELF") && memmem::find(&start, loader.as_bytes()).is_some() {
            bail!(
                "a package's script has copied a program to `{path}` that is this machine's, in place of the image's"
            );
        }
    }
    Ok(())
}

/// A script for Perl as one for the Perl below [`AT`].
fn of_perl(script: &[u8]) -> Option<Vec<u8>> {
    let rest = script.strip_prefix(b"#!")?.trim_ascii_start().strip_prefix(b"/usr/bin/perl")?;
    Some([format!("#!{AT}/perl").as_bytes(), rest].concat())
}

/// A program that looks below [`AT`] for its loader and its libraries.
fn relocated(mut program: Vec<u8>, interpreter: Option<&str>) -> Vec<u8> {
    // The name of a directory may be followed by more, so that it keeps its length by slashes.
    let slashes = "/".repeat(LOADER.1.len() - AT.len() - "lib".len());
    replace(&mut program, LOADER.1, &format!("{AT}{slashes}lib"));
    if let Some(interpreter) = interpreter {
        let loader = format!("{AT}/ld.so");
        let nothing = "\0".repeat(interpreter.len().saturating_sub(loader.len()));
        replace(&mut program, interpreter, &format!("{loader}{nothing}"));
    }
    program
}

/// Replaces each occurrence of a text by another one of its length.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len(), "`{from}` would move what follows it");
    let found: Vec<usize> = memmem::find_iter(bytes, from).collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bedplate_core::plan::NATIVE;
    use bedplate_formats::tree::Node;

    use super::*;

    #[test]
    fn a_program_looks_for_its_loader_and_its_libraries_elsewhere() {
        let (loader, libraries) = (format!("/{}", LOADER.0.replacen("usr/", "", 1)), LOADER.1);
        let program = format!("\x7fELF {loader}\0 {libraries}/perl-base\0 {libraries}/\0 /usr/lib/locale");
        let made = relocated(program.clone().into_bytes(), Some(&loader));
        let made = String::from_utf8(made).unwrap();
        assert_eq!(made.len(), program.len());
        assert!(!made.contains(&loader) && !made.contains(libraries), "{made}");
        let paths: Vec<&str> = made.split('\0').filter(|text| !text.is_empty()).collect();
        assert!(paths[0].ends_with(" /run/bedplate/ld.so"), "{paths:?}");
        assert_eq!(Path::new(paths[1].trim()), Path::new("/run/bedplate/lib/perl-base"));
        assert_eq!(Path::new(paths[2].trim()), Path::new("/run/bedplate/lib"));
        assert_eq!(paths[3], " /usr/lib/locale");
    }

    #[test]
    fn a_script_keeps_what_it_says_to_perl() {
        let of = |script: &str| of_perl(script.as_bytes()).map(|made| String::from_utf8(made).unwrap());
        assert_eq!(
            of("#!/usr/bin/perl -w\nuse strict;\n").unwrap(),
            "#!/run/bedplate/perl -w\nuse strict;\n"
        );
        assert_eq!(of("#! /usr/bin/perl\n").unwrap(), "#!/run/bedplate/perl\n");
        assert_eq!(of("#!/bin/sh\n/usr/bin/perl\n"), None);
    }

    #[test]
    fn a_lock_names_the_packages_that_stand_in() {
        let programs = PROGRAMS.iter().map(|(package, _)| *package);
        let mut packages: Vec<&str> = programs.chain(FURTHER.map(|(package, _)| package)).collect();
        packages.sort_unstable();
        assert_eq!(packages, NATIVE);
    }

    #[test]
    fn a_copy_in_the_tree_is_found() {
        let mut tree = Tree::default();
        let program = |interpreter: &str| Node::file(format!("\x7fELF\u{2}\u{1} {interpreter}\0"), 0o755);
        tree.insert("cat".into(), program("/lib/ld-linux-aarch64.so.1"));
        check(&tree).unwrap();
        tree.insert("rescue".into(), program("/run/bedplate/ld.so"));
        let error = check(&tree).unwrap_err().to_string();
        assert!(error.contains("`/rescue`"), "{error}");
    }

    #[test]
    fn names_of_directories_fit_into_the_place_of_those_of_programs() {
        for libraries in ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"] {
            assert!(libraries.len() > AT.len() + "/lib".len());
        }
        for loader in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
            assert!(loader.len() > AT.len() + "/ld.so".len());
        }
    }
}
