//! Names and passwords for servers that ask for them.
//!
//! Read, in this order, from `BEDPLATE_LOGINS` (the text itself, for a build service), `~/.netrc` (or the file that
//! `NETRC` names), and apt's `/etc/apt/auth.conf` and `auth.conf.d`. All of them are in the one syntax of
//! apt_auth.conf(5), which is that of `.netrc` with a scheme, a port and a path where they are wanted:
//!
//! ```text
//! machine apt.example.com/private login alice password "s3 cret"
//! machine http://127.0.0.1:8080   login bob   password hush
//! ```
//!
//! Invariant: a login goes to the host that it names and to no other one, not even when that host sends the client
//! there, and in clear only where its line says `http://`. It is in no lock, no message and no debug output.
//! The `default` entry of a `.netrc` is sent when a server has asked for a login, and never before.

use std::env;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use bedplate_core::secret::Secret;

/// The environment's variable with logins.
pub const VARIABLE: &str = "BEDPLATE_LOGINS";

/// All logins there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logins {
    entries: Vec<Entry>,
    /// Files that there are, and that this user may not read.
    unreadable: Vec<PathBuf>,
}

/// The login for one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The value of the `Authorization` header.
    pub header: Secret,
    /// Where it was found, for messages.
    pub source: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// None for `default`.
    machine: Option<Machine>,
    login: Login,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Machine {
    /// True where the entry says `http://`.
    plain: bool,
    host: String,
    port: Option<String>,
    /// With a slash at its start, or empty.
    path: String,
}

impl Logins {
    /// Reads them from the environment, the user's home and apt's configuration below `root`, which is `/` but in
    /// tests.
    pub fn read(root: &Path) -> Self {
        let mut logins = Self::default();
        if let Ok(text) = env::var(VARIABLE) {
            logins.add(&text, VARIABLE);
        }
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc"));
        logins.add_file(env::var_os("NETRC").map(PathBuf::from).or_else(home));
        let apt = root.join("etc/apt");
        logins.add_file(Some(apt.join("auth.conf")));
        let parts = std::fs::read_dir(apt.join("auth.conf.d"));
        let mut parts: Vec<PathBuf> =
            parts.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        parts.retain(|part| part.extension().is_none_or(|extension| extension == "conf"));
        parts.sort();
        parts.into_iter().for_each(|part| logins.add_file(Some(part)));
        logins
    }

    /// Reads the logins in a text, which messages call `source`.
    pub fn parse(text: &str, source: &str) -> Self {
        let mut logins = Self::default();
        logins.add(text, source);
        logins
    }

    fn add_file(&mut self, path: Option<PathBuf>) {
        let Some(path) = path else { return };
        match std::fs::read_to_string(&path) {
            Ok(text) => self.add(&text, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => self.unreadable.push(path),
            // Most people have no such file.
            Err(_) => {}
        }
    }

    /// Adds the entries of a text.
    fn add(&mut self, text: &str, source: &str) {
        let mut words = words(text).into_iter().peekable();
        while let Some(word) = words.next() {
            let machine = match word.as_str() {
                "machine" => words.next().map(|machine| Some(Machine::parse(&machine))),
                "default" => Some(None),
                _ => None,
            };
            let Some(machine) = machine else { continue };
            let (mut name, mut password) = (String::new(), String::new());
            while let Some(word) = words.next_if(|word| word != "machine" && word != "default") {
                match word.as_str() {
                    "login" => name = words.next().unwrap_or_default(),
                    "password" => password = words.next().unwrap_or_default(),
                    "account" => drop(words.next()),
                    _ => {}
                }
            }
            self.entries.push(Entry { machine, login: Login::new(&name, &password, source) });
        }
    }

    /// Takes the name and password out of an address of the command line or of the host's sources, and keeps them for
    /// its host.
    pub fn take_from(&mut self, address: &str, source: &str) -> String {
        let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let Some((login, server)) = authority.rsplit_once('@') else { return address.to_owned() };
        let (name, password) = login.split_once(':').unwrap_or((login, ""));
        let machine = Machine::parse(&format!("{scheme}://{server}"));
        let login = Login::new(&decoded(name), &decoded(password), source);
        // Said on purpose and for this run, so before whatever else is known.
        self.entries.insert(0, Entry { machine: Some(machine), login });
        format!("{scheme}://{server}{path}")
    }

    /// The login for an address, if one names its host.
    pub fn of(&self, url: &str) -> Option<&Login> {
        let fits = |entry: &&Entry| entry.machine.as_ref().is_some_and(|machine| machine.has(url));
        self.entries.iter().find(fits).map(|entry| &entry.login)
    }

    /// The login for a server that has none of its own, once it has asked for one.
    pub fn fallback(&self, url: &str) -> Option<&Login> {
        let encrypted = url.starts_with("https://");
        self.entries.iter().find(|entry| entry.machine.is_none() && encrypted).map(|entry| &entry.login)
    }

    /// What to do about a server that wants a login, or another one.
    pub fn advice(&self, url: &str, sent: Option<&Login>) -> String {
        let machine = machine_of(url);
        let unreadable: Vec<String> =
            self.unreadable.iter().map(|path| format!("`{}`", path.display())).collect();
        let unreadable = match unreadable.as_slice() {
            [] => String::new(),
            paths => format!("; {} cannot be read by this user", paths.join(", ")),
        };
        match sent {
            Some(login) => {
                format!("the login in `{}` is refused: correct its line for `{machine}`", login.source)
            }
            None => format!(
                "put `machine {machine} login NAME password PASSWORD` into `~/.netrc`, a file of \
                 `/etc/apt/auth.conf.d`, or the variable `{VARIABLE}`{unreadable}"
            ),
        }
    }
}

impl Login {
    fn new(name: &str, password: &str, source: &str) -> Self {
        let header = format!("Basic {}", Base64::encode_string(format!("{name}:{password}").as_bytes()));
        Self { header: Secret::new(header), source: source.to_owned() }
    }
}

impl Machine {
    fn parse(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = host_and_port(authority);
        Self { plain: scheme == "http", host, port, path: path.to_owned() }
    }

    /// Whether an address is on this machine, and below its path: with a slash at the end at this very directory, else
    /// at whatever begins so, as apt has it.
    fn has(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = host_and_port(authority);
        let default = if scheme == "http" { "80" } else { "443" };
        // A path that goes up would leave what the entry is for.
        let below = path.starts_with(&self.path) && (self.path.len() < 2 || !path.contains(".."));
        let same_port = match &self.port {
            Some(wanted) => port.as_deref().unwrap_or(default) == wanted,
            None => true,
        };
        (scheme == "http") == self.plain && host == self.host && same_port && below
    }
}

/// `host:8080` in two, with an IPv6 address in brackets left whole; names have no case.
fn host_and_port(authority: &str) -> (String, Option<String>) {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end..].rfind(':') {
        Some(at) => (&authority[..end + at], Some(authority[end + at + 1..].to_owned())),
        None => (authority, None),
    };
    (host.to_ascii_lowercase(), port)
}

/// How an entry names the machine of an address.
fn machine_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split('/').next().unwrap_or_default();
    if scheme == "http" { format!("http://{authority}") } else { authority.to_owned() }
}

/// The words of a text, without comments and macros; quotes and backslashes as curl reads them in a `.netrc`.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = word(rest);
            if word == "macdef" {
                // A macro ends with an empty line.
                lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
                break;
            }
            words.push(word);
            rest = after.trim_start();
        }
    }
    words
}

/// The first word of a text that begins with one, and what follows.
fn word(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut word = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (word, &quoted[at + 1..]),
            '\\' => match letters.next() {
                Some((_, 'n')) => word.push('\n'),
                Some((_, 't')) => word.push('\t'),
                Some((_, 'r')) => word.push('\r'),
                Some((_, other)) => word.push(other),
                None => {}
            },
            other => word.push(other),
        }
    }
    (word, "")
}

/// Percent-decoded: RFC 3986, section 2.1.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# for the vendor
machine apt.example.com login alice password \"s3 \\\"cret\"
machine other.example:8443/private/ login bob
  account x password hush
macdef init
machine macro.example login m password m

machine http://127.0.0.1:99 login carol password p#w
default login anonymous password me@
";

    fn logins() -> Logins {
        Logins::parse(TEXT, "~/.netrc")
    }

    fn sent(logins: &Logins, url: &str) -> Option<String> {
        let header = logins.of(url)?.header.reveal().strip_prefix("Basic ")?.to_owned();
        Some(String::from_utf8(Base64::decode_vec(&header).unwrap()).unwrap())
    }

    /// Case 17.
    #[test]
    fn a_login_is_for_its_host_alone() {
        let logins = logins();
        let of = |url| sent(&logins, url);
        assert_eq!(of("https://apt.example.com/x").as_deref(), Some("alice:s3 \"cret"));
        assert_eq!(of("https://APT.example.com:8443/x").as_deref(), Some("alice:s3 \"cret"));
        assert_eq!(of("https://other.example:8443/private/x").as_deref(), Some("bob:hush"));
        assert_eq!(of("http://127.0.0.1:99/x").as_deref(), Some("carol:p#w"));
        for url in [
            // In clear only where it is said.
            "http://apt.example.com/x",
            "https://127.0.0.1:99/x",
            "https://apt.example.com.evil.example/x",
            "https://evil.example/apt.example.com",
            "https://apt.example.com@evil.example/",
            "https://other.example/private/x",
            "https://other.example:8443/public",
            "https://other.example:8443/private/../public",
            "http://127.0.0.1:98/x",
            "https://macro.example/",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn the_default_login_is_kept_back_until_it_is_asked_for() {
        let logins = logins();
        assert_eq!(logins.of("https://debian.example/"), None);
        assert!(logins.fallback("https://debian.example/").is_some());
        assert!(logins.fallback("http://debian.example/").is_none());
    }

    #[test]
    fn a_login_in_an_address_is_taken_out_of_it() {
        let mut logins = Logins::default();
        assert_eq!(
            logins.take_from("http://me:p%40ss@mirror.example/debian", "--mirror"),
            "http://mirror.example/debian"
        );
        assert_eq!(sent(&logins, "http://mirror.example/debian/x").as_deref(), Some("me:p@ss"));
        assert_eq!(logins.take_from("http://mirror.example/a@b", "--mirror"), "http://mirror.example/a@b");
        assert!(!format!("{logins:?}").contains("p@ss"));
    }
}
