//! Who is logged in on the consoles: nobody, unless the description weakens it.

use super::template::{Unfit, template};
use super::units::UNITS;
use super::{DangerPlan, FilePlan};
use crate::image::Image;

/// `agetty --autologin` starts it as `login -f`, which asks for no password; root has none.
pub(super) const PACKAGE: &str = "login";

pub(super) fn files(image: &Image) -> Result<Vec<FilePlan>, Unfit> {
    let Some(at) = &image.autologin else { return Ok(Vec::new()) };
    // The getty of screens, and that of serial lines.
    let texts = [
        ("getty@.service", template!("units/getty@.service.d/60-bedplate-autologin.conf")?),
        ("serial-getty@.service", template!("units/serial-getty@.service.d/60-bedplate-autologin.conf")?),
    ];
    let drop_in = |(unit, text): (&str, String)| {
        let path = format!("{UNITS}/{unit}.d/60-bedplate-autologin.conf");
        FilePlan::text(path, text, "logs root in on the console").at(Some(at))
    };
    Ok(texts.into_iter().map(drop_in).collect())
}

pub(super) fn danger(image: &Image) -> Option<DangerPlan> {
    Some(DangerPlan {
        what: "root is logged in on every console".to_string(),
        why: "who reaches the screen or the serial line has the device".to_string(),
        at: Some(image.autologin.clone()?),
    })
}

#[cfg(test)]
mod tests {
    use crate::rule::device;
    use expect_test::expect;

    #[test]
    fn nobody_is_logged_in_unless_it_is_said() {
        let plan = device().plan().unwrap();
        assert!(!plan.files.iter().any(|file| file.path.contains("autologin")));
        assert_eq!(plan.dangers, []);
        assert_eq!(plan.to_string().lines().next(), Some("image: Debian trixie for x86-64"));
    }

    #[test]
    fn an_image_whose_consoles_are_open_says_so_in_its_first_line() {
        let plan = device().dangerous_autologin().plan().unwrap();
        let page = plan.page(120);
        let (head, _) = page.split_once("\ndisk").unwrap();
        // The column of the line that asked is as wide as its number.
        let head = head.replace(&format!(":{}", plan.dangers[0].at.as_ref().unwrap().line), ":LL");
        expect![[r#"
            image: Debian trixie for x86-64, WEAKENED: see below

            weakened by the description
              what                                why it matters                                   asked by
              root is logged in on every console  who reaches the screen or the serial line has …  xtask/core/src/plan/console.rs:LL
        "#]].assert_eq(&head);
        assert!(plan.package("login").is_some());
        expect![[r#"
            [Service]
            # Dangerous: see the plan.
            ExecStart=
            ExecStart=-/sbin/agetty --autologin root --keep-baud 115200,57600,38400,9600 %I $TERM
        "#]]
        .assert_eq(
            plan.text("/usr/lib/systemd/system/serial-getty@.service.d/60-bedplate-autologin.conf").unwrap(),
        );
    }
}
