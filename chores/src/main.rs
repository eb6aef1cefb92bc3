//! What is done with the repository itself: `cargo chore ci`, `cargo chore fuzz TARGET`.

use std::env;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

const USAGE: &str = "\
cargo chore ci                                      the README's test command, with a boot of each kind and every slow oracle
cargo chore fuzz TARGET [OPTION | FILE | DIRECTORY]... a target under libFuzzer: see fuzz/README.md";

/// What cargo-fuzz does, without its sanitizer, which takes a nightly compiler: the parsers have no unsafe code, and
/// overflows are checked by the compiler.
const COVERAGE: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks \
                        -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares";

fn main() -> Result<()> {
    let shell = Shell::new()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository has no root")?;
    shell.change_dir(root);
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["ci"] => ci(&shell),
        ["fuzz", target, options @ ..] => fuzz(&shell, target, options),
        _ => bail!("{USAGE}"),
    }
}

fn ci(shell: &Shell) -> Result<()> {
    Ok(cmd!(shell, "cargo test --workspace").env("BEDPLATE_TESTS", "all").run()?)
}

fn fuzz(shell: &Shell, target: &str, options: &[&str]) -> Result<()> {
    let version = cmd!(shell, "rustc -vV").quiet().read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    // With `--target`, build scripts and macros are not instrumented.
    cmd!(
        shell,
        "cargo build --quiet -p bedplate-fuzz --features libfuzzer --target {host} --target-dir target/fuzz"
    )
    .env("RUSTFLAGS", COVERAGE)
    .env("CARGO_PROFILE_DEV_OPT_LEVEL", "3")
    .quiet()
    .run()?;
    let (more, found) = (format!("target/fuzz/more/{target}"), format!("target/fuzz/found/{target}/"));
    shell.create_dir(&more)?;
    shell.create_dir(&found)?;
    // Inputs that were given are run; otherwise the corpus is, and what grows out of it.
    let corpus = match options.iter().all(|option| option.starts_with('-')) {
        true => vec![more, format!("fuzz/corpus/{target}")],
        false => Vec::new(),
    };
    let program = format!("target/fuzz/{host}/debug/fuzz");
    cmd!(shell, "{program} -timeout=10 -rss_limit_mb=2048 -artifact_prefix={found} {options...} {corpus...}")
        .env("BEDPLATE_FUZZ", target)
        .quiet()
        .run()?;
    Ok(())
}
