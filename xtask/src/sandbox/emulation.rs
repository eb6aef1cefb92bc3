//! Programs of another architecture: an emulator that the kernel starts for them, as `binfmt_misc` says.
//!
//! Since Linux 6.7 every user namespace may have a `binfmt_misc` of its own. A sandbox with an emulator is in one more
//! user namespace, for root as for an ordinary user, and registers the emulator there: nothing of it is seen outside,
//! and it is gone with the sandbox. With an older kernel the host's own registration does, where there is one.
//! <https://docs.kernel.org/admin-guide/binfmt-misc.html>

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use bedplate_core::Architecture;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, fsconfig_create, fsmount, fsopen,
    mount_change,
};
use rustix::process::fchdir;
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::PROBE;
use crate::error::LocatedError;
use crate::syscall;

/// Where the host's registrations are.
const HOST: &str = "/proc/sys/fs/binfmt_misc";
/// Which processor QEMU plays. The newest one that it knows signs each return address, which costs a third of the time,
/// and has vectors that it computes one by one.
const PROCESSORS: [(Architecture, &str); 2] =
    [(Architecture::Aarch64, "neoverse-n1"), (Architecture::X86_64, "max")];

/// How this machine runs programs of another architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emulation {
    /// With an emulator that each sandbox registers for itself.
    Own,
    /// With the one that the host's kernel was told of.
    Host,
}

/// What runs the programs of another architecture in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// Of the programs, as `uname -m` says it.
    machine: String,
    /// The statically linked emulator; none for the host's.
    pub(super) program: Option<PathBuf>,
    /// The processor it plays.
    processor: String,
    /// The first bytes of the programs' files.
    header: Vec<u8>,
    /// What this machine runs in place of some.
    pub(super) native: Option<Native>,
}

/// Programs of this machine's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// A tree of programs and their libraries.
    pub tree: PathBuf,
    /// The packages in it that are of the source which the image's are of: their programs do the same.
    pub packages: Vec<String>,
}

impl Native {
    /// Whether a package's programs do the same as the image's.
    #[must_use]
    pub fn has(&self, package: &str) -> bool {
        self.packages.iter().any(|name| name == package)
    }
}

impl Emulation {
    /// Finds out how programs of an architecture that is not this machine's can be run here.
    ///
    /// # Errors
    /// They cannot, with what to do about it.
    pub fn find(architecture: Architecture) -> Result<Self, LocatedError> {
        let Err(why) = probe() else { return Ok(Self::Own) };
        let entries = entries(Path::new(HOST));
        let facts = Facts { architecture, why: &why, entries: &entries };
        facts.host().map(|()| Self::Host)
    }

    /// The emulator of an architecture's programs, of which `program` is the one that can be registered.
    #[must_use]
    pub fn emulator(self, architecture: Architecture, program: &Path) -> Emulator {
        let processor = PROCESSORS.iter().find(|(known, _)| *known == architecture);
        Emulator {
            machine: architecture.machine().to_owned(),
            program: (self == Self::Own).then(|| program.to_owned()),
            processor: processor.map_or("max", |(_, name)| name).to_owned(),
            header: header(architecture).to_vec(),
            native: None,
        }
    }
}

impl fmt::Display for Emulation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Own => "an emulator of the lock's",
            Self::Host => "the emulator that the host's kernel knows",
        })
    }
}

impl Emulator {
    /// The same with programs of this machine's own.
    #[must_use]
    pub fn native(self, native: Native) -> Self {
        Self { native: Some(native), ..self }
    }

    /// What tells QEMU which processor to play.
    pub(super) fn environment(&self) -> (&'static str, &str) {
        ("QEMU_CPU", &self.processor)
    }

    /// Mounts a `binfmt_misc` and tells it of the emulator, which is opened at once: no file of it is looked for in the
    /// root of the sandbox. It is registered as long as the mount lives.
    pub(super) fn register(&self) -> Result<Option<OwnedFd>> {
        let Some(program) = &self.program else { return Ok(None) };
        let (directory, name) = (program.parent(), program.file_name());
        let (Some(directory), Some(name)) = (directory, name.and_then(|name| name.to_str())) else {
            anyhow::bail!("the emulator `{}` has no name", program.display());
        };
        let mount = mount()?;
        let register = openat(&mount, "register", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .context("could not open the register of `binfmt_misc`")?;
        // By its name alone: a path might be too long for the kernel, or have a colon.
        let here = open(".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        std::env::set_current_dir(directory)
            .with_context(|| format!("could not enter `{}`", directory.display()))?;
        File::from(register)
            .write_all(self.registration(name).as_bytes())
            .with_context(|| format!("could not register the emulator `{}`", program.display()))?;
        fchdir(here)?;
        Ok(Some(mount))
    }

    /// `:NAME:M:OFFSET:MAGIC:MASK:INTERPRETER:FLAGS`
    fn registration(&self, program: &str) -> String {
        let hexadecimal =
            |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let mut mask = [0xff; 20];
        // Any system's ABI, and both kinds of executables: 2 and 3.
        (mask[7], mask[16]) = (0, 0xfe);
        // F opens the emulator now, C has set-user-ID programs keep their rights, P hands over their own first argument.
        let (magic, mask) = (hexadecimal(&self.header), hexadecimal(&mask));
        format!(":{}:M::{magic}:{mask}:{program}:POCF", self.machine)
    }
}

/// The start of an architecture's ELF programs: 64 bits, little-endian, version 1; an executable; the machine.
fn header(architecture: Architecture) -> [u8; 20] {
    let mut header = [0; 20];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16] = 2;
    header[18] = match architecture {
        Architecture::X86_64 => 62,
        Architecture::Aarch64 => 183,
    };
    header
}

/// A mount of this user namespace's `binfmt_misc`.
fn mount() -> Result<OwnedFd> {
    let mount = || -> io::Result<OwnedFd> {
        let context = fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC)?)
    };
    mount().context("could not mount `binfmt_misc` in a user namespace")
}

/// Whether a sandbox can register an emulator: another process tries, as this one stays where it is.
fn probe() -> Result<(), String> {
    let output = Command::new(super::program()).arg(PROBE).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// What [`probe`] starts.
pub(super) fn main() -> ExitCode {
    let tried = crate::host::enter().and_then(|_| {
        crate::host::nest()?;
        syscall::unshare(UnshareFlags::NEWNS).context("could not leave the host's mounts")?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        mount()
    });
    match tried {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            super::enter::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The texts of the host's registrations, by name.
fn entries(directory: &Path) -> Vec<(String, String)> {
    let Ok(files) = fs::read_dir(directory) else { return Vec::new() };
    let name = |file: io::Result<fs::DirEntry>| file.ok()?.file_name().into_string().ok();
    let names = files.filter_map(name).filter(|name| !["register", "status"].contains(&name.as_str()));
    names.filter_map(|name| Some((name.clone(), fs::read_to_string(directory.join(name)).ok()?))).collect()
}

/// What is known of a host on which a sandbox cannot register an emulator.
struct Facts<'a> {
    /// Of the programs.
    architecture: Architecture,
    /// Why a sandbox cannot.
    why: &'a str,
    /// The host's registrations.
    entries: &'a [(String, String)],
}

impl Facts<'_> {
    /// Whether the host's own registration does.
    fn host(&self) -> Result<(), LocatedError> {
        let Self { architecture, why, entries } = self;
        let header = header(*architecture);
        let mut fitting = entries.iter().filter_map(|(name, text)| Some((name, Entry::parse(text)?)));
        let found = fitting.find(|(_, entry)| entry.enabled && entry.fits(&header));
        let obstacle = match found {
            Some((_, entry)) if entry.fixed => return Ok(()),
            Some((name, _)) => format!(
                "the host's emulator `{name}` is looked for in each root anew, as its registration has no flag `F`"
            ),
            None => format!("the host's kernel knows no emulator of {architecture}"),
        };
        Err(LocatedError::without_line(
            format!(
                "programs of {architecture} cannot be run on this machine, and packages bring scripts that run \
                 them: {why}; {obstacle}"
            ),
            format!(
                "use Linux 6.7 or newer with `binfmt_misc`, where the build emulates for itself; or register an \
                 emulator for the whole host, `sudo apt-get install {}`; or build on {architecture}",
                "qemu-user-static binfmt-support"
            ),
        ))
    }
}

/// A registration, as its file has it.
struct Entry {
    enabled: bool,
    /// The emulator was opened when it was registered.
    fixed: bool,
    offset: usize,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let magic = bytes(field("magic ")?)?;
        let mask = match field("mask ") {
            Some(mask) => bytes(mask)?,
            None => vec![0xff; magic.len()],
        };
        Some(Self {
            enabled: text.lines().next() == Some("enabled"),
            fixed: field("flags:").is_some_and(|flags| flags.contains('F')),
            offset: field("offset ")?.parse().ok()?,
            magic,
            mask,
        })
    }

    /// Whether a file that starts so is run by it.
    fn fits(&self, header: &[u8]) -> bool {
        let Some(there) = header.get(self.offset..self.offset + self.magic.len()) else { return false };
        let bytes = there.iter().zip(&self.magic).zip(&self.mask);
        !self.magic.is_empty() && bytes.fold(true, |fits, ((a, b), mask)| fits && (a ^ b) & mask == 0)
    }
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    /// As Debian's `qemu-user-static` has it.
    const DEBIANS: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    fn host(text: &str) -> Result<(), String> {
        let entries = [("python".to_owned(), "enabled\nflags: \noffset 0\nmagic cb0d0d0a\n".to_owned())];
        let entries: Vec<_> =
            entries.into_iter().chain([("qemu-aarch64".to_owned(), text.to_owned())]).collect();
        let why = "could not mount `binfmt_misc` in a user namespace: Operation not permitted (os error 1)";
        let facts = Facts { architecture: Architecture::Aarch64, why, entries: &entries };
        facts.host().map_err(|error| format!("{}\nhelp: {}\n", error.message, error.help))
    }

    #[test]
    fn an_emulator_is_registered_for_both_kinds_of_executables() {
        let emulator = Emulation::Own.emulator(Architecture::Aarch64, Path::new("/store/qemu-aarch64"));
        expect![[r":aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:qemu-aarch64:POCF"]]
        .assert_eq(&emulator.registration("qemu-aarch64"));
        let own = Entry::parse(DEBIANS).unwrap();
        for kind in [2, 3] {
            let mut program = header(Architecture::Aarch64);
            (program[16], program[7]) = (kind, 3);
            assert!(own.fits(&program));
        }
        assert!(!own.fits(&header(Architecture::X86_64)) && !own.fits(b"\x7fELF"));
    }

    #[test]
    fn the_hosts_emulator_does_when_it_needs_no_file_of_the_root() {
        assert_eq!(host(DEBIANS), Ok(()));
        let disabled = host(&DEBIANS.replace("enabled", "disabled")).unwrap_err();
        assert!(disabled.contains("the host's kernel knows no emulator of arm64"), "{disabled}");
        expect![[r#"
            programs of arm64 cannot be run on this machine, and packages bring scripts that run them: could not mount `binfmt_misc` in a user namespace: Operation not permitted (os error 1); the host's emulator `qemu-aarch64` is looked for in each root anew, as its registration has no flag `F`
            help: use Linux 6.7 or newer with `binfmt_misc`, where the build emulates for itself; or register an emulator for the whole host, `sudo apt-get install qemu-user-static binfmt-support`; or build on arm64
        "#]].assert_eq(&host(&DEBIANS.replace("POCF", "PO")).unwrap_err());
    }
}
