//! Bedplate builds immutable Ubuntu and Debian disk images from a Rust description.

use std::process::ExitCode;

pub use bedplate_core::*;

/// Stands in until there are verbs: plans the images and shows the plan or the mistakes.
#[must_use]
#[expect(clippy::print_stdout, reason = "a stand-in until there is a report")]
pub fn main(entries: &[Entry]) -> ExitCode {
    let name = std::env::args().nth(1);
    let chosen = entries.iter().find(|entry| name.as_ref().is_none_or(|name| *name == entry.name));
    let Some(entry) = chosen else { return ExitCode::from(2) };
    match entry.plan(&Target::default()) {
        Ok(plan) => {
            println!("{}", plan.page(100));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            let source = |file: &str| std::fs::read_to_string(format!("{}/{file}", entry.root)).ok();
            println!("{}", Renderer::plain().render_all(&mistakes, &source));
            ExitCode::FAILURE
        }
    }
}
