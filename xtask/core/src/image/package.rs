//! A package of which more is said than its name.

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{PackageName, Suite, Version};

/// A package, where it comes from, in which version, and whether with what it recommends.
///
/// ```
/// # use bedplate_core::*;
/// let plan = Image::debian("trixie")
///     .suite("trixie-backports")
///     .package(Package::new("linux-image-amd64").from("trixie-backports"))
///     .package(Package::new("podman").recommends())
///     .partition(Esp::new(MiB(512)))
///     .partition(Root::new(Erofs).verity())
///     .plan()
///     .unwrap();
/// assert_eq!(plan.package("linux-image-amd64").unwrap().from.as_ref().unwrap().suite, "trixie-backports");
/// assert!(plan.package("podman").unwrap().recommends);
/// ```
#[must_use = "a package does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("Packages", "apt_preferences", "pin"))]
pub struct Package {
    pub(crate) name: Option<At<PackageName>>,
    pub(crate) from: Option<At<Suite>>,
    pub(crate) version: Option<At<Version>>,
    pub(crate) recommends: bool,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Package {
    /// Names a package.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let podman = Package::new("podman").recommends();
    /// ```
    #[track_caller]
    pub fn new(name: impl Given<PackageName>) -> Self {
        Package::given(name, &SourceLocation::caller())
    }

    fn given(name: impl Given<PackageName>, at: &SourceLocation) -> Self {
        let mut mistakes = Vec::new();
        let name = accept(&mut mistakes, name, at);
        Package { name, from: None, version: None, recommends: false, mistakes }
    }

    /// Takes the package from this suite, as `apt install NAME/SUITE` does: with it what it needs of that suite, and nothing
    /// else. Of a repository whose suite another one has too, the host is named: `download.docker.com`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let kernel = Package::new("linux-image-amd64").from("trixie-backports");
    /// ```
    #[track_caller]
    #[doc(alias("default-release", "target-release", "Pin"))]
    pub fn from(mut self, suite: impl Given<Suite>) -> Self {
        let at = SourceLocation::caller();
        self.from = accept(&mut self.mistakes, suite, &at);
        self
    }

    /// Takes this version of the package, or, with `*` at the end, the newest one that starts so: `5:27.*`.
    ///
    /// The lock pins every version anyway; this one stays when the lock moves forward.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let docker = Package::new("docker.io").version("26.1.*");
    /// ```
    #[track_caller]
    #[doc(alias("Pin", "hold"))]
    pub fn version(mut self, version: impl Given<Version>) -> Self {
        let at = SourceLocation::caller();
        self.version = accept(&mut self.mistakes, version, &at);
        self
    }

    /// Installs what the package recommends too, and what the packages that come with it recommend, as far as the archives
    /// have it.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let podman = Package::new("podman").recommends();
    /// ```
    #[doc(alias("WithRecommends", "Install-Recommends"))]
    pub fn recommends(mut self) -> Self {
        self.recommends = true;
        self
    }
}

/// Something that names a package: text, a [`PackageName`], or a [`Package`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say a `PackageName`",
    label = "expected text, a `PackageName`, or a `Package`"
)]
pub trait GivenPackage {
    /// The package, named at this place.
    fn package(self, at: &SourceLocation) -> Package;
}

impl GivenPackage for Package {
    fn package(self, _at: &SourceLocation) -> Package {
        self
    }
}

macro_rules! by_name {
    ($($given:ty),+) => {$(
        impl GivenPackage for $given {
            fn package(self, at: &SourceLocation) -> Package {
                Package::given(self, at)
            }
        }
    )+};
}
by_name!(&str, String, &String, PackageName);
