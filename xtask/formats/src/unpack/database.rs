//! dpkg's database, as dpkg writes it when it has unpacked packages.
//!
//! `status` says `install ok unpacked`, so `dpkg --configure -a` has all of its
//! own work still to do: conffiles, triggers, `postinst`. Formats: dpkg's
//! `doc/spec`, deb-triggers(5), and `lib/dpkg/{fields,triglib,trigdeferred}.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::UnpackError;
use super::inside::Inside;
use super::layout::{Layout, Listed};
use crate::deb::{Control, ControlFile};
use crate::tree::timestamps;

/// Where the database lies in a root.
const PLACE: &str = "var/lib/dpkg";

/// The database of a root.
#[derive(Debug)]
pub struct Database<'a> {
    root: &'a Path,
    inside: Inside,
    layout: &'a Layout,
}

impl<'a> Database<'a> {
    pub(super) fn new(root: &'a Path, layout: &'a Layout) -> Result<Self, UnpackError> {
        let inside = Inside::new(root).map_err(UnpackError::at(root))?;
        Ok(Self { root, inside, layout })
    }

    /// Records the packages from the `first`th added on as unpacked, after what
    /// the database holds already, and returns how many there are now.
    /// `architecture` is dpkg's own; the packages of another one are foreign.
    ///
    /// # Errors
    /// [`UnpackError::Io`].
    pub fn record(&self, first: usize, architecture: &str) -> Result<usize, UnpackError> {
        for directory in ["", "info", "triggers", "updates", "parts", "alternatives"] {
            let directory = format!("{PLACE}/{directory}");
            self.inside.make_directories(&directory).map_err(self.at(&directory))?;
        }
        for empty in ["diversions", "statoverride", "status", "triggers/File", "triggers/Unincorp"] {
            if !self.inside.exists(format!("{PLACE}/{empty}")) {
                self.write(empty, b"")?;
            }
        }
        self.write("info/format", b"1\n")?;
        let packages = &self.layout.packages;
        let mut status = self.read("status")?;
        let mut triggers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let before = self.read("triggers/File")?;
        for package in &packages[first..] {
            if !status.is_empty() && !status.ends_with(b"\n\n") {
                status.push(b'\n');
            }
            status.extend(stanza(package).bytes());
            self.record_info(package)?;
            for (name, line) in interests(&package.control) {
                if !triggers.contains_key(&name) {
                    triggers.insert(name.clone(), self.read(&name)?);
                }
                triggers.entry(name).or_default().extend(line.bytes());
            }
        }
        // Not only of the new packages: files of the others may have been taken over.
        for package in packages {
            self.write(&format!("info/{}.list", info_name(&package.control)), &list(package))?;
        }
        for (name, lines) in triggers {
            self.write(&name, &lines)?;
        }
        self.write("status", &status)?;
        self.record_activations(first, &before)?;
        self.record_architectures(architecture)?;
        Ok(packages.len())
    }

    /// A package's control files as dpkg keeps them.
    fn record_info(&self, package: &Listed) -> Result<(), UnpackError> {
        let name = info_name(&package.control);
        for (kind, file) in package.control.files() {
            if kind != "control" {
                self.write_control_file(&format!("info/{name}.{kind}"), file)?;
            }
        }
        Ok(())
    }

    /// Lays a package's control files out for its `preinst`, as dpkg does:
    /// in `tmp.ci`, where debconf looks for the templates.
    ///
    /// # Errors
    /// [`UnpackError::Io`].
    pub fn lay_out_control(&self, control: &Control) -> Result<(), UnpackError> {
        self.remove_control()?;
        let directory = format!("{PLACE}/tmp.ci");
        self.inside.make_directories(&directory).map_err(self.at(&directory))?;
        for (name, file) in control.files() {
            self.write_control_file(&format!("tmp.ci/{name}"), file)?;
        }
        Ok(())
    }

    /// Removes what [`Self::lay_out_control`] has made.
    ///
    /// # Errors
    /// [`UnpackError::Io`].
    pub fn remove_control(&self) -> Result<(), UnpackError> {
        let directory = format!("{PLACE}/tmp.ci");
        self.inside.remove_directory(&directory).map_err(self.at(&directory))
    }

    /// The diversions that maintainer scripts have registered.
    ///
    /// # Errors
    /// [`UnpackError::Io`].
    pub fn diversions(&self) -> Result<super::Diversions, UnpackError> {
        Ok(super::Diversions::parse(&self.read("diversions")?))
    }

    /// Files that land where an earlier package waits for them activate its
    /// trigger. dpkg passes over packages that are not configured yet.
    fn record_activations(&self, first: usize, interested: &[u8]) -> Result<(), UnpackError> {
        let mut activated = BTreeSet::new();
        let paths = self.layout.packages[first..].iter().flat_map(|p| p.paths.iter().flatten());
        let interested: Vec<&[u8]> = interested
            .split(|&b| b == b'\n')
            .filter_map(|line| line.split(|&b| b == b' ').next()?.strip_prefix(b"/"))
            .collect();
        if interested.is_empty() {
            return Ok(());
        }
        for path in paths {
            for trigger in &interested {
                let rest = path.strip_prefix(*trigger);
                if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) {
                    activated.insert(*trigger);
                }
            }
        }
        let mut lines = self.read("triggers/Unincorp")?;
        for trigger in activated {
            lines.extend([b"/", trigger, b" -\n"].concat());
        }
        self.write("triggers/Unincorp", &lines)
    }

    /// dpkg lists architectures only where there is a foreign one.
    fn record_architectures(&self, native: &str) -> Result<(), UnpackError> {
        let controls = self.layout.packages.iter().map(|p| p.control.architecture());
        let foreign: BTreeSet<&str> = controls.filter(|a| *a != native && *a != "all").collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let lines: Vec<&str> = std::iter::once(native).chain(foreign).collect();
        self.write("arch", format!("{}\n", lines.join("\n")).as_bytes())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, UnpackError> {
        let path = format!("{PLACE}/{name}");
        Ok(self.inside.read(&path).map_err(self.at(&path))?.unwrap_or_default())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), UnpackError> {
        let path = format!("{PLACE}/{name}");
        self.inside.write(&path, bytes, 0o644).map_err(self.at(&path))?;
        Ok(())
    }

    fn write_control_file(&self, name: &str, file: &ControlFile) -> Result<(), UnpackError> {
        let path = format!("{PLACE}/{name}");
        let written = self.inside.write(&path, &file.bytes, file.mode & 0o777).map_err(self.at(&path))?;
        rustix::fs::futimens(&written, &timestamps(file.mtime)).map_err(|e| self.at(&path)(e.into()))
    }

    fn at(&self, path: &str) -> impl FnOnce(io::Error) -> UnpackError + use<> {
        UnpackError::at(self.root.join::<PathBuf>(path.into()))
    }
}

/// The name of a package in file names: with its architecture where packages of
/// several can be there side by side.
fn info_name(control: &Control) -> String {
    if control.field("Multi-Arch") == "same" {
        format!("{}:{}", control.package(), control.architecture())
    } else {
        control.package().to_owned()
    }
}

/// The package's paragraph of `status`, with the empty line after it.
fn stanza(package: &Listed) -> String {
    let mut text = String::new();
    for (name, value) in package.control.stanza().fields() {
        text += &format!("{name}: {value}\n");
        if name.eq_ignore_ascii_case("Package") {
            text += "Status: install ok unpacked\n";
        }
    }
    if !package.conffiles.is_empty() {
        text += "Conffiles:\n";
        for (path, flag) in &package.conffiles {
            text += &match flag {
                Some(flag) => format!(" {path} newconffile {flag}\n"),
                None => format!(" {path} newconffile\n"),
            };
        }
    }
    text + "\n"
}

/// The package's paths, one a line; the root is `/.`.
fn list(package: &Listed) -> Vec<u8> {
    let mut lines = Vec::new();
    for path in package.paths.iter().flatten() {
        lines.push(b'/');
        lines.extend(if path.is_empty() { &b"."[..] } else { path });
        lines.push(b'\n');
    }
    lines
}

/// The files and lines that say which triggers a package waits for.
fn interests(control: &Control) -> Vec<(String, String)> {
    let Some(file) = control.file("triggers") else { return Vec::new() };
    let name = info_name(control);
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(&file.bytes).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(directive), Some(trigger)) = (words.next(), words.next()) else { continue };
        let option = match directive {
            "interest" | "interest-await" => "",
            "interest-noawait" => "/noawait",
            _ => continue,
        };
        found.push(if trigger.starts_with('/') {
            ("triggers/File".to_owned(), format!("{trigger} {name}{option}\n"))
        } else {
            (format!("triggers/{}", trigger.replace('/', "_")), format!("{name}{option}\n"))
        });
    }
    found
}
