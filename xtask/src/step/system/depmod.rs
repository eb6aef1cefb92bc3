//! `depmod` for the image's kernels, beside everything that is configured after them: that keeps one core busy, and
//! reading every module another one for seconds.
//!
//! A kernel's `postinst` calls it, too, and is told that all is well (`quiet/kmod.sh`); what was made is put in place
//! when everything is configured. Whoever reads it before has it made then and there, as after a module that came since.
//! Settings that another package's script writes before that, and not its files, are not seen.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, ensure};
use bedplate_formats::modules::is_module;
use bedplate_formats::tree::Tree;
use bedplate_formats::unpack::Inside;
use fs_err as fs;
use rustix::fs::Dir;

use super::{System, dkms};
use crate::host::{self, Way};
use crate::key::Key;
use crate::sandbox::{self, Sandbox};
use crate::store::Store;

/// The kind of these cache entries.
const KIND: &str = "depmod";
/// What `depmod` printed, in one.
const SAID: &str = "said";
/// Where its settings are meanwhile, and where it writes to.
const SETTINGS: &str = "/run/bedplate/depmod.d";
const OUT: &str = "/run/bedplate/depmod";

/// What is made for one kernel.
pub(super) struct Ahead {
    release: String,
    /// The key of what is made.
    key: String,
    /// Where it is made: a directory of the host.
    made: PathBuf,
    /// Who makes it, where nobody has yet: whether it was.
    thread: Option<JoinHandle<bool>>,
}

impl System<'_> {
    /// Begins for a kernel that the stage of a key has just put in place.
    pub(super) fn begin_depmod(&mut self, release: &str, key: &str) -> Result<()> {
        let builtin = format!("usr/lib/modules/{release}/modules.builtin");
        if is_alone() || !self.inside.exists(builtin) || !self.inside.exists("usr/bin/kmod") {
            return Ok(());
        }
        let modules = modules(&self.inside, release)?;
        self.inside.write(begun(release), &modules, 0o644).context("could not begin with `depmod`")?;
        // DKMS takes a kernel without it for one that was removed.
        let list = format!("usr/lib/modules/{release}/modules.dep");
        if !self.inside.exists(&list) {
            self.inside.write(&list, b"", 0o644)?;
        }
        self.go_on_with_depmod(release, key)
    }

    /// Has it made beside, where it was begun for a kernel of the stage of a key, or takes what was made then.
    pub(super) fn go_on_with_depmod(&mut self, release: &str, key: &str) -> Result<()> {
        let begun = begun(release);
        let Some(modules) = self.inside.read(&begun)?.filter(|_| !is_alone()) else { return Ok(()) };
        // Later than every module there is.
        self.inside.remove(&begun)?;
        self.inside.write(&begun, &modules, 0o644)?;
        let key = key_of(release, key);
        let known = self.store.map(|store| store.layer(KIND, &key)).filter(|layer| layer.is_dir());
        let (made, thread) = match known {
            Some(layer) => (layer, None),
            None => {
                let made = self.quiet.directory(&format!("depmod-{release}"));
                let thread = self.make(release, &made)?;
                (made, Some(thread))
            }
        };
        self.ahead.push(Ahead { release: release.to_owned(), key, made, thread });
        Ok(())
    }

    /// Has it made beside.
    fn make(&self, release: &str, made: &Path) -> Result<JoinHandle<bool>> {
        let settings = self.quiet.directory(&format!("depmod.d-{release}"));
        write_settings(&self.inside, &settings)?;
        fs::create_dir_all(made)?;
        let sandbox = self.sandbox()?.bind_read_only(&settings, SETTINGS).bind(made, OUT);
        let (made, release) = (made.to_owned(), release.to_owned());
        Ok(thread::spawn(move || run(&sandbox, &release, &made)))
    }

    /// Puts in place what was begun, and makes what could not be made beside.
    pub(super) fn finish_depmod(&mut self) -> Result<()> {
        let mut made = Vec::new();
        for mut ahead in std::mem::take(&mut self.ahead) {
            if ahead.thread.take().is_none_or(|thread| thread.join().unwrap_or_default()) {
                made.push(ahead);
            }
        }
        for release in self.explainer.controls.iter().filter_map(dkms::kernel_release) {
            let begun = begun(release);
            // Who had to have it at once made it.
            let Some(known) = self.inside.read(&begun)? else { continue };
            self.inside.remove(&begun)?;
            // A later stage may bring modules, and no script that tells `depmod` of them.
            let is_all = modules(&self.inside, release)? == known;
            if let Some(ahead) = made.iter().find(|ahead| is_all && ahead.release == release) {
                ahead.put_in_place(self)?;
                continue;
            }
            let argv = ["depmod", release].map(str::to_owned);
            let output = self.run(&argv)?;
            ensure!(output.status.success(), sandbox::failed(&argv, output.status, &output.stdout));
        }
        Ok(())
    }
}

impl Ahead {
    fn put_in_place(&self, system: &System<'_>) -> Result<()> {
        let made = match system.store {
            Some(store) => self.keep(store)?,
            None => self.made.clone(),
        };
        system.log.add(&fs::read(made.join(SAID))?);
        for file in fs::read_dir(made.join(&self.release))? {
            let file = file?;
            let (name, bytes) = (file.file_name(), fs::read(file.path())?);
            let mode = file.metadata()?.permissions().mode() & 0o777;
            system.inside.write(
                format!("usr/lib/modules/{}/{}", self.release, name.display()),
                &bytes,
                mode,
            )?;
        }
        Ok(())
    }

    /// Keeps it for whoever goes on from the stage of the kernel, on this machine.
    fn keep(&self, store: &Store) -> Result<PathBuf> {
        store.alone().layer_or_make(KIND, &self.key, |layer| {
            fs::rename(self.made.join(&self.release), layer.join(&self.release))?;
            Ok(fs::rename(self.made.join(SAID), layer.join(SAID))?)
        })
    }
}

impl Drop for Ahead {
    /// Its root is about to be removed.
    fn drop(&mut self) {
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The key of what is made for a kernel that came with the stage of a key.
fn key_of(release: &str, stage: &str) -> String {
    let mut key = Key::new(KIND);
    key.add(release);
    key.add(stage);
    key.finish()
}

/// Runs `depmod`, and returns whether all is in `made`.
fn run(sandbox: &Sandbox, release: &str, made: &Path) -> bool {
    let program = format!("{}/depmod", super::quiet::PROGRAMS);
    let command = sandbox.command([&program, "-C", SETTINGS, "-o", OUT, release]).stdin_null();
    let output = command.stderr_to_stdout().stdout_capture().unchecked().run();
    output.is_ok_and(|output| {
        output.status.success()
            && fs::rename(made.join("lib/modules").join(release), made.join(release)).is_ok()
            && fs::write(made.join(SAID), &output.stdout).is_ok()
    })
}

/// Whether nothing can be made beside: under `chroot`, a root has room for one sandbox at a time.
fn is_alone() -> bool {
    host::entered() == Some(Way::Chroot)
}

/// The modules that a kernel has, a line each.
fn modules(inside: &Inside, release: &str) -> Result<Vec<u8>> {
    let directory = inside.open_directory(format!("usr/lib/modules/{release}"))?;
    let tree = Tree::scan(&PathBuf::from(format!("/proc/self/fd/{}/.", directory.as_raw_fd())))?;
    let paths = tree.iter().map(|(path, _)| path).filter(|path| path.name().is_some_and(is_module));
    Ok(paths.flat_map(|path| [path.to_bytes(), b"\n".to_vec()].concat()).collect())
}

/// The file that says that it was begun, and with which modules. A script that does without removes it.
fn begun(release: &str) -> String {
    format!("usr/lib/modules/{release}/bedplate-depmod.begun")
}

/// Writes the settings that `depmod` has once the packages are configured.
fn write_settings(inside: &Inside, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    // What comes later has the first word, and what is in use before what its package brings.
    for directory in ["usr/lib/depmod.d", "usr/local/lib/depmod.d", "etc/depmod.d"] {
        let Ok(opened) = inside.open_directory(directory) else { continue };
        for entry in Dir::new(opened)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // So it is called until its package is configured.
            let later = name.strip_suffix(".dpkg-new").unwrap_or(&name);
            if !later.ends_with(".conf") || name != later && inside.exists(format!("{directory}/{later}")) {
                continue;
            }
            if let Some(text) = inside.read(format!("{directory}/{name}"))? {
                fs::write(to.join(later), text)?;
            }
        }
    }
    Ok(())
}
