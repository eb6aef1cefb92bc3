//! Rules of files that are written in the description.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::explain::{Rule, example};
use crate::image::Image;
use crate::plan::FilePlan;

pub(crate) static FILE_TWICE: Rule = Rule {
    code: "file-twice",
    title: "a file is written once",
    why: "The second text would stand in place of the first. Programs that read a directory of settings take a file \
          from each piece of a description; give each a name of its own.",
    wrong: example!(|device| device.file("/etc/motd", "hello\n").file("/etc/motd", "welcome\n")),
    right: example!(|device| device.file("/etc/motd", "hello\n")),
};

pub(crate) static FILE_OF_THE_PLAN: Rule = Rule {
    code: "file-of-the-plan",
    title: "a file that the plan writes is not written by hand",
    why: "What follows from the description is generated: host name, mounts, what is kept. A text of your own in the \
          same place would win or lose to it, and either way something said would not be so.",
    wrong: example!(|device| device.hostname("edge").file("/etc/hostname", "edge-2\n")),
    right: example!(|device| device.hostname("edge-2")),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for (first, second) in repeated(&image.files, |file| Some(&file.path.value)) {
        let message = format!("the file `{}` is written twice", second.path.value);
        let mistake = Diagnostic::new(FILE_TWICE.code, message).at(&second.path.at);
        found.push(mistake.related(&first.path.at, "first written here").help("remove one of the two"));
    }
}

/// Holds the description's files against those that were `generated` from it.
pub(crate) fn against(image: &Image, generated: &[FilePlan]) -> Vec<Diagnostic> {
    let clash = |path: &str| generated.iter().find(|file| file.path == path);
    let clashes = image.files.iter().filter_map(|file| Some((file, clash(file.path.value.as_str())?)));
    let mistake = |(file, generated): (&crate::image::Text, &FilePlan)| {
        let message = format!("`{}` is a file that the plan writes: {}", file.path.value, generated.why);
        Diagnostic::new(FILE_OF_THE_PLAN.code, message)
            .at(&file.path.at)
            .help("say it in the word of the description that it follows from")
    };
    clashes.map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("files.rs");

    #[test]
    fn a_second_text_of_a_file_shows_the_first() {
        expect![[r#"
            error[file-twice]: the file `/etc/motd` is written twice
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/etc/motd", "hello\n").file("/etc/motd", "welcome\n")
               |                                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/etc/motd", "hello\n").file("/etc/motd", "welcome\n")
               |                                     ---------------------------- first written here
               |
               = help: remove one of the two
        "#]].assert_eq(&refusal(&FILE_TWICE, SOURCE));
    }

    #[test]
    fn what_the_plan_writes_is_not_overwritten() {
        expect![[r#"
            error[file-of-the-plan]: `/etc/hostname` is a file that the plan writes: the host name
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.hostname("edge").file("/etc/hostname", "edge-2\n")),
               |                                                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: say it in the word of the description that it follows from
        "#]]
        .assert_eq(&refusal(&FILE_OF_THE_PLAN, SOURCE));
    }

    #[test]
    fn a_private_file_is_roots_alone() {
        let plan =
            crate::explain::device().private_file("/etc/netplan/10.yaml", "network: {}\n").plan().unwrap();
        let file = plan.file("/etc/netplan/10.yaml").unwrap();
        assert_eq!((file.mode, file.uid), (0o600, 0));
    }

    #[test]
    fn a_file_has_the_text_that_was_written() {
        let plan = crate::explain::device().file("/etc/motd", "hello\n").plan().unwrap();
        assert_eq!(plan.text("/etc/motd"), Some("hello\n"));
    }
}
