//! The tutorial, as far as no package is needed: what it tells to write is written, what it tells to type is typed, and
//! what it shows is what is printed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Block, Page};
use crate::product::{scratch, small, success};
use crate::project::{compiled, program};

fn page(name: &str) -> Page {
    Page::read(Path::new("docs/src/tutorial").join(name))
}

/// A text with one blank between its words.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a command prints, on both streams.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    text(output.stdout) + &text(output.stderr)
}

/// Every line of the page's blocks of output is a part of what was printed, but for what `…` stands for.
#[track_caller]
fn shows(page: &Page, printed: &str) {
    let printed = folded(printed);
    for block in page.blocks().iter().filter(|block| block.info == "text") {
        for line in block.text.lines() {
            let place = format!("{}:{}", page.path.display(), block.line);
            let mut rest = Some(&*printed);
            for part in folded(line).split('…').map(str::trim) {
                rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
            }
            assert!(rest.is_some(), "{place}: `{}` is not in:\n{printed}", folded(line));
        }
    }
}

/// Does what the page tells to do with files: a unit by the name before it, a piece of the description, a test, and
/// the lines that name a piece in the image.
fn follow(page: &Page, project: &Path) {
    let main = project.join("image/main.rs");
    for Block { info, before, text, .. } in page.blocks() {
        let named =
            before.split('`').find(|name| name.starts_with("image/units/") || name.starts_with("tests/"));
        let description = fs::read_to_string(&main).unwrap();
        match (info.as_str(), named) {
            ("ini" | "rust", Some(path)) => fs::write(project.join(path), text).unwrap(),
            ("rust", None) if text.trim_start().starts_with(".with(") => {
                let (first, _) = text.split_once('\n').unwrap();
                // The first of the two lines is there already.
                assert_eq!(description.matches(&format!("{first}\n")).count(), 1, "{first}");
                fs::write(&main, description.replace(&format!("{first}\n"), &text)).unwrap();
            }
            ("rust", None) => fs::write(&main, format!("{description}\n{text}")).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn the_tutorial_is_true_until_packages_are_needed() {
    let project = scratch("new").join("my-device");
    let _ = fs::remove_dir_all(&project);
    let mut said = printed(small().arg("new").arg(&project).args(["--release", "trixie"]));
    let compiled_again = || compiled(&project, "image/main.rs", &["--crate-name", "xtask"]);

    said += &success(compiled_again().arg("plan"));
    let before = success(program(&project).args(["plan", "--json"]));
    fs::write(project.join("before.json"), before).unwrap();
    let development = success(program(&project).args(["plan", "my-device-development"]));
    shows(&page("build.md"), &development);

    let main = project.join("image/main.rs");
    let right = fs::read_to_string(&main).unwrap();
    let bind = "        .bind(Bind::new(\"/var/lib/boots\")";
    assert_eq!(right.matches(bind).count(), 1);
    fs::write(&main, right.replace(bind, &format!("        .bind(\"/var/lib/boots\")\n{bind}"))).unwrap();
    said += &printed(compiled_again().arg("check"));
    said += &printed(program(&project).args(["explain", "bound-twice"]));
    shows(&page("project.md"), &said);
    fs::write(&main, right).unwrap();

    follow(&page("change.md"), &project);
    let changed = success(compiled_again().args(["plan", "--against", "before.json"]));
    shows(&page("change.md"), &changed);

    follow(&page("disk.md"), &project);
    let test = success(compiled(&project, "tests/disk.rs", &["--test"]).arg("--list"));
    assert!(test.contains("1 test"), "{test}");

    let keys = project.join("image/keys");
    fs::create_dir_all(&keys).unwrap();
    fs::copy(crate::product::root().join("image/keys/update.pem"), keys.join("update.pem")).unwrap();
    follow(&page("update.md"), &project);
    let changed = success(compiled_again().args(["plan", "--against", "before.json"]));
    shows(&page("update.md"), &changed);
    let test = success(compiled(&project, "tests/update.rs", &["--test"]).arg("--list"));
    assert!(test.contains("1 test"), "{test}");
}
