//! A file, served to a guest as a device would fetch it: HTTP with ranges, on this host's loopback, which a guest with a
//! network reaches as 10.0.2.2.
//!
//! Deliberately absent: TLS, names, several files.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// How much is read and sent at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// What is wrong with a server, after so many requests that it answered well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It sends all of the file, whatever part is asked for.
    NoRanges(u64),
    /// It has another file of the same length.
    OtherFile(u64),
    /// It answers no more.
    Gone(u64),
}

/// A server of one file, for [`Guest::install`](super::guest::Guest::install) and whatever else a guest fetches. It
/// lives as long as the value.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    size: u64,
    fault: Option<Fault>,
    ended: AtomicBool,
    requests: AtomicU64,
    sent: AtomicU64,
}

impl Server {
    /// Serves a file, whatever path is asked for.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or no port can be had.
    pub fn start(path: &Path, fault: Option<Fault>) -> Result<Self> {
        let file = fs_err::File::open(path)?.into_parts().0;
        let size = file.metadata()?.len();
        let (requests, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { file, size, fault, ended: AtomicBool::new(false), requests, sent });
        let listener = TcpListener::bind("127.0.0.1:0").context("could not serve the file")?;
        let address = listener.local_addr()?;
        let of_thread = shared.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                if of_thread.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = of_thread.clone();
                // A client that goes away ends its connection, and nothing else.
                thread::spawn(move || {
                    connection.map_err(Into::into).and_then(|client| shared.serve(&client))
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// Its address, as a guest sees it.
    #[must_use]
    pub fn address_in_guest(&self, name: &str) -> String {
        format!("http://10.0.2.2:{}/{name}", self.port())
    }

    /// Its port on this host's loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many requests were answered, and with how many bytes of the file.
    #[must_use]
    pub fn counted(&self) -> (u64, u64) {
        (self.shared.requests.load(Ordering::Relaxed), self.shared.sent.load(Ordering::Relaxed))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Whoever waits for a client gets one.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    /// Answers one request after the other, until the client goes.
    fn serve(&self, mut client: &TcpStream) -> Result<()> {
        let mut lines = BufReader::new(client).lines();
        loop {
            let Some(request) = lines.next().transpose()? else { return Ok(()) };
            let mut wanted = None;
            for line in lines.by_ref() {
                let line = line?;
                if line.is_empty() {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("range")
                {
                    wanted = range(value.trim(), self.size);
                }
            }
            let before = self.requests.fetch_add(1, Ordering::Relaxed);
            let fault = self.fault.filter(|fault| {
                let (Fault::NoRanges(after) | Fault::OtherFile(after) | Fault::Gone(after)) = fault;
                before >= *after
            });
            let (status, part) = match (wanted, fault) {
                (_, Some(Fault::Gone(_))) => return Ok(()),
                (Some(part), None | Some(Fault::OtherFile(_))) => ("206 Partial Content", part),
                (None, _) | (_, Some(Fault::NoRanges(_))) => ("200 OK", 0..self.size),
            };
            let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", part.end - part.start);
            if !matches!(fault, Some(Fault::NoRanges(_))) {
                head += "Accept-Ranges: bytes\r\n";
            }
            if status.starts_with("206") {
                head += &format!("Content-Range: bytes {}-{}/{}\r\n", part.start, part.end - 1, self.size);
            }
            client.write_all(format!("{head}\r\n").as_bytes())?;
            if request.starts_with("GET ") {
                let change = if matches!(fault, Some(Fault::OtherFile(_))) { 1 } else { 0 };
                self.send(client, part, change)?;
            }
        }
    }

    /// Sends a part of the file, with these bits of each byte changed.
    fn send(&self, mut client: &TcpStream, part: Range<u64>, change: u8) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut at = part.start;
        while at < part.end {
            let most = usize::try_from(part.end - at).unwrap_or(CHUNK).min(CHUNK);
            let count = self.file.read_at(&mut buffer[..most], at)?;
            ensure!(count > 0, "the file became shorter");
            buffer[..count].iter_mut().for_each(|byte| *byte ^= change);
            client.write_all(&buffer[..count])?;
            self.sent.fetch_add(count as u64, Ordering::Relaxed);
            at += count as u64;
        }
        Ok(())
    }
}

/// The part of `size` bytes that a header `Range` asks for, where it can be had.
fn range(value: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let start = first.parse::<u64>().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.checked_add(1)?.min(size) };
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn ask(server: &Server, request: &str) -> String {
        let mut client = TcpStream::connect(server.address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn parts_of_a_file_are_served_and_counted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789").unwrap();
        let server = Server::start(file.path(), None).unwrap();
        let answer = ask(&server, "GET /x HTTP/1.1\r\nRange: bytes=2-4\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{answer}");
        assert!(
            answer.contains("Content-Range: bytes 2-4/10\r\n") && answer.ends_with("\r\n\r\n234"),
            "{answer}"
        );
        let both = "HEAD /x HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\nrange: bytes=8-\r\n\r\n";
        let answer = ask(&server, both);
        assert!(answer.contains("Content-Length: 10\r\n") && answer.ends_with("\r\n\r\n89"), "{answer}");
        assert_eq!(server.counted(), (3, 5));
    }

    #[test]
    fn a_server_has_the_fault_that_is_asked_for() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789").unwrap();
        let request = "GET /x HTTP/1.1\r\nRange: bytes=2-4\r\n\r\n";
        for (fault, end) in [
            (Fault::NoRanges(1), "200 OK\r\nContent-Length: 10\r\n\r\n0123456789"),
            (Fault::OtherFile(1), "\r\n\r\n325"),
            (Fault::Gone(1), ""),
        ] {
            let server = Server::start(file.path(), Some(fault)).unwrap();
            assert!(ask(&server, request).ends_with("\r\n\r\n234"));
            let answer = ask(&server, request);
            assert!(answer.ends_with(end) && answer.is_empty() == end.is_empty(), "{fault:?}: {answer}");
        }
    }

    #[test]
    fn a_range_that_cannot_be_had_is_none() {
        assert_eq!(range("bytes=0-0", 10), Some(0..1));
        assert_eq!(range("bytes=9-99", 10), Some(9..10));
        for wrong in ["bytes=10-", "bytes=5-4", "bytes=-5", "lines=1-2", "bytes=a-b", "bytes=1"] {
            assert_eq!(range(wrong, 10), None, "{wrong}");
        }
    }
}
