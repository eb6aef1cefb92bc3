//! Looks for line ends of other systems in what the overlays bring, before
//! anything is fetched. Texts of the description are checked by the plan.

use bedplate_core::check::text::{HELP, fault};
use bedplate_core::plan::OverlayPlan;
use bedplate_formats::tree::Kind;
use camino::Utf8Path;

use crate::error::LocatedError;

/// A file larger than this is nobody's script.
const LARGEST: u64 = 1 << 20;

/// Checks the files of every overlay.
///
/// # Errors
/// A unit, script or setting with CRLF or a byte order mark, at its overlay's line.
pub fn check(overlays: &[OverlayPlan], project: &Utf8Path) -> Result<(), LocatedError> {
    for overlay in overlays {
        // An overlay that cannot be read is told by the step that copies it.
        let Some(tree) = super::overlay::scan(overlay, project) else { continue };
        for (path, node) in tree.iter() {
            let Kind::File(content) = &node.kind else { continue };
            if content.len() > LARGEST {
                continue;
            }
            let Ok(text) = content.read() else { continue };
            let Some(fault) = fault(&path.to_string(), &text) else { continue };
            let path = path.to_string();
            return Err(LocatedError {
                message: format!("`{}/{}` {fault}", overlay.source, path.trim_start_matches('/')),
                at: Some(overlay.at.clone()),
                word: None,
                help: HELP.into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::rule::device;

    #[test]
    fn a_unit_of_an_overlay_with_other_line_ends_is_refused_at_its_line() {
        let project = tempfile::tempdir().unwrap();
        let mut plan = device().overlay("overlay").plan().unwrap();
        plan.overlays[0].source = "overlay".into();
        let units = project.path().join("overlay/etc/systemd/system");
        std::fs::create_dir_all(&units).unwrap();
        std::fs::write(units.join("a.service"), "[Unit]\n").unwrap();
        check(&plan.overlays, project.path().try_into().unwrap()).unwrap();
        std::fs::write(units.join("b.service"), "[Unit]\r\n").unwrap();
        let problem = check(&plan.overlays, project.path().try_into().unwrap()).unwrap_err();
        assert_eq!(
            problem.message,
            "`overlay/etc/systemd/system/b.service` has lines that end with a carriage return (CRLF)"
        );
        assert!(problem.at.is_some());
    }
}
