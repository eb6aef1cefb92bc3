//! What the images promise, held against their plans: milliseconds, without a build.

#[path = "../image/main.rs"]
#[expect(dead_code, reason = "a test has a main function of its own")]
mod image;

use bedplate::{Image, Target};

/// All of them.
const IMAGES: &[fn(&Target) -> Image] = &[image::an_image];

#[test]
fn every_description_is_free_of_mistakes() {
    for image in IMAGES {
        if let Err(mistakes) = image(&Target::default()).plan() {
            panic!("{mistakes}");
        }
    }
}
