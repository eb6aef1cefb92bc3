//! One package that is in no archive: a file to download from its vendor, or a file of the project.
//!
//! The lock holds its version and sha256 like any other package's. A signature
//! is looked at once, when the lock is made, before anything in the file is
//! read; a build from the lock asks for the locked bytes and nothing else.

use super::repository::Key;
use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{FileUrl, Sha256};

/// The code of the rule that a signature without a key breaks.
pub(crate) const BY_SIGNATURE_AND_DIGEST: &str = "deb-by-signature-and-digest";

/// A `.deb` at an address, with what makes it trusted, or one in the project.
///
/// What it depends on comes from the image's archives. It is the one that is
/// installed under its name, whatever version the archives have of it.
///
/// ```
/// use bedplate_core::*;
///
/// fn agent(image: Image, target: &Target) -> Image {
///     let architecture = match target.architecture {
///         Architecture::X86_64 => "amd64",
///         Architecture::Aarch64 => "arm64",
///     };
///     let url = format!("https://vendor.example/latest/{architecture}/agent.deb");
///     let key = Key::file("keys/vendor.asc").pinned("1C5B395CBE5E74E2F1CA21592784DBF388D19D46");
///     image.deb(Deb::signed(url, key))
/// }
///
/// let image = Image::debian("trixie")
///     .package("linux-image-amd64")
///     .partition(Esp::new(MiB(512)))
///     .partition(Root::new(Erofs).verity());
/// let plan_for = |architecture| {
///     let target = Target { architecture, ..Target::default() };
///     agent(image.clone(), &target).plan_for("edge", &target).unwrap()
/// };
/// assert_eq!(plan_for(Architecture::X86_64).debs[0].url, "https://vendor.example/latest/amd64/agent.deb");
/// assert_eq!(plan_for(Architecture::Aarch64).debs[0].url, "https://vendor.example/latest/arm64/agent.deb");
/// ```
#[must_use = "a package does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("PackageDirectories", "dpkg", "local package"))]
pub struct Deb {
    pub(crate) url: Option<At<FileUrl>>,
    pub(crate) trust: Trust,
    pub(crate) recommends: bool,
    pub(crate) at: SourceLocation,
    pub(crate) mistakes: Vec<Diagnostic>,
}

/// Why a file is believed.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// It is signed with this key, in a file beside it or elsewhere.
    Signed { key: Key, signature: Option<At<FileUrl>> },
    /// It is the file with this digest.
    Unsigned { sha256: Option<At<Sha256>> },
    /// It is this file of the project, as the description itself is.
    Project { path: String },
}

impl Deb {
    /// The package in this file of the project, beside the file that calls this: `debs/agent.deb`.
    ///
    /// It is believed as the description is. The lock names it by its path in the project and pins its sha256: a file
    /// that changes is locked again, and refused with `--locked`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.deb(Deb::file("debs/agent_1.4.0_amd64.deb"))
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("PackageDirectories", "apt install ./"))]
    pub fn file(path: &str) -> Self {
        Deb {
            url: None,
            trust: Trust::Project { path: path.to_string() },
            recommends: false,
            at: SourceLocation::caller(),
            mistakes: Vec::new(),
        }
    }

    /// The package at `url`, accepted only with a detached signature of `key`:
    /// binary or armored, at `url` with `.sig` at its end.
    ///
    /// The key is a file or at an address, and its fingerprint is pinned. A query in the address, such as that of a
    /// presigned one, is used and written nowhere: the lock has the address without it, and the sha256.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let agent = Deb::signed(
    ///     "https://vendor.example/agent.deb",
    ///     Key::file("keys/vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72"),
    /// );
    /// ```
    #[track_caller]
    pub fn signed(url: impl Given<FileUrl>, key: Key) -> Self {
        let at = SourceLocation::caller();
        let mut mistakes = key.mistakes().to_vec();
        let url = accept(&mut mistakes, url, &at);
        Deb { url, trust: Trust::Signed { key, signature: None }, recommends: false, at, mistakes }
    }

    /// Takes the signature from this address.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let key = Key::file("keys/vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72");
    /// let agent = Deb::signed("https://vendor.example/agent.deb", key)
    ///     .signature("https://vendor.example/agent.deb.asc");
    /// ```
    #[track_caller]
    pub fn signature(mut self, url: impl Given<FileUrl>) -> Self {
        let at = SourceLocation::caller();
        let url = accept(&mut self.mistakes, url, &at);
        match &mut self.trust {
            Trust::Signed { signature, .. } => *signature = url,
            Trust::Unsigned { .. } | Trust::Project { .. } => {
                let message = "a package that is taken without a signature is told where its signature is";
                let mistake = Diagnostic::new(BY_SIGNATURE_AND_DIGEST, message);
                let help = "name its key with `Deb::signed`, or leave `.signature` out";
                self.mistakes.push(mistake.at(&at).related(&self.at, "taken without here").help(help));
            }
        }
        self
    }

    /// The package at `url` with this sha256, whoever made it.
    ///
    /// Dangerous because a digest says that the file is always the same one,
    /// and not that it is the vendor's. The plan shows it.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let agent = Deb::dangerous_unsigned(
    ///     "https://vendor.example/agent.deb",
    ///     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    /// );
    /// ```
    #[track_caller]
    pub fn dangerous_unsigned(url: impl Given<FileUrl>, sha256: impl Given<Sha256>) -> Self {
        let at = SourceLocation::caller();
        let mut mistakes = Vec::new();
        let url = accept(&mut mistakes, url, &at);
        let sha256 = accept(&mut mistakes, sha256, &at);
        Deb { url, trust: Trust::Unsigned { sha256 }, recommends: false, at, mistakes }
    }

    /// Installs what the package recommends too, and what the packages that come with it recommend, as far as the archives
    /// have it: [`Package::recommends`](crate::Package::recommends) of a vendor's package.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let plan = Image::debian("trixie")
    ///     .package("linux-image-amd64")
    ///     .deb(Deb::file("debs/agent_1.4.0_amd64.deb").recommends())
    ///     .partition(Esp::new(MiB(512)))
    ///     .partition(Root::new(Erofs).verity())
    ///     .plan()
    ///     .unwrap();
    /// assert!(plan.debs[0].recommends);
    /// ```
    #[doc(alias("WithRecommends", "Install-Recommends"))]
    pub fn recommends(mut self) -> Self {
        self.recommends = true;
        self
    }
}
