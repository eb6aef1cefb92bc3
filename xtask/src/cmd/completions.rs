//! `completions` and `man`: what a shell and `man` are told of the command line. Both follow from its definition.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::{Cli, CompletionsArgs, KnownShell};
use crate::project::Project;
use crate::report::Report;

/// The command that shells know; `cargo xtask` is completed as this.
const COMMAND: &str = "xtask";
/// Arguments that are the name of an image, or may be; options of these names are others.
const IMAGES: [&str; 4] = ["name", "image", "before", "after"];

/// Prints the script that a shell reads.
pub fn run(project: Project<'_>, args: &CompletionsArgs, report: &Report) -> ExitCode {
    let (shell, cargo) = match args.shell {
        KnownShell::Bash => (Shell::Bash, include_str!("completions/cargo.bash")),
        KnownShell::Zsh => (Shell::Zsh, include_str!("completions/cargo.zsh")),
        KnownShell::Fish => (Shell::Fish, include_str!("completions/cargo.fish")),
    };
    let names: Vec<String> = project.images.iter().map(|entry| entry.name.clone()).collect();
    let mut command = command(&names);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, COMMAND, &mut script);
    let names = if shell == Shell::Fish { fish_names(&command, &names) } else { String::new() };
    report.data(format_args!("{}{names}\n{cargo}", String::from_utf8_lossy(&script)));
    ExitCode::SUCCESS
}

/// The line that clap's script for fish has not: the words of an argument that is no option.
fn fish_names(command: &Command, names: &[String]) -> String {
    let verbs = command.get_subcommands().filter(|verb| verb.get_arguments().any(is_image));
    let verbs: Vec<&str> = verbs.map(Command::get_name).collect();
    let (verbs, names) = (verbs.join(" "), names.join(" "));
    format!("complete -c {COMMAND} -n \"__fish_seen_subcommand_from {verbs}\" -f -a \"{names}\"\n")
}

fn is_image(argument: &Arg) -> bool {
    argument.is_positional() && IMAGES.contains(&argument.get_id().as_str())
}

/// The command line with the names of this project's images.
fn command(names: &[String]) -> Command {
    let named = |verb: Command| {
        verb.mut_args(|argument| match is_image(&argument) {
            true => argument.value_parser(PossibleValuesParser::new(names)),
            false => argument,
        })
    };
    Cli::command().name(COMMAND).bin_name(COMMAND).mut_subcommands(named)
}

/// Prints the manual's page: a section for each verb.
///
/// # Errors
/// It cannot be written.
pub fn man(report: &Report) -> Result<ExitCode> {
    report.data(String::from_utf8_lossy(&page()?));
    Ok(ExitCode::SUCCESS)
}

fn page() -> io::Result<Vec<u8>> {
    let mut root = Cli::command();
    root.build();
    let mut page = Vec::new();
    let head = Man::new(root.clone().name("cargo-xtask").display_name("cargo-xtask"));
    head.render_title(&mut page)?;
    head.render_name_section(&mut page)?;
    head.render_synopsis_section(&mut page)?;
    head.render_options_section(&mut page)?;
    for verb in root.get_subcommands() {
        section(verb, &mut page)?;
    }
    Ok(page)
}

/// The section of a verb, and those of the verbs below it.
fn section(verb: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = verb.get_bin_name().unwrap_or_else(|| verb.get_name()).to_uppercase();
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let about = about.replace('\\', "\\\\").replace('-', "\\-");
    writeln!(page, ".SH \"{name}\"\n{about}.")?;
    // Options of every verb are told once.
    let own = verb.clone().mut_args(|argument| {
        let told = argument.is_global_set();
        argument.hide(told)
    });
    let mut rendered = Vec::new();
    let man = Man::new(own);
    man.render_synopsis_section(&mut rendered)?;
    man.render_options_section(&mut rendered)?;
    let rendered = String::from_utf8_lossy(&rendered);
    for line in rendered.lines() {
        match line {
            ".SH SYNOPSIS" | ".SH OPTIONS" => writeln!(page, ".PP")?,
            other => writeln!(page, "{other}")?,
        }
    }
    verb.get_subcommands().try_for_each(|verb| section(verb, page))
}
