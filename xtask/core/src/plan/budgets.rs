//! How large parts of an image may become.

use serde::Serialize;

use crate::bytes::bytes;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
pub use crate::image::budget::Part;
use crate::location::SourceLocation;

/// What breaks the rule of budgets, when the plan is made or when the image is built.
pub(crate) const OVER_BUDGET: &str = "over-budget";

/// How large a part of the image may become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetPlan {
    /// The part.
    pub what: Part,
    /// Its bytes at most.
    pub most: u64,
    /// The line that says so.
    pub at: SourceLocation,
}

impl BudgetPlan {
    /// What is wrong with a part of this many bytes; none when it is within the budget.
    #[must_use]
    pub fn over(&self, size: u64) -> Option<Diagnostic> {
        let BudgetPlan { what, most, at } = self;
        let (size, over) = (bytes(size), size.checked_sub(*most).filter(|over| *over > 0)?);
        let message =
            format!("the {what} has {size}, {} more than its budget of {}", bytes(over), bytes(*most));
        Some(Diagnostic::new(OVER_BUDGET, message).at(at))
    }
}

/// The budgets, the root's first.
pub(crate) fn plan(image: &Image) -> Vec<BudgetPlan> {
    let root = image.roots.iter().filter_map(|root| root.budget.as_ref());
    let budget = |budget: &crate::image::budget::Budget| BudgetPlan {
        what: budget.what,
        most: budget.most.bytes(),
        at: budget.at.clone(),
    };
    root.chain(&image.budgets).map(budget).collect()
}
