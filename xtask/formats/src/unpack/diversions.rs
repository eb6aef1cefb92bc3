//! dpkg's diversions: paths that one package has made others put elsewhere.

use std::collections::BTreeMap;

/// What `/var/lib/dpkg/diversions` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diversions {
    /// From a path to the path it is put at and the package that it is left to;
    /// a local diversion (`:`) is left to none.
    by_path: BTreeMap<Vec<u8>, (Vec<u8>, Option<String>)>,
    /// What was read.
    text: Vec<u8>,
}

impl Diversions {
    /// Reads the file: three lines for each diversion, the path, the path that
    /// is used instead, the package. An incomplete last one is left out.
    pub fn parse(bytes: &[u8]) -> Self {
        let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
        let mut by_path = BTreeMap::new();
        for diversion in lines.chunks_exact(3) {
            let [from, to, package] = [0, 1, 2].map(|i| diversion[i]);
            let package = (package != b":").then(|| String::from_utf8_lossy(package).into_owned());
            by_path.insert(relative(from), (relative(to), package));
        }
        Self { by_path, text: bytes.to_vec() }
    }

    /// What was read.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where a package's file goes, if not where the package says. Paths have
    /// no leading slash.
    pub(super) fn of(&self, path: &[u8], package: &str) -> Option<&[u8]> {
        let (to, owner) = self.by_path.get(path)?;
        (owner.as_deref() != Some(package)).then_some(to)
    }
}

fn relative(path: &[u8]) -> Vec<u8> {
    path.strip_prefix(b"/").unwrap_or(path).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_but_the_diverting_package_goes_elsewhere() {
        let found = Diversions::parse(b"/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n");
        assert_eq!(found.of(b"bin/sh", "bash"), Some(&b"bin/sh.distrib"[..]));
        assert_eq!(found.of(b"bin/sh", "dash"), None);
        assert_eq!(found.of(b"a", "dash"), Some(&b"b"[..]));
        assert_eq!(found.of(b"b", "dash"), None);
    }
}
