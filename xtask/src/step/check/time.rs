//! The time zone is one that the image has.

use bedplate_core::plan::Plan;
use bedplate_core::spelling::nearest;
use bedplate_core::{Diagnostic, Rule, SourceLocation, example};
use bedplate_formats::tree::TreePath;

use super::{Findings, Subject};

pub(super) static NO_SUCH_TIMEZONE: Rule = Rule {
    code: "no-such-timezone",
    title: "the time zone is one that the image has",
    why: "The name becomes a link into /usr/share/zoneinfo. Where that leads to nothing, the device takes UTC and \
          says nothing. Debian 13 and Ubuntu 24.04 have moved the names of old, US/Eastern among them, into a \
          package of their own, tzdata-legacy.",
    wrong: example!(|device| device.timezone("US/Eastern")),
    right: example!(|device| device.timezone("America/New_York")),
};

const ZONES: &str = "usr/share/zoneinfo";
/// tzdata's own source text, which knows the old names.
pub(super) const LINKS: &str = "usr/share/zoneinfo/tzdata.zi";

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let Some(at) = asked(subject.plan) else { return };
    let directory = TreePath::new(ZONES);
    let zones = subject.tree.below(&directory).filter(|(_, node)| !node.is_directory());
    let zones: Vec<String> =
        zones.map(|(path, _)| String::from_utf8_lossy(&path.to_bytes()).into_owned()).collect();
    found.mistakes.extend(unknown(&subject.plan.timezone, at, &zones, &subject.text(&TreePath::new(LINKS))));
}

/// The line that asks for a time zone. UTC needs no file, and without the word
/// there is no link.
pub(super) fn asked(plan: &Plan) -> Option<&SourceLocation> {
    plan.file("/etc/localtime").and_then(|file| file.at.as_ref())
}

/// What is said of a zone that is not among the files at `paths`; `links` is
/// the text of [`LINKS`].
pub(super) fn unknown(zone: &str, at: &SourceLocation, paths: &[String], links: &str) -> Option<Diagnostic> {
    let names = || paths.iter().filter_map(|path| path.strip_prefix(ZONES)?.strip_prefix('/'));
    if names().any(|name| name == zone) {
        return None;
    }
    let today = links.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        ["L", today, old] if old == zone => Some(today),
        _ => None,
    });
    let today = today.filter(|today| names().any(|name| name == *today));
    let help = match (today, nearest(zone, names())) {
        (Some(today), _) => format!(
            "use `.timezone(\"{today}\")`, the same zone by its name of today, or add \
             `.package(\"tzdata-legacy\")`"
        ),
        (None, Some(near)) => format!("use `.timezone(\"{near}\")`"),
        (None, None) => "choose one of those that `timedatectl list-timezones` prints".to_owned(),
    };
    let message = format!("there is no time zone `{zone}` in the image");
    Some(Diagnostic::new(NO_SUCH_TIMEZONE.code, message).at(at).word(zone).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::{refusal, refused};
    use expect_test::expect;

    #[test]
    fn an_old_name_is_told_its_new_one_and_its_package() {
        expect![[r#"
            error[no-such-timezone]: there is no time zone `US/Eastern` in the image
              --> xtask/src/step/check/time.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.timezone("US/Eastern")),
               |                                              ^^^^^^^^^^^^
               |
               = help: use `.timezone("America/New_York")`, the same zone by its name of today, or add
                       `.package("tzdata-legacy")`
        "#]]
        .assert_eq(&refusal(&NO_SUCH_TIMEZONE, include_str!("time.rs")));
    }

    #[test]
    fn a_misspelt_zone_is_told_its_neighbour() {
        let found = refused(|image| image.timezone("Europe/Berln"));
        assert!(found.contains("use `.timezone(\"Europe/Berlin\")`"), "{found}");
        assert_eq!(refused(|image| image.timezone("Europe/Berlin")), "");
        assert_eq!(refused(|image| image), "");
    }
}
