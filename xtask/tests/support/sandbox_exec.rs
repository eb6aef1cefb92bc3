//! The smallest program that can be re-executed by the sandbox, as tests need one.
//!
//! With arguments `ROOT COMMAND…` it does what a verb of the real one does: it gets its rights, and runs the command
//! in a sandbox with the host's `/usr`.

use std::path::Path;
use std::process::ExitCode;

use bedplate::sandbox::Sandbox;

fn main() -> ExitCode {
    if let Some(code) = bedplate::sandbox::dispatch() {
        return code;
    }
    match run() {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    // A test is a program that has no rights, and starts sandboxes all the same.
    if std::env::var_os("WITHOUT_RIGHTS").is_none() {
        bedplate::host::enter()?;
    }
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_default();
    let sandbox = Sandbox::new(Path::new(&root)).bind_read_only(Path::new("/usr"), "/usr");
    let status = sandbox.command(arguments).unchecked().run()?.status;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

#[expect(clippy::print_stderr, reason = "a test reads it")]
fn complain(text: &str) {
    eprintln!("{text}");
}
