//! What keeps a system quiet while it is installed: no service starts, and no
//! initrd is made, because ours is cut out of the finished tree.
//!
//! Programs are covered by a bind mount, so nothing of it is left in the tree;
//! `policy-rc.d`, which no package ships, is a file and removed at the end.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bedplate_formats::unpack::Inside;

use crate::sandbox::Sandbox;

/// `invoke-rc.d` and `deb-systemd-invoke` ask it; 101 says that nothing may run:
/// <https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt>.
const POLICY: &str = "usr/sbin/policy-rc.d";

/// Programs that have to do nothing, and be glad about it.
const COVERED: [&str; 4] =
    ["/usr/sbin/start-stop-daemon", "/usr/sbin/update-initramfs", "/usr/bin/dracut", "/usr/bin/initctl"];

/// The means to keep a system quiet.
pub(super) struct Quiet {
    sandbox: Sandbox,
    nothing: PathBuf,
}

impl Quiet {
    /// Keeps what it needs in a directory of the host.
    pub fn new(directory: &Path, sandbox: Sandbox) -> Result<Self> {
        let nothing = directory.join("nothing");
        fs_err::write(&nothing, "#!/bin/sh\nexit 0\n")?;
        fs_err::set_permissions(&nothing, Permissions::from_mode(0o755))?;
        // The kernel packages' hooks ask for it.
        let sandbox = sandbox.env("INITRD", "No");
        Ok(Self { sandbox, nothing })
    }

    /// A sandbox in which the programs that are there by now do nothing.
    pub fn sandbox(&self, inside: &Inside) -> Result<Sandbox> {
        inside.make_directories("usr/sbin").context("could not make `/usr/sbin`")?;
        let policy = inside.write(POLICY, b"#!/bin/sh\nexit 101\n", 0o755);
        policy.with_context(|| format!("could not write `/{POLICY}`"))?;
        let covered = COVERED.iter().filter(|path| inside.exists(path));
        Ok(covered.fold(self.sandbox.clone(), |sandbox, path| sandbox.bind_read_only(&self.nothing, path)))
    }

    /// Removes what stands in the tree.
    pub fn clean(&self, inside: &Inside) -> Result<()> {
        inside.remove(POLICY).with_context(|| format!("could not remove `/{POLICY}`"))
    }
}
