//! An image by name, as a project offers it.

use super::Image;
use super::compiled::Compiled;
use super::target::Target;

/// One image of a project; made by [`image!`](crate::image!).
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name on the command line: the function's, with dashes.
    pub name: String,
    /// The description.
    pub function: fn(&Target) -> Image,
    /// Where the description was compiled.
    #[doc(hidden)]
    pub compiled: Compiled,
}

impl Entry {
    /// The image that `function`, spelled `path`, describes.
    #[must_use]
    pub fn new(path: &str, function: fn(&Target) -> Image, compiled: Compiled) -> Self {
        let name = path.rsplit("::").next().unwrap_or(path).trim().replace('_', "-");
        Entry { name, function, compiled }
    }
}

/// An image a project offers: `image!(edge_debian)` is `edge-debian`.
#[macro_export]
macro_rules! image {
    ($function:path) => {
        $crate::Entry::new(::core::stringify!($function), $function, $crate::compiled!())
    };
}
