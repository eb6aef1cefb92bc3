//! Kernel modules that DKMS builds: for the image's kernel, or the build fails.
//!
//! The packages' own scripts look for the kernel that runs, which is the
//! builder's, and where they leave a module out they exit with 0. What is not
//! installed for the image's kernel afterwards is asked for by name.
//!
//! Modules are not signed: a key of the build would be a secret in every image.

use anyhow::{Context as _, Result};
use bedplate_formats::deb::Control;
use bedplate_formats::unpack::Inside;

use super::System;
use super::failure::last_lines;

/// Tells DKMS to sign with a program that does nothing; one that is not there is replaced by the kernel's own.
const CONFIGURATION: &str = "etc/dkms/framework.conf.d/00-bedplate.conf";
/// Removes what holds times, and what nothing reads again.
const CLEAN: &str =
    "rm -rf /var/lib/dkms/mok.key /var/lib/dkms/mok.pub /var/lib/dkms/*/*/build /var/lib/dkms/*/*/*/*/log";

/// Keeps DKMS from signing: its key would be another one in every build.
pub(super) fn prepare(inside: &Inside) -> Result<()> {
    if inside.exists("etc/dkms") {
        inside.make_directories("etc/dkms/framework.conf.d")?;
        inside.write(CONFIGURATION, b"sign_file=\"/usr/bin/true\"\n", 0o644)?;
    }
    Ok(())
}

/// Builds what the scripts left out, and removes what the image does not need.
///
/// # Errors
/// A module that cannot be built, at the line that brought its package.
pub(super) fn finish(system: &System<'_>) -> Result<()> {
    if !system.inside.exists("usr/sbin/dkms") {
        return Ok(());
    }
    if let Some(release) = system.explainer.controls.iter().find_map(kernel_release) {
        let status = system.run(&["dkms", "status"].map(str::to_owned))?;
        for module in missing(&String::from_utf8_lossy(&status.stdout), release) {
            install(system, &module, release)?;
        }
    }
    system.run(&["sh", "-c", CLEAN].map(str::to_owned))?;
    system.inside.remove(CONFIGURATION).context("could not remove the configuration of DKMS")
}

/// `6.12.57+deb13-amd64`, of a kernel.
pub(super) fn kernel_release(control: &Control) -> Option<&str> {
    let release = control.package().strip_prefix("linux-image-")?;
    let release = release.strip_prefix("unsigned-").unwrap_or(release);
    let is_kernel = release.starts_with(|c: char| c.is_ascii_digit()) && !release.ends_with("-dbg");
    is_kernel.then_some(release)
}

/// Modules, as `NAME/VERSION`, that `dkms status` does not list as installed for a kernel.
fn missing(status: &str, release: &str) -> Vec<String> {
    let lines = || status.lines().filter_map(|line| line.split_once(": "));
    let name = |module: &str| module.split(',').next().unwrap_or(module).trim().to_owned();
    let is_installed = |(module, state): &(&str, &str)| {
        state.starts_with("installed") && module.split(',').any(|part| part.trim() == release)
    };
    let installed: Vec<String> = lines().filter(is_installed).map(|(module, _)| name(module)).collect();
    let mut missing: Vec<String> = lines().map(|(module, _)| name(module)).collect();
    missing.retain(|module| module.contains('/') && !installed.contains(module));
    missing.sort();
    missing.dedup();
    missing
}

fn install(system: &System<'_>, module: &str, release: &str) -> Result<()> {
    let argv = ["dkms", "install", module, "-k", release].map(str::to_owned);
    let output = system.run(&argv)?;
    if output.status.success() {
        return Ok(());
    }
    let package = owner(system, module)?;
    let headline = format!(
        "the package `{package}` has no kernel module: `{module}` could not be built for the kernel `{release}`"
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    let compiler = compiler(&system.inside, &printed);
    Err(system.explainer.package(&package, &headline, &format!("{}{compiler}", last_lines(printed.lines()))))
}

/// The end of the `make.log` that DKMS points to: its own output has nothing of what the compiler said. Empty where
/// there is none.
pub(super) fn compiler(inside: &Inside, printed: &str) -> String {
    let named = |word: &&str| word.starts_with("/var/lib/dkms/") && word.ends_with("/make.log");
    let mut words = printed.split(|c: char| c.is_whitespace() || "`'\"(),:".contains(c));
    let Some(path) = words.rfind(named) else { return String::new() };
    let log = inside.read(path.trim_start_matches('/')).ok().flatten().unwrap_or_default();
    match String::from_utf8_lossy(&log) {
        log if log.trim().is_empty() => String::new(),
        log => format!("\nthe end of `{path}`{}", last_lines(log.lines())),
    }
}

/// The package that the module's source belongs to.
fn owner(system: &System<'_>, module: &str) -> Result<String> {
    let source = format!("/usr/src/{}", module.replace('/', "-"));
    let found = system.run(&["dpkg-query", "-S", &source].map(str::to_owned))?;
    let found = String::from_utf8_lossy(&found.stdout);
    Ok(found.split([':', ',']).next().unwrap_or("dkms").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "agent/1: added\nv4l2loopback/0.15.0, 6.12.57+deb13-amd64, x86_64: installed\n\
        other/2, 6.12.57+deb13-amd64, x86_64: built\nother/2, 5.10.0-1-amd64, x86_64: installed\n";

    #[test]
    fn what_the_compiler_said_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let inside = Inside::new(directory.path()).unwrap();
        inside.make_directories("var/lib/dkms/agent/1/build").unwrap();
        let text = "make -C /usr/src\nagent.c:3:1: error: unknown type name `u33`\nmake: *** Error 2\n";
        inside.write("var/lib/dkms/agent/1/build/make.log", text.as_bytes(), 0o644).unwrap();
        let printed = "Error! Bad return status for module build on kernel: 6.12 (x86_64)\n\
            Consult /var/lib/dkms/agent/1/build/make.log for more information.\n";
        let told = compiler(&inside, printed);
        let start = "\nthe end of `/var/lib/dkms/agent/1/build/make.log`:\n  make -C";
        assert!(told.starts_with(start) && told.contains("unknown type name"), "{told}");
        assert_eq!(compiler(&inside, "Consult /var/lib/dkms/other/1/build/make.log"), "");
        assert_eq!(compiler(&inside, "no word of a log"), "");
    }

    /// Case 18.
    #[test]
    fn a_module_that_is_not_installed_for_the_images_kernel_is_missing() {
        assert_eq!(missing(STATUS, "6.12.57+deb13-amd64"), ["agent/1", "other/2"]);
        assert_eq!(missing("", "6.12.57+deb13-amd64"), [""; 0]);
    }
}
