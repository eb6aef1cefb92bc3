//! Microcode of x86 processors, as the kernel loads it before anything else:
//! an uncompressed `newc` archive of one file for each maker.
//!
//! <https://docs.kernel.org/arch/x86/microcode.html>
//!
//! Invariant: the data of each file starts at a multiple of 16, as the
//! processor asks for it. NUL bytes behind a name move it there, as iucode_tool
//! does it.

use anyhow::{Context as _, Result};
use bedplate_formats::tree::{Tree, TreePath};

use super::initrd::kernel::plain_module;

/// The maker's name in the archive, and the directory of its files.
const MAKERS: [(&str, &str); 2] =
    [("AuthenticAMD", "usr/lib/firmware/amd-ucode"), ("GenuineIntel", "usr/lib/firmware/intel-ucode")];

/// Where the kernel looks in the archive.
const DIRECTORY: &str = "kernel/x86/microcode";

/// The archive; none where the system has no microcode.
///
/// # Errors
/// A file that cannot be read.
pub fn archive(tree: &Tree) -> Result<Option<Vec<u8>>> {
    let mut archive = Archive::default();
    for path in ["kernel", "kernel/x86", DIRECTORY] {
        archive.entry(path, 0o040_755, &[]);
    }
    let mut is_empty = true;
    for (maker, directory) in MAKERS {
        let mut all = Vec::new();
        for path in files(tree, directory) {
            let content = tree.content(&path).with_context(|| format!("`{path}` vanished"))?;
            let bytes = content.read().with_context(|| format!("cannot read `{path}`"))?;
            all.extend(plain_module(&path, bytes)?);
        }
        if !all.is_empty() {
            is_empty = false;
            archive.entry(&format!("{DIRECTORY}/{maker}.bin"), 0o100_644, &all);
        }
    }
    Ok((!is_empty).then(|| archive.finish()))
}

/// The files of one maker, by name. Those of Intel that are for early loading
/// alone end with `.initramfs` in Debian's package.
fn files(tree: &Tree, directory: &str) -> Vec<TreePath> {
    let directory = TreePath::new(directory);
    let real = tree.resolve(&directory).map_or(directory, |(path, _)| path);
    let is_microcode = |path: &&TreePath| {
        let name = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
        let name = name.strip_suffix(".xz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        is_intel(name.strip_suffix(".initramfs").unwrap_or(name))
            || name.starts_with("microcode_amd") && name.ends_with(".bin")
    };
    tree.children(&real).map(|(path, _)| path).filter(is_microcode).cloned().collect()
}

/// `06-9e-0d`: family, model and stepping.
fn is_intel(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let is_number = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.len() == 3 && parts.iter().all(is_number)
}

/// A `newc` archive in the making.
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    const HEADER: usize = 110;

    fn entry(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.entries += 1;
        let links = if mode & 0o040_000 == 0 { 1 } else { 2 };
        self.write(name, [self.entries, mode, links], data);
    }

    fn write(&mut self, name: &str, [inode, mode, links]: [u32; 3], data: &[u8]) {
        let mut named = name.as_bytes().to_vec();
        named.push(0);
        if !data.is_empty() {
            let start = self.bytes.len() + Self::HEADER;
            named.resize((start + named.len()).next_multiple_of(16) - start, 0);
        }
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let name_length = u32::try_from(named.len()).unwrap_or(u32::MAX);
        self.bytes.extend(b"070701");
        for field in [inode, mode, 0, 0, links, 0, length, 0, 0, 0, 0, name_length, 0] {
            self.bytes.extend(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend(named);
        self.pad();
        self.bytes.extend(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.write("TRAILER!!!", [0, 0, 1], &[]);
        // The next archive, or its compressor's mark, starts at a block.
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_formats::cpio;
    use bedplate_formats::tree::Node;

    /// Case 12.
    #[test]
    fn microcode_of_both_makers_is_where_the_kernel_looks_and_aligned() {
        let mut tree = Tree::new();
        assert_eq!(archive(&tree).unwrap(), None);
        let mut put = |path: &str, bytes: &[u8]| {
            tree.insert(TreePath::new("usr/lib/firmware").join(path), Node::file(bytes, 0o644));
        };
        put("intel-ucode/06-9e-0d", b"B");
        put("intel-ucode/06-4f-01.initramfs", b"A");
        put("intel-ucode/README", b"no");
        put("amd-ucode/microcode_amd_fam17h.bin", b"D");
        put("amd-ucode/microcode_amd.bin", b"C");
        put("amd-ucode/microcode_amd.bin.asc", b"no");
        let bytes = archive(&tree).unwrap().unwrap();
        let back = cpio::read(&bytes).unwrap();
        let read = |maker: &str| {
            let path = TreePath::new(format!("kernel/x86/microcode/{maker}.bin"));
            back.content(&path).unwrap().read().unwrap()
        };
        assert_eq!(
            (read("GenuineIntel").as_slice(), read("AuthenticAMD").as_slice()),
            (&b"AB"[..], &b"CD"[..])
        );
        for data in [b"AB", b"CD"] {
            let at = bytes.windows(4).position(|window| window == [data[0], data[1], 0, 0]).unwrap();
            assert_eq!(at % 16, 0, "{at}");
        }
        assert_eq!(bytes.len() % 512, 0);
        assert_eq!(bytes, archive(&tree).unwrap().unwrap());
    }
}
