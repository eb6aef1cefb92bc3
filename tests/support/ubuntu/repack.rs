//! Packages of Debian's as packages of Ubuntu's.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};
use std::thread;

use bedplate::lock::LockedPackage;
use tar::{Archive, Builder, EntryType};

use super::{Shared, digest, field};
use crate::forge;

/// A package of the archive.
#[derive(Clone)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// The fields of its control file, each with its line feed.
    pub control: String,
    pub component: &'static str,
    /// What follows `noble` in the suites it is in.
    pub pockets: &'static [&'static str],
    pub deb: Shared,
    pub sha256: String,
}

/// What Ubuntu has in the component that is not Canonical's to maintain.
const UNIVERSE: [&str; 8] = [
    "containerd",
    "docker.io",
    "docker-cli",
    "docker-compose-v2",
    "erofs-utils",
    "rauc",
    "systemd-boot",
    "systemd-boot-efi",
];

/// Fields that differ: a package, a field, and what is put before its value.
const MORE: [(&str, &str, &str); 3] = [
    // The client is in it, and so is what Debian has in packages of their own.
    ("docker.io", "Depends", "docker-cli, "),
    ("systemd", "Depends", "systemd-cryptsetup, systemd-repart, "),
    ("linux-image-", "Depends", "linux-modules-KERNEL, "),
];

const OS_RELEASE: &str = "PRETTY_NAME=\"Ubuntu 24.04 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\n\
    VERSION=\"24.04 LTS (Noble Numbat)\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n";

/// All of them, and those that Debian has not.
pub fn all(packages: &[LockedPackage], read: impl Fn(&LockedPackage) -> Vec<u8> + Sync) -> Vec<Package> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let read = &read;
    let mut all: Vec<Package> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|first| {
                let mine = packages.iter().skip(first).step_by(threads);
                scope.spawn(move || {
                    mine.flat_map(|package| Members::open(&read(package)).packages()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let kernel =
        all.iter().find_map(|package| package.name.strip_prefix("linux-modules-")).unwrap().to_owned();
    let depends = |on: &str| format!("Depends: {on}\n");
    all.push(meta("linux-generic-hwe-24.04", &depends("linux-image-generic-hwe-24.04")));
    let image = depends(&format!("linux-image-{kernel}, linux-firmware"));
    all.push(meta("linux-image-generic-hwe-24.04", &image));

    // One package is newer in `-updates`, one in `-security`, and one was fixed there and copied on.
    let newer = |name: &str, pockets| {
        let package = all.iter().find(|package| package.name == name).unwrap();
        Package { pockets, ..package.with_version(&format!("{}ubuntu0.1", package.version)) }
    };
    let newer = [
        newer("tzdata", &["-updates"][..]),
        newer("less", &["-security"]),
        newer("unzip", &["-security", "-updates"]),
    ];
    all.extend(newer);
    all
}

fn meta(name: &str, more: &str) -> Package {
    let control = format!(
        "Package: {name}\nVersion: 6.12\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\n{more}\
         Description: a name for others\n"
    );
    Members { control, files: Vec::new(), data: Builder::new(Vec::new()).into_inner().unwrap() }.package()
}

impl Package {
    /// The same as another version.
    pub fn with_version(&self, version: &str) -> Self {
        let mut members = Members::open(&self.deb);
        members.control = members.control.replacen(
            &format!("\nVersion: {}\n", self.version),
            &format!("\nVersion: {version}\n"),
            1,
        );
        Self { component: self.component, ..members.package() }
    }
}

/// What is in a package.
struct Members {
    control: String,
    /// What is beside the control file.
    files: Vec<(tar::Header, Vec<u8>)>,
    /// A tar archive.
    data: Vec<u8>,
}

impl Members {
    fn open(deb: &[u8]) -> Self {
        let mut members = Members { control: String::new(), files: Vec::new(), data: Vec::new() };
        let mut rest = &deb[8..];
        while rest.len() > 60 {
            let (head, body) = rest.split_at(60);
            let name = String::from_utf8_lossy(&head[..16]).trim().trim_end_matches('/').to_owned();
            let size: usize = String::from_utf8_lossy(&head[48..58]).trim().parse().unwrap();
            let (member, after) = body.split_at(size);
            rest = after.get(size % 2..).unwrap_or_default();
            let Some((kind, compression)) = name.split_once(".tar") else { continue };
            let tar = match compression {
                ".xz" => liblzma::decode_all(member).unwrap(),
                ".zst" => zstd::decode_all(member).unwrap(),
                _ => member.to_vec(),
            };
            if kind == "data" {
                members.data = tar;
                continue;
            }
            for entry in Archive::new(Cursor::new(tar)).entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                match entry.path().unwrap().file_name() {
                    Some(name) if name == "control" => members.control = String::from_utf8(content).unwrap(),
                    _ => members.files.push((entry.header().clone(), content)),
                }
            }
        }
        members
    }

    /// The packages of Ubuntu's that this one of Debian's is.
    fn packages(mut self) -> Vec<Package> {
        let name = field(&self.control, "Package");
        let kernel = name.strip_prefix("linux-image-6").map(|rest| format!("6{rest}"));
        for (prefix, field, before) in MORE {
            let fits = if prefix.ends_with('-') {
                kernel.is_some() && name.starts_with(prefix)
            } else {
                name == prefix
            };
            if fits {
                let before = before.replace("KERNEL", kernel.as_deref().unwrap_or_default());
                self.control =
                    self.control.replacen(&format!("\n{field}: "), &format!("\n{field}: {before}"), 1);
            }
        }
        match name.as_str() {
            "docker-compose" => self.rename(&name, "docker-compose-v2"),
            "firmware-linux-free" => self.rename(&name, "linux-firmware"),
            "base-files" => {
                self.data = edited(&self.data, |path, content| {
                    let is_it = path.ends_with("usr/lib/os-release");
                    Some((path.to_owned(), if is_it { OS_RELEASE.as_bytes().to_vec() } else { content }))
                })
            }
            _ => {}
        }
        let Some(kernel) = kernel else { return vec![self.package()] };
        // The modules are a package of their own, outside of `/usr`, and compressed otherwise.
        let is_module = |path: &str| path.trim_start_matches("./").starts_with("usr/lib/modules/");
        let control = format!(
            "Package: linux-modules-{kernel}\nVersion: {}\nArchitecture: amd64\n\
             Maintainer: nobody <nobody@example.org>\nDescription: modules\n",
            field(&self.control, "Version")
        );
        let data = edited(&self.data, |path, content| {
            let path = is_module(path).then(|| path.replacen("usr/lib/", "lib/", 1))?;
            Some(match path.strip_suffix(".xz") {
                Some(plain) => {
                    // With its size in the head, as kmod asks for.
                    let module = liblzma::decode_all(&content[..]).unwrap();
                    (format!("{plain}.zst"), zstd::bulk::compress(&module, 1).unwrap())
                }
                None => (path, content),
            })
        });
        let modules = Members { control, files: Vec::new(), data };
        self.data =
            edited(&self.data, |path, content| (!is_module(path)).then(|| (path.to_owned(), content)));
        // Of the files that are not in it any more.
        self.files.retain(|(header, _)| !header.path().is_ok_and(|path| path.ends_with("md5sums")));
        self.files.push(file("./md5sums", Vec::new()));
        vec![self.package(), modules.package()]
    }

    fn rename(&mut self, from: &str, to: &str) {
        self.control = self.control.replacen(&format!("Package: {from}\n"), &format!("Package: {to}\n"), 1);
    }

    fn package(self) -> Package {
        let mut control = Builder::new(Vec::new());
        let (header, text) = file("./control", self.control.clone().into_bytes());
        control.append(&header, &text[..]).unwrap();
        let has_sums =
            self.files.iter().any(|(header, _)| header.path().is_ok_and(|path| path.ends_with("md5sums")));
        let sums = (!has_sums).then(|| file("./md5sums", Vec::new()));
        for (header, content) in self.files.iter().chain(&sums) {
            control.append(header, &content[..]).unwrap();
        }
        let members = [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.zst", zstd::encode_all(&control.into_inner().unwrap()[..], 1).unwrap()),
            ("data.tar.zst", zstd::encode_all(&self.data[..], 1).unwrap()),
        ];
        let deb = forge::archive(members);
        let name = field(&self.control, "Package");
        let component = if UNIVERSE.contains(&name.as_str()) { "universe" } else { "main" };
        Package {
            version: field(&self.control, "Version"),
            architecture: field(&self.control, "Architecture"),
            control: self.control.trim_end().to_owned() + "\n",
            component,
            pockets: &[""],
            sha256: digest(&deb),
            deb: deb.into(),
            name,
        }
    }
}

/// A tar archive with its entries changed, or left out.
fn edited(tar: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<(String, Vec<u8>)>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut made = BTreeSet::from(["./".to_owned()]);
    for entry in Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let Some((path, content)) = change(&path, content) else { continue };
        if made.contains(&path) {
            continue;
        }
        // Directories that only what was left out was in.
        for (at, _) in path.match_indices('/').filter(|(at, _)| at + 1 < path.len()) {
            let above = path[..=at].to_owned();
            if !made.contains(&above) {
                directory(&mut builder, &above);
                made.insert(above);
            }
        }
        let mut header = entry.header().clone();
        header.set_size(content.len() as u64);
        match header.entry_type() {
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name().unwrap().unwrap().into_owned();
                builder.append_link(&mut header, &path, target).unwrap();
            }
            _ => builder.append_data(&mut header, &path, &content[..]).unwrap(),
        }
        made.insert(path);
    }
    builder.into_inner().unwrap()
}

fn directory(builder: &mut Builder<Vec<u8>>, path: &str) {
    let mut header = header(0o755, 0);
    header.set_entry_type(EntryType::Directory);
    builder.append_data(&mut header, path, &[][..]).unwrap();
}

fn file(path: &str, content: Vec<u8>) -> (tar::Header, Vec<u8>) {
    let mut header = header(0o644, content.len() as u64);
    header.set_path(path).unwrap();
    header.set_cksum();
    (header, content)
}

fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header
}
