//! The system calls rustix does not have, or has as unsafe: the crate's only unsafe code.

#![expect(unsafe_code, reason = "system calls without a safe wrapper, each with its reason")]

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::thread::UnshareFlags;

/// Leaves the namespaces in `flags` for new ones.
///
/// Only for a single-threaded process; the kernel itself refuses a user namespace to any other.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: unsafe in rustix because of FILES, which could close descriptors under other threads; namespaces
    // do not touch descriptors.
    unsafe { rustix::thread::unshare_unsafe(flags - UnshareFlags::FILES) }?;
    Ok(())
}

/// Takes possession of the descriptor `number`, which the process that started this one left open for it.
///
/// `None` when there is no such descriptor, or when it is one of the three standard ones.
pub(crate) fn inherited(number: i32) -> Option<OwnedFd> {
    // SAFETY: fcntl only looks; what it finds open was made for us, and each is taken once, at start.
    unsafe { (number > 2 && libc::fcntl(number, libc::F_GETFD) >= 0).then(|| OwnedFd::from_raw_fd(number)) }
}

/// Makes the mount behind `mount`, and all mounts below it, read-only.
pub(crate) fn set_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a C string, the structure lives through the call and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `IFF_UP`, in the width in which `ifreq` has it.
const UP: libc::c_short = 1;

/// Brings up `lo`, which a new network namespace has but down.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: `ifreq` is plain data for which zero is a value, and its name holds 16 bytes; the socket is closed
    // again; the structure outlives the call.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        std::ptr::copy_nonoverlapping(c"lo".as_ptr(), request.ifr_name.as_mut_ptr(), 2);
        request.ifr_ifru.ifru_flags = UP;
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        let result = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        let error = io::Error::last_os_error();
        libc::close(socket);
        if result == 0 { Ok(()) } else { Err(error) }
    }
}

/// Installs a seccomp filter for this process and all it starts.
///
/// By hand because every wrapper also sets no_new_privs, which takes `sudo` and file capabilities from the
/// programs inside; with CAP_SYS_ADMIN the kernel does not ask for it.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `len` instructions, which live through the call, and writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Starts the command with the current directory as its root, in the directory `inside` of that root.
pub(crate) fn root_is_current_directory(command: &mut Command, inside: CString) {
    let change = move || {
        rustix::process::chroot(".")?;
        Ok(rustix::process::chdir(inside.as_c_str())?)
    };
    // SAFETY: between fork and exec it makes two system calls on strings that exist, and allocates nothing.
    unsafe { command.pre_exec(change) };
}

/// Gives `signal` back its default action, which the standard library has taken from some.
pub(crate) fn default_action(signal: i32) {
    // SAFETY: SIG_DFL runs no code of ours; an invalid number is refused and nothing lost.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
