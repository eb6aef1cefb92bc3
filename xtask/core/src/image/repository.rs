//! Another archive than the distribution's.

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{Component, FileUrl, Fingerprint, Malformed, Suite, Url, Value as _};

/// An archive of packages with a key that signs it. There is no other kind.
///
/// ```
/// # use bedplate_core::*;
/// let docker = Repository::signed(
///     "https://download.docker.com/linux/debian",
///     "trixie",
///     ["stable"],
///     Key::file("keys/docker.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88"),
/// );
/// ```
#[must_use = "a repository does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("sources.list", "Signed-By", "deb822"))]
pub struct Repository {
    pub(crate) url: Option<At<Url>>,
    pub(crate) suite: Option<At<Suite>>,
    pub(crate) components: Vec<At<Component>>,
    pub(crate) key: Key,
    pub(crate) at: SourceLocation,
    pub(crate) mistakes: Vec<Diagnostic>,
}

/// The key an archive or a [`Deb`](super::deb::Deb) is signed with: a file of
/// the project, or an address and the fingerprint that what is there must have.
///
/// ```
/// # use bedplate_core::*;
/// let kept = Key::file("keys/vendor.asc").pinned("1C5B395CBE5E74E2F1CA21592784DBF388D19D46");
/// let fetched = Key::url("https://vendor.example/vendor.gpg").pinned("1C5B395CBE5E74E2F1CA21592784DBF388D19D46");
/// ```
#[must_use = "a key does nothing until it is given to a repository or a package"]
#[derive(Debug, Clone)]
pub struct Key {
    pub(crate) file: Option<At<String>>,
    pub(crate) url: Option<At<FileUrl>>,
    pub(crate) fingerprint: Option<At<Fingerprint>>,
    mistakes: Vec<Diagnostic>,
}

/// The keys that ship with Bedplate, by their fingerprints: those of the packages `debian-archive-keyring` and
/// `ubuntu-keyring`.
pub const SHIPPED: [&str; 12] = [
    "1F89983E0081FDE018F3CC9673A4F27B8DD47936",
    "AC530D520F2F3269F5E98313A48449044AAD5C5D",
    "A4285295FC7B1A81600062A9605C66F00D6C9793",
    "4D64FEC119C2029067D6E791F8D2585B8783D481",
    "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
    "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
    "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
    "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
    "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
    "790BC7277767219C42C86F933B4FE6ACC0B21F32",
    "843938DF228D22F7B3742BC0D94AA3F0EFE21092",
    "F6ECB3762474EDA9D21B7022871920D1991BC93C",
];

impl Repository {
    /// The suite of the archive at `url`, accepted only with a signature of `key`: `deb URL SUITE COMPONENT…` of
    /// apt's sources.
    ///
    /// A `Release` that names another suite than this one is told when the lock is made.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let docker = Repository::signed(
    ///     "https://download.docker.com/linux/debian",
    ///     "trixie",
    ///     ["stable"],
    ///     Key::file("keys/docker.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88"),
    /// );
    /// ```
    #[track_caller]
    pub fn signed(
        url: impl Given<Url>,
        suite: impl Given<Suite>,
        components: impl IntoIterator<Item = impl Given<Component>>,
        key: Key,
    ) -> Self {
        let at = SourceLocation::caller();
        let mut mistakes = key.mistakes.clone();
        let url = accept(&mut mistakes, url, &at);
        let suite = accept(&mut mistakes, suite, &at);
        let components =
            components.into_iter().filter_map(|component| accept(&mut mistakes, component, &at)).collect();
        Repository { url, suite, components, key, at, mistakes }
    }

    /// The flat archive at `url`, accepted only with a signature of `key`: `deb URL ./` of apt's sources.
    ///
    /// It has no `dists` directory and no components: `Release` and `Packages` lie in `directory`, which is `./` for
    /// those at the address itself.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let key = Key::file("keys/vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72");
    /// let vendor = Repository::flat("https://vendor.example/core:/stable:/v1.31/deb", "./", key);
    /// ```
    #[track_caller]
    #[doc(alias("trivial repository", "sources.list"))]
    pub fn flat(url: impl Given<Url>, directory: impl Given<Suite>, key: Key) -> Self {
        let at = SourceLocation::caller();
        let mut flat = Repository::signed(url, directory, [""; 0], key);
        if let Some(suite) = flat.suite.as_ref().filter(|suite| !suite.value.as_str().ends_with('/')) {
            let text = suite.value.as_str();
            let refusal =
                Malformed::new(text, "it does not end with a slash, as the directory of a flat archive does");
            let help =
                format!("write `{text}/`; an archive with a `dists` directory is `Repository::signed`");
            flat.mistakes
                .push(refusal.help(help).diagnostic(Suite::CODE, "the directory of a flat archive").at(&at));
            flat.suite = None;
        }
        flat
    }
}

impl Key {
    /// The key in this file, armored or binary, beside the file that calls this.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let key = Key::file("keys/docker.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88");
    /// ```
    #[track_caller]
    pub fn file(path: &str) -> Self {
        let file = At { value: path.to_string(), at: SourceLocation::caller() };
        Key { file: Some(file), url: None, fingerprint: None, mistakes: Vec::new() }
    }

    /// The key at this address, armored or binary, with the fingerprint that
    /// [`Key::pinned`] says. It is fetched when the lock is made, and kept in
    /// it: what is at the address later, or whether anything is, changes nothing. A query in the address, such as that
    /// of a key server, is used and written nowhere.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let key = Key::url("https://download.docker.com/linux/debian/gpg")
    ///     .pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88");
    /// ```
    #[track_caller]
    pub fn url(url: impl Given<FileUrl>) -> Self {
        let mut mistakes = Vec::new();
        let url = accept(&mut mistakes, url, &SourceLocation::caller());
        Key { file: None, url, fingerprint: None, mistakes }
    }

    /// The key with this fingerprint, among those that ship with Bedplate: Debian's and Ubuntu's archive keys, for
    /// another archive that is signed with one of them. A vendor's key is a file or at an address.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let debian = Key::fingerprint("B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8");
    /// let older = Repository::signed("http://ftp.debian.org/debian", "bookworm", ["main"], debian);
    /// ```
    ///
    /// On a key from a file, [`Key::pinned`] says the same of that file.
    #[track_caller]
    pub fn fingerprint(fingerprint: impl Given<Fingerprint>) -> Self {
        Key { file: None, url: None, fingerprint: None, mistakes: Vec::new() }
            .pin(fingerprint, &SourceLocation::caller())
    }

    /// Accepts the file, or what is at the address, only when it holds the key with this fingerprint.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let key = Key::file("keys/docker.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88");
    /// ```
    #[track_caller]
    pub fn pinned(self, fingerprint: impl Given<Fingerprint>) -> Self {
        let at = SourceLocation::caller();
        self.pin(fingerprint, &at)
    }

    /// What is wrong with its words.
    pub(crate) fn mistakes(&self) -> &[Diagnostic] {
        &self.mistakes
    }

    /// The line that names it.
    pub(crate) fn place(&self) -> Option<&SourceLocation> {
        let file = self.file.as_ref().map(|file| &file.at);
        let url = self.url.as_ref().map(|url| &url.at);
        file.or(url).or(self.fingerprint.as_ref().map(|fingerprint| &fingerprint.at))
    }

    fn pin(mut self, fingerprint: impl Given<Fingerprint>, at: &SourceLocation) -> Self {
        self.fingerprint = accept(&mut self.mistakes, fingerprint, at);
        self
    }
}
