//! What keeps a system quiet while it is installed: no service starts, no
//! setting of the host's kernel changes, and no initrd is made, because ours is
//! cut out of the finished tree. Nothing can be mounted: `update-binfmts` would
//! register interpreters with the host's kernel.
//!
//! Programs are covered by a bind mount, so nothing of it is left in the tree;
//! `policy-rc.d`, which no package ships, is a file and removed at the end.
//! Everything else is answered by the programs themselves, which find that they
//! are in a chroot, see [`crate::sandbox`].

mod native;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bedplate_formats::tree::Tree;
use bedplate_formats::unpack::Inside;

use self::native::Native;
use crate::sandbox::Sandbox;

/// `invoke-rc.d` and `deb-systemd-invoke` ask it; 101 says that nothing may run:
/// <https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt>.
const POLICY: &str = "usr/sbin/policy-rc.d";

/// Programs that have to do nothing, and be glad about it.
const COVERED: [&str; 5] = [
    "/usr/sbin/start-stop-daemon",
    "/usr/sbin/update-initramfs",
    "/usr/bin/dracut",
    "/usr/bin/initctl",
    "/usr/lib/systemd/systemd-sysctl",
];

/// Where a script that stands in for a program finds the program.
pub(super) const PROGRAMS: &str = "/run/bedplate/programs";

/// A script that decides what reaches a program.
struct StandIn {
    /// Where the program is.
    path: &'static str,
    /// The names by which it is called, its own among them.
    names: &'static [&'static str],
    /// The script, which finds the program as `NAME` in [`PROGRAMS`].
    script: &'static str,
}

const STAND_INS: [StandIn; 5] = [
    StandIn {
        path: "/usr/bin/systemctl",
        names: &["systemctl", "halt", "poweroff", "reboot", "runlevel", "shutdown", "telinit"],
        script: include_str!("quiet/systemctl.sh"),
    },
    StandIn {
        path: "/usr/bin/kmod",
        names: &["kmod", "depmod", "insmod", "lsmod", "modinfo", "modprobe", "rmmod"],
        script: include_str!("quiet/kmod.sh"),
    },
    StandIn {
        path: "/usr/sbin/update-ca-certificates",
        names: &["update-ca-certificates"],
        script: include_str!("quiet/certificates.sh"),
    },
    StandIn {
        path: "/usr/bin/deb-systemd-helper",
        names: &["deb-systemd-helper"],
        script: include_str!("quiet/deb-systemd-helper.sh"),
    },
    StandIn { path: "/usr/sbin/sysctl", names: &["sysctl"], script: include_str!("quiet/sysctl.sh") },
];

/// The means to keep a system quiet.
pub(in crate::step) struct Quiet {
    sandbox: Sandbox,
    /// A directory of the host with a script that does nothing, the scripts of [`STAND_INS`], and `programs`.
    directory: PathBuf,
    /// What is not emulated, where the rest is.
    native: Option<Native>,
}

impl Quiet {
    /// Keeps what it needs in a directory of the host.
    pub fn new(directory: &Path, sandbox: Sandbox) -> Result<Self> {
        let directory = directory.join("quiet");
        fs_err::create_dir_all(directory.join("programs"))?;
        write_program(&directory.join("nothing"), b"#!/bin/sh\nexit 0\n")?;
        for StandIn { names, script, .. } in &STAND_INS {
            write_program(&directory.join(names[0]), script.as_bytes())?;
        }
        let native = match sandbox.native() {
            Some(native) => Native::new(native, directory.join("native"))?,
            None => None,
        };
        // The kernel packages' hooks ask for it.
        let sandbox = sandbox
            .without_mounts()
            .env("INITRD", "No")
            .bind_read_only(&directory.join("programs"), PROGRAMS);
        let sandbox = match &native {
            Some(native) => native.libraries(sandbox),
            None => sandbox,
        };
        Ok(Self { sandbox, directory, native })
    }

    /// A sandbox in which the programs that are there by now do nothing that
    /// reaches beyond the tree.
    pub fn sandbox(&self, inside: &Inside) -> Result<Sandbox> {
        inside.make_directories("usr/sbin").context("could not make `/usr/sbin`")?;
        let policy = inside.write(POLICY, b"#!/bin/sh\nexit 101\n", 0o755);
        policy.with_context(|| format!("could not write `/{POLICY}`"))?;
        let mut sandbox = self.sandbox.clone();
        for path in COVERED.iter().filter(|path| inside.exists(path)) {
            sandbox = sandbox.bind_read_only(&self.directory.join("nothing"), path);
        }
        for stand_in in STAND_INS.iter().filter(|stand_in| inside.exists(stand_in.path)) {
            self.move_aside(stand_in, inside)?;
            sandbox = sandbox.bind_read_only(&self.directory.join(stand_in.names[0]), stand_in.path);
        }
        match &self.native {
            Some(native) => native.show(sandbox, inside),
            None => Ok(sandbox),
        }
    }

    /// The same for a finished tree, in which the sandbox runs and `policy-rc.d` is.
    pub fn of_tree(&self, tree: &Tree) -> Result<Sandbox> {
        let mut sandbox = self.sandbox.clone();
        for path in COVERED.iter().filter(|path| tree.resolve(&path.into()).is_some()) {
            sandbox = sandbox.bind_read_only(&self.directory.join("nothing"), path);
        }
        for stand_in in &STAND_INS {
            let Some(program) = tree.content(&stand_in.path.into()) else { continue };
            self.set_aside(stand_in, || Ok(program.read()?))?;
            sandbox = sandbox.bind_read_only(&self.directory.join(stand_in.names[0]), stand_in.path);
        }
        // A script of the description may copy programs, and has those of the image.
        Ok(sandbox)
    }

    fn move_aside(&self, stand_in: &StandIn, inside: &Inside) -> Result<()> {
        self.set_aside(stand_in, || inside.read(stand_in.path)?.context("it is gone"))
    }

    /// Copies a program to where its script looks for it, once.
    fn set_aside(&self, stand_in: &StandIn, program: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
        let (own, others) = (self.directory.join("programs").join(stand_in.names[0]), &stand_in.names[1..]);
        if own.exists() {
            return Ok(());
        }
        let program = program().with_context(|| format!("could not read `{}`", stand_in.path))?;
        let native = self.native.as_ref().and_then(|native| native.script(&program));
        write_program(&own, &native.unwrap_or(program))?;
        // What `depmod` writes is the same on every processor.
        let depmod = self.native.as_ref().and_then(|native| native.program("kmod"));
        for name in others {
            let program = depmod.as_ref().filter(|_| *name == "depmod").unwrap_or(&own);
            fs_err::hard_link(program, own.with_file_name(name))?;
        }
        Ok(())
    }

    /// A directory of the host for what is shown beside.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Removes what stands in the tree, in a directory of the host.
    ///
    /// # Errors
    /// A script has made a copy of what stood in for a program.
    pub fn clean(&self, inside: &Inside, directory: &Path) -> Result<()> {
        inside.remove(POLICY).with_context(|| format!("could not remove `/{POLICY}`"))?;
        if self.native.is_some() {
            native::check(&Tree::scan(directory)?)?;
        }
        Ok(())
    }
}

fn write_program(path: &Path, bytes: &[u8]) -> Result<()> {
    fs_err::write(path, bytes)?;
    Ok(fs_err::set_permissions(path, Permissions::from_mode(0o755))?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    /// A script whose paths are below a directory.
    fn below(root: &Path, script: &str) -> String {
        let script = ["/etc/", "/usr/", "/run/", "/var/"]
            .iter()
            .fold(script.to_owned(), |script, top| script.replace(top, &format!("BELOW{top}")));
        // Last, because the directory may be below `/run` itself.
        script.replace("BELOW", root.to_str().unwrap())
    }

    #[test]
    fn certificates_are_collected_again_when_there_is_something_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let path = |name: &str| root.join(name);
        let certificates = path("usr/share/ca-certificates");
        let hooks = path("etc/ca-certificates/update.d");
        let others = ["etc/ssl/certs", "usr/local/share/ca-certificates", "run/bedplate/programs"].map(path);
        for directory in others.iter().chain([&certificates, &hooks]) {
            std::fs::create_dir_all(directory).unwrap();
        }
        std::fs::write(path("etc/ca-certificates.conf"), "").unwrap();
        let counts = format!("#!/bin/sh\necho >>{}/counted\n", root.display());
        write_program(&path("run/bedplate/programs/update-ca-certificates"), counts.as_bytes()).unwrap();
        let script = below(root, include_str!("quiet/certificates.sh"));
        // Times of files have some milliseconds.
        let run = |arguments: &[&str]| {
            sleep(Duration::from_millis(20));
            assert!(
                Command::new("sh").args(["-c", &script, "sh"]).args(arguments).status().unwrap().success()
            );
            sleep(Duration::from_millis(20));
            std::fs::read_to_string(path("counted")).unwrap().lines().count()
        };
        assert_eq!(run(&["--hooksdir", ""]), 1);
        assert_eq!(run(&[]), 1, "nothing came since");
        assert_eq!(run(&["--fresh"]), 2, "it is asked to do all anew");
        std::fs::write(certificates.join("ours.crt"), "certificate").unwrap();
        assert_eq!((run(&[]), run(&[])), (3, 3));
        std::fs::remove_file(certificates.join("ours.crt")).unwrap();
        assert_eq!((run(&[]), run(&[])), (4, 4));
        write_program(&hooks.join("ours"), b"#!/bin/sh\n").unwrap();
        assert_eq!((run(&[]), run(&[])), (5, 6), "a hook runs each time");
    }

    #[test]
    fn depmod_is_left_to_what_was_begun_unless_somebody_needs_it_now() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let programs = root.join("run/bedplate/programs");
        std::fs::create_dir_all(&programs).unwrap();
        for name in ["depmod", "modprobe", "modinfo", "lsmod"] {
            let program = format!("#!/bin/sh\necho {name} \"$@\" >>{}/ran\n", root.display());
            write_program(&programs.join(name), program.as_bytes()).unwrap();
        }
        let script = root.join("kmod.sh");
        write_program(&script, below(root, include_str!("quiet/kmod.sh")).as_bytes()).unwrap();
        let modules = root.join("usr/lib/modules/6.12");
        std::fs::create_dir_all(modules.join("kernel")).unwrap();
        let begun = modules.join("bedplate-depmod.begun");
        // What ran, and whether what was begun still counts.
        let run = |words: &str| {
            sleep(Duration::from_millis(20));
            let _ = std::fs::remove_file(root.join("ran"));
            let (name, arguments) = words.split_once(' ').unwrap_or((words, ""));
            let (link, words) = (root.join(name), arguments.split_whitespace());
            let _ = std::os::unix::fs::symlink(&script, &link);
            assert!(Command::new(&link).args(words).status().unwrap().success());
            let ran = std::fs::read_to_string(root.join("ran")).unwrap_or_default();
            (ran.lines().collect::<Vec<_>>().join(", "), begun.exists())
        };
        let begin = || {
            let _ = std::fs::remove_file(&begun);
            sleep(Duration::from_millis(20));
            std::fs::write(&begun, "").unwrap();
            sleep(Duration::from_millis(20));
        };
        begin();
        for (words, ran) in [
            ("depmod 6.12", ""),
            ("depmod 6.1", "depmod 6.1"),
            ("depmod -a 6.1", "depmod -a 6.1"),
            ("depmod", "depmod"),
            ("modprobe nbd", ""),
            ("lsmod", "lsmod"),
        ] {
            assert_eq!(run(words), (ran.to_owned(), true), "{words}");
        }
        for (words, ran) in [
            ("depmod -a 6.12 -F /boot/System.map-6.12", "depmod -a 6.12 -F /boot/System.map-6.12"),
            ("modprobe -n nbd", "depmod 6.12, modprobe -n nbd"),
            ("modinfo nbd", "depmod 6.12, modinfo nbd"),
        ] {
            begin();
            assert_eq!(run(words), (ran.to_owned(), false), "{words}");
            assert_eq!(run("depmod 6.12"), ("depmod 6.12".to_owned(), false), "after {words}");
        }
        begin();
        std::fs::write(modules.join("kernel/new.ko.xz"), "").unwrap();
        assert_eq!(run("depmod 6.12"), ("depmod 6.12".to_owned(), false), "a module came since");
    }

    #[test]
    fn the_helper_for_units_is_asked_where_it_would_do_something() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let asked = root.join("run/bedplate/programs/deb-systemd-helper");
        write("run/bedplate/programs/deb-systemd-helper", "");
        let script = format!("#!/bin/sh\necho \"$*\" >>{}/asked\nexit 7\n", root.display());
        write_program(&asked, script.as_bytes()).unwrap();
        let script = below(root, include_str!("quiet/deb-systemd-helper.sh"));
        let said = |words: &str| {
            let _ = std::fs::remove_file(root.join("asked"));
            let mut shell = Command::new("sh");
            shell.args(["-c", &script, "sh"]).args(words.split(' '));
            let status = shell.env("DPKG_MAINTSCRIPT_PACKAGE", "ours").status().unwrap().code();
            match std::fs::read_to_string(root.join("asked")) {
                Ok(asked) => assert_eq!((asked.trim_end(), status), (words, Some(7))),
                Err(_) => return status,
            }
            None
        };
        let first = ["unmask ours.service", "--user unmask ours.service", "--quiet was-enabled ours.service"];
        for words in first {
            assert_eq!(said(words), Some(0), "{words}");
        }
        for words in [
            "enable ours.service",
            "enable our-unmask-er.service",
            "--quiet enable our-was-enabled-yes.service",
            "was-enabled ours.service",
            "--quiet was-enabled ours.service other.service",
            "--quiet is-enabled ours.service",
            "--quiet debian-installed ours.service",
            "unmask",
            "unmask /etc/ours.service",
            "--help",
            "unmask --verbose ours.service",
        ] {
            assert_eq!(said(words), None, "{words}");
        }
        write("var/lib/systemd/deb-systemd-helper-enabled/ours.service.dsh-also", "/etc/systemd/system/a\n");
        assert_eq!(said("--quiet was-enabled ours.service"), None);
        assert_eq!(said("--quiet --user was-enabled ours.service"), Some(0));
        write("etc/systemd/user/ours.service", "");
        assert_eq!(said("unmask ours.service"), Some(0));
        assert_eq!(said("--user unmask ours.service"), None);
        write("var/lib/systemd/deb-systemd-helper-masked/other.service", "");
        assert_eq!(said("unmask ours.service"), None);
    }
}
