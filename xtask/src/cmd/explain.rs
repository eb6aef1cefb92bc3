//! `explain`: why a rule of descriptions is there.

use std::process::ExitCode;

use bedplate_core::spelling::nearest;
use bedplate_core::{Rule, check, explain};

use crate::error::Exit;
use crate::report::Report;
use crate::step;

/// Every rule: of descriptions, and of the trees they lead to.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    check::RULES.iter().chain(step::check::RULES).copied()
}

/// Prints a rule's page, or the list of all rules.
pub fn run(code: Option<&str>, report: &Report) -> ExitCode {
    let Some(code) = code else {
        for rule in rules() {
            report.data(format_args!("{:24} {}\n", rule.code, rule.title));
        }
        return ExitCode::SUCCESS;
    };
    if let Some(rule) = rules().find(|rule| rule.code == code) {
        report.data(explain::page(rule, report.width()));
        return ExitCode::SUCCESS;
    }
    let near = nearest(code, rules().map(|rule| rule.code));
    let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    report.failure(&anyhow::anyhow!("no rule is named `{code}`{near}"), &|_| None);
    Exit::Wrong.into()
}
