//! A seccomp filter under which `fsync` and its relatives succeed without doing anything, and how filters are made.
//!
//! dpkg syncs every file it installs; in a directory that is thrown away when a build fails, that is waiting for
//! nothing. Calls of another architecture's programs pass unchanged, so that those run too, only slower.
//! <https://docs.kernel.org/userspace-api/seccomp_filter.html>

use std::io;

use libc::sock_filter;

use crate::syscall;

/// Where `struct seccomp_data` holds the number of the call, and its architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// `AUDIT_ARCH_…` of the architecture this program is built for.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

const IGNORED: [libc::c_long; 6] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_msync,
    libc::SYS_sync_file_range,
];

/// Installs the filter for this process and all it starts.
pub(super) fn ignore() -> io::Result<()> {
    syscall::install_filter(&filter(IGNORED, libc::SECCOMP_RET_ERRNO)) // with errno 0: the call returns 0
}

/// A filter: `ALLOW` unless the architecture is ours and the call one of these, which get `action`.
pub(super) fn filter(calls: impl IntoIterator<Item = libc::c_long>, action: u32) -> Vec<sock_filter> {
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let equal = |value, jt, jf| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, value);
    let end = |value| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    let calls: Vec<u32> = calls.into_iter().filter_map(|call| u32::try_from(call).ok()).collect();
    // Jumps count instructions from the next one; the last two are ALLOW and, behind it, the action.
    let to_allow = |left: usize| u8::try_from(left).unwrap_or(u8::MAX);
    let mut program = vec![load(ARCHITECTURE), equal(NATIVE, 0, to_allow(calls.len() + 1)), load(NUMBER)];
    for (index, &call) in calls.iter().enumerate() {
        program.push(equal(call, to_allow(calls.len() - index), 0));
    }
    program.push(end(libc::SECCOMP_RET_ALLOW));
    program.push(end(action));
    program
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k }
}
