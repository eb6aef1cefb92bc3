//! `depmod` for the image's kernels, beside the packages' configuration: that keeps one core busy, and reading every
//! module another one for seconds.
//!
//! A kernel's `postinst` calls it, too, and finds there what was made (`quiet/kmod.sh`), unless a module came since.
//! Settings that another package's script writes before that, and not its files, are not seen.

use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};
use bedplate_formats::unpack::Inside;
use rustix::fs::Dir;

use super::quiet::{PROGRAMS, Quiet};
use crate::host::{self, Way};
use crate::sandbox::Sandbox;

/// Where its settings are meanwhile.
const SETTINGS: &str = "/run/bedplate/depmod.d";

/// Runs `depmod` for the kernels of these releases beside `configure`, where a kernel's package is configured.
///
/// # Errors
/// Those of `configure`, or the tree cannot be written to.
pub(super) fn beside<'a>(
    quiet: &Quiet,
    inside: &'a Inside,
    releases: impl Iterator<Item = &'a str>,
    configure: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // Under `chroot`, a root has room for one sandbox at a time.
    if host::entered() == Some(Way::Chroot) {
        return configure();
    }
    let ahead = releases.map(|release| Ahead::begin(inside, release)).collect::<Result<Vec<_>>>()?;
    let (sandbox, settings) = (quiet.sandbox(inside)?, quiet.directory("depmod.d"));
    write_settings(inside, &settings)?;
    let sandbox = sandbox.bind_read_only(&settings, SETTINGS);
    let configured = thread::scope(|scope| {
        scope.spawn(|| ahead.iter().flatten().for_each(|ahead| ahead.make(&sandbox)));
        configure()
    });
    ahead.iter().flatten().try_for_each(Ahead::end)?;
    configured
}

/// What is made ahead for one kernel.
struct Ahead<'a> {
    inside: &'a Inside,
    release: &'a str,
}

impl<'a> Ahead<'a> {
    /// From here on, who wants `depmod` for that kernel waits for it. None where there is nothing to be made.
    fn begin(inside: &'a Inside, release: &'a str) -> Result<Option<Self>> {
        let ahead = Self { inside, release };
        let is_kernel = inside.exists(format!("usr/lib/modules/{release}/modules.builtin"));
        if !is_kernel || !inside.exists("usr/bin/kmod") {
            return Ok(None);
        }
        inside.write(ahead.file("begun"), b"", 0o644).context("could not begin with `depmod`")?;
        Ok(Some(ahead))
    }

    /// Makes it. Where that fails, it is made by who wants it, and fails there: nobody waits any more.
    fn make(&self, sandbox: &Sandbox) {
        let program = format!("{PROGRAMS}/depmod");
        let command = sandbox.command([&program, "-C", SETTINGS, self.release]).stdin_null();
        let made = command.stderr_to_stdout().stdout_capture().unchecked().run();
        let kept = made.is_ok_and(|made| {
            let keep = |name, text: &[u8]| self.inside.write(self.file(name), text, 0o644);
            made.status.success() && keep("said", &made.stdout).and_then(|_| keep("done", b"")).is_ok()
        });
        if !kept {
            // It was made, so that it can be removed, on a full disk too.
            let _ = self.inside.remove(self.file("begun"));
        }
    }

    /// Removes what was left for the scripts.
    fn end(&self) -> Result<()> {
        let files = ["begun", "said", "done"];
        Ok(files.iter().try_for_each(|name| self.inside.remove(self.file(name)))?)
    }

    fn file(&self, name: &str) -> String {
        format!("usr/lib/modules/{}/bedplate-depmod.{name}", self.release)
    }
}

/// Writes the settings that `depmod` has once the packages are configured.
fn write_settings(inside: &Inside, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
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
                fs_err::write(to.join(later), text)?;
            }
        }
    }
    Ok(())
}
