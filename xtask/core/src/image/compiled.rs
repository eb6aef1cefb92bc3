//! Where a description was compiled, so that a program is not run for another checkout of it.

/// The checkout that cargo compiled a description in; made by [`compiled!`](crate::compiled!).
///
/// Two checkouts may share a target directory (`CARGO_TARGET_DIR`, `build.target-dir`), and cargo tells files apart by
/// their times alone: it may take the program that it compiled of the first one for that of the second. Where
/// `.cargo/config.toml` sets `BEDPLATE_CHECKOUT` to its own directory, cargo sees the difference by itself.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compiled {
    /// The directory of the package that the description is in.
    pub package: &'static str,
    /// The name of that package.
    pub name: &'static str,
    /// The description's file as rustc names it: relative to the workspace.
    pub file: &'static str,
    /// `BEDPLATE_CHECKOUT` of `.cargo/config.toml`, where it has one.
    pub checkout: Option<&'static str>,
}

/// Where the file that says this is compiled.
#[doc(hidden)]
#[macro_export]
macro_rules! compiled {
    () => {
        $crate::Compiled {
            package: ::core::env!("CARGO_MANIFEST_DIR"),
            name: ::core::env!("CARGO_PKG_NAME"),
            file: ::core::file!(),
            checkout: ::core::option_env!("BEDPLATE_CHECKOUT"),
        }
    };
}
