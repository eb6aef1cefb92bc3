//! Rules of units.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::unit::Unit;
use crate::plan::{UnitPlan, UnitsPlan};
use crate::rule::{Rule, example};
use crate::value::{UnitName, escape_path};

pub(crate) static ENABLED_AND_MASKED: Rule = Rule {
    code: "enabled-and-masked",
    title: "a unit is enabled or masked, not both",
    why: "A mask wins over everything, so the unit would silently not start. The plan enables and masks units, too: it \
          masks `ssh.socket` where the daemon listens itself, and starts `ssh.service` where a user has a key.",
    wrong: example!(|device| device.enable("docker.service").mask("docker.service")),
    right: example!(|device| device.enable("docker.service")),
};

pub(crate) static UNIT_TWICE: Rule = Rule {
    code: "unit-twice",
    title: "a unit of your own is added once",
    why: "The second text would overwrite the first.",
    wrong: example!(|device| device
        .unit(Unit::new("a/hello.service", "[Service]\nExecStart=true\n"))
        .unit(Unit::new("b/hello.service", "[Service]\nExecStart=false\n"))),
    right: example!(|device| device.unit(Unit::new("a/hello.service", "[Service]\nExecStart=true\n"))),
};

pub(crate) static WHERE_DOES_NOT_FIT: Rule = Rule {
    code: "where-does-not-fit",
    title: "a mount unit is named after the place it mounts",
    why: "systemd refuses a mount unit whose name is not its `Where=` in escaped form: slashes become dashes, and so \
          a dash has to become \\x2d. The refusal is a line in the journal of a device that did not mount. Better \
          still, let `.bind(…)` and `Data` write the unit.",
    wrong: example!(|device| device
        .unit(Unit::new("units/opt-my-agent.mount", "[Mount]\nWhat=/dev/vdb\nWhere=/opt/my-agent\n",))),
    right: example!(|device| device
        .unit(Unit::new("units/opt-my\\x2dagent.mount", "[Mount]\nWhat=/dev/vdb\nWhere=/opt/my-agent\n",))),
};

pub(crate) static UNIT_OF_THE_PLAN: Rule = Rule {
    code: "unit-of-the-plan",
    title: "a unit that the plan writes is not written by hand",
    why: "Mount units of data partitions and binds are generated, with the order of starting that keeps a service \
          from seeing an empty directory. One by hand of the same name would take the place of it, or lose to it.",
    wrong: example!(|device| device
        .bind("/greengrass")
        .unit(Unit::new("units/greengrass.mount", "[Mount]\nWhat=/dev/vdb\nWhere=/greengrass\n"))),
    right: example!(|device| device.bind("/greengrass")),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for masked in &image.masked {
        if let Some(enabled) = image.enabled.iter().find(|enabled| enabled.value == masked.value) {
            let message = format!("`{}` is enabled and masked", masked.value);
            let mistake = Diagnostic::new(ENABLED_AND_MASKED.code, message).at(&masked.at);
            found.push(mistake.related(&enabled.at, "enabled here").help("remove one of the two"));
        }
    }
    for (first, second) in repeated(&image.units, |unit| unit.name.as_ref().map(|name| &name.value)) {
        let name = second.name.as_ref().map_or("", |name| name.value.as_str());
        let mistake = Diagnostic::new(UNIT_TWICE.code, format!("the unit `{name}` is added twice"));
        found.push(
            mistake
                .at(&second.at)
                .related(&first.at, "first added here")
                .help("give one of them another name"),
        );
    }
    for unit in &image.units {
        found.extend(where_does_not_fit(unit));
        found.extend(of_the_plan(image, unit));
    }
}

/// Holds the description's units against those that the plan enables, masks and writes.
pub(crate) fn against(image: &Image, units: &UnitsPlan) -> Vec<Diagnostic> {
    let of_the_plan = |list: &[UnitPlan], name: &str| {
        let unit = list.iter().find(|unit| unit.at.is_none() && unit.name == name)?;
        Some(unit.why.clone().unwrap_or_default())
    };
    let enabled = image.enabled.iter().filter_map(|unit| {
        let why = of_the_plan(&units.mask, unit.value.as_str())?;
        let message = format!("`{}` is enabled, and the plan masks it: {why}", unit.value);
        Some(Diagnostic::new(ENABLED_AND_MASKED.code, message).at(&unit.at).help("remove it"))
    });
    let masked = image.masked.iter().filter_map(|unit| {
        let why = of_the_plan(&units.enable, unit.value.as_str()).or_else(|| written(image, &unit.value))?;
        let message = format!("`{}` is masked, and the plan starts it: {why}", unit.value);
        let help = "remove it, or the word of the description that needs the unit";
        Some(Diagnostic::new(ENABLED_AND_MASKED.code, message).at(&unit.at).help(help))
    });
    enabled.chain(masked).collect()
}

/// Why the plan writes a unit of this name.
fn written(image: &Image, name: &UnitName) -> Option<String> {
    let is = |path: &str| UnitName::mounting(path) == *name;
    if name.as_str().starts_with("bedplate-") {
        return Some("what is persistent needs it".to_string());
    }
    let mut data = image.data.iter().filter_map(|data| data.mount.as_ref());
    if data.any(|path| is(path.value.as_str())) {
        return Some("it mounts the data partition".to_string());
    }
    let mut binds = image.binds.iter().filter_map(|bind| bind.path.as_ref());
    let path = binds.find(|path| is(path.value.as_str()))?;
    Some(format!("`{}` is persistent by it", path.value))
}

fn where_does_not_fit(unit: &Unit) -> Option<Diagnostic> {
    let name = &unit.name.as_ref()?.value;
    if !matches!(name.kind(), "mount" | "automount") {
        return None;
    }
    let place = unit.values("Where").last()?;
    let expected = format!("{}.{}", escape_path(place), name.kind());
    if expected == name.as_str() {
        return None;
    }
    let message = format!("the unit `{name}` mounts `{place}`, which does not fit its name");
    let mistake = Diagnostic::new(WHERE_DOES_NOT_FIT.code, message).at(&unit.at);
    Some(mistake.help(format!("call the file `{expected}`")))
}

fn of_the_plan(image: &Image, unit: &Unit) -> Option<Diagnostic> {
    let name = unit.name.as_ref()?.value.as_str();
    let mounts = image.data.iter().filter_map(|data| data.mount.as_ref());
    let binds = image.binds.iter().filter_map(|bind| bind.path.as_ref());
    let own = mounts.chain(binds).find(|path| UnitName::mounting(&path.value) == name)?;
    let message = format!("the unit `{name}` is written by the plan");
    let mistake = Diagnostic::new(UNIT_OF_THE_PLAN.code, message).at(&unit.at);
    Some(mistake.related(&own.at, "for this").help("remove one of the two"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("units.rs");

    #[test]
    fn a_masked_unit_is_not_enabled() {
        expect![[r#"
            error[enabled-and-masked]: `docker.service` is enabled and masked
              --> xtask/core/src/check/units.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.enable("docker.service").mask("docker.service")),
               |                                                              ^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/units.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.enable("docker.service").mask("docker.service")),
               |                                     ------------------------ enabled here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&ENABLED_AND_MASKED, SOURCE));
    }

    #[test]
    fn what_the_plan_masks_or_starts_is_told_at_the_line() {
        let with_ssh = || device().package("openssh-server");
        let said = |image: Image| {
            let mistakes = image.plan().unwrap_err();
            mistakes.iter().map(|mistake| mistake.message.clone()).collect::<String>()
        };
        assert!(said(with_ssh().enable("ssh.socket")).contains(
            "`ssh.socket` is enabled, and the plan masks it: the daemon listens itself, with the device's own keys"
        ));
        assert!(
            said(with_ssh().mask("ssh.service"))
                .contains("`ssh.service` is masked, and the plan starts it: lets those in who have a key")
        );
        for unit in ["local.mount", "greengrass.mount", "bedplate-state.service"] {
            assert!(said(device().bind("/greengrass").mask(unit)).contains(unit), "{unit}");
        }
        assert!(with_ssh().mask("ssh.socket").mask("apt-daily.timer").plan().is_ok());
        assert!(device().enable("apt-daily.timer").plan().is_ok());
    }

    #[test]
    fn a_second_unit_of_a_name_shows_the_first() {
        expect![[r#"
            error[unit-twice]: the unit `hello.service` is added twice
              --> xtask/core/src/check/units.rs:LL:CC
               |
            LL |     .unit(Unit::new("b/hello.service", "[Service]\nExecStart=false\n"))),
               |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/units.rs:LL:CC
               |
            LL |     .unit(Unit::new("a/hello.service", "[Service]\nExecStart=true\n"))
               |           ----------------------------------------------------------- first added here
               |
               = help: give one of them another name
        "#]]
        .assert_eq(&refusal(&UNIT_TWICE, SOURCE));
    }

    #[test]
    fn a_dash_in_a_mount_units_name_is_told_its_escape() {
        expect![[r#"
            error[where-does-not-fit]: the unit `opt-my-agent.mount` mounts `/opt/my-agent`, which does not fit
                   its name
              --> xtask/core/src/check/units.rs:LL:CC
               |
            LL | …   .unit(Unit::new("units/opt-my-agent.mount", "[Mount]\nWhat=/dev/vdb\nWhere=/opt/my-agent\n"
               |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: call the file `opt-my\x2dagent.mount`
        "#]].assert_eq(&refusal(&WHERE_DOES_NOT_FIT, SOURCE));
    }

    #[test]
    fn a_generated_unit_is_not_written_by_hand() {
        expect![[r#"
            error[unit-of-the-plan]: the unit `greengrass.mount` is written by the plan
              --> xtask/core/src/check/units.rs:LL:CC
               |
            LL |     .unit(Unit::new("units/greengrass.mount", "[Mount]\nWhat=/dev/vdb\nWhere=/greengrass\n"))),
               |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/units.rs:LL:CC
               |
            LL |     .bind("/greengrass")
               |      ------------------- for this
               |
               = help: remove one of the two
        "#]].assert_eq(&refusal(&UNIT_OF_THE_PLAN, SOURCE));
    }
}
