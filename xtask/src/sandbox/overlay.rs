//! A root directory that is an overlay: a directory nobody changes, seen through one that takes the changes.
//!
//! `userxattr` for every user alike: it is what a user namespace is allowed (Linux 5.11), and one form of whiteouts and
//! opaque directories is read back more easily than two. `index=off` lets what has several names below be changed.
//! `volatile`, or each unmounting would bring all to the disk that the file system below has in memory, for a second and
//! more. Changes are read back at once, and are as safe from a power cut as anything else in the cache.
//! <https://docs.kernel.org/filesystems/overlayfs.html>

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{CWD, syncfs};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

/// Where the overlay of `directory` is mounted.
pub(super) fn root(directory: &Path) -> PathBuf {
    directory.join("root")
}

/// Whether this process could mount the overlay of `directory`, which must not be mounted now.
///
/// An overlay needs an `upper` on a file system with extended attributes that is no overlay itself, as the root of a
/// container is.
#[must_use]
pub fn is_supported(directory: &Path) -> bool {
    mount(directory, false).is_ok()
}

/// Mounts the overlay of `directory`.
pub(super) fn mount_at_root(directory: &Path, read_only: bool) -> Result<()> {
    let attach = |mount: OwnedFd| {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(move_mount(mount.as_fd(), "", CWD, root(directory), flags)?)
    };
    mount(directory, read_only)
        .and_then(attach)
        .with_context(|| format!("could not mount the overlay `{}`", directory.display()))
}

fn mount(directory: &Path, read_only: bool) -> io::Result<OwnedFd> {
    match try_mount(directory, read_only) {
        // The disk could not be written to some time ago, and nobody has asked since.
        Err(error) if !read_only && error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            let _ = syncfs(File::open(directory)?);
            try_mount(directory, read_only)
        }
        result => result,
    }
}

fn try_mount(directory: &Path, read_only: bool) -> io::Result<OwnedFd> {
    // Through a descriptor, since colons and commas in a path would be separators.
    let directory = File::open(directory)?;
    let path = |name: &str| format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    if !read_only {
        // With this mark of an earlier mount the kernel takes it that a power cut came between.
        match std::fs::remove_dir_all(path("work/work/incompat")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &str, value: &str| fsconfig_set_string(context.as_fd(), key, value);
    set("source", "overlay")?;
    if read_only {
        set("lowerdir", &format!("{}:{}", path("upper"), path("lower")))?;
    } else {
        set("lowerdir", &path("lower"))?;
        set("upperdir", &path("upper"))?;
        set("workdir", &path("work"))?;
        fsconfig_set_flag(context.as_fd(), "volatile")?;
    }
    set("index", "off")?;
    fsconfig_set_flag(context.as_fd(), "userxattr")?;
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}
