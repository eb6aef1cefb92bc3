//! A rule of a description: its page and its examples.
//!
//! The examples are code, compiled and planned by a test: the wrong one breaks
//! exactly its rule, the right one breaks none. Rules that only a finished tree
//! can break are the engine's; their examples are planned and laid over a small
//! tree by a test there.

use crate::image::Image;
use crate::image::data::Data;
use crate::image::esp::Esp;
use crate::image::filesystem::{Erofs, Ext4};
use crate::image::root::Root;
use crate::image::updates::Certificate;
use crate::value::MiB;

/// A rule that descriptions keep.
#[derive(Debug)]
pub struct Rule {
    /// Its name in messages and for `explain`: `bound-twice`.
    pub code: &'static str,
    /// The rule as a sentence without full stop.
    pub title: &'static str,
    /// Why there is such a rule: one or more paragraphs.
    pub why: &'static str,
    /// A description that breaks this rule and no other.
    pub wrong: Example,
    /// The same put right.
    pub right: Example,
}

/// Some words of a description, as text and as the function they are.
#[derive(Debug)]
pub struct Example {
    /// The words.
    pub source: &'static str,
    /// What they call the image they start from.
    pub start: &'static str,
    /// What they do to it.
    pub image: fn(Image) -> Image,
}

impl Example {
    /// The image that the words describe.
    pub fn describe(&self) -> Image {
        (self.image)(if self.start == "system" { system() } else { device() })
    }
}

/// The words of a description, both shown and run. They start from a complete
/// `device`, or from a `system` without data partition.
#[doc(hidden)]
#[macro_export]
macro_rules! example {
    (|$start:ident| $body:expr) => {
        $crate::rule::Example {
            source: stringify!($body),
            start: stringify!($start),
            // An example may start over and leave what it was given.
            image: |#[allow(unused_variables)] $start: $crate::Image| $body,
        }
    };
}
pub use example;

/// The certificate of examples: nobody has its key.
pub(crate) fn certificate() -> Certificate {
    Certificate::new("keys/update.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
}

/// The device that examples start from: complete, and with nothing wrong.
pub fn device() -> Image {
    Image::debian("trixie").package("linux-image-amd64").with(disk)
}

/// A device that keeps nothing.
fn system() -> Image {
    Image::debian("trixie").package("linux-image-amd64").with(slots)
}

/// The partitions of the device.
pub(crate) fn disk(image: Image) -> Image {
    slots(image).partition(Data::new("persistent", Ext4).mount("/local"))
}

fn slots(image: Image) -> Image {
    image.partition(Esp::new(MiB(512))).partition(Root::new(Erofs).verity())
}
