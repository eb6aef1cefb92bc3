//! The system calls that name a file: where their path is, and what else they read and write.
//!
//! <https://man7.org/linux/man-pages/man2/syscalls.2.html>

/// A path in a call's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The argument with the directory it is relative to; none where that is the current one.
    pub directory: Option<usize>,
    /// The argument with the path.
    pub path: usize,
}

/// How many bytes an argument points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Fixed(usize),
    /// As many as another argument says.
    Of(usize),
    /// Up to a NUL.
    Text,
}

/// What becomes of the call when a path in it leads out of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is made with the other path.
    Redirected,
    /// The same; the result is a descriptor, and the argument has the flags.
    Opened { flags: usize },
    /// The same; the flags are the first word of the structure.
    OpenedBy { how: usize },
    /// It cannot be made for another process.
    Impossible { what: &'static str },
}

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub number: i64,
    pub kind: Kind,
    pub names: &'static [Name],
    /// What the kernel reads.
    pub reads: &'static [(usize, Size)],
    /// What the kernel writes.
    pub writes: Option<(usize, Size)>,
}

const STAT: Size = Size::Fixed(size_of::<libc::stat>());
const STATX: Size = Size::Fixed(size_of::<libc::statx>());
const STATFS: Size = Size::Fixed(size_of::<libc::statfs>());
const TIMES: Size = Size::Fixed(2 * size_of::<libc::timespec>());
/// `fchmodat2`, which libc does not name yet on every architecture.
const FCHMODAT2: i64 = 452;

/// A path at an argument, relative to the current directory.
#[cfg(target_arch = "x86_64")]
const fn here(path: usize) -> Name {
    Name { directory: None, path }
}

/// A path at an argument, relative to the directory in the one before.
const fn at(path: usize) -> Name {
    Name { directory: Some(path - 1), path }
}

const fn redirected(number: i64, names: &'static [Name]) -> Shape {
    Shape { number, kind: Kind::Redirected, names, reads: &[], writes: None }
}

impl Shape {
    const fn reading(self, reads: &'static [(usize, Size)]) -> Self {
        Self { reads, ..self }
    }

    const fn writing(self, argument: usize, size: Size) -> Self {
        Self { writes: Some((argument, size)), ..self }
    }

    const fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

/// The calls that every architecture has.
const COMMON: &[Shape] = &[
    redirected(libc::SYS_openat, &[at(1)]).of(Kind::Opened { flags: 2 }),
    redirected(libc::SYS_openat2, &[at(1)]).of(Kind::OpenedBy { how: 2 }).reading(&[(2, Size::Of(3))]),
    redirected(libc::SYS_newfstatat, &[at(1)]).writing(2, STAT),
    redirected(libc::SYS_statx, &[at(1)]).writing(4, STATX),
    redirected(libc::SYS_faccessat, &[at(1)]),
    redirected(libc::SYS_faccessat2, &[at(1)]),
    redirected(libc::SYS_readlinkat, &[at(1)]).writing(2, Size::Of(3)),
    redirected(libc::SYS_statfs, &[HERE]).writing(1, STATFS),
    redirected(libc::SYS_fchmodat, &[at(1)]),
    redirected(FCHMODAT2, &[at(1)]),
    redirected(libc::SYS_fchownat, &[at(1)]),
    redirected(libc::SYS_utimensat, &[at(1)]).reading(&[(2, TIMES)]),
    redirected(libc::SYS_truncate, &[HERE]),
    redirected(libc::SYS_getxattr, &[HERE]).reading(&[(1, Size::Text)]).writing(2, Size::Of(3)),
    redirected(libc::SYS_lgetxattr, &[HERE]).reading(&[(1, Size::Text)]).writing(2, Size::Of(3)),
    redirected(libc::SYS_setxattr, &[HERE]).reading(&[(1, Size::Text), (2, Size::Of(3))]),
    redirected(libc::SYS_lsetxattr, &[HERE]).reading(&[(1, Size::Text), (2, Size::Of(3))]),
    redirected(libc::SYS_listxattr, &[HERE]).writing(1, Size::Of(2)),
    redirected(libc::SYS_llistxattr, &[HERE]).writing(1, Size::Of(2)),
    redirected(libc::SYS_removexattr, &[HERE]).reading(&[(1, Size::Text)]),
    redirected(libc::SYS_lremovexattr, &[HERE]).reading(&[(1, Size::Text)]),
    redirected(libc::SYS_unlinkat, &[at(1)]),
    redirected(libc::SYS_mkdirat, &[at(1)]),
    redirected(libc::SYS_mknodat, &[at(1)]),
    redirected(libc::SYS_symlinkat, &[at(2)]).reading(&[(0, Size::Text)]),
    redirected(libc::SYS_linkat, &[at(1), at(3)]),
    redirected(libc::SYS_renameat2, &[at(1), at(3)]),
    redirected(libc::SYS_chdir, &[HERE]).of(Kind::Impossible { what: "to make its current directory" }),
    redirected(libc::SYS_execve, &[HERE]).of(Kind::Impossible { what: "to start" }),
    redirected(libc::SYS_execveat, &[at(1)]).of(Kind::Impossible { what: "to start" }),
    redirected(libc::SYS_inotify_add_watch, &[Name { directory: None, path: 1 }])
        .of(Kind::Impossible { what: "to watch" }),
];

const HERE: Name = Name { directory: None, path: 0 };

/// The older forms, which x86-64 still has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[Shape] = &[
    redirected(libc::SYS_open, &[HERE]).of(Kind::Opened { flags: 1 }),
    redirected(libc::SYS_stat, &[HERE]).writing(1, STAT),
    redirected(libc::SYS_lstat, &[HERE]).writing(1, STAT),
    redirected(libc::SYS_access, &[HERE]),
    redirected(libc::SYS_readlink, &[HERE]).writing(1, Size::Of(2)),
    redirected(libc::SYS_chmod, &[HERE]),
    redirected(libc::SYS_chown, &[HERE]),
    redirected(libc::SYS_lchown, &[HERE]),
    redirected(libc::SYS_unlink, &[HERE]),
    redirected(libc::SYS_rmdir, &[HERE]),
    redirected(libc::SYS_mkdir, &[HERE]),
    redirected(libc::SYS_mknod, &[HERE]),
    redirected(libc::SYS_symlink, &[here(1)]).reading(&[(0, Size::Text)]),
    redirected(libc::SYS_link, &[HERE, here(1)]),
    redirected(libc::SYS_rename, &[HERE, here(1)]),
    redirected(libc::SYS_renameat, &[at(1), at(3)]),
];
#[cfg(target_arch = "aarch64")]
const OLDER: &[Shape] = &[redirected(libc::SYS_renameat, &[at(1), at(3)])];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Shape> {
    COMMON.iter().chain(OLDER)
}

/// The call with this number.
pub fn of(number: i64) -> Option<&'static Shape> {
    all().find(|shape| shape.number == number)
}
