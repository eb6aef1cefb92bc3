//! What is left out of the packages, and what is done to the finished tree.

use super::Image;
use super::script::Script;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::PathPattern;

/// One line of dpkg's `path-exclude` and `path-include`.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) pattern: At<PathPattern>,
    pub(crate) include: bool,
}

/// The part of a description that this module is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    pub(crate) filters: Vec<Filter>,
    pub(crate) scripts: Vec<Script>,
    pub(crate) removed: Vec<At<PathPattern>>,
}

impl Image {
    /// Runs a program of the project in the image's tree when it is built: `.script(script!("scripts/finish"))`.
    ///
    /// It runs as root of the tree in `/`, after overlays, files, users, presets, enabled units and the packages'
    /// triggers, and in the order given. It may be written for any interpreter of the image. There is no network; `/dev`,
    /// `/proc`, `/run`, `/sys` and `/tmp` are the build's own; the environment is `PATH`, `HOME=/root`, `LANG=C.UTF-8`,
    /// `DEBIAN_FRONTEND=noninteractive` and `SOURCE_DATE_EPOCH`. dpkg's database can be asked. Data comes from an overlay.
    ///
    /// Every script runs twice, and the image is refused when the two results differ. What it has changed is cached.
    ///
    /// There is no counterpart to mkosi's `BuildScripts`, `PrepareScripts` and `WithNetwork`: what a script compiled or
    /// fetched would be in no lock. Build it before, and bring it as a package ([`Deb::file`](crate::Deb::file)) or in
    /// an overlay ([`Image::overlay`]).
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// # macro_rules! script { ($path:literal) => { Script::new($path, "#!/bin/sh\n") } }
    /// image.script(script!("scripts/finish"))
    /// # }
    /// ```
    #[doc(alias(
        "BuildScripts",
        "PrepareScripts",
        "SyncScripts",
        "WithNetwork",
        "BuildPackages",
        "PostInstallationScripts",
        "FinalizeScripts",
        "mkosi.postinst",
        "mkosi.finalize",
        "RUN",
        "hook"
    ))]
    pub fn script(mut self, script: Script) -> Self {
        self.contents.scripts.push(script);
        self
    }

    /// Removes a path, with everything below it, from the finished tree; `*`, `?` and `[a-z]` stand for names.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.remove("/usr/share/doc").remove("/usr/lib/python3*/test")
    /// # }
    /// ```
    ///
    /// It is an error when nothing is there. For whole classes of files see [`Image::path_exclude`], which dpkg knows of.
    #[track_caller]
    #[doc(alias("RemoveFiles", "rm", "delete"))]
    pub fn remove(mut self, path: impl Given<PathPattern>) -> Self {
        let at = SourceLocation::caller();
        self.contents.removed.extend(accept(&mut self.mistakes, path, &at));
        self
    }

    /// Leaves what fits a pattern out of every package, as dpkg's `path-exclude` does; a `*` also stands for slashes.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image
    ///     .path_exclude("/usr/share/doc/*")
    ///     .path_include("/usr/share/doc/*/copyright")
    ///     .path_exclude("/usr/share/man/*")
    /// # }
    /// ```
    ///
    /// The last pattern that fits decides. They are in the image's `dpkg.cfg.d`, too, for packages that are installed on a
    /// device. As everywhere, `dpkg --verify` names what was left out as missing. What a maintainer script needs must not
    /// be left out.
    #[track_caller]
    #[doc(alias("path-exclude", "dpkg.cfg.d", "WithDocs", "nodoc", "localepurge"))]
    pub fn path_exclude(self, pattern: impl Given<PathPattern>) -> Self {
        self.filter(pattern, false, &SourceLocation::caller())
    }

    /// Takes what fits a pattern in again that one before has left out: see [`Image::path_exclude`].
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.path_exclude("/usr/share/doc/*").path_include("/usr/share/doc/*/copyright");
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("path-include", "dpkg.cfg.d"))]
    pub fn path_include(self, pattern: impl Given<PathPattern>) -> Self {
        self.filter(pattern, true, &SourceLocation::caller())
    }

    fn filter(mut self, pattern: impl Given<PathPattern>, include: bool, at: &SourceLocation) -> Self {
        if let Some(pattern) = accept(&mut self.mistakes, pattern, at) {
            self.contents.filters.push(Filter { pattern, include });
        }
        self
    }
}
