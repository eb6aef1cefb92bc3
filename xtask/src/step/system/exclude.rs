//! dpkg's `path-exclude` and `path-include`: dpkg(1).

use bedplate_core::glob::{Wildcard, fits};
use bedplate_core::plan::FilterPlan;
use bedplate_formats::unpack::Filter;

/// What the patterns leave out.
pub(super) fn filter(filters: &[FilterPlan]) -> Filter {
    if filters.is_empty() {
        return Filter::default();
    }
    let filters = filters.to_vec();
    Filter::new(move |path, leads| leaves_out(&filters, path, leads))
}

/// The last pattern that fits decides. A directory, or a link that may lead to one, stays where a pattern takes in again
/// what is below it.
fn leaves_out(filters: &[FilterPlan], path: &[u8], leads: bool) -> bool {
    let fitting = |filter: &&FilterPlan| fits(filter.path.as_bytes(), path, Wildcard::Any);
    let left_out = filters.iter().rev().find(fitting).is_some_and(|filter| !filter.include);
    left_out && !(leads && filters.iter().any(|filter| filter.include && needs(&filter.path, path)))
}

/// Whether what the pattern takes in may lie below `path`: by the directory before its first wildcard.
fn needs(pattern: &str, path: &[u8]) -> bool {
    let fixed = &pattern[..pattern.find(['*', '?', '[']).unwrap_or(pattern.len())];
    let directory = &fixed[..fixed.rfind('/').map_or(0, |slash| slash + 1)];
    path.starts_with(directory.as_bytes()) || directory.as_bytes().starts_with(&[path, b"/"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(lines: &[&str]) -> Vec<FilterPlan> {
        let filter = |line: &&str| {
            let (kind, path) = line.split_once('=').unwrap();
            FilterPlan { path: path.parse().unwrap(), include: kind == "path-include", at: None }
        };
        lines.iter().map(filter).collect()
    }

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let filters = filters(&[
            "path-exclude=/usr/share/doc/*",
            "path-include=/usr/share/doc/*/copyright",
            "path-exclude=/usr/share/doc/perl/*",
        ]);
        let out = |path: &str| leaves_out(&filters, path.as_bytes(), false);
        assert!(out("/usr/share/doc/bash/README") && !out("/usr/share/doc/bash/copyright"));
        assert!(out("/usr/share/doc/perl/copyright") && !out("/usr/share/man/man1/a.1"));
    }

    #[test]
    fn directories_stay_for_what_is_taken_in_below_them() {
        let filters = filters(&["path-exclude=/usr/share/*", "path-include=/usr/share/man/man1/ls*"]);
        let out = |path: &str| leaves_out(&filters, path.as_bytes(), true);
        assert!(!out("/usr/share/man") && !out("/usr/share/man/man1") && !out("/usr/share/man/man1/x"));
        assert!(out("/usr/share/doc") && out("/usr/share/man/man2") && !out("/usr/share"));
    }
}
