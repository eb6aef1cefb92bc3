//! `Containerfile`, `buildspec.yml`, the GitHub workflow and the README agree.

use std::fs;

use crate::product::root;

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// What stands between two texts, at the first place.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no `{start}`"));
    rest.split_once(end).map_or(rest, |(inner, _)| inner).trim()
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

#[test]
fn build_environments_have_one_toolchain_and_it_is_new_enough() {
    let pinned = version(between(&text("Containerfile"), "RUSTUP_TOOLCHAIN=", "\n"));
    for name in ["buildspec.yml", ".github/workflows/image.yml"] {
        assert_eq!(version(between(&text(name), "RUSTUP_TOOLCHAIN: ", "\n")), pinned, "{name}");
    }
    let least = text("Cargo.toml");
    let least = between(&least, "[workspace.package]", "[workspace.dependencies]");
    let least = between(least, "rust-version = \"", "\"");
    assert!(pinned >= version(least), "{pinned:?} is older than {least}");
    assert_eq!(between(&text("README.md"), "with Rust (", " or newer)"), least);
}

#[test]
fn build_environments_install_what_the_readme_asks_for() {
    let (container, readme) = (text("Containerfile"), text("README.md"));
    let packages = between(&container, "--no-install-recommends ", " \\");
    assert!(packages.contains("gcc"), "{packages}");
    for package in packages.split_whitespace() {
        assert!(readme.contains(&format!("`{package}`")), "{package}");
    }
    for name in ["buildspec.yml", ".github/workflows/image.yml"] {
        assert!(!text(name).contains("apt-get") && !text(name).contains("dnf"), "{name}");
    }
}

#[test]
fn codebuild_and_github_take_the_same_steps_to_the_same_files() {
    let (codebuild, github) = (text("buildspec.yml"), text(".github/workflows/image.yml"));
    let steps = |text: &str| -> Vec<String> {
        let commands = ["rustup toolchain ", "git check-ignore ", "cargo xtask ", "gzip "];
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let command =
            |line: &str| commands.iter().find_map(|command| Some(line[line.find(command)?..].to_owned()));
        lines.filter_map(command).collect()
    };
    assert_eq!(steps(&codebuild), steps(&github));
    assert_eq!(steps(&codebuild).len(), 6);

    let files: Vec<&str> = between(&codebuild, "  files:\n", "\n\n").lines().collect();
    let files: Vec<&str> = files.iter().map(|line| line.trim().trim_start_matches("- ")).collect();
    let uploaded: Vec<&str> = between(&github, "path: |\n", "\n\n").lines().collect();
    let uploaded: Vec<&str> =
        uploaded.iter().map(|line| line.trim().trim_start_matches("build/image/")).collect();
    assert_eq!(files, uploaded);
    assert!(files.contains(&"image.raw.gz") && files.contains(&"image.spdx.json"), "{files:?}");
}
