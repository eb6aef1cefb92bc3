//! Holds the finished tree against the description, before anything is written.
//!
//! What a device would only show at its first start, or never, is found here: a
//! unit whose program is not in the image, a line of `fstab` that waits for a
//! disk nobody has. All checks look at the whole tree, so that one build
//! reports every mistake, each at the line that is answerable for it.
//!
//! Only what the description brings is an error. Packages have faults of their
//! own, and whoever installs them can do nothing about it.

mod binds;
mod early;
mod fstab;
mod locale;
mod modes;
mod names;
mod origin;
mod people;
mod programs;
mod readers;
mod started;
mod state;
mod time;
mod udev;
pub(super) mod unit;
mod units;

use anyhow::Result;
use bedplate_core::plan::Plan;
use bedplate_core::{Diagnostic, Diagnostics, Rule};
use bedplate_formats::tree::Tree;
use camino::Utf8Path;

pub use self::early::packages;
pub use self::programs::Sandboxed;
use self::started::Started;
pub(super) use self::units::{NO_UNIT_TO_ENABLE, NOTHING_TO_ENABLE};
use crate::step::origin::Origins;

/// Every rule that only a finished tree can break, family by family.
pub static RULES: &[&Rule] = &[
    &time::NO_SUCH_TIMEZONE,
    &locale::NO_SUCH_LOCALE,
    &units::NO_UNIT_TO_ENABLE,
    &units::NOTHING_TO_ENABLE,
    &units::NO_SUCH_TARGET,
    &units::LINK_TO_NO_UNIT,
    &units::DROP_IN_OF_NO_UNIT,
    &units::NO_SUCH_UNIT,
    &units::WISH_FOR_NO_UNIT,
    &units::NO_SUCH_PROGRAM,
    &units::NO_SUCH_UNIT_USER,
    &units::NO_SUCH_UNIT_PATH,
    &fstab::MALFORMED_FSTAB,
    &fstab::MOUNT_OF_NO_DEVICE,
    &fstab::MOUNT_OF_THE_PLAN,
    &units::NO_SHELL,
    &units::LINE_OF_NO_VARIABLE,
    &names::FILE_NOBODY_READS,
    &modes::FILE_LEFT_OUT,
    &readers::FILE_WITHOUT_PROGRAM,
    &binds::BIND_OF_UNKNOWN_OWNER,
    &binds::BIND_FOR_NO_UNIT,
    &binds::BIND_THROUGH_LINK,
    &binds::BIND_OF_OTHER_KIND,
    &binds::BIND_HIDES_CONTENT,
    &state::BIND_OF_DYNAMIC_USER,
    &state::STATE_IS_VOLATILE,
    &people::USER_WITHOUT_LOGIN,
    &programs::ORDERING_CYCLE,
    &programs::REFUSED_BY_PROGRAM,
    &programs::LINE_NOT_READ,
];

/// A finished tree, and what it was made of.
pub(super) struct Subject<'a> {
    plan: &'a Plan,
    tree: &'a Tree,
    origins: Origins,
}

/// What the checks found.
#[derive(Default)]
pub struct Findings {
    /// What is wrong: the image is not built.
    pub mistakes: Vec<Diagnostic>,
    /// What the reader should know.
    pub cautions: Vec<Diagnostic>,
}

/// Checks `tree`, to which the description's files were added, with `sandboxed`
/// programs of its own as well. Paths of the description start from `project`.
///
/// # Errors
/// The sandbox cannot be set up.
pub fn tree(plan: &Plan, project: &Utf8Path, tree: &Tree, sandboxed: &Sandboxed<'_>) -> Result<Findings> {
    let subject = Subject { plan, tree, origins: Origins::new(plan, project, tree) };
    let mut found = Findings::default();
    fixed(&subject, &mut found);
    programs::check(&subject, sandboxed, &mut found)?;
    Ok(found)
}

/// The checks that run nothing.
fn fixed(subject: &Subject<'_>, found: &mut Findings) {
    let started = Started::new(subject);
    time::check(subject, found);
    locale::check(subject, found);
    names::check(subject, found);
    modes::check(subject, found);
    readers::check(subject, found);
    fstab::check(subject, found);
    units::check(subject, &started, found);
    udev::check(subject, found);
    binds::check(subject, found);
    state::check(subject, &started, found);
    people::check(subject, &started, found);
}

impl Findings {
    /// The mistakes as one error.
    ///
    /// # Errors
    /// There is a mistake.
    pub fn result(self) -> Result<(), Diagnostics> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Diagnostics::new(self.mistakes)) }
    }

    fn mistake(&mut self, mistake: Diagnostic) {
        self.mistakes.push(mistake);
    }
}

#[cfg(test)]
mod tests;
