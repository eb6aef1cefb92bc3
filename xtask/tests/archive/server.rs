//! A server on loopback that misbehaves on demand. It ends with the test.
//!
//! It is a proxy, too: one that has what it is asked for under the whole address.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the server does with one request. After the last one of a path it serves the file.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This status and a page of HTML.
    Status(u16),
    /// These bytes instead of the file, as if they were it.
    Other(Vec<u8>),
    /// The whole length is announced, so many bytes are sent, then the connection is closed.
    Cut(usize),
    /// So many bytes are sent, then nothing more.
    Stall(usize),
    /// The request is read and never answered.
    Silence,
    /// The whole file, though a part was asked for.
    Whole,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Arc<Vec<u8>>>>,
    script: Mutex<BTreeMap<String, VecDeque<Reply>>>,
    requests: Mutex<Vec<String>>,
    /// The `Authorization` of each of them, empty where there was none.
    logins: Mutex<Vec<String>>,
    /// The one that every request must have.
    login: Mutex<Option<String>>,
    /// What every request is answered with, whatever it is for.
    refusal: Mutex<Option<u16>>,
    stop: AtomicBool,
}

impl Server {
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let files = files.into_iter().map(|(path, content)| (path, Arc::new(content))).collect();
        let shared = Arc::new(Shared { files: Mutex::new(files), ..Shared::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = thread::spawn({
            let shared = shared.clone();
            move || {
                let mut connections = Vec::new();
                for connection in listener.incoming() {
                    if shared.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let shared = shared.clone();
                    connections.push(thread::spawn(move || shared.serve(&mut connection.unwrap())));
                }
                for connection in connections {
                    connection.join().unwrap();
                }
            }
        });
        Self { address, shared, listener: Some(listener) }
    }

    /// `http://127.0.0.1:PORT`
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests for this path are answered so.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut script = self.shared.script.lock().unwrap();
        script.entry(path.to_owned()).or_default().extend(replies);
    }

    /// Replaces or adds a file.
    pub fn put(&self, path: &str, content: &[u8]) {
        self.share(path, &Arc::new(content.to_vec()));
    }

    /// The same with content that other servers have too.
    pub fn share(&self, path: &str, content: &Arc<Vec<u8>>) {
        self.shared.files.lock().unwrap().insert(path.to_owned(), content.clone());
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        self.shared.files.lock().unwrap().remove(path);
    }

    /// All that it serves.
    pub fn files(&self) -> BTreeMap<String, Arc<Vec<u8>>> {
        self.shared.files.lock().unwrap().clone()
    }

    /// From now on every request is answered with this status; as before again with `None`.
    pub fn refuse(&self, status: impl Into<Option<u16>>) {
        *self.shared.refusal.lock().unwrap() = status.into();
    }

    /// From now on a request without this `Authorization` is answered with 401.
    pub fn demand(&self, login: &str) {
        *self.shared.login.lock().unwrap() = Some(login.to_owned());
    }

    /// The `Authorization` of every request so far, empty where there was none.
    pub fn logins(&self) -> Vec<String> {
        self.shared.logins.lock().unwrap().clone()
    }

    /// Every request so far: the path, and the range where one was asked for.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        self.listener.take().unwrap().join().unwrap();
    }
}

impl Shared {
    fn serve(&self, connection: &mut TcpStream) {
        connection.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        while let Some((path, from, login)) = self.request(connection) {
            let range = from.map_or_else(String::new, |from| format!(" from {from}"));
            self.requests.lock().unwrap().push(format!("{path}{range}"));
            let refusal = self.refusal.lock().unwrap().map(Reply::Status);
            let stranger = self.login.lock().unwrap().as_ref().is_some_and(|wanted| *wanted != login);
            let refusal = refusal.or(stranger.then_some(Reply::Status(401)));
            self.logins.lock().unwrap().push(login);
            let reply = refusal.or_else(|| self.script.lock().unwrap().get_mut(&path)?.pop_front());
            let file = self.files.lock().unwrap().get(&path).cloned();
            match self.answer(connection, reply, file, from) {
                Ok(true) => {}
                // A client that has seen enough hangs up.
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Writes an answer; says whether the connection stays open.
    fn answer(
        &self,
        connection: &mut TcpStream,
        reply: Option<Reply>,
        file: Option<Arc<Vec<u8>>>,
        from: Option<usize>,
    ) -> std::io::Result<bool> {
        let file = file.unwrap_or_default();
        let part = |from: Option<usize>| {
            let start = from.unwrap_or(0).min(file.len());
            (head(file.len(), from), &file[start..])
        };
        match reply {
            Some(Reply::Status(status)) => page(connection, status),
            None if file.is_empty() => page(connection, 404),
            Some(Reply::Silence) => self.hang(),
            Some(Reply::Other(bytes)) => send(connection, &head(bytes.len(), None), &bytes),
            Some(Reply::Whole) => send(connection, &head(file.len(), None), &file),
            Some(Reply::Cut(sent)) => {
                let (head, part) = part(from);
                send(connection, &head, &part[..sent.min(part.len())])?;
                Ok(false)
            }
            Some(Reply::Stall(sent)) => {
                let (head, part) = part(from);
                send(connection, &head, &part[..sent.min(part.len())])?;
                self.hang()
            }
            None => {
                let (head, part) = part(from);
                send(connection, &head, part)
            }
        }
    }

    fn hang(&self) -> std::io::Result<bool> {
        while !self.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(false)
    }

    /// Path, first byte asked for and login of the next request, if there is one.
    fn request(&self, connection: &mut TcpStream) -> Option<(String, Option<usize>, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match connection.read(&mut byte) {
                Ok(0) => return None,
                Ok(_) => head.push(byte[0]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return None;
                    }
                }
                Err(_) => return None,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let range = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": bytes=")?;
            name.eq_ignore_ascii_case("range").then(|| value.trim_end_matches('-').parse().unwrap())
        });
        let login = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
        });
        Some((path, range, login.unwrap_or_default()))
    }
}

fn head(size: usize, from: Option<usize>) -> String {
    match from {
        Some(from) if from >= size => "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
        Some(from) => format!(
            "HTTP/1.1 206 Part\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{size}\r\n\r\n",
            size - from,
            size - 1
        ),
        None => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"),
    }
}

fn page(connection: &mut TcpStream, status: u16) -> std::io::Result<bool> {
    let body = "<html>no</html>";
    let head = format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n", body.len());
    send(connection, &head, body.as_bytes())
}

fn send(connection: &mut TcpStream, head: &str, body: &[u8]) -> std::io::Result<bool> {
    connection.write_all(head.as_bytes())?;
    connection.write_all(body)?;
    Ok(true)
}
