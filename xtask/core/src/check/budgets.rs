//! Rules of budgets.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::budget::Budget;
use crate::image::filesystem::Erofs;
use crate::image::root::Root;
use crate::plan::{DiskPlan, OVER_BUDGET as CODE, Part, budgets};
use crate::rule::{Rule, example};
use crate::{Esp, GiB, MiB};

pub(crate) static OVER_BUDGET: Rule = Rule {
    code: CODE,
    title: "no part of an image is larger than its budget",
    why: "A budget is a promise to who pays for the download and the disk. The disk's size follows from the description; \
          the root, the kernel image and the initrd are measured when they are built, and a build that is over names \
          the packages that grew since the last one.",
    wrong: example!(|device| device.budget(Budget::disk(GiB(2)))),
    right: example!(|device| device.budget(Budget::disk(GiB(4)))),
};

pub(crate) static BUDGET_TWICE: Rule = Rule {
    code: "budget-twice",
    title: "a part of an image has one budget",
    why: "The smaller one would hold, and whoever raises the larger one waits for nothing.",
    wrong: example!(|device| device.budget(Budget::initrd(MiB(16))).budget(Budget::initrd(MiB(24)))),
    right: example!(|device| device.budget(Budget::initrd(MiB(16)))),
};

pub(crate) static BUDGET_BEYOND_SLOT: Rule = Rule {
    code: "budget-beyond-slot",
    title: "a root's budget is smaller than its slot",
    why: "A root that does not fit its slot is refused in any case: a budget as large as that never says a word.",
    wrong: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).size(MiB(512)).budget(GiB(1)))),
    right: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).size(MiB(512)).budget(MiB(420)))),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for (first, again) in repeated(&image.budgets, |budget| Some(budget.what)) {
        let message = format!("the {} has two budgets", again.what);
        let mistake = Diagnostic::new(BUDGET_TWICE.code, message).at(&again.at);
        found.push(mistake.related(&first.at, "the first one").help("remove one of the two"));
    }
    for root in &image.roots {
        let Some(budget) = root.budget.as_ref().filter(|budget| budget.most >= root.size) else { continue };
        let message = format!("a root in a slot of {} never reaches a budget of {}", root.size, budget.most);
        let mistake = Diagnostic::new(BUDGET_BEYOND_SLOT.code, message).at(&budget.at);
        found.push(mistake.help("make it smaller, or leave it out"));
    }
}

/// What is over its budget already in the plan.
pub(super) fn against(image: &Image, disk: &DiskPlan) -> Vec<Diagnostic> {
    let planned = budgets(image).into_iter().filter(|budget| budget.what == Part::Disk);
    let help = "make its partitions smaller, or raise the budget";
    planned.filter_map(|budget| Some(budget.over(disk.size)?.help(help))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("budgets.rs");

    #[test]
    fn a_disk_over_its_budget_is_refused() {
        expect![[r#"
            error[over-budget]: the disk has 3.0 GB, 825 MB more than its budget of 2.1 GB
              --> xtask/core/src/check/budgets.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.budget(Budget::disk(GiB(2)))),
               |                                            ^^^^^^^^^^^^^^^^^^^^
               |
               = help: make its partitions smaller, or raise the budget
        "#]]
        .assert_eq(&refusal(&OVER_BUDGET, SOURCE));
    }

    #[test]
    fn a_second_budget_is_refused() {
        expect![[r#"
            error[budget-twice]: the initrd has two budgets
              --> xtask/core/src/check/budgets.rs:LL:CC
               |
            LL | …ng: example!(|device| device.budget(Budget::initrd(MiB(16))).budget(Budget::initrd(MiB(24)))),
               |                                                                      ^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/budgets.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.budget(Budget::initrd(MiB(16))).budget(Budget::initrd(MiB(2
               |                                            ----------------------- the first one
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&BUDGET_TWICE, SOURCE));
    }

    #[test]
    fn a_budget_that_is_never_reached_is_refused() {
        expect![[r#"
            error[budget-beyond-slot]: a root in a slot of 512 MiB never reaches a budget of 1 GiB
              --> xtask/core/src/check/budgets.rs:LL:CC
               |
            LL |     .partition(Root::new(Erofs).size(MiB(512)).budget(GiB(1)))),
               |                                                ^^^^^^^^^^^^^^
               |
               = help: make it smaller, or leave it out
        "#]]
        .assert_eq(&refusal(&BUDGET_BEYOND_SLOT, SOURCE));
    }
}
