//! What a description weakens: every word of it that starts with `dangerous_`.

use super::DangerPlan;
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
    dangers
}
