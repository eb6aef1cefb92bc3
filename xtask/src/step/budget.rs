//! Whether parts of the image are within their budgets, and what grew where one is not.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use bedplate_core::plan::{ArtifactNames, BudgetPlan, DiskPlan, Part};
use bedplate_formats::region::Region;
use bedplate_formats::used;
use camino::Utf8Path;
use fs_err as fs;

use super::manifest;
use crate::error::Refused;
use crate::report::bytes;

/// So many packages are named.
const NAMED: usize = 8;

/// Holds what was built into `staging` against budgets. `last` is the directory of the last build, if there is one.
///
/// # Errors
/// The first part that is over, at its line, with the packages that grew since the last build, the largest growth
/// first; an artifact that cannot be read.
pub fn check(
    budgets: &[BudgetPlan],
    disk: &DiskPlan,
    names: &ArtifactNames,
    staging: &Utf8Path,
    last: &Utf8Path,
) -> Result<()> {
    for budget in budgets {
        let Some(over) = budget.over(size(budget.what, disk, names, staging)?) else { continue };
        let now = sizes(&staging.join(&names.manifest))?;
        let before = sizes(&last.join(&names.manifest)).unwrap_or_default();
        return Err(Refused(Box::new(over.help(help(&before, &now)))).into());
    }
    Ok(())
}

/// The bytes of a part.
fn size(part: Part, disk: &DiskPlan, names: &ArtifactNames, staging: &Utf8Path) -> Result<u64> {
    let length = |name: &str| Ok(fs::metadata(staging.join(name))?.len());
    match part {
        Part::Root => {
            let region = Region::of(fs::File::open(staging.join(&names.root))?.into_parts().0)?;
            let used = used::used(&region).context("reading which blocks of the root are in use")?;
            Ok(used.map_or(region.len(), |ranges| ranges.iter().map(|range| range.end - range.start).sum()))
        }
        Part::KernelImage => match &names.unsigned {
            Some(unsigned) if !staging.join(&names.uki).exists() => length(&unsigned.uki),
            _ => length(&names.uki),
        },
        Part::Initrd => length(&names.initrd),
        Part::Disk => Ok(disk.size),
    }
}

/// The bytes of each package's files, as a manifest has them.
fn sizes(manifest: &Utf8Path) -> Result<BTreeMap<String, u64>> {
    let packages =
        manifest::parse(&fs::read_to_string(manifest)?).context("reading the manifest of packages")?;
    Ok(packages.into_iter().map(|package| (package.name, package.size)).collect())
}

/// What to do about it.
fn help(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> String {
    let was = |name: &String| before.get(name).copied().unwrap_or_default();
    let mut grown: Vec<(&String, u64)> =
        now.iter().map(|(name, size)| (name, size.saturating_sub(was(name)))).collect();
    grown.retain(|(_, size)| *size > 0);
    grown.sort_by_key(|(name, size)| (Reverse(*size), *name));
    let since = match before.is_empty() {
        true => "no earlier build is there to compare with; the largest packages are",
        false if grown.is_empty() => {
            return "no package grew since the last build: look for files of the description".to_owned();
        }
        false => "since the last build grew",
    };
    let name = |(name, size): &(&String, u64)| match before.get(*name) {
        Some(_) => format!("{name} by {}", bytes(*size)),
        None if before.is_empty() => format!("{name} with {}", bytes(*size)),
        None => format!("{name}, new, by {}", bytes(*size)),
    };
    let named: Vec<String> = grown.iter().take(NAMED).map(name).collect();
    let others = match grown.len().saturating_sub(NAMED) {
        0 => String::new(),
        count => {
            format!("; and {count} others by {}", bytes(grown.iter().skip(NAMED).map(|(_, size)| size).sum()))
        }
    };
    format!("{since}: {}{others}", named.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(sizes: &[(&str, u64)]) -> BTreeMap<String, u64> {
        sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
    }

    #[test]
    fn the_largest_growth_is_told_first() {
        let before = packages(&[("apt", 4_000_000), ("htop", 100), ("less", 300_000)]);
        let now =
            packages(&[("apt", 4_200_000), ("htop", 100), ("less", 200_000), ("docker.io", 90_000_000)]);
        assert_eq!(
            help(&before, &now),
            "since the last build grew: docker.io, new, by 90.0 MB; apt by 200 kB"
        );
        assert_eq!(
            help(&before, &before),
            "no package grew since the last build: look for files of the description"
        );
    }

    #[test]
    fn a_first_build_names_the_largest() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let sizes: Vec<(&str, u64)> = names.into_iter().zip((1..).map(|size| size * 1000)).collect();
        let said = help(&BTreeMap::new(), &packages(&sizes));
        assert!(said.contains("the largest packages are: j with 10.0 kB; i with 9.0 kB; "), "{said}");
        assert!(said.ends_with("; and 2 others by 3.0 kB"), "{said}");
    }
}
