//! Commands of the guide: each `cargo xtask` line is parsed by the program's own definition of its command line.

use bedplate::cli::Cli;
use clap::{Command, CommandFactory as _, Parser as _};

use super::{Block, Page, pages};

/// What a block for the reader's own machine may start. All else is of a device or of AWS, and its block says so.
const PROGRAMS: [&str; 17] = [
    "cargo",
    "cd",
    "cp",
    "docker",
    "export",
    "git",
    "gzip",
    "hx",
    "make",
    "mv",
    "openssl",
    "printf",
    "rustup",
    "sha256sum",
    "ssh-keygen",
    "sudo",
    "truncate",
];

/// The commands of a block, continued lines as one.
fn typed(block: &Block) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut continued = false;
    for line in block.text.lines() {
        let prompt = line.strip_prefix("$ ").or(line.strip_prefix("# "));
        match prompt {
            _ if continued => *commands.last_mut().unwrap() += &format!(" {}", line.trim()),
            Some(command) => commands.push(command.to_owned()),
            // What a command printed.
            None => continue,
        }
        let last = commands.last_mut().unwrap();
        continued = last.ends_with('\\');
        *last = last.trim_end_matches('\\').trim_end().to_owned();
    }
    commands
}

/// The simple commands of a line, each as its words. Comments, redirections and variables in front of them are left out.
fn simple(command: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quote, mut substituted) = (String::new(), None, 0u32);
    let end = |word: &mut String, commands: &mut Vec<Vec<String>>| {
        if !word.is_empty() {
            commands.last_mut().unwrap().push(std::mem::take(word));
        }
    };
    let mut characters = command.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            '(' if quote.is_none() => substituted += 1,
            ')' if quote.is_none() && substituted > 0 => substituted -= 1,
            _ if quote.is_some() || substituted > 0 => word.push(c),
            '#' if word.is_empty() => break,
            '>' | '<' => {
                // The file of a redirection is no word of the command.
                word.clear();
                while characters.next_if(|&next| next != ' ').is_some() {}
            }
            '|' | '&' | ';' => {
                end(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            ' ' => end(&mut word, &mut commands),
            _ => word.push(c),
        }
    }
    end(&mut word, &mut commands);
    for words in &mut commands {
        let assigned = |word: &&String| {
            word.split_once('=')
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        let variables = words.iter().take_while(assigned).count();
        words.drain(..variables);
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// Parses a command line. `…` at its end is a value, or stands for more.
fn parse(words: &[String]) -> Result<(), String> {
    parse_whole(words).or_else(|error| match words.split_last() {
        Some((last, words)) if last == "…" => parse_whole(words),
        _ => Err(error),
    })
}

fn parse_whole(words: &[String]) -> Result<(), String> {
    let arguments = std::iter::once("cargo xtask").chain(words[2..].iter().map(String::as_str));
    match Cli::try_parse_from(arguments) {
        Ok(_) => Ok(()),
        Err(error) if !error.use_stderr() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// By cargo, or as root the program that cargo made.
fn is_xtask(words: &[String]) -> bool {
    words.len() >= 2 && [["cargo", "xtask"], ["sudo", "target/debug/xtask"]].contains(&[&words[0], &words[1]])
}

#[test]
fn every_command_of_the_pages_is_one_that_the_program_takes() {
    let mut count = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info.starts_with("console")) {
            for line in typed(block) {
                // In a comment as well.
                let from = line.find("cargo xtask").filter(|_| line.starts_with(['…', '1', '2', '3']));
                let line = from.map_or(line.as_str(), |at| &line[at..]);
                for words in simple(line).into_iter().filter(|words| is_xtask(words)) {
                    let place = format!("{}:{}", page.path.display(), block.line);
                    parse(&words).unwrap_or_else(|error| panic!("{place}: `{line}`\n{error}"));
                    count += 1;
                }
            }
        }
    }
    assert!(count > 60, "{count} commands");
}

#[test]
fn a_command_for_a_device_or_for_aws_is_in_a_block_that_says_so() {
    for page in super::guide().into_iter().chain([Page::read("README.md")]) {
        for block in page.blocks().iter().filter(|block| block.info == "console") {
            for line in typed(block) {
                for words in simple(&line) {
                    let place = format!("{}:{}", page.path.display(), block.line);
                    assert!(PROGRAMS.contains(&words[0].as_str()), "{place}: `{line}`");
                }
            }
        }
    }
}

/// In a sentence, a command is a verb, and has options that there are.
#[test]
fn every_command_in_a_sentence_has_a_verb_and_options_that_there_are() {
    let mut root = Cli::command();
    root.build();
    for page in pages() {
        for (number, line) in page.prose() {
            for code in line.split('`').skip(1).step_by(2) {
                let Some(rest) = code.strip_prefix("cargo xtask ") else { continue };
                let place = format!("{}:{number}: `{code}`", page.path.display());
                sentence(&root, rest).unwrap_or_else(|word| panic!("{place}: there is no `{word}`"));
            }
        }
    }
}

fn sentence(root: &Command, rest: &str) -> Result<(), String> {
    let mut command = root;
    for (index, word) in rest.split_whitespace().enumerate() {
        let name = word.trim_end_matches(',');
        match command.find_subcommand(name) {
            Some(found) => command = found,
            None if index == 0 && name != "…" => return Err(name.to_owned()),
            None => {}
        }
        // What follows is another program's.
        if word == "--" || word.starts_with(['|', '>']) {
            break;
        }
        let Some(option) = name.strip_prefix("--") else { continue };
        let option = option.split('=').next().unwrap_or(option);
        let is_one = command.get_arguments().any(|argument| argument.get_long() == Some(option));
        if !is_one {
            return Err(name.to_owned());
        }
    }
    Ok(())
}

#[test]
fn lines_are_taken_apart_as_a_shell_does() {
    let words = |line: &str| simple(line).iter().map(|words| words.join("|")).collect::<Vec<_>>();
    assert_eq!(words("cargo xtask plan edge --json >a.json   # kept"), ["cargo|xtask|plan|edge|--json"]);
    assert_eq!(
        words("cd a && A_B=1 cargo xtask check; git add 'a b'"),
        ["cd|a", "cargo|xtask|check", "git|add|a b"]
    );
    assert!(parse(&["cargo", "xtask", "image", "--no-such"].map(str::to_owned)).is_err());
    assert_eq!(sentence(&Cli::command(), "flash --credentials a"), Err("--credentials".to_owned()));
    assert_eq!(sentence(&Cli::command(), "flush"), Err("flush".to_owned()));
}
