//! The smallest program that can be re-executed by the sandbox: tests name it in `BEDPLATE_EXE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bedplate::sandbox::dispatch().unwrap_or(ExitCode::FAILURE)
}
