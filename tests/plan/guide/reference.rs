//! The pages of the reference that follow from the code. `UPDATE_EXPECT=1 cargo test --test plan guide::` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bedplate::cli::Cli;
use bedplate::error::Exit;
use bedplate::prelude::*;
use bedplate::{Rule, build, check, cmd, explain, step};
use clap::{Arg, Command, CommandFactory as _};
use expect_test::expect_file;
use serde_json::Value;

use super::{Page, files, guide};
use crate::product::{root, success, xtask};

/// The head of a page.
fn head(title: &str, text: &str) -> String {
    format!("<!-- Written by tests/plan/guide/reference.rs. -->\n\n# {title}\n\n{text}\n")
}

/// A table; a bar in a cell is no end of it.
fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(columns.iter().map(|&column| column.to_owned()).collect());
    text += &line(columns.iter().map(|_| "---".to_owned()).collect());
    for row in rows {
        text += &line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

// ---- rules

#[test]
fn rules() {
    let mut text = head(
        "Rules",
        "What a description must not say. `cargo xtask explain CODE` prints the same, and `cargo xtask explain` the list.\n\
         A mistake ends the program with 1. One that only the finished tree can have ends a build with 2, before anything \
         is written; some of these are warnings, and say so.",
    );
    let families: [(&str, &[&Rule]); 2] = [
        ("Told by `check` and `plan`, without a build", check::RULES),
        ("Told by a build, of the finished tree", step::check::RULES),
    ];
    let listed = families.iter().flat_map(|(_, rules)| rules.iter()).map(|rule| rule.code);
    assert!(listed.eq(cmd::explain::rules().map(|rule| rule.code)), "`explain` has other rules");
    for (title, rules) in families {
        let _ = write!(text, "\n## {title}\n\n");
        let row = |rule: &&Rule| vec![format!("[`{0}`](#{0})", rule.code), escaped(rule.title)];
        text += &table(&["code", "rule"], rules.iter().map(row));
        for rule in rules {
            text += &rule_page(rule);
        }
    }
    expect_file!["../../../docs/src/reference/rules.md"].assert_eq(&text);
}

/// The page of `explain`: its code is indented there, which is a block here, too.
fn rule_page(rule: &Rule) -> String {
    let page = explain::page(rule, 100);
    let (_, rest) = page.split_once("\n\n").unwrap();
    let paragraphs = rest.trim_end().split("\n\n").map(|paragraph| match paragraph.starts_with("    ") {
        true => paragraph.to_owned(),
        false => escaped(&paragraph.replace('\n', " ")),
    });
    let paragraphs = paragraphs.collect::<Vec<_>>().join("\n\n");
    format!("\n### {}\n\n**{}.**\n\n{paragraphs}\n", rule.code, escaped(rule.title))
}

/// Text in which Markdown sees nothing but what is in backticks.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => part.replace('*', "\\*").replace('<', "&lt;"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

// ---- verbs

#[test]
fn verbs() {
    let mut root = Cli::command();
    root.build();
    let mut text = head(
        "Verbs",
        "`cargo xtask` is an alias for the project's own program, which `.cargo/config.toml` sets. `--help` behind a verb \
         prints the same.\n\n`NAME` is the name of an image; without it, the first one in `main.rs` is meant.",
    );
    let row = |verb: &Command| {
        vec![
            format!("[`{0}`](#cargo-xtask-{0})", verb.get_name()),
            escaped(&verb.get_about().unwrap().to_string()),
        ]
    };
    text.push('\n');
    text += &table(&["verb", "does"], root.get_subcommands().map(row));
    text += "\nEvery verb takes these:\n\n";
    let everywhere = root.get_arguments().filter(|argument| argument.is_global_set());
    text += &table(&["option", ""], everywhere.map(row_of));
    for verb in root.get_subcommands() {
        verb_page(verb, &mut text);
    }
    expect_file!["../../../docs/src/reference/verbs.md"].assert_eq(&text);
}

fn verb_page(verb: &Command, text: &mut String) {
    let usage = verb.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let name = verb.get_bin_name().unwrap();
    let _ = write!(text, "\n## {name}\n\n{}.\n\n```text\n{usage}\n```\n", verb.get_about().unwrap());
    let is_told = |argument: &&Arg| {
        argument.get_id() != "help" && argument.get_help().is_some() && !argument.is_global_set()
    };
    for (title, positional) in [("argument", true), ("option", false)] {
        let arguments = verb.get_arguments().filter(is_told);
        let rows: Vec<_> =
            arguments.filter(|argument| argument.is_positional() == positional).map(row_of).collect();
        if !rows.is_empty() {
            text.push('\n');
            *text += &table(&[title, ""], rows);
        }
    }
    for verb in verb.get_subcommands() {
        verb_page(verb, text);
    }
}

/// The row of an argument or an option.
fn row_of(argument: &Arg) -> Vec<String> {
    let mut help = argument.get_help().unwrap().to_string();
    let takes = argument.get_action().takes_values();
    let values = argument.get_possible_values();
    if takes && !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| code(value.get_name())).collect();
        let _ = write!(help, ": {}", values.join(", "));
    }
    for value in
        argument.get_default_values().iter().filter(|_| takes && !argument.is_hide_default_value_set())
    {
        let _ = write!(help, "; {} when left out", value.display());
    }
    vec![code(&shown(argument)), escaped(&help)]
}

/// `-v`, `--verbose`, `--out DIR`, `NAME`.
fn shown(argument: &Arg) -> String {
    let takes = argument.is_positional() || argument.get_action().takes_values();
    let values = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string);
    let values = values.filter(|_| takes).collect::<Vec<_>>().join(" ");
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let name = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    [name, values].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

// ---- exit codes

#[test]
fn exit_codes() {
    let mut text = head("Exit codes", "How `cargo xtask` ends.");
    text.push('\n');
    text += &table(
        &["code", "means"],
        Exit::ALL.map(|exit| vec![exit.code().to_string(), exit.meaning().to_owned()]),
    );
    text += "\n`cargo xtask tools` ends as the command that it runs, and `cargo xtask boot` with 0 when the machine was \
             turned off.\n";
    expect_file!["../../../docs/src/reference/exit-codes.md"].assert_eq(&text);
}

// ---- artifacts

#[test]
fn artifacts() {
    let image = bedplate::rule::device()
        .version("1.0.0")
        .updates(Updates::rauc("device", certificate!("keys/update.pem")))
        .secure_boot(SecureBoot::keys("keys"));
    let names = image.plan().unwrap().artifacts;
    let row = |(name, what): (&str, &str)| vec![code(name), what.to_owned()];
    let mut text = head(
        "Artifacts",
        "The files of a build, in `build/NAME/` or where `--out` says. On arm64, `x86-64` in their names is `arm64`. \
         A build that fails or is interrupted leaves those of the last one.\n\n\
         The disk and the root before those are kept in `build/.NAME.spare/`. The next build writes over them what is \
         not the same; without them it writes everything.",
    );
    text.push('\n');
    text += &table(&["file", "is"], names.described().into_iter().map(row));
    text += "\nOn request:\n\n";
    text += &table(
        &["file", "is"],
        build::on_request(&names).iter().map(|(name, what)| row((name.as_str(), *what))),
    );
    let unsigned = names.unsigned.unwrap();
    let unsigned = [unsigned.uki, unsigned.loader, unsigned.papers].map(|name| code(&name)).join(", ");
    let _ = write!(
        text,
        "\nWith `.secure_boot(…)` and nobody who signs, a build makes {unsigned} in place of the disk, the kernel image \
         and what follows from them. `cargo xtask sign` makes the others of these, here or elsewhere.\n"
    );
    expect_file!["../../../docs/src/reference/artifacts.md"].assert_eq(&text);
}

// ---- credentials

/// The lines of a unit by which it takes credentials.
const TAKES: [&str; 3] = ["ImportCredential=", "LoadCredential=", "ConditionCredential="];

/// The credentials that the images' units take: by whom, and in which images.
fn credentials() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let output = xtask().arg("check").output().unwrap();
    let checked = String::from_utf8(output.stderr).unwrap();
    let images: Vec<&str> = checked.lines().filter_map(|line| line.trim().strip_prefix("Checked ")).collect();
    assert!(images.len() > 2, "{checked}");
    for image in images {
        let plan: Value =
            serde_json::from_str(&success(xtask().args(["plan", image.trim(), "--json"]))).unwrap();
        let mut texts = Vec::new();
        strings(&plan, &mut texts);
        for text in texts {
            let lines = || text.lines().map(str::trim);
            let names = lines().filter_map(|line| TAKES.iter().find_map(|key| line.strip_prefix(key)));
            let what = lines().find_map(|line| line.strip_prefix("Description=")).unwrap_or_default();
            // An instance's and a partition's name are none of the page's.
            let what = what.split(" (").next().unwrap_or(what).to_owned();
            for name in names {
                let name = name.trim_start_matches(['|', '!']).split(':').next().unwrap_or(name).to_owned();
                let by = found.entry(name).or_default();
                by.entry(what.clone()).or_default().insert(image.trim().to_owned());
            }
        }
    }
    found
}

/// Every text in a value.
fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(values) => values.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

#[test]
fn credentials_page() {
    let mut text = head(
        "Credentials",
        "What a device is handed, and what reads it. `*` stands for the rest of a name. [Provision a \
         fleet](../how-to/provisioning.md) tells how to hand one in, and what comes of it.\n\n\
         The list is of the images in Bedplate's repository. A unit of yours takes one by `ImportCredential=` or \
         `LoadCredential=`, as systemd has it.",
    );
    text.push('\n');
    let credentials = credentials();
    let rows = credentials.iter().flat_map(|(name, by)| {
        by.iter().map(move |(unit, images)| {
            let images: Vec<String> = images.iter().map(|image| code(image)).collect();
            vec![code(name), unit.clone(), images.join(", ")]
        })
    });
    text += &table(&["credential", "read by", "in"], rows);
    expect_file!["../../../docs/src/reference/credentials.md"].assert_eq(&text);
}

/// Those that the pages tell somebody to hand in.
#[test]
fn every_credential_that_the_pages_name_is_read_by_a_unit() {
    let known = credentials();
    let is_read = |name: &str| {
        known.keys().any(|key| match key.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => key == name,
        })
    };
    let families = ["ssh.authorized_keys.", "ssm.", "greengrass.", "bedplate."];
    let mut count = 0;
    for page in guide().into_iter().chain([Page::read("README.md")]) {
        for (number, line) in page.prose() {
            for name in line.split('`').skip(1).step_by(2) {
                let is_name = name.chars().all(|c| c.is_ascii_lowercase() || "._-".contains(c));
                let is_file = name.ends_with(".service") || name.ends_with(".md");
                if is_name && !is_file && families.iter().any(|family| name.starts_with(family)) {
                    assert!(is_read(name), "{}:{number}: nothing reads `{name}`", page.path.display());
                    count += 1;
                }
            }
        }
    }
    assert!(count > 5, "{count} names");
}

// ---- the environment

/// The variables in the sources of the program, and those that only the program itself tells its children.
#[test]
fn the_page_of_the_environment_has_every_variable() {
    let own = ["BEDPLATE_EXE", "BEDPLATE_USER_NAMESPACE", "BEDPLATE_SOURCES"];
    // They are on a device, in udev's database.
    let devices = ["BEDPLATE_DISK", "BEDPLATE_SLOT", "BEDPLATE_STATE"];
    let mut read = BTreeSet::new();
    for file in files(Path::new("xtask/src"), "rs") {
        let is_test = file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests");
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        for (at, _) in text.match_indices("BEDPLATE_").filter(|_| !is_test) {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
            let name = rest[..end].to_owned();
            let is_whole = !name.ends_with('_') && !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            if is_whole && !own.contains(&name.as_str()) && !devices.contains(&name.as_str()) {
                read.insert(name);
            }
        }
    }
    let page = Page::read("docs/src/reference/environment.md");
    let names = page.text.split('`').skip(1).step_by(2).filter(|name| name.starts_with("BEDPLATE_"));
    assert_eq!(names.map(str::to_owned).collect::<BTreeSet<_>>(), read);
}

// ---- mkosi

#[test]
fn the_page_for_mkosi_has_every_setting_that_the_converter_knows() {
    let page = Page::read("docs/src/how-to/mkosi.md");
    for setting in bedplate::new::mkosi::settings() {
        assert!(page.text.contains(&format!("`{setting}=`")), "`{setting}=` is missing");
    }
}
