//! `explain`: why a rule of descriptions is there.

use std::process::ExitCode;

use bedplate_core::{check, explain};

use crate::report::Report;

/// Prints a rule's page, or the list of all rules.
pub fn run(code: Option<&str>, report: &Report) -> ExitCode {
    let Some(code) = code else {
        for rule in check::RULES {
            report.data(format_args!("{:24} {}\n", rule.code, rule.title));
        }
        return ExitCode::SUCCESS;
    };
    if let Some(rule) = explain::rule(code) {
        report.data(explain::page(rule, report.width()));
        return ExitCode::SUCCESS;
    }
    let near = explain::nearest(code).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    report.failure(&anyhow::anyhow!("no rule is named `{code}`{near}"), &|_| None);
    ExitCode::from(1)
}
