//! Makes packages for the tests, good ones and hostile ones.

use std::io::Write;

/// A package in the making.
pub(crate) struct DebBuilder {
    control: tar::Builder<Vec<u8>>,
    data: tar::Builder<Vec<u8>>,
}

impl DebBuilder {
    /// A package of a name, version 1, with more fields of its control file.
    pub fn new(name: &str, more: &str) -> Self {
        Self::of(name, "amd64", more)
    }

    /// The same of an architecture.
    pub fn of(name: &str, architecture: &str, more: &str) -> Self {
        let text = format!("Package: {name}\nVersion: 1\nArchitecture: {architecture}\n{more}");
        let empty = || tar::Builder::new(Vec::new());
        let builder = Self { control: empty(), data: empty() };
        builder.control_file("control", 0o644, &text)
    }

    pub fn control_file(mut self, name: &str, mode: u32, text: &str) -> Self {
        let mut header = header(tar::EntryType::Regular, &format!("./{name}"), mode);
        header.set_size(text.len() as u64);
        header.set_cksum();
        self.control.append(&header, text.as_bytes()).unwrap();
        self
    }

    pub fn entry(mut self, kind: tar::EntryType, path: &str, mode: u32, link: &str, content: &[u8]) -> Self {
        let mut header = header(kind, path, mode);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.data.append(&header, content).unwrap();
        self
    }

    /// An entry as it is given, extension headers among them.
    pub fn raw(mut self, letter: u8, path: &[u8], content: &[u8]) -> Self {
        let mut header = header(tar::EntryType::new(letter), "", 0o644);
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.data.append(&header, content).unwrap();
        self
    }

    pub fn directory(self, path: &str) -> Self {
        self.entry(tar::EntryType::Directory, path, 0o755, "", b"")
    }

    pub fn file(self, path: &str, content: &str) -> Self {
        self.entry(tar::EntryType::Regular, path, 0o644, "", content.as_bytes())
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, path, 0o777, target, b"")
    }

    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, path, 0o644, target, b"")
    }

    /// The package, each member compressed as its ending says.
    pub fn deb(self, control: &str, data: &str) -> Vec<u8> {
        let (control_tar, data_tar) = (self.control.into_inner().unwrap(), self.data.into_inner().unwrap());
        archive(&[
            ("debian-binary", b"2.0\n"),
            (&format!("control.tar{control}"), &compress(control, &control_tar)),
            (&format!("data.tar{data}"), &compress(data, &data_tar)),
        ])
    }
}

/// An `ar` archive.
pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn compress(ending: &str, bytes: &[u8]) -> Vec<u8> {
    match ending {
        ".gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

fn header(kind: tar::EntryType, path: &str, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    // Past the crate's own checks, which refuse what the tests are about.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_mode(mode);
    // Unpacked by whoever runs the test, who may not be root.
    header.set_uid(rustix::process::getuid().as_raw().into());
    header.set_gid(rustix::process::getgid().as_raw().into());
    header.set_mtime(1_700_000_000);
    header
}
