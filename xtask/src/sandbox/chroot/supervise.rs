//! What stands in for mounts: files that are not below the root, opened in a process's name.
//!
//! A seccomp filter stops each call that names a file, and asks this process about it. Nearly all of them go on as
//! they are. A call whose path lies below `/proc`, or below a directory of the host that is shown, is made here, with
//! the path on the host, and its result handed over.
//! <https://docs.kernel.org/userspace-api/seccomp_filter.html#userspace-notification>
//!
//! It serves builds, and is no defence: what a process writes into its memory after we have read it, counts for the
//! kernel and not for us.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::sock_filter;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::root;
use super::shapes::{self, Kind, Name, Shape, Size};
use crate::sandbox::{HOSTNAME, sync};
use crate::syscall::{self, Argument};

/// The longest path, and the longest value of an attribute.
const LONGEST: usize = 65536;

/// The mounts of the other sandboxes; of a process under `chroot` the kernel shows none.
/// <https://docs.kernel.org/filesystems/proc.html>
const MOUNTINFO: &str = "\
1 0 0:1 / / rw - overlay overlay rw
2 1 0:2 / /proc rw,nosuid,nodev,noexec - proc proc rw
3 1 0:3 / /sys ro,nosuid,nodev,noexec - sysfs sysfs ro
4 1 0:4 / /run rw,nosuid,nodev - tmpfs tmpfs rw,mode=755
5 1 0:5 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw
6 1 0:6 / /dev rw,nosuid - tmpfs tmpfs rw,mode=755
";
const MOUNTS: &str = "\
overlay / overlay rw 0 0
proc /proc proc rw,nosuid,nodev,noexec 0 0
sysfs /sys sysfs ro,nosuid,nodev,noexec 0 0
tmpfs /run tmpfs rw,nosuid,nodev,mode=755 0 0
tmpfs /tmp tmpfs rw,nosuid,nodev 0 0
tmpfs /dev tmpfs rw,nosuid,mode=755 0 0
";

/// Answers the calls of the processes in one sandbox.
pub(super) struct Supervisor {
    /// The root directory, without links in its path.
    pub root: PathBuf,
    /// Directories of the host, by where they are seen.
    pub shown: BTreeMap<String, PathBuf>,
    /// Whether addresses of other machines can be reached.
    pub network: bool,
    /// The first call that could not be had.
    pub impossible: Mutex<Option<String>>,
    /// Whether the command is over.
    pub is_over: AtomicBool,
}

/// What becomes of a call.
enum Answer {
    /// The kernel does it.
    GoOn,
    /// A value, or the negative of an error.
    Result(i64),
    Descriptor {
        opened: OwnedFd,
        close_on_exec: bool,
    },
}

impl Supervisor {
    /// The filter whose calls are answered here.
    pub fn filter(&self) -> Vec<sock_filter> {
        let sockets: &[i64] = if self.network { &[] } else { &[libc::SYS_connect, libc::SYS_sendto] };
        let calls = shapes::all().map(|shape| shape.number).chain(sockets.iter().copied());
        sync::filter(calls.chain([libc::SYS_uname]), libc::SECCOMP_RET_USER_NOTIF)
    }

    /// Answers until the command is over.
    pub fn serve(&self, listener: &OwnedFd) {
        syscall::wake_at_once(listener.as_fd());
        while !self.is_over.load(Ordering::Relaxed) {
            match syscall::next_call(listener.as_fd()) {
                // The process may have died meanwhile, or a signal have interrupted it.
                Ok(call) => drop(give(listener, call.id, &self.answer(&call))),
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT)) => {}
                Err(_) => return,
            }
        }
    }

    fn answer(&self, call: &libc::seccomp_notif) -> Answer {
        let Ok(thread) = i32::try_from(call.pid) else { return Answer::GoOn };
        let asked =
            Asked { supervisor: self, thread, number: call.data.nr.into(), arguments: call.data.args };
        match asked.answer() {
            // Another user's memory can be read, and his files be opened, by nobody but him.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                as_its_user(thread, || asked.answer()).unwrap_or(Answer::GoOn)
            }
            answer => answer.unwrap_or(Answer::GoOn),
        }
    }

    /// Where a path is on the host, when it is not below the root.
    fn place(&self, path: &str, thread: i32) -> Option<PathBuf> {
        let path = tidy(path);
        if let Some(rest) = below(&path, "/proc") {
            let own = |rest: &str| PathBuf::from(format!("/proc/{thread}{rest}"));
            for (name, is_in) in
                [("/self", ""), ("/thread-self", ""), ("/mounts", "/mounts"), ("/net", "/net")]
            {
                if let Some(rest) = below(rest, name) {
                    return Some(own(&format!("{is_in}{rest}")));
                }
            }
            // Process 1 of the other sandboxes is this program, too, and has another root than the command.
            if let Some(rest) = below(rest, "/1") {
                return Some(PathBuf::from(format!("/proc/self{rest}")));
            }
            return Some(PathBuf::from(format!("/proc{rest}")));
        }
        for (name, number) in [("/dev/stdin", 0), ("/dev/stdout", 1), ("/dev/stderr", 2)] {
            if path == name {
                return Some(PathBuf::from(format!("/proc/{thread}/fd/{number}")));
            }
        }
        if let Some(rest) = below(&path, "/dev/fd") {
            return Some(PathBuf::from(format!("/proc/{thread}/fd{rest}")));
        }
        for same in ["/sys", "/dev/pts", "/dev/ptmx"] {
            if below(&path, same).is_some() {
                return Some(PathBuf::from(&path));
            }
        }
        let mut shown = self.shown.iter().rev();
        shown.find_map(|(inside, host)| {
            let rest = below(&path, inside)?.trim_start_matches('/');
            Some(if rest.is_empty() { host.clone() } else { host.join(rest) })
        })
    }
}

/// What `path` has below `directory`, with its slash: nothing when it is the directory itself.
fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An absolute path without `.`, `..` and empty names.
fn tidy(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// A call, by a thread of a process in the sandbox.
struct Asked<'a> {
    supervisor: &'a Supervisor,
    thread: i32,
    number: i64,
    arguments: [u64; 6],
}

impl Asked<'_> {
    fn answer(&self) -> io::Result<Answer> {
        match self.number {
            libc::SYS_uname => self.name(),
            libc::SYS_connect => self.reach(1, 2),
            libc::SYS_sendto => self.reach(4, 5),
            number => match shapes::of(number) {
                Some(shape) => self.file(shape),
                None => Ok(Answer::GoOn),
            },
        }
    }

    fn file(&self, shape: &Shape) -> io::Result<Answer> {
        let mut paths = Vec::with_capacity(shape.names.len());
        for name in shape.names {
            paths.push(self.path(*name)?);
        }
        let places: Vec<Option<PathBuf>> =
            shape.names.iter().zip(&paths).map(|(name, path)| self.place(*name, path)).collect();
        if places.iter().all(Option::is_none) {
            return Ok(Answer::GoOn);
        }
        if let Kind::Impossible { what } = shape.kind {
            return Ok(self.impossible(what, &paths[0]));
        }
        if let Some(answer) = self.special(shape, &places) {
            return Ok(answer);
        }
        if self.shows_a_link(shape, &paths, &places) {
            return Ok(Answer::GoOn);
        }
        // From here on the kernel would find nothing: what fails is an error of the call.
        let made = self.redirected(shape, &paths, places);
        Ok(made.unwrap_or_else(|error| Answer::Result(-i64::from(error.raw_os_error().unwrap_or(libc::EIO)))))
    }

    /// Whether the call opens a link itself, as a place, and finds one like it now. Such a descriptor cannot be handed
    /// over. Another process that opens the same path may find this process's.
    fn shows_a_link(&self, shape: &Shape, paths: &[String], places: &[Option<PathBuf>]) -> bool {
        const ITSELF: u64 = (libc::O_PATH | libc::O_NOFOLLOW).unsigned_abs() as u64;
        let flags = match shape.kind {
            Kind::Opened { flags } => Some(self.arguments[flags]),
            Kind::OpenedBy { how } => self
                .bytes(how, Size::Fixed(8))
                .ok()
                .and_then(|bytes| bytes.first_chunk().map(|word| u64::from_ne_bytes(*word))),
            Kind::Redirected | Kind::Impossible { .. } => None,
        };
        let ([path], [Some(place)], Some(flags)) = (paths, places, flags) else { return false };
        if flags & ITSELF != ITSELF {
            return false;
        }
        let Ok(target) = std::fs::read_link(place) else { return false };
        let target = self.seen_inside(target.into_os_string().into_encoded_bytes());
        root::put_link(&self.supervisor.root, &tidy(path), Path::new(OsStr::from_bytes(&target))).is_ok()
    }

    /// Makes the call with the paths on the host.
    fn redirected(
        &self,
        shape: &Shape,
        paths: &[String],
        places: Vec<Option<PathBuf>>,
    ) -> io::Result<Answer> {
        // Descriptors of directories, for as long as the call is made.
        let mut held = Vec::new();
        let mut strings = Vec::new();
        for ((name, path), place) in shape.names.iter().zip(paths).zip(places) {
            let place = match place {
                Some(place) => place,
                None => self.in_the_root(*name, path, &mut held)?,
            };
            strings.push(CString::new(place.as_os_str().as_bytes())?.into_bytes_with_nul());
        }
        self.make(shape, &strings)
    }

    /// The path in a call's argument; empty when there is none.
    fn path(&self, name: Name) -> io::Result<String> {
        match self.arguments[name.path] {
            0 => Ok(String::new()),
            address => Ok(String::from_utf8_lossy(&self.text(address)?).into_owned()),
        }
    }

    fn place(&self, name: Name, path: &str) -> Option<PathBuf> {
        if path.starts_with('/') {
            return self.supervisor.place(path, self.thread);
        }
        // What goes down from the root by descriptors, comes to the directory that is empty here.
        let first = path.split('/').next()?;
        if !matches!(first, "proc" | "sys") {
            return None;
        }
        let from = std::fs::metadata(self.directory(name)).ok()?;
        let root = std::fs::metadata(&self.supervisor.root).ok()?;
        let is_root = (from.dev(), from.ino()) == (root.dev(), root.ino());
        is_root.then(|| self.supervisor.place(&format!("/{path}"), self.thread)).flatten()
    }

    /// The directory that a relative path starts from, on the host.
    fn directory(&self, name: Name) -> PathBuf {
        // Descriptors are 32 bits wide, whatever is in the rest of the register.
        let number = name.directory.map(|argument| self.arguments[argument].to_le_bytes());
        let number = number.map(|[a, b, c, d, ..]| i32::from_le_bytes([a, b, c, d]));
        match number {
            Some(number) if number != libc::AT_FDCWD => {
                PathBuf::from(format!("/proc/{}/fd/{number}", self.thread))
            }
            _ => PathBuf::from(format!("/proc/{}/cwd", self.thread)),
        }
    }

    /// Where a path below the root is, by a descriptor of its directory.
    fn in_the_root(&self, name: Name, path: &str, held: &mut Vec<OwnedFd>) -> io::Result<PathBuf> {
        let (from, resolve) = match path.starts_with('/') {
            true => (self.supervisor.root.clone(), ResolveFlags::IN_ROOT),
            false => (self.directory(name), ResolveFlags::BENEATH),
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let from = rustix::fs::openat(CWD, &from, flags, Mode::empty())?;
        let path = Path::new(path);
        let last = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let parent = openat2(&from, parent, flags, Mode::empty(), resolve)?;
        let place = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(last);
        held.push(parent);
        Ok(place)
    }

    /// What has an answer of its own.
    fn special(&self, shape: &Shape, places: &[Option<PathBuf>]) -> Option<Answer> {
        let place = places.first()?.as_ref()?;
        let flags = match shape.kind {
            Kind::Opened { flags } => self.arguments[flags],
            _ => 0,
        };
        let writes = flags & u64::from(libc::O_ACCMODE.unsigned_abs()) != 0;
        // They are the host's kernel's.
        if writes && (place.starts_with("/proc/sys") || place.starts_with("/sys")) {
            return Some(Answer::Result(-i64::from(libc::EROFS)));
        }
        if !matches!(shape.kind, Kind::Opened { .. }) {
            return None;
        }
        let text = match place.strip_prefix("/proc").ok()?.to_str()? {
            "sys/kernel/hostname" => format!("{HOSTNAME}\n"),
            of_process => match of_process.split_once('/')? {
                // Process 1 has another root, below which nothing is mounted.
                ("self", "mountinfo" | "mounts") => String::new(),
                (_, "mountinfo") => MOUNTINFO.to_owned(),
                (_, "mounts") => MOUNTS.to_owned(),
                _ => return None,
            },
        };
        let file = tempfile::tempfile().ok()?;
        let mut writer = &file;
        io::Write::write_all(&mut writer, text.as_bytes()).ok()?;
        io::Seek::rewind(&mut writer).ok()?;
        Some(Answer::Descriptor { opened: file.into(), close_on_exec: has_close_on_exec(flags) })
    }

    /// Makes the call with these paths, and hands over what it wrote.
    fn make(&self, shape: &Shape, paths: &[Vec<u8>]) -> io::Result<Answer> {
        let mut numbers = self.arguments;
        let mut read = Vec::new();
        for &(argument, size) in shape.reads {
            if self.arguments[argument] != 0 {
                read.push((argument, self.bytes(argument, size)?));
            }
        }
        let mut written = None;
        if let Some((argument, size)) = shape.writes.filter(|(argument, _)| self.arguments[*argument] != 0) {
            let length = match size {
                Size::Fixed(length) => length,
                Size::Of(other) => {
                    let asked = usize::try_from(numbers[other]).unwrap_or(LONGEST).min(LONGEST);
                    // A target is cut once it is as short as inside.
                    let length = if asked > 0 && is_readlink(shape.number) { LONGEST } else { asked };
                    numbers[other] = u64::try_from(length).unwrap_or_default();
                    length
                }
                Size::Text => LONGEST,
            };
            written = Some((argument, vec![0; length]));
        }
        let mut close_on_exec = false;
        match shape.kind {
            Kind::Opened { flags } => {
                close_on_exec = has_close_on_exec(numbers[flags]);
                numbers[flags] = readable(numbers[flags]);
            }
            Kind::OpenedBy { how } => {
                let how = read.iter_mut().find(|(argument, _)| *argument == how);
                if let Some(word) = how.and_then(|(_, bytes)| bytes.first_chunk_mut()) {
                    let flags = u64::from_ne_bytes(*word);
                    close_on_exec = has_close_on_exec(flags);
                    *word = readable(flags).to_ne_bytes();
                }
            }
            Kind::Redirected | Kind::Impossible { .. } => {}
        }

        let mut arguments = numbers.map(Argument::Number);
        for (name, path) in shape.names.iter().zip(paths) {
            arguments[name.path] = Argument::In(path);
        }
        for (argument, bytes) in &read {
            arguments[*argument] = Argument::In(bytes);
        }
        if let Some((argument, bytes)) = &mut written {
            arguments[*argument] = Argument::Out(bytes);
        }
        let result = syscall::call(shape.number, &mut arguments);
        if result < 0 {
            return Ok(Answer::Result(result));
        }
        if matches!(shape.kind, Kind::Opened { .. } | Kind::OpenedBy { .. }) {
            let number = i32::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
            let opened = syscall::inherited(number).ok_or(io::ErrorKind::InvalidData)?;
            return Ok(Answer::Descriptor { opened, close_on_exec });
        }
        let Some((argument, mut bytes)) = written else { return Ok(Answer::Result(result)) };
        let mut result = result;
        if let Some((_, Size::Of(size))) = shape.writes {
            bytes.truncate(usize::try_from(result).unwrap_or_default());
            if is_readlink(shape.number) {
                bytes = self.seen_inside(bytes);
                bytes.truncate(usize::try_from(self.arguments[size]).unwrap_or(LONGEST));
                result = i64::try_from(bytes.len()).unwrap_or_default();
            }
        }
        syscall::write_memory(self.thread, self.arguments[argument], &bytes)?;
        Ok(Answer::Result(result))
    }

    /// A link's target, as it is called in the root.
    fn seen_inside(&self, target: Vec<u8>) -> Vec<u8> {
        match target.strip_prefix(self.supervisor.root.as_os_str().as_bytes()) {
            Some([]) => b"/".to_vec(),
            Some(rest) if rest.starts_with(b"/") => rest.to_vec(),
            _ => target,
        }
    }

    fn bytes(&self, argument: usize, size: Size) -> io::Result<Vec<u8>> {
        let address = self.arguments[argument];
        let length = match size {
            Size::Text => {
                let mut text = self.text(address)?;
                text.push(0);
                return Ok(text);
            }
            Size::Fixed(length) => length,
            Size::Of(other) => usize::try_from(self.arguments[other]).unwrap_or(usize::MAX),
        };
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = vec![0; length];
        let read = syscall::read_memory(self.thread, address, &mut bytes)?;
        if read == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The bytes up to a NUL. Reads no page further than it must, since the next one may not be there.
    fn text(&self, mut address: u64) -> io::Result<Vec<u8>> {
        const PAGE: u64 = 4096;
        let mut text = Vec::new();
        while text.len() <= LONGEST {
            let left = PAGE - address % PAGE;
            let mut piece = vec![0; usize::try_from(left.min(256)).unwrap_or(1)];
            let read = syscall::read_memory(self.thread, address, &mut piece)?;
            if let Some(end) = piece[..read].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                return Ok(text);
            }
            text.extend_from_slice(&piece[..read]);
            address += u64::try_from(read).unwrap_or_default();
        }
        Err(io::ErrorKind::InvalidInput.into())
    }

    /// Every machine builds under the same name.
    fn name(&self) -> io::Result<Answer> {
        const FIELD: usize = size_of::<libc::utsname>() / 6;
        let mut name = [0; size_of::<libc::utsname>()];
        let zero = || Argument::Number(0);
        let mut arguments = [Argument::Out(&mut name), zero(), zero(), zero(), zero(), zero()];
        let result = syscall::call(libc::SYS_uname, &mut arguments);
        for (field, text) in [(1, HOSTNAME), (5, "(none)")] {
            let field = &mut name[field * FIELD..(field + 1) * FIELD];
            field.fill(0);
            field[..text.len()].copy_from_slice(text.as_bytes());
        }
        syscall::write_memory(self.thread, self.arguments[0], &name)?;
        Ok(Answer::Result(result))
    }

    /// There is no network but `lo`.
    fn reach(&self, address: usize, length: usize) -> io::Result<Answer> {
        if self.arguments[address] == 0 || self.arguments[length] < 8 {
            return Ok(Answer::GoOn);
        }
        let bytes = self.bytes(address, Size::Of(length))?;
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let is_near = match family {
            libc::AF_INET => matches!(bytes[4..8], [127, ..] | [0, 0, 0, 0]),
            libc::AF_INET6 => {
                bytes.get(8..24).and_then(|octets| octets.first_chunk::<16>()).is_none_or(|octets| {
                    let address = std::net::Ipv6Addr::from(*octets);
                    address.is_loopback() || address.is_unspecified()
                })
            }
            _ => true,
        };
        Ok(if is_near { Answer::GoOn } else { Answer::Result(-i64::from(libc::ENETUNREACH)) })
    }

    /// Refuses a call, and keeps what it was for the error of the whole command.
    fn impossible(&self, what: &str, path: &str) -> Answer {
        let program = std::fs::read_to_string(format!("/proc/{}/comm", self.thread)).unwrap_or_default();
        let mut first = self.supervisor.impossible.lock().unwrap_or_else(|poison| poison.into_inner());
        first.get_or_insert_with(|| format!("`{}` wants {what} `{path}`", program.trim()));
        Answer::Result(-i64::from(libc::ENOTSUP))
    }
}

/// A descriptor that is only a place cannot be handed over; one that can be read stands in for it.
fn readable(flags: u64) -> u64 {
    let place = u64::from(libc::O_PATH.unsigned_abs());
    match flags & place {
        0 => flags,
        _ => flags & !place | u64::from(libc::O_NONBLOCK.unsigned_abs()),
    }
}

fn has_close_on_exec(flags: u64) -> bool {
    flags & u64::from(libc::O_CLOEXEC.unsigned_abs()) != 0
}

fn is_readlink(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_readlink {
        return true;
    }
    number == libc::SYS_readlinkat
}

fn give(listener: &OwnedFd, id: u64, answer: &Answer) -> io::Result<()> {
    let (result, flags) = match answer {
        Answer::GoOn => (0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1)),
        Answer::Result(result) => (*result, 0),
        Answer::Descriptor { opened, close_on_exec } => {
            match syscall::give_descriptor(listener.as_fd(), id, opened.as_fd(), *close_on_exec) {
                Ok(number) => (number, 0),
                Err(error) => (-i64::from(error.raw_os_error().unwrap_or(libc::EIO)), 0),
            }
        }
    };
    syscall::end_call(listener.as_fd(), id, result, flags)
}

/// Does the work as the user that a process runs as.
fn as_its_user<T: Send>(process: i32, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let id = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let (Some(user), Some(group)) = (id("Uid:"), id("Gid:")) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    std::thread::scope(|scope| {
        let as_user = scope.spawn(move || {
            syscall::become_in_this_thread(user, group)?;
            work()
        });
        as_user.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
