//! From a description to its plan: what is wrong is told, all else is decided.

use crate::check;
use crate::check::binds::PATH_TO_BE_QUOTED;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::image::Image;
use crate::image::entry::Entry;
use crate::image::target::Target;
use crate::plan::{Draft, Plan, Unfit};

impl Image {
    /// Decides everything, for the default target and a name after the host.
    ///
    /// # Errors
    /// All mistakes of the description, in the order of its lines.
    pub fn plan(&self) -> Result<Plan, Diagnostics> {
        let hostname = self.hostname.as_ref().filter(|name| !name.value.is_template());
        self.plan_named(hostname.map_or("image", |name| name.value.as_str()))
    }

    /// Decides everything for an image called `name`, for the default target.
    ///
    /// # Errors
    /// All mistakes of the description, in the order of its lines.
    pub fn plan_named(&self, name: &str) -> Result<Plan, Diagnostics> {
        self.plan_for(name, &Target::default())
    }

    /// Decides everything for an image called `name` and this target.
    ///
    /// # Errors
    /// All mistakes of the description, in the order of its lines.
    pub fn plan_for(&self, name: &str, target: &Target) -> Result<Plan, Diagnostics> {
        let mistakes = check::all(self);
        if !mistakes.is_empty() {
            return Err(Diagnostics::new(mistakes));
        }
        let Some(draft) = Draft::new(self, name, target).map_err(unfit)? else {
            return Err(Diagnostics::new(mistakes));
        };
        let clashes = check::against(self, &draft);
        if clashes.is_empty() { Ok(draft.finish()) } else { Err(Diagnostics::new(clashes)) }
    }
}

/// Tells of a value that the rules let through and a unit or a script cannot hold.
fn unfit(unfit: Unfit) -> Diagnostics {
    Diagnostics::new(vec![Diagnostic::new(PATH_TO_BE_QUOTED.code, unfit.to_string())])
}

impl Entry {
    /// Decides everything for this image.
    ///
    /// # Errors
    /// All mistakes of the description, in the order of its lines.
    pub fn plan(&self, target: &Target) -> Result<Plan, Diagnostics> {
        (self.function)(target).plan_for(&self.name, target)
    }
}
