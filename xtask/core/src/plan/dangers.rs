//! What a description weakens: every word of it that starts with `dangerous_`.

use super::{DangerPlan, SharedPlan};
use crate::image::Image;

/// In the order of the partitions, then the consoles and the kernel's arguments.
pub(super) fn plan(image: &Image) -> Vec<DangerPlan> {
    let mut dangers = Vec::new();
    for data in &image.data {
        if let Some(at) = &data.makefs {
            let label = data.label.as_ref().map_or("data", |label| label.value.as_str());
            dangers.push(DangerPlan {
                what: format!("the partition `{label}` is formatted when nothing known is on it"),
                why: "a file system whose first blocks were lost looks like nothing".to_string(),
                at: Some(at.clone()),
            });
        }
    }
    dangers.extend(super::console::danger(image));
    dangers.extend(super::arguments::dangers(image));
    dangers.extend(shared(image).into_iter().map(|shared| DangerPlan {
        what: format!("all devices share `{}`", shared.path),
        why: "who has one device has it of all; another build may have another".to_string(),
        at: Some(shared.at),
    }));
    dangers
}

/// What is accepted although it belongs to one machine.
pub(super) fn shared(image: &Image) -> Vec<SharedPlan> {
    let shared = image.shared.iter();
    shared.map(|path| SharedPlan { path: path.value.clone(), at: path.at.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use crate::rule::device;

    #[test]
    fn a_key_that_all_devices_share_is_a_danger_of_the_plan() {
        let plan = device().dangerous_shared("/etc/agent/key").plan().unwrap();
        assert_eq!(plan.shared[0].path, "/etc/agent/key");
        assert_eq!(plan.dangers[0].what, "all devices share `/etc/agent/key`");
        assert!(plan.to_string().lines().next().unwrap().ends_with("WEAKENED: see below"));
        assert!(device().dangerous_shared("agent/key").plan().is_err());
    }
}
