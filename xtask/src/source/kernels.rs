//! An image boots one kernel: a second one is refused as soon as the lock shows it.

use bedplate_core::lock::LockedPackage;
use bedplate_core::plan::{PackagePlan, Plan};
use bedplate_core::{Diagnostic, SourceLocation};

use crate::error::Refused;
use crate::resolve::why::Dependencies;

/// The packages of a lock that are kernels, by name.
pub fn kernels(packages: &[LockedPackage]) -> Vec<&LockedPackage> {
    packages.iter().filter(|package| is_kernel(&package.name)).collect()
}

/// `linux-image-6.12.57+deb13-amd64`, and not `linux-image-amd64`, which brings it.
fn is_kernel(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("linux-image-") else { return false };
    let rest = rest.strip_prefix("unsigned-").unwrap_or(rest);
    rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.ends_with("-dbg") && !rest.ends_with("-dbgsym")
}

/// Refuses a second kernel, at the lines that brought both. `dependencies` are
/// those of the packages, where they are known.
///
/// # Errors
/// There are two kernels or more.
pub fn check(
    plan: &Plan,
    packages: &[LockedPackage],
    dependencies: impl FnOnce() -> Dependencies,
) -> Result<(), Refused> {
    let kernels = kernels(packages);
    let [first, second, ..] = kernels[..] else { return Ok(()) };
    let dependencies = dependencies();
    let brought = |kernel: &LockedPackage| brought_by(plan, &dependencies, &kernel.name);
    let (first_by, second_by) = (brought(first), brought(second));
    let message = format!(
        "there are {} kernels, and an image boots one: `{}`, `{}`",
        kernels.len(),
        first.name,
        second.name
    );
    let mut mistake = Diagnostic::new("", message);
    let at = |by: Option<&PackagePlan>| -> Option<(SourceLocation, String)> {
        Some((by?.at.clone()?, by?.name.to_string()))
    };
    if let Some((place, name)) = at(second_by).or_else(|| at(first_by)) {
        mistake = mistake.at(&place).word(name);
    }
    if let (Some((place, _)), Some(_)) = (at(first_by), at(second_by)) {
        mistake = mistake.related(&place, format!("brings `{}`", first.name));
    }
    let names: Vec<&str> = [first_by, second_by].into_iter().flatten().map(|by| by.name.as_str()).collect();
    let help = match names[..] {
        [one, other] if one != other => format!("remove `{one}` or `{other}`"),
        [one, ..] => format!("`{one}` brings both: name the kernel that is meant in its place"),
        [] => "keep one of them out with `.without(…)`".to_owned(),
    };
    Err(Refused(Box::new(mistake.help(help))))
}

/// The request that brought a kernel. Where nothing is known of dependencies,
/// the one whose name ends as the kernel's does.
fn brought_by<'a>(plan: &'a Plan, dependencies: &Dependencies, kernel: &str) -> Option<&'a PackagePlan> {
    if let Some(request) = dependencies.request(plan, kernel) {
        return Some(request);
    }
    let flavour = |name: &'a str| {
        let name = name.strip_prefix("linux-image-").or_else(|| name.strip_prefix("linux-"));
        name.filter(|flavour| kernel.ends_with(&format!("-{flavour}")) || kernel.ends_with(flavour))
    };
    let requests = plan.packages.iter().filter(|package| package.at.is_some());
    let fitting = requests.filter_map(|package| Some((flavour(&package.name)?.len(), package)));
    fitting.max_by_key(|(length, _)| *length).map(|(_, package)| package)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bedplate_core::rule::device;
    use bedplate_core::value::Sha256;
    use bedplate_formats::control::stanzas;

    pub(in crate::source) fn locked(names: &[&str]) -> Vec<LockedPackage> {
        let package = |name: &&str| LockedPackage {
            name: name.parse().unwrap(),
            version: "1".into(),
            architecture: "amd64".into(),
            pocket: "release".into(),
            size: 1,
            sha256: Sha256::of([0; 32]),
            url: "pool/package.deb".parse().unwrap(),
        };
        names.iter().map(package).collect()
    }

    const BOTH: [&str; 4] = [
        "linux-image-6.12.57+deb13-amd64",
        "linux-image-6.12.57+deb13-cloud-amd64",
        "linux-image-amd64",
        "linux-image-cloud-amd64",
    ];

    /// Case O8.
    #[test]
    fn two_kernels_are_refused_at_the_lines_that_brought_them() {
        let plan = device().package("linux-image-cloud-amd64").plan().unwrap();
        let text = "Package: linux-image-amd64\nDepends: linux-image-6.12.57+deb13-amd64\n\n\
                    Package: linux-image-cloud-amd64\nDepends: linux-image-6.12.57+deb13-cloud-amd64\n\n\
                    Package: linux-image-6.12.57+deb13-amd64\n\nPackage: linux-image-6.12.57+deb13-cloud-amd64\n";
        for known in [Dependencies::of(stanzas(text)), Dependencies::default()] {
            let Refused(mistake) = check(&plan, &locked(&BOTH), || known).unwrap_err();
            assert_eq!(mistake.at, plan.package("linux-image-cloud-amd64").unwrap().at);
            assert_eq!(Some(&mistake.related[0].0), plan.package("linux-image-amd64").unwrap().at.as_ref());
            assert_eq!(
                mistake.help.clone().unwrap(),
                "remove `linux-image-amd64` or `linux-image-cloud-amd64`"
            );
            assert!(mistake.message.starts_with("there are 2 kernels"), "{}", mistake.message);
        }
    }

    #[test]
    fn one_kernel_with_its_meta_package_and_symbols_is_one() {
        let plan = device().plan().unwrap();
        let names = [BOTH[0], BOTH[2], "linux-image-6.12.57+deb13-amd64-dbg", "linux-image-extra-virtual"];
        check(&plan, &locked(&names), Dependencies::default).unwrap();
    }
}
