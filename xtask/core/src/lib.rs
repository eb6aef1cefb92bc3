//! What a Bedplate image is: its description, its plan and its lock.
//!
//! ```text
//! Image ──check──► mistakes, all at once, each with its line
//!   └────plan────► Plan: every decision, nothing left to choose
//! ```
//!
//! Nothing here reads a file, opens a socket, starts a program or looks at the
//! clock; `clippy.toml` beside this crate's manifest refuses the calls. That
//! is what makes a plan instant, testable and the same on every machine.
//! What a description needs from outside (a unit's text, a key) comes in
//! through `include_str!`, so that a missing file does not compile.

#[doc(hidden)]
pub mod bytes;
#[doc(hidden)]
pub mod check;
mod decide;
pub mod diagnostic;
#[doc(hidden)]
pub mod explain;
#[doc(hidden)]
pub mod given;
#[doc(hidden)]
pub mod glob;
pub mod image;
pub mod location;
pub mod lock;
#[doc(hidden)]
pub mod page;
pub mod plan;
#[doc(hidden)]
pub mod release;
#[doc(hidden)]
pub mod rule;
#[doc(hidden)]
pub mod secret;
#[doc(hidden)]
pub mod spelling;
pub mod value;

pub use diagnostic::{Diagnostic, Diagnostics, Renderer};
pub use given::{Given, SizeWithUnit};
pub use image::answer::GivenAnswer;
#[doc(hidden)]
pub use image::compiled::Compiled;
pub use image::entry::Entry;
pub use image::package::GivenPackage;
pub use location::SourceLocation;
pub use lock::Lock;
pub use plan::Plan;
pub use prelude::*;
pub use rule::{Example, Rule};

/// The vocabulary of a description, and nothing else: `use bedplate::prelude::*`.
pub mod prelude {
    pub use crate::image::answer::Answer;
    pub use crate::image::bind::Bind;
    pub use crate::image::budget::Budget;
    pub use crate::image::compression::Compression;
    pub use crate::image::data::Data;
    pub use crate::image::deb::Deb;
    pub use crate::image::encryption::{OpenedBy, Tpm, TpmOrRecovery};
    pub use crate::image::esp::Esp;
    pub use crate::image::filesystem::{Erofs, Ext4, Squashfs};
    pub use crate::image::overlay::Overlay;
    pub use crate::image::package::Package;
    pub use crate::image::repository::{Key, Repository};
    pub use crate::image::root::Root;
    pub use crate::image::script::Script;
    pub use crate::image::secure_boot::SecureBoot;
    pub use crate::image::target::{Architecture, Target};
    pub use crate::image::text::Text;
    pub use crate::image::unit::Unit;
    pub use crate::image::updates::{Certificate, Updates};
    pub use crate::image::user::{Login, User};
    pub use crate::image::volatile::Volatile;
    pub use crate::image::{Distribution, Image};
    pub use crate::value::{
        Address, AnswerText, Argument, Compatible, Component, DevicePath, DomainName, FileUrl, Fingerprint,
        GiB, Glob, GroupName, Hostname, ImageVersion, Label, Locale, MiB, ModuleName, PackageName,
        PathPattern, Question, Sha256, Size, Snapshot, SshKey, Suite, SysctlKey, SysctlValue, Timezone,
        UnitName, Url, UserName, Version,
    };
    pub use crate::{certificate, image, script, unit};
}

/// The digest of this crate's sources, for the keys of cache entries: see `build.rs`.
#[doc(hidden)]
pub const CORE_SOURCES: &str = env!("BEDPLATE_SOURCES");
