//! The mounts of a sandbox, and the change of its root.
//!
//! All that is to be mounted is first made as a detached mount (`open_tree`, `fsmount`) while the host's root is
//! still there, and attached only after `pivot_root`: so a symbolic link in the tree can lead a mount point
//! nowhere but inside, and a fresh procfs is allowed in a user namespace (the kernel wants to see a full one in
//! the same mount namespace). Only mount points leave a trace in the tree, and only where they were missing.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, fstat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_bind_recursive, mount_change,
    move_mount, open_tree, unmount,
};

use super::emulation::Emulator;
use super::overlay;
use super::spec::Spec;
use crate::syscall;

/// The device nodes a sandbox has.
pub(super) const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// The links in `/dev` that programs count on.
pub(super) const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// `gid` of the group `tty`, the same in every Debian and Ubuntu.
const TTY: &str = "5";

/// A mount that is made but not attached.
struct Detached {
    mount: OwnedFd,
    target: String,
}

/// Makes the root directory of `spec` this process's root, with all that belongs in it. Returns what must live as long
/// as programs of another architecture are run.
pub(super) fn enter(spec: &Spec) -> Result<Option<OwnedFd>> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("could not make the mounts private")?;

    let registered = spec.emulator.as_ref().map(Emulator::register).transpose()?.flatten();
    let system = system()?;
    let mut binds = Vec::new();
    for bind in &spec.binds {
        let mount = clone(&bind.host)?;
        if bind.read_only {
            syscall::set_read_only(mount.as_fd())
                .with_context(|| format!("could not make the bind of `{}` read-only", bind.host.display()))?;
        }
        binds.push(Detached { mount, target: bind.inside.clone() });
    }

    if let Some(directory) = &spec.overlay {
        overlay::mount_at_root(directory, spec.read_only)?;
    }
    change_root(&spec.root)?;
    for target in ["/proc", "/dev", "/sys", "/run", "/tmp"] {
        directory(Path::new(target), 0o755)?;
    }
    if spec.read_only {
        let root = rustix::fs::open("/", rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, 0.into())?;
        syscall::set_read_only(root.as_fd()).context("could not make the root read-only")?;
    }
    for mount in &system {
        if mount.target.starts_with("/dev/") {
            mount_point(mount)?;
        }
        attach(mount)?;
        match mount.target.as_str() {
            "/proc" => protect_settings()?,
            "/dev" => links()?,
            _ => {}
        }
    }
    let ours = ["/dev", "/run", "/tmp"].map(|path| fs::metadata(path).map(|metadata| metadata.dev()));
    let ours = ours.into_iter().collect::<io::Result<Vec<u64>>>().context("could not look at the mounts")?;
    for bind in &binds {
        if fs::metadata(&bind.target).is_err()
            && device_of_parent(Path::new(&bind.target)).is_some_and(|device| ours.contains(&device))
        {
            mount_point(bind)?;
        }
        attach(bind)?;
    }
    Ok(registered)
}

/// What every sandbox has, in the order in which it is attached.
fn system() -> Result<Vec<Detached>> {
    let safe = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let inert = safe | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let at = |target: &str, mount| Detached { mount, target: target.to_owned() };

    // An unprivileged container may forbid a fresh procfs or sysfs; the host's is better than none.
    let proc = fresh("proc", &[], inert)
        .or_else(|_| clone(Path::new("/proc")))
        .context("could not mount `/proc`")?;
    let read_only = inert | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let sys = fresh("sysfs", &[], read_only)
        .map_err(anyhow::Error::from)
        .or_else(|_| {
            let mount = clone(Path::new("/sys"))?;
            syscall::set_read_only(mount.as_fd())?;
            anyhow::Ok(mount)
        })
        .context("could not mount `/sys`")?;
    let tmpfs = |target: &str, mode, flags| -> Result<Detached> {
        let mount = fresh("tmpfs", &[("mode", mode)], flags)
            .with_context(|| format!("could not mount a tmpfs for `{target}`"))?;
        Ok(at(target, mount))
    };
    let no_suid = MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mut mounts = vec![
        at("/proc", proc),
        at("/sys", sys),
        tmpfs("/run", "0755", safe)?,
        tmpfs("/tmp", "1777", safe)?,
        tmpfs("/dev", "0755", no_suid)?,
        tmpfs("/dev/shm", "1777", safe)?,
    ];
    let mut options = vec![("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", TTY)];
    let terminals = fresh("devpts", &options, no_suid)
        .or_else(|_| {
            // A namespace with only some ids may lack this one, and terminals work without it.
            options.pop();
            fresh("devpts", &options, no_suid)
        })
        .context("could not mount `/dev/pts`")?;
    mounts.push(at("/dev/pts", terminals));
    for node in NODES {
        let path = Path::new("/dev").join(node);
        // A process without a terminal may have no `/dev/tty`; its absence is then the truth.
        if path.exists() {
            mounts.push(at(&format!("/dev/{node}"), clone(&path)?));
        }
    }
    Ok(mounts)
}

/// A new mount of the file system `kind`.
fn fresh(kind: &str, options: &[(&str, &str)], flags: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", kind)?;
    for &(key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(context.as_fd(), key)?;
        } else {
            fsconfig_set_string(context.as_fd(), key, value)?;
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

/// What is at `path` now, with all that is mounted below it, as a mount of its own.
fn clone(path: &Path) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).with_context(|| format!("could not bind `{}`", path.display()))
}

/// Makes `root` this process's root, and lets go of the host's.
fn change_root(root: &Path) -> Result<()> {
    let step = |what: &str| format!("could not {what} the root directory `{}`", root.display());
    mount_bind_recursive(root, root).with_context(|| step("mount"))?;
    std::env::set_current_dir(root).with_context(|| step("enter"))?;
    // The old root ends up on top of the new one, where it can be let go without a directory to put it in.
    rustix::process::pivot_root(".", ".").with_context(|| step("change to"))?;
    unmount(".", UnmountFlags::DETACH).context("could not let go of the host's root")?;
    std::env::set_current_dir("/").context("could not enter the new root")
}

fn attach(mount: &Detached) -> Result<()> {
    move_mount(
        mount.mount.as_fd(),
        "",
        CWD,
        mount.target.as_str(),
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS,
    )
    .with_context(|| format!("could not mount at `{}`", mount.target))
}

/// Makes the place at which `mount` is to be attached: a directory for a directory, a file for all else.
fn mount_point(mount: &Detached) -> Result<()> {
    let target = Path::new(&mount.target);
    let made = is_directory(mount.mount.as_fd()).and_then(|is_directory| {
        if is_directory {
            return fs::create_dir_all(target);
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        File::create(target).map(drop)
    });
    made.with_context(|| format!("could not make the mount point `{}`", mount.target))
}

fn is_directory(mount: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(mount)?.st_mode) == FileType::Directory)
}

fn directory(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("could not make the mount point `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Makes the kernel's settings read-only: most of them are the host's.
fn protect_settings() -> Result<()> {
    let target = "/proc/sys";
    let mount = clone(Path::new(target))?;
    syscall::set_read_only(mount.as_fd()).with_context(|| format!("could not make `{target}` read-only"))?;
    attach(&Detached { mount, target: target.to_owned() })
}

fn links() -> Result<()> {
    for (name, to) in LINKS {
        symlink(to, Path::new("/dev").join(name)).with_context(|| format!("could not make `/dev/{name}`"))?;
    }
    Ok(())
}

/// The device number of the file system in which `path` would be made.
fn device_of_parent(path: &Path) -> Option<u64> {
    path.ancestors().skip(1).find_map(|ancestor| fs::metadata(ancestor).ok()).map(|metadata| metadata.dev())
}
