//! Rules of updates.

use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::data::Data;
use crate::image::filesystem::{Erofs, Ext4};
use crate::image::root::Root;
use crate::image::updates::{Certificate, Updates};
use crate::rule::{Rule, certificate, example};
use crate::{Esp, MiB};

pub(crate) static UPDATES_TWICE: Rule = Rule {
    code: "updates-twice",
    title: "updates are described once",
    why: "A device has two slots, one word for what fits it, and one keyring. Two descriptions of them cannot both hold.",
    wrong: example!(|device| device
        .version("1")
        .updates(Updates::rauc("edge", certificate()))
        .updates(Updates::rauc("edge-2", certificate()))),
    right: example!(|device| device.version("1").updates(Updates::rauc("edge", certificate()))),
};

pub(crate) static UPDATES_WITHOUT_VERSION: Rule = Rule {
    code: "updates-without-version",
    title: "an image that can be updated has a version",
    why: "A device refuses a bundle that is older than what it runs, and says which version it went back from. An image \
          without a version is neither older nor newer than another.",
    wrong: example!(|device| device.updates(Updates::rauc("edge", certificate()))),
    right: example!(|device| device.version("1.4.0").updates(Updates::rauc("edge", certificate()))),
};

pub(crate) static UPDATES_WITHOUT_VERITY: Rule = Rule {
    code: "updates-without-verity",
    title: "a root that can be updated is verified",
    why: "The root hash ties a kernel image to the root of its own version: a device cannot start one with the other, \
          and notices a root that was not written whole, or is damaged later, and goes back.",
    wrong: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs))
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .version("1")
        .updates(Updates::rauc("edge", certificate()))),
    right: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .version("1")
        .updates(Updates::rauc("edge", certificate()))),
};

pub(crate) static UPDATES_WITHOUT_DATA: Rule = Rule {
    code: "updates-without-data",
    title: "a device that can be updated has a data partition",
    why: "What became of an update has to outlast it, and so does what the device keeps: both lie on a data partition \
          that is mounted.",
    wrong: example!(|system| system.version("1").updates(Updates::rauc("edge", certificate()))),
    right: example!(|device| device.version("1").updates(Updates::rauc("edge", certificate()))),
};

pub(crate) static UPDATES_WITHOUT_END: Rule = Rule {
    code: "updates-without-end",
    title: "on a device that can be updated, the last data partition grows",
    why: "The second slot is made at the first start, behind the partitions of the image. A device whose data does not \
          grow is written to disks of one size, with no room behind it.",
    wrong: example!(|system| system
        .partition(Data::new("persistent", Ext4).mount("/local").fixed())
        .version("1")
        .updates(Updates::rauc("edge", certificate()))),
    right: example!(|system| system
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .version("1")
        .updates(Updates::rauc("edge", certificate()))),
};

pub(crate) static NOT_A_CERTIFICATE: Rule = Rule {
    code: "not-a-certificate",
    title: "what updates are signed by is named by a certificate in PEM",
    why: "The file goes into the image, where everybody can read it: a key in it would let everybody sign. And a device \
          with a keyring that RAUC cannot read can never be updated again.",
    wrong: example!(|device| device.version("1").updates(Updates::rauc(
        "edge",
        Certificate::new("keys/update.key", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n")
    ))),
    right: example!(|device| device.version("1").updates(Updates::rauc(
        "edge",
        Certificate::new("keys/update.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    ))),
};

pub(crate) static TRIAL_OUT_OF_RANGE: Rule = Rule {
    code: "trial-out-of-range",
    title: "a trial has one to nine tries of two to 120 minutes",
    why: "With no try a new version is never started. A device without anybody beside it is out for as long as all tries \
          take together, and a start of less than two minutes fails on a slow disk.",
    wrong: example!(|device| device.version("1").updates(Updates::rauc("edge", certificate()).tries(0))),
    right: example!(|device| device.version("1").updates(Updates::rauc("edge", certificate()).tries(2))),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let Some(updates) = &image.updates else { return };
    for again in &image.updates_again {
        let mistake = Diagnostic::new(UPDATES_TWICE.code, "updates are described twice").at(again);
        found.push(mistake.related(&updates.at, "the first description"));
    }
    if image.version.is_none() {
        let message = "an image without a version cannot be updated";
        let mistake = Diagnostic::new(UPDATES_WITHOUT_VERSION.code, message).at(&updates.at);
        found.push(mistake.help("add `.version(\"1.0.0\")`"));
    }
    for root in image.roots.iter().filter(|root| !root.verity) {
        let message = "a root that is not verified cannot be updated";
        let mistake = Diagnostic::new(UPDATES_WITHOUT_VERITY.code, message).at(&root.at);
        let mistake = mistake.related(&updates.at, "the updates");
        found.push(mistake.help("add `.verity()` to the root"));
    }
    match (image.kept_on(), image.data.last()) {
        (None, _) => {
            let message = "a device without a data partition cannot be updated";
            let mistake = Diagnostic::new(UPDATES_WITHOUT_DATA.code, message).at(&updates.at);
            found.push(mistake.help("add `.partition(Data::new(\"persistent\", Ext4).mount(\"/local\"))`"));
        }
        (Some(_), Some(data)) if !data.grow => {
            let message = "there is no room for a second slot behind a data partition that does not grow";
            let mistake = Diagnostic::new(UPDATES_WITHOUT_END.code, message).at(&data.at);
            let mistake = mistake.related(&updates.at, "the updates");
            found.push(mistake.help("leave `.fixed()` out"));
        }
        _ => {}
    }
    found.extend(updates.certificates.iter().filter_map(certificate_of));
    for (said, what, range) in [(&updates.tries, "tries", 1..=9), (&updates.deadline, "minutes", 2..=120)] {
        if !range.contains(&said.value) {
            let message = format!("a trial of {} {what}", said.value);
            let (least, most) = (range.start(), range.end());
            let mistake = Diagnostic::new(TRIAL_OUT_OF_RANGE.code, message).at(&said.at);
            found.push(mistake.help(format!("between {least} and {most}")));
        }
    }
}

/// What is wrong with the text of a certificate.
pub(super) fn certificate_of(certificate: &Certificate) -> Option<Diagnostic> {
    let text = &certificate.text;
    let reason = if text.contains("PRIVATE KEY-----") {
        "there is a private key in it"
    } else if !text.contains("-----BEGIN CERTIFICATE-----") {
        "there is no `-----BEGIN CERTIFICATE-----` in it"
    } else {
        return None;
    };
    let message = format!("`{}` is not a certificate", certificate.name);
    Some(Diagnostic::new(NOT_A_CERTIFICATE.code, message).at(&certificate.at).label(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("updates.rs");

    #[test]
    fn what_an_update_needs_is_asked_for_at_its_line() {
        expect![[r#"
            error[updates-twice]: updates are described twice
              --> xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     .updates(Updates::rauc("edge-2", certificate()))),
               |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     .updates(Updates::rauc("edge", certificate()))
               |              ------------------------------------ the first description
        "#]]
        .assert_eq(&refusal(&UPDATES_TWICE, SOURCE));
        expect![[r#"
            error[updates-without-version]: an image without a version cannot be updated
              --> xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.updates(Updates::rauc("edge", certificate()))),
               |                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.version("1.0.0")`
        "#]]
        .assert_eq(&refusal(&UPDATES_WITHOUT_VERSION, SOURCE));
        expect![[r#"
            error[updates-without-verity]: a root that is not verified cannot be updated
              --> xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     .partition(Root::new(Erofs))
               |                ^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     .updates(Updates::rauc("edge", certificate()))),
               |              ------------------------------------ the updates
               |
               = help: add `.verity()` to the root
        "#]]
        .assert_eq(&refusal(&UPDATES_WITHOUT_VERITY, SOURCE));
        expect![[r#"
            error[updates-without-data]: a device without a data partition cannot be updated
              --> xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     wrong: example!(|system| system.version("1").updates(Updates::rauc("edge", certificate())))
               |                                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.partition(Data::new("persistent", Ext4).mount("/local"))`
        "#]].assert_eq(&refusal(&UPDATES_WITHOUT_DATA, SOURCE));
        expect![[r#"
            error[updates-without-end]: there is no room for a second slot behind a data partition that does not
                   grow
              --> xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     .partition(Data::new("persistent", Ext4).mount("/local").fixed())
               |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/updates.rs:LL:CC
               |
            LL |     .updates(Updates::rauc("edge", certificate()))),
               |              ------------------------------------ the updates
               |
               = help: leave `.fixed()` out
        "#]].assert_eq(&refusal(&UPDATES_WITHOUT_END, SOURCE));
    }

    #[test]
    fn a_key_is_no_certificate_and_its_text_is_not_repeated() {
        expect![[r#"
            error[not-a-certificate]: `keys/update.key` is not a certificate
              --> xtask/core/src/check/updates.rs:LL:CC
               |
            LL | …   Certificate::new("keys/update.key", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KE
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |     there is a private key in it
        "#]].assert_eq(&refusal(&NOT_A_CERTIFICATE, SOURCE));
    }

    #[test]
    fn a_trial_has_bounds() {
        expect![[r#"
            error[trial-out-of-range]: a trial of 0 tries
              --> xtask/core/src/check/updates.rs:LL:CC
               |
            LL | …example!(|device| device.version("1").updates(Updates::rauc("edge", certificate()).tries(0))),
               |                                                                                     ^^^^^^^^
               |
               = help: between 1 and 9
        "#]].assert_eq(&refusal(&TRIAL_OUT_OF_RANGE, SOURCE));
    }
}
