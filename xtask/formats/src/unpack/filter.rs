//! What of packages is left out.

use std::fmt;
use std::sync::Arc;

/// Says of an absolute path of a package whether it is left out; the second argument is false for a regular file.
type Says = dyn Fn(&[u8], bool) -> bool + Send + Sync;

/// What of packages is left out: nothing by default.
#[derive(Clone, Default)]
pub struct Filter(Option<Arc<Says>>);

impl Filter {
    /// Leaves out what `says` is true of: an absolute path, and whether it is a directory or a symbolic link.
    pub fn new(says: impl Fn(&[u8], bool) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(says)))
    }

    pub(super) fn leaves_out(&self, path: &[u8], leads: bool) -> bool {
        // The root itself is the entry of every package.
        !path.is_empty() && self.0.as_ref().is_some_and(|says| says(&[b"/", path].concat(), leads))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Filter(..)" } else { "Filter(nothing)" })
    }
}
