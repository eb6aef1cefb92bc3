//! Rules of where packages come from.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::repository::{Key, Repository};
use crate::release;
use crate::rule::{Rule, example};
use crate::spelling;

pub(crate) static UNKNOWN_COMPONENT: Rule = Rule {
    code: "unknown-component",
    title: "a component is one that the distribution's archive has",
    why: "apt ignores a component that an archive does not have, and then says that a package does not exist.",
    wrong: example!(|device| device.component("non-free-firmwares")),
    right: example!(|device| device.component("non-free-firmware")),
};

pub(crate) static UNKNOWN_SUITE: Rule = Rule {
    code: "unknown-suite",
    title: "a further suite is one that the release has",
    why: "A release has further suites beside it: backports, and updates that are proposed. Another release's suite would \
          replace one package after the other by its own; name that release, or a repository and the packages taken from \
          it.",
    wrong: example!(|device| device.suite("backports")),
    right: example!(|device| device.suite("trixie-backports")),
};

pub(crate) static REPOSITORY_TWICE: Rule = Rule {
    code: "repository-twice",
    title: "a suite of an archive is named once",
    why: "With two keys for one suite it would be unclear whose signature counts. Name all components in one call.",
    wrong: example!(|device| device
        .repository(Repository::signed(
            "https://example.org/debian",
            "trixie",
            ["stable"],
            Key::file("example.asc")
        ))
        .repository(Repository::signed(
            "https://example.org/debian/",
            "trixie",
            ["test"],
            Key::file("example.asc")
        ))),
    right: example!(|device| device.repository(Repository::signed(
        "https://example.org/debian",
        "trixie",
        ["stable", "test"],
        Key::file("example.asc"),
    ))),
};

pub(crate) static REPOSITORY_WITHOUT_COMPONENT: Rule = Rule {
    code: "repository-without-component",
    title: "a repository names its components, and a flat one has none",
    why: "Without a component no index is read, and the repository would be there in name only. A flat archive (`deb \
          URL ./` of apt) has one index, and no components: its suite ends with a slash.",
    wrong: example!(|device| device.repository(Repository::signed(
        "https://example.org/debian",
        "trixie",
        [""; 0],
        Key::file("example.asc"),
    ))),
    right: example!(|device| device.repository(Repository::signed(
        "https://example.org/debian",
        "trixie",
        ["stable"],
        Key::file("example.asc"),
    ))),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let release = release::find(image.distribution, &image.release.value);
    for component in &image.components {
        let name = component.value.as_str();
        // Of a release that is not known, its own rule tells.
        let Some(archives) = release.map(|release| release.archives) else { break };
        if archives.components.iter().chain(archives.further).any(|known| *known == name) {
            continue;
        }
        let further = archives.further;
        let message = format!("{}'s archive has no component `{name}`", image.distribution);
        let mistake = Diagnostic::new(UNKNOWN_COMPONENT.code, message).at(&component.at).word(name);
        found.push(match spelling::nearest(name, further.iter().copied()) {
            Some(nearest) => mistake.help(format!("did you mean `{nearest}`?")),
            None => mistake.help(format!("one of {}", further.join(", "))),
        });
    }

    for suite in &image.suites {
        let name = suite.value.as_str();
        let Some(release) = release else { break };
        let known: Vec<String> = release.further_suites().collect();
        if known.iter().any(|known| known == name) {
            continue;
        }
        let message = format!("{} `{}` has no further suite `{name}`", image.distribution, release.name);
        let mistake = Diagnostic::new(UNKNOWN_SUITE.code, message).at(&suite.at).word(name);
        let ends = known.iter().find(|known| known.ends_with(&format!("-{name}")));
        let near =
            ends.map(String::as_str).or_else(|| spelling::nearest(name, known.iter().map(String::as_str)));
        found.push(match near {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => mistake.help(format!(
                "there are `{}`; of another archive, write `Repository::signed`",
                known.join("`, `")
            )),
        });
    }

    let address = |repository: &Repository| {
        let url = repository.url.as_ref()?.value.as_str().trim_end_matches('/').to_string();
        Some((url, repository.suite.as_ref()?.value.clone()))
    };
    for (first, second) in repeated(&image.repositories, address) {
        let Some((url, suite)) = address(second) else { continue };
        let message = format!("the suite `{suite}` of `{url}` is named twice");
        let mistake = Diagnostic::new(REPOSITORY_TWICE.code, message).at(&second.at);
        found.push(mistake.related(&first.at, "first named here").help("name all components in one call"));
    }
    for repository in image.repositories.iter().filter(|repository| repository.mistakes.is_empty()) {
        let flat = repository.suite.as_ref().is_some_and(|suite| suite.value.as_str().ends_with('/'));
        let (message, help) = match (flat, repository.components.is_empty()) {
            (false, true) => (
                "the repository names no component",
                "most archives have `main` or `stable`; one of `deb URL ./` is `Repository::flat`",
            ),
            (true, false) => (
                "the repository is flat, and has no components",
                "write `Repository::flat`, without components",
            ),
            _ => continue,
        };
        found.push(Diagnostic::new(REPOSITORY_WITHOUT_COMPONENT.code, message).at(&repository.at).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("archives.rs");

    #[test]
    fn a_mistyped_component_is_told_the_nearest_one() {
        expect![[r#"
            error[unknown-component]: Debian's archive has no component `non-free-firmwares`
              --> xtask/core/src/check/archives.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.component("non-free-firmwares")),
               |                                               ^^^^^^^^^^^^^^^^^^^^
               |
               = help: did you mean `non-free-firmware`?
        "#]]
        .assert_eq(&refusal(&UNKNOWN_COMPONENT, SOURCE));
    }

    /// Case 16.
    #[test]
    fn a_further_suite_is_the_releases() {
        expect![[r#"
            error[unknown-suite]: Debian `trixie` has no further suite `backports`
              --> xtask/core/src/check/archives.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.suite("backports")),
               |                                           ^^^^^^^^^^^
               |
               = help: did you mean `trixie-backports`?
        "#]]
        .assert_eq(&refusal(&UNKNOWN_SUITE, SOURCE));
        let plan = crate::rule::device().suite("trixie-backports").suite("trixie-backports").plan().unwrap();
        let [.., backports] = plan.archives.as_slice() else { panic!("no archives") };
        assert_eq!((backports.suite.as_str(), backports.pocket.as_str()), ("trixie-backports", "backports"));
        assert_eq!(plan.archives.len(), 4);
        assert!(backports.own && backports.at.is_some() && backports.base == plan.archives[0].base);
        assert!(crate::rule::device().suite("forky").plan().is_err());
    }

    #[test]
    fn a_suite_named_twice_shows_the_first() {
        expect![[r#"
            error[repository-twice]: the suite `trixie` of `https://example.org/debian` is named twice
              --> xtask/core/src/check/archives.rs:LL:CC
               |
            LL |     .repository(Repository::signed(
               |                 ^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/archives.rs:LL:CC
               |
            LL |     .repository(Repository::signed(
               |                 ------------------- first named here
               |
               = help: name all components in one call
        "#]]
        .assert_eq(&refusal(&REPOSITORY_TWICE, SOURCE));
    }

    #[test]
    fn a_repository_without_component_is_refused() {
        expect![[r#"
            error[repository-without-component]: the repository names no component
              --> xtask/core/src/check/archives.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.repository(Repository::signed(
               |                                                ^^^^^^^^^^^^^^^^^^^
               |
               = help: most archives have `main` or `stable`; one of `deb URL ./` is `Repository::flat`
        "#]]
        .assert_eq(&refusal(&REPOSITORY_WITHOUT_COMPONENT, SOURCE));
    }

    /// Case 4.
    #[test]
    fn a_flat_repository_has_a_directory_and_no_component() {
        let key = || Key::file("example.asc");
        let codes = |repository| match crate::rule::device().repository(repository).plan() {
            Ok(plan) => plan.archives.last().map(|archive| archive.suite.clone()).unwrap_or_default(),
            Err(mistakes) => mistakes.iter().map(|mistake| mistake.code).collect::<Vec<_>>().join(" "),
        };
        let url = "https://example.org/core:/stable:/v1.31/deb";
        assert_eq!(codes(Repository::flat(url, "./", key())), "./");
        assert_eq!(codes(Repository::flat(url, "amd64/", key())), "amd64/");
        assert_eq!(codes(Repository::signed(url, "./", [""; 0], key())), "./");
        assert_eq!(codes(Repository::signed(url, "./", ["main"], key())), REPOSITORY_WITHOUT_COMPONENT.code);
        assert_eq!(codes(Repository::flat(url, "amd64", key())), "malformed-suite");
        assert_eq!(codes(Repository::flat(url, "../", key())), "malformed-suite");
    }
}
