//! Words of an archive: packages, suites, components, URLs, keys, snapshots.

use super::{Malformed, Value as _, value};
use crate::bytes::hex;

value! {
    /// The name of a Debian package.
    ///
    /// [Debian policy 5.6.1](https://www.debian.org/doc/debian-policy/ch-controlfields.html#source):
    /// at least two characters of `a-z 0-9 + - .`, the first a letter or digit.
    PackageName, "malformed-package-name", "a package name", package_name
}

value! {
    /// The name of a suite in an archive, as in its `dists/` directory: `noble-updates`. One with a slash at its end is
    /// the directory of a flat archive, as in apt's sources: `./`.
    Suite, "malformed-suite", "a suite", suite
}

value! {
    /// A component of a suite: `main`, `universe`, `stable`.
    Component, "malformed-suite", "a component", component
}

value! {
    /// The address of an archive: `http://` or `https://`, without query.
    Url, "malformed-url", "the address of an archive", url
}

value! {
    /// The address of a file: `http://` or `https://`, and maybe a query.
    ///
    /// A query may let in whoever has it (`?X-Amz-Signature=…`), so it is used and shown nowhere.
    FileUrl, "malformed-url", "the address of a file", file_url
}

value! {
    /// Where a package's file is: an address without query, or a path in the project.
    DebLocation, "malformed-url", "the address of a package, or its path in the project", deb_location
}

value! {
    /// The version of a package, or the start of one with `*` behind: `5:27.5.1-1~debian.13~trixie`, `5:27.*`.
    ///
    /// [Debian policy 5.6.12](https://www.debian.org/doc/debian-policy/ch-controlfields.html#version).
    Version, "malformed-version", "a version", version
}

value! {
    /// A moment of an archive's snapshot service: `20260101T000000Z`.
    Snapshot, "malformed-snapshot", "a snapshot", snapshot
}

value! {
    /// The fingerprint of an OpenPGP key: 40 hexadecimal digits (64 for version 6).
    Fingerprint, "malformed-fingerprint", "a fingerprint", fingerprint
}

value! {
    /// The sha256 of a file: 64 hexadecimal digits in lower case.
    Sha256, "malformed-digest", "a sha256", sha256
}

impl Sha256 {
    /// Returns the value of a digest that was computed.
    #[must_use]
    pub fn of(digest: [u8; 32]) -> Self {
        Sha256(hex(&digest))
    }
}

impl Url {
    /// Returns the address of what has this path below it; a slash at its end is not doubled.
    ///
    /// # Errors
    /// The path holds what is in no address.
    pub fn below(&self, path: &str) -> Result<Self, Malformed> {
        Self::parse(&format!("{}/{path}", self.trim_end_matches('/')))
    }

    /// Returns the same without a slash at its end.
    pub(crate) fn without_slash(&self) -> Self {
        Url(self.trim_end_matches('/').to_string())
    }
}

fn package_name(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    if let Some((name, rest)) = text.split_once([':', '=', '/'])
        && !name.is_empty()
    {
        return Err(Malformed::new(text, "a name alone, without architecture, version or suite")
            .help(format!("write `{name}`; the lock pins `{rest}` and everything else")));
    }
    if let Some(wrong) = text.chars().find(|c| !allowed(*c)) {
        let refusal = Malformed::new(text, format!("`{wrong}` is not one of a-z 0-9 + - ."));
        let repaired = text.to_ascii_lowercase().replace('_', "-");
        return Err(if repaired != text && package_name(&repaired).is_ok() {
            refusal.help(format!("did you mean `{repaired}`?"))
        } else {
            refusal
        });
    }
    if text.len() < 2 {
        return Err(Malformed::new(text, "it has fewer than two characters"));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Malformed::new(text, "it starts with neither a letter nor a digit"));
    }
    Ok(())
}

fn suite(text: &str) -> Result<(), Malformed> {
    // What is below the base of a flat archive, or the base itself.
    let flat = text.strip_suffix('/');
    match flat {
        Some("" | ".") => Ok(()),
        _ => directories(text, flat.unwrap_or(text).trim_start_matches("./")),
    }
}

fn component(text: &str) -> Result<(), Malformed> {
    directories(text, text)
}

/// Checks that `path`, the part of `text` that counts, is one or more directories below an archive's.
fn directories(text: &str, path: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._+/:~%=@,".contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        _ if text.is_empty() => Err(Malformed::new(text, "it is empty")),
        _ if path.split('/').any(|part| part == ".." || part == ".") => {
            Err(Malformed::new(text, "it climbs out of the archive's `dists` directory"))
        }
        _ if path.split('/').any(str::is_empty) => Err(Malformed::new(text, "a directory in it has no name")),
        Some(wrong) => Err(Malformed::new(text, format!("`{}` is not in a suite", wrong.escape_debug()))),
        None => Ok(()),
    }
}

impl FileUrl {
    /// Returns the address without its query.
    #[must_use]
    pub fn bare(&self) -> Url {
        Url::known(self.split('?').next().unwrap_or_default())
    }

    /// Returns the query, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.as_str().split_once('?').map(|(_, query)| query)
    }
}

fn file_url(text: &str) -> Result<(), Malformed> {
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    url(address)?;
    // RFC 3986, section 3.4: what a query is made of.
    match query.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/?[]".contains(*c))) {
        Some(wrong) => {
            Err(Malformed::new(address, format!("`{}` does not belong into a query", wrong.escape_debug()))
                .help("write it percent-encoded"))
        }
        None => Ok(()),
    }
}

impl From<Url> for DebLocation {
    fn from(url: Url) -> Self {
        DebLocation(url.0)
    }
}

impl DebLocation {
    /// True for a path in the project.
    #[must_use]
    pub fn is_file(&self) -> bool {
        !self.contains("://")
    }
}

fn deb_location(text: &str) -> Result<(), Malformed> {
    match text.contains("://") {
        true => url(text),
        false if text.is_empty() => Err(Malformed::new(text, "it is empty")),
        false => Ok(()),
    }
}

fn version(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".+-~:".contains(c);
    let start = text.strip_suffix('*').unwrap_or(text);
    if let Some(wrong) = start.chars().find(|c| !allowed(*c)) {
        return Err(Malformed::new(text, format!("`{}` is not in a version", wrong.escape_debug())));
    }
    match start.starts_with(|c: char| c.is_ascii_digit()) {
        true => Ok(()),
        false => Err(Malformed::new(text, "it does not start with a digit")),
    }
}

fn url(text: &str) -> Result<(), Malformed> {
    const FILE: &str = "a package in the project is `Deb::file(\"debs/agent.deb\")`";
    let Some((scheme, rest)) = text.split_once("://") else {
        let is_file = text.ends_with(".deb") || text.starts_with(['/', '.']);
        let help = if is_file { FILE.to_string() } else { format!("write `https://{text}`") };
        return Err(Malformed::new(text, "it starts with neither `http://` nor `https://`").help(help));
    };
    if scheme != "http" && scheme != "https" {
        let refusal = Malformed::new(text, format!("`{scheme}` is neither `http` nor `https`"));
        return Err(if scheme == "file" { refusal.help(FILE) } else { refusal });
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        let machine = host.rsplit('@').next().unwrap_or_default();
        let machine = if scheme == "http" { format!("http://{machine}") } else { machine.to_string() };
        return Err(Malformed::new(
            &format!("{scheme}://…@{}", host.rsplit('@').next().unwrap_or_default()),
            "it holds a password, which would be in the source and in the lock",
        )
        .help(format!(
            "name the host alone, and put `machine {machine} login NAME password PASSWORD` into `~/.netrc`, \
             `/etc/apt/auth.conf.d/` or `BEDPLATE_LOGINS`"
        )));
    }
    if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c)) {
        return Err(Malformed::new(text, "it names no host"));
    }
    // RFC 3986, section 3.3: what a path is made of.
    if let Some(wrong) =
        path.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._~/+%:@!$&'()*,;=".contains(*c)))
    {
        return Err(Malformed::new(text, format!("`{wrong}` does not belong into an archive's path")));
    }
    Ok(())
}

fn snapshot(text: &str) -> Result<(), Malformed> {
    let refused = |reason| {
        Err(Malformed::new(text, reason)
            .help("write the moment in UTC, as `20260101T000000Z`: YYYYMMDD T HHMMSS Z"))
    };
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| text[range].bytes().all(|b| b.is_ascii_digit());
    if !text.is_ascii() || bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return refused("it does not have the form YYYYMMDDTHHMMSSZ");
    }
    if !digits(0..8) || !digits(9..15) {
        return refused("it does not have the form YYYYMMDDTHHMMSSZ");
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<u32>().unwrap_or(u32::MAX);
    let (year, month, day) = (number(0..4), number(4..6), number(6..8));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return refused("there is no such month"),
    };
    if day == 0 || day > days {
        return refused("there is no such day");
    }
    if number(9..11) > 23 || number(11..13) > 59 || number(13..15) > 59 {
        return refused("there is no such time of day");
    }
    Ok(())
}

fn fingerprint(text: &str) -> Result<(), Malformed> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let joined: String = text.split_whitespace().collect();
        let refusal = Malformed::new(text, "it is not made of hexadecimal digits alone");
        return Err(if joined != text {
            refusal.help(format!("write it without blanks: `{joined}`"))
        } else {
            refusal
        });
    }
    match text.len() {
        40 | 64 => Ok(()),
        8 | 16 => Err(Malformed::new(text, "it is a short key id, and two keys can share one")
            .help("write the whole fingerprint, 40 digits, as `gpg --show-keys --fingerprint` prints it")),
        _ => Err(Malformed::new(text, "it does not have 40 (or 64) digits")),
    }
}

fn sha256(text: &str) -> Result<(), Malformed> {
    let is_hexadecimal = text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hexadecimal && text.len() == 64 {
        return match text.bytes().any(|b| b.is_ascii_uppercase()) {
            true => Err(Malformed::new(text, "it has upper-case digits")
                .help(format!("write `{}`", text.to_ascii_lowercase()))),
            false => Ok(()),
        };
    }
    let other = match (is_hexadecimal, text.len()) {
        (true, 32) => "it is an MD5 digest, which anybody can forge",
        (true, 40) => "it is a SHA-1 digest, which can be forged",
        (true, 128) => "it is a SHA-512 digest",
        (true, _) => "it does not have 64 digits",
        (false, _) => "it is not made of hexadecimal digits alone",
    };
    Err(Malformed::new(text, other).help("write the 64 digits that `sha256sum` prints"))
}
