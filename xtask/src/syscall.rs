//! The system calls rustix does not have, or has as unsafe: the crate's only unsafe code.

#![expect(unsafe_code, reason = "system calls without a safe wrapper, each with its reason")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::mount::MountPropagationFlags;
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

/// Whether a process that leaves these namespaces may mount in its own.
pub(crate) fn can_mount(namespaces: UnshareFlags) -> bool {
    let attempt = move || {
        unshare(namespaces)?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)?;
        rustix::mount::mount_bind_recursive("/", "/")?;
        // It has seen enough, and starts nothing.
        Err(io::Error::from_raw_os_error(libc::ECANCELED))
    };
    let mut command = Command::new("/proc/self/exe");
    // SAFETY: between fork and exec it makes system calls on strings that exist, and allocates nothing.
    unsafe { command.pre_exec(attempt) };
    command.spawn().is_err_and(|error| error.raw_os_error() == Some(libc::ECANCELED))
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

/// Gives the calling thread, and all it starts from now on, a seccomp filter whose `USER_NOTIF` calls are answered
/// through the descriptor that this returns.
///
/// Without CAP_SYS_ADMIN the kernel wants `no_new_privs` for it: no program gains rights by its set-user-ID bit.
pub(crate) fn supervise_this_thread(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    no_new_privileges()?;
    // SAFETY: the kernel copies `len` instructions, which live through the call; the descriptor it returns is new.
    unsafe {
        let result = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        );
        match i32::try_from(result) {
            Ok(descriptor) if descriptor >= 0 => Ok(OwnedFd::from_raw_fd(descriptor)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Keeps the calling thread, and all it starts, from gaining rights by starting a program.
pub(crate) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: a flag of this thread, and no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets a supervised process and the one that answers it change places on one processor, as Linux 6.6 and newer can:
/// neither has anything to do while the other works.
pub(crate) fn wake_at_once(listener: BorrowedFd<'_>) {
    /// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`
    const SYNC_WAKE_UP: u64 = 1;
    // SAFETY: the flags are a number. An older kernel refuses them, and is slower.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
}

/// Waits for the next call that a supervised process makes.
pub(crate) fn next_call(listener: BorrowedFd<'_>) -> io::Result<libc::seccomp_notif> {
    // SAFETY: plain data for which zero is a value, and must be zero; the kernel fills it.
    unsafe {
        let mut call: libc::seccomp_notif = std::mem::zeroed();
        match libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) {
            0 => Ok(call),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Ends a supervised call: with a value, with the negative of an error, or, with `flags`, by letting the kernel do it.
pub(crate) fn end_call(listener: BorrowedFd<'_>, id: u64, result: i64, flags: u32) -> io::Result<()> {
    let error = if result < 0 { i32::try_from(result).unwrap_or(-libc::EIO) } else { 0 };
    let answer = libc::seccomp_notif_resp { id, val: result.max(0), error, flags };
    // SAFETY: the kernel reads the structure, which lives through the call.
    match unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives a supervised process a descriptor, and returns the number it has there.
pub(crate) fn give_descriptor(
    listener: BorrowedFd<'_>,
    id: u64,
    descriptor: BorrowedFd<'_>,
    close_on_exec: bool,
) -> io::Result<i64> {
    let flags = if close_on_exec { libc::O_CLOEXEC.unsigned_abs() } else { 0 };
    let srcfd = descriptor.as_raw_fd().unsigned_abs();
    let given = libc::seccomp_notif_addfd { id, flags: 0, srcfd, newfd: 0, newfd_flags: flags };
    // SAFETY: the kernel reads the structure, which lives through the call.
    let number =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const given) };
    if number >= 0 { Ok(number.into()) } else { Err(io::Error::last_os_error()) }
}

/// Reads another process's memory; may be cut short where it ends.
pub(crate) fn read_memory(process: i32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let there = remote(address, buffer.len())?;
    // SAFETY: the kernel writes into the buffer alone, and checks the other process's addresses itself.
    let read = unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const there, 1, 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Writes all bytes into another process's memory.
pub(crate) fn write_memory(process: i32, address: u64, bytes: &[u8]) -> io::Result<()> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let there = remote(address, bytes.len())?;
    // SAFETY: the kernel only reads the bytes, and checks the other process's addresses itself.
    let written = unsafe { libc::process_vm_writev(process, &raw const local, 1, &raw const there, 1, 0) };
    match usize::try_from(written) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

fn remote(address: u64, iov_len: usize) -> io::Result<libc::iovec> {
    let address = usize::try_from(address).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len })
}

/// An argument of a call that is made in another process's name.
pub(crate) enum Argument<'a> {
    Number(u64),
    In(&'a [u8]),
    Out(&'a mut [u8]),
}

/// Makes a system call whose pointers, if it has any, are these buffers; strings end with a NUL. Returns what the
/// kernel does: a value, or the negative of an error.
pub(crate) fn call(number: i64, arguments: &mut [Argument<'_>; 6]) -> i64 {
    let mut raw = [0_usize; 6];
    for (raw, argument) in raw.iter_mut().zip(arguments) {
        *raw = match argument {
            Argument::Number(number) => usize::try_from(*number).unwrap_or(usize::MAX),
            Argument::In(bytes) => bytes.as_ptr().expose_provenance(),
            Argument::Out(bytes) => bytes.as_mut_ptr().expose_provenance(),
        };
    }
    let [a, b, c, d, e, f] = raw;
    // SAFETY: `shapes.rs` knows of each call which arguments are pointers and how much the kernel reads or writes.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 {
        result
    } else {
        -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }
}

/// Makes the calling thread another user's, for good; the process's other threads stay as they are.
pub(crate) fn become_in_this_thread(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: numbers only; called without the library, which would change every thread.
    let changed = unsafe {
        libc::syscall(libc::SYS_setresgid, group, group, group) == 0
            && libc::syscall(libc::SYS_setresuid, user, user, user) == 0
    };
    if changed { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ties the command to the thread that starts it: it ends with that.
pub(crate) fn end_with_thread(command: &mut Command) {
    let tie = || Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?);
    // SAFETY: between fork and exec it makes one system call.
    unsafe { command.pre_exec(tie) };
}

/// Whether no other descriptor on this machine is open on a file of the caller's; false where that cannot be told.
pub(crate) fn is_alone(file: &File) -> bool {
    /// `F_SETSIG`
    const SIGNAL: libc::c_int = 10;
    // SAFETY: numbers only.
    let set = |command, value: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), command, value) == 0 };
    // The kernel leases a file to be written only to who is alone with it. Somebody who opens it just then waits until
    // it is given back, of which the kernel tells: with SIGIO, which ends a program, where nothing else is asked for.
    set(SIGNAL, libc::SIGURG) && set(libc::F_SETLEASE, libc::F_WRLCK) && set(libc::F_SETLEASE, libc::F_UNLCK)
}

/// Has the kernel read a disk's partition table anew.
pub(crate) fn reread_partitions(disk: BorrowedFd<'_>) -> io::Result<()> {
    /// `BLKRRPART`
    const REREAD: libc::Ioctl = 0x125f;
    // SAFETY: it takes no argument, and a descriptor of something else is refused.
    if unsafe { libc::ioctl(disk.as_raw_fd(), REREAD) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
