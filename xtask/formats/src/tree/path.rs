//! A path inside a tree, in one allocation.
//!
//! Invariant: components, none of them empty, with a NUL between them. A NUL is
//! in no name and sorts before all that is, so comparing the bytes compares the
//! components: what is below a directory follows it directly.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Stands between components.
const SEPARATOR: u8 = 0;

/// A path inside a tree: bytes, relative, without leading or trailing slash.
///
/// The root is the empty path. `.` and empty components are dropped when one
/// is made, and a NUL byte ends it, as it does for the kernel; `..` is kept as a
/// component of no meaning and never resolved, so readers of foreign data
/// refuse it before they get here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The root of a tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes `/etc/hostname`, `etc/hostname` and `./etc/hostname` alike.
    pub fn new(path: impl AsRef<[u8]>) -> Self {
        let mut new = Self::root();
        new.extend(path.as_ref());
        new
    }

    /// The path with one more component.
    #[must_use]
    pub fn join(&self, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        let mut path = Self(Vec::with_capacity(self.0.len() + 1 + name.len()));
        path.0.extend(&self.0);
        path.extend(name);
        path
    }

    fn extend(&mut self, path: &[u8]) {
        let path = path.split(|&b| b == SEPARATOR).next().unwrap_or_default();
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty() && *name != b".") {
            if !self.0.is_empty() {
                self.0.push(SEPARATOR);
            }
            self.0.extend(name);
        }
    }

    /// The directory it stands in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == SEPARATOR).unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// Its components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        // Splitting nothing gives one piece of nothing.
        self.0.split(|&b| b == SEPARATOR).filter(|name| !name.is_empty())
    }

    /// How many components it has; none for the root.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// Whether it is `ancestor` or stands below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.0.is_empty()
            || self
                .0
                .strip_prefix(&ancestor.0[..])
                .is_some_and(|rest| matches!(rest.first(), None | Some(&SEPARATOR)))
    }

    /// The first path that can stand behind everything below this one, which
    /// is not the root.
    pub(super) fn behind(&self) -> Self {
        let mut path = self.0.clone();
        path.push(SEPARATOR + 1);
        Self(path)
    }

    /// `etc/hostname`: without a leading slash, empty for the root.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().map(|&b| if b == SEPARATOR { b'/' } else { b }).collect()
    }

    /// Where it lies below a directory of the host.
    pub fn below(&self, directory: &Path) -> PathBuf {
        let mut path = directory.to_path_buf();
        path.extend(self.components().map(OsStr::from_bytes));
        path
    }
}

impl std::fmt::Display for TreePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl std::fmt::Debug for TreePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for TreePath {
    fn from(path: &T) -> Self {
        Self::new(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        assert_eq!(TreePath::new("/a//b/"), TreePath::new("./a/./b"));
        assert_eq!(TreePath::new("/a/b").to_string(), "/a/b");
        assert_eq!(TreePath::new("a").join("./b//c/"), TreePath::new("a/b/c"));
        assert_eq!(TreePath::root().join("a"), TreePath::new("a"));
    }

    #[test]
    fn paths_sort_as_their_components_do() {
        let paths =
            ["", "a", "a/b", "a/b/c", "a/c", "a\x01", "a\x01/b", "a-b", "a-b/c", "a.", "aa", "b", "\u{ff}"];
        for (index, one) in paths.iter().enumerate() {
            let components =
                |path: &str| TreePath::new(path).components().map(<[u8]>::to_vec).collect::<Vec<_>>();
            for other in &paths[index + 1..] {
                assert!(TreePath::new(one) < TreePath::new(other), "{one} {other}");
                assert!(components(one) < components(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn the_root_is_above_everything_and_has_no_name() {
        let (root, path) = (TreePath::root(), TreePath::new("a/b"));
        assert_eq!((root.parent(), root.name(), root.depth()), (None, None, 0));
        assert_eq!((path.parent(), path.name(), path.depth()), (Some("a".into()), Some(&b"b"[..]), 2));
        assert_eq!(TreePath::new("a").parent(), Some(root.clone()));
        assert!(path.starts_with(&root) && path.starts_with(&"a".into()) && path.starts_with(&path));
        assert!(!path.starts_with(&"a/b/c".into()) && !TreePath::new("ab").starts_with(&"a".into()));
    }

    #[test]
    fn nothing_hides_behind_a_nul() {
        assert_eq!(TreePath::new(b"a/b\0/../c"), TreePath::new("a/b"));
        assert_eq!(TreePath::new("a").join(b"\0.."), TreePath::new("a"));
    }
}
