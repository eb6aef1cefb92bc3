//! A build that is over its budget is none, and names what grew.

use crate::product::{cases, holds, refused, scratch, success, sums};

#[test]
fn what_grew_since_the_last_build_is_named_and_that_one_stays() {
    let build = || cases(&["image", "budgeted"], "budgeted.lock");
    success(&mut build());
    let out = scratch("images").join("budgeted");
    let before = sums(&out);
    let said = refused(build().env("CASES_MORE", "yes"));
    holds(
        &said,
        &[
            "error[over-budget]: the initrd has ",
            " more than its budget of 1.0 MB",
            "--> tests/images/cases/budgets.rs:",
            "Budget::initrd(MiB(1))",
            "help: since the last build grew: busybox-static, new, by ",
        ],
    );
    assert_eq!(sums(&out), before);
}
