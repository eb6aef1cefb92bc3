//! What shells and `man` are told of the command line, read by these.

use std::fs;
use std::path::PathBuf;

use crate::product::{agrees, all, scratch, small, success};

/// A directory with the script for a shell, or the manual's page.
fn printed(arguments: &[&str], name: &str) -> PathBuf {
    let directory = scratch("shells");
    fs::write(directory.join(name), success(small().args(arguments))).unwrap();
    directory
}

/// What is offered behind these words, one a line, by the shell itself.
fn offered(shell: &str, words: &str) -> Vec<String> {
    let directory = printed(&["completions", shell], &format!("xtask.{shell}"));
    let ask = match shell {
        "bash" => format!(
            "source ./xtask.bash; COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); \
             _xtask_cargo cargo \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        ),
        _ => format!("source ./xtask.fish; complete --do-complete '{words}'"),
    };
    let packages = ["base-files", "coreutils", "sed", shell];
    let said =
        agrees(&directory, &packages, &["env", "HOME=/tmp", "XDG_RUNTIME_DIR=/tmp", shell, "-c", &ask]);
    said.lines().map(|line| line.split('\t').next().unwrap_or(line).trim().to_owned()).collect()
}

#[test]
fn bash_and_fish_complete_verbs_options_and_the_names_of_images() {
    if !all() {
        return;
    }
    for shell in ["bash", "fish"] {
        assert_eq!(offered(shell, "cargo xtask im"), ["image"], "{shell}");
        assert_eq!(offered(shell, "cargo xtask image gua"), ["guarded"], "{shell}");
        assert_eq!(offered(shell, "cargo xtask plan --again"), ["--against"], "{shell}");
    }
}

/// zsh completes nothing without a terminal; what it is told has its grammar.
#[test]
fn zsh_finds_no_fault_with_its_script() {
    if !all() {
        return;
    }
    let directory = printed(&["completions", "zsh"], "xtask.zsh");
    agrees(&directory, &["base-files", "zsh"], &["zsh", "-n", "xtask.zsh"]);
    let known = "autoload -Uz compinit; compinit -u -D; source ./xtask.zsh; print -r -- ${_comps[xtask]} ${_comps[cargo]}";
    let packages = ["base-files", "coreutils", "zsh"];
    assert_eq!(agrees(&directory, &packages, &["zsh", "-f", "-c", known]), "_xtask _xtask_cargo\n");
}

#[test]
fn groff_finds_no_fault_with_the_manual_and_every_verb_is_in_it() {
    if !all() {
        return;
    }
    let directory = printed(&["man"], "cargo-xtask.1");
    let format = ["groff", "-man", "-Tutf8", "-ww", "-rLL=100n", "cargo-xtask.1"];
    let page = agrees(&directory, &["base-files", "groff-base"], &format);
    for expected in ["CARGO XTASK IMAGE", "CARGO XTASK KEYS NEW", "Build an image into build/NAME/."] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
}
