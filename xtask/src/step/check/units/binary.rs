//! Whether the kernel can start a file: a script with its first line, or a program of the device's own machine whose
//! libraries are there.

use std::io::Read as _;

use bedplate_core::Architecture;
use bedplate_formats::elf::{Elf, Libraries, MissingLibrary};
use bedplate_formats::tree::TreePath;

use super::super::Subject;
use super::super::unit::Unit;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns why a file of the description cannot be started, and what to do about it. What packages bring was built for
/// the device.
pub(super) fn fault(subject: &Subject<'_>, unit: &Unit, path: &TreePath) -> Option<(String, String)> {
    subject.origins.of(path)?;
    let content = subject.tree.content(path)?;
    let mut start = [0; 4];
    let read = content.open().ok()?.read(&mut start).ok()?;
    let start = &start[..read];
    if start.starts_with(b"#!") {
        return None;
    }
    if start.starts_with(BYTE_ORDER_MARK) {
        let help = "save it as UTF-8 without a byte order mark".to_owned();
        return Some((
            "which begins with a byte order mark, and is no script to the kernel".to_owned(),
            help,
        ));
    }
    if start != b"\x7fELF" {
        let help = "begin it with `#!/bin/sh`, or with the path of another interpreter".to_owned();
        return Some((
            "which is neither a program nor a script: its first line has no `#!`".to_owned(),
            help,
        ));
    }
    let elf = Elf::parse(&content.read().ok()?).ok()??;
    // Directories of libraries may be set for the program alone.
    let own = ["Environment", "EnvironmentFile"].iter().any(|key| unit.last(key).is_some());
    machine(subject, &elf).or_else(|| if own { None } else { libraries(subject, path) })
}

/// The numbers of ELF machines, <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>.
const MACHINES: [(u16, &str); 6] =
    [(3, "32-bit x86"), (40, "32-bit ARM"), (62, "x86-64"), (183, "arm64"), (243, "RISC-V"), (21, "POWER")];

fn machine(subject: &Subject<'_>, elf: &Elf) -> Option<(String, String)> {
    // The kernel starts 32-bit programs of its own family.
    let fits: [u16; 2] = match subject.plan.architecture {
        Architecture::X86_64 => [62, 3],
        Architecture::Aarch64 => [183, 40],
    };
    if fits.contains(&elf.machine.0) {
        return None;
    }
    let name = MACHINES.iter().find(|(number, _)| *number == elf.machine.0);
    let name = name.map_or_else(|| format!("machine {}", elf.machine.0), |(_, name)| (*name).to_owned());
    let help = format!("build it for {}", subject.plan.architecture.deb());
    Some((format!("which is a program for {name}"), help))
}

fn libraries(subject: &Subject<'_>, path: &TreePath) -> Option<(String, String)> {
    let libraries = Libraries::of(subject.tree).ok()?;
    match libraries.closure([path], |_| false) {
        Err(MissingLibrary::Missing { name, .. }) if subject.comes_later(&name) => None,
        Err(MissingLibrary::Missing { name, .. }) => {
            let message = format!("which needs `{name}`, and that is not in the image");
            let help = match name.contains("musl") {
                true => "link it statically, or build it for the GNU C library",
                false => "add the package that brings the library",
            };
            Some((message, help.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bedplate_core::rule;
    use bedplate_formats::tree::{Node, Tree};

    use super::super::super::unit;
    use super::*;
    use crate::step::origin::Origins;

    /// What is wrong with a file of these bytes, in a tree with the C library.
    fn fault_of(bytes: &[u8]) -> Option<String> {
        let plan = rule::device().file("/usr/bin/agent", "").plan().unwrap();
        let mut tree = Tree::new();
        for path in ["lib64/ld-linux-x86-64.so.2", "usr/lib/libc.so.6"] {
            tree.insert(path.into(), Node::file("", 0o755));
        }
        tree.insert("usr/bin/agent".into(), Node::file(bytes.to_vec(), 0o755));
        tree.insert("usr/lib/systemd/system/x.service".into(), Node::file("[Service]\n", 0o644));
        let unit::Found::Unit(unit) = unit::load(&tree, "x.service") else { panic!("no unit") };
        let origins = Origins::new(&plan, "/nonexistent".into(), &tree);
        let subject = Subject { plan: &plan, tree: &tree, origins };
        let fault = fault(&subject, &unit, &"usr/bin/agent".into());
        fault.map(|(message, help)| format!("{message}; {help}"))
    }

    /// As much of a program as says for which machine it is, and its interpreter.
    fn program(machine: u16, interpreter: &str) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        elf[16..18].copy_from_slice(&2_u16.to_le_bytes());
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        elf[20..24].copy_from_slice(&1_u32.to_le_bytes());
        elf[32..40].copy_from_slice(&64_u64.to_le_bytes());
        for (at, value) in [(52, 64_u16), (54, 56), (56, 1), (58, 64)] {
            elf[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        elf[64..68].copy_from_slice(&3_u32.to_le_bytes());
        let size = interpreter.len() as u64 + 1;
        for (at, value) in [(72, 120), (80, 120), (88, 120), (96, size), (104, size), (112, 1)] {
            elf[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
        elf.extend_from_slice(interpreter.as_bytes());
        elf.push(0);
        elf
    }

    #[test]
    fn what_the_kernel_cannot_start_is_told_with_the_reason() {
        assert_eq!(fault_of(b"#!/bin/sh\n"), None);
        assert_eq!(fault_of(&program(62, "/lib64/ld-linux-x86-64.so.2")), None);
        for (bytes, part) in [
            (b"exec agent\n".to_vec(), "its first line has no `#!`"),
            (Vec::new(), "its first line has no `#!`"),
            (b"\xef\xbb\xbf#!/bin/sh\n".to_vec(), "byte order mark"),
            (program(183, "/lib/ld-linux-aarch64.so.1"), "a program for arm64; build it for amd64"),
            (program(62, "/lib/ld-musl-x86_64.so.1"), "link it statically"),
        ] {
            let fault = fault_of(&bytes).unwrap();
            assert!(fault.contains(part), "{fault}");
        }
    }
}
