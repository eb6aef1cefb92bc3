//! No unit waits for itself: the image's own systemd puts them in order, as at a start.

use bedplate_core::{Diagnostic, Rule, Unit as Described, example};
use bedplate_formats::tree::TreePath;

use super::super::unit::{self, Setting, Unit};
use super::super::{Findings, Subject};
use super::Ask;
use super::table::{OTHERWISE, Program};

pub(in super::super) static ORDERING_CYCLE: Rule = Rule {
    code: "ordering-cycle",
    title: "no unit waits for itself",
    why: "Units that wait for one another in a circle cannot be started in any order. systemd leaves one of them out, \
          and which one differs from start to start. A unit that is to start before sysinit.target or local-fs.target \
          has `DefaultDependencies=no`: by default it waits for them.",
    wrong: example!(|device| device.enable("early.service").unit(Described::new(
        "units/early.service",
        "[Unit]\nBefore=sysinit.target\n[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.enable("early.service").unit(Described::new(
        "units/early.service",
        "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nExecStart=true\n\
         [Install]\nWantedBy=sysinit.target\n",
    ))),
};

/// What systemd does first at every start, without starting anything.
pub(in super::super) static VERIFY: Program = Program {
    name: "systemd",
    needs: &["usr/bin/systemd-analyze"],
    reads: &unit::DIRECTORIES,
    command: "exec systemd-analyze verify --man=no --recursive-errors=no default.target",
    ..OTHERWISE
};

/// Tells of each circle: a mistake where the description has a part in it, else a caution.
///
/// # Errors
/// The sandbox cannot be set up.
pub(super) fn check(subject: &Subject<'_>, ask: &dyn Ask, found: &mut Findings) -> anyhow::Result<()> {
    if VERIFY.needs.iter().all(|path| subject.tree.resolve(&TreePath::new(path)).is_none()) {
        return Ok(());
    }
    let answer = ask.ask(subject, &VERIFY, &[])?;
    for units in cycles(&answer.text) {
        let names = units.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message =
            format!("these units wait for one another, and systemd leaves one of them out: {names}");
        let help = "remove one of the `After=` and `Before=` between them; a unit that starts before \
                    `sysinit.target` has `DefaultDependencies=no`";
        let diagnostic = Diagnostic::new(ORDERING_CYCLE.code, message).help(help);
        match subject.part_in(&units) {
            Some((path, line)) => found.mistakes.push(subject.blame(diagnostic, &path, line)),
            None => found.cautions.push(diagnostic),
        }
    }
    Ok(())
}

impl Subject<'_> {
    /// A line of the description that puts one of these units in order, or else the file of one of them.
    fn part_in(&self, units: &[String]) -> Option<(TreePath, u32)> {
        let loaded: Vec<Unit> = units
            .iter()
            .filter_map(|name| match unit::load(self.tree, name) {
                unit::Found::Unit(unit) => Some(unit),
                unit::Found::Masked | unit::Found::Nothing => None,
            })
            .collect();
        let own = |setting: &&Setting| self.origins.of(&setting.path).is_some();
        let lines = loaded.iter().flat_map(|unit| {
            ["Before", "After"]
                .into_iter()
                .flat_map(|key| unit.words(key))
                .filter(|(word, _)| units.iter().any(|name| name == word))
        });
        let line = lines.map(|(_, setting)| setting).find(own);
        let line = line.map(|setting| (setting.path.clone(), setting.line));
        let file = || loaded.iter().find(|unit| self.origins.of(&unit.path).is_some());
        line.or_else(|| Some((file()?.path.clone(), 1)))
    }
}

/// The circles that systemd names, each with its units in order. Since version 258 a circle is one line.
fn cycles(text: &str) -> Vec<Vec<String>> {
    let mut cycles: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let names = line.split([' ', ':']).filter_map(|word| word.strip_suffix("/start")).map(str::to_owned);
        if line.contains("Found ordering cycle") {
            cycles.push(Vec::new());
        } else if !line.contains("Found dependency on") {
            continue;
        }
        let Some(cycle) = cycles.last_mut() else { continue };
        for name in names {
            if !cycle.contains(&name) {
                cycle.push(name);
            }
        }
    }
    // One circle may be met from several units.
    let mut seen = Vec::new();
    cycles.retain(|cycle| {
        let mut sorted = cycle.clone();
        sorted.sort();
        let new = !cycle.is_empty() && !seen.contains(&sorted);
        seen.push(sorted);
        new
    });
    cycles
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::step::check::tests::refusal;

    #[test]
    fn a_unit_that_waits_for_what_waits_for_it_is_refused_at_its_line() {
        expect![[r#"
            error[ordering-cycle]: these units wait for one another, and systemd leaves one of them out:
                   `early.service`, `sysinit.target`
              --> xtask/src/step/check/programs/order.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.enable("early.service").unit(Described::new(
               |                                                                  ^^^^^^^^^^^^^^^
               |                                                                 line 2: `Before=sysinit.target`
               |
               = help: remove one of the `After=` and `Before=` between them; a unit that starts before
                       `sysinit.target` has `DefaultDependencies=no`
        "#]].assert_eq(&refusal(&ORDERING_CYCLE, include_str!("order.rs")));
    }

    #[test]
    fn a_circle_is_read_in_the_words_of_any_version() {
        let one = ["early.service", "basic.target", "sysinit.target"];
        let of_257 = "sysinit.target: Found ordering cycle on early.service/start\n\
             sysinit.target: Found dependency on basic.target/start\n\
             sysinit.target: Found dependency on sysinit.target/start\n\
             sysinit.target: Job early.service/start deleted to break ordering cycle starting with sysinit.target/start\n\
             basic.target: Found ordering cycle on sysinit.target/start\n\
             basic.target: Found dependency on early.service/start\n\
             basic.target: Found dependency on basic.target/start\n";
        assert_eq!(cycles(of_257), [one]);
        let of_258 = "early.service: Found ordering cycle: early.service/start after basic.target/start after \
             sysinit.target/start - after early.service/start\n";
        assert_eq!(cycles(of_258), [one]);
        assert!(cycles("early.service: Command true is not executable\n").is_empty());
    }
}
