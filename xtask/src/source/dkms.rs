//! Kernel modules that are built while the image is: what they lack is told as soon as the lock shows it.

use bedplate_core::Diagnostic;
use bedplate_core::lock::LockedPackage;
use bedplate_core::plan::Plan;

use super::kernels::kernels;
use crate::error::Refused;
use crate::resolve::why::Dependencies;

/// Refuses modules that could not be built, or that the kernel would refuse.
///
/// # Errors
/// The kernel's headers are not among the packages, or the kernel loads signed modules only.
pub fn check(
    plan: &Plan,
    packages: &[LockedPackage],
    dependencies: impl FnOnce() -> Dependencies,
) -> Result<(), Refused> {
    let Some(package) = packages.iter().find(|package| package.name.ends_with("-dkms")) else {
        return Ok(());
    };
    let accepting = plan.accepting_unsigned_modules();
    let (problem, help) = if let Some(headers) = missing_headers(packages) {
        let kernel = headers.trim_start_matches("linux-headers-");
        let problem =
            format!("builds a module for the kernel `{kernel}`, whose headers are not among the packages");
        (problem, format!("add `.package({:?})`", meta_package(plan).unwrap_or_else(|| headers.clone())))
    } else if !accepting.is_empty() {
        let problem =
            "builds a kernel module that nobody has signed, and the kernel would refuse it".to_owned();
        (problem, format!("keep it out with `.without({:?})`, or write {accepting}", package.name.as_str()))
    } else {
        return Ok(());
    };
    let name = &package.name;
    let request = dependencies().request(plan, name).or_else(|| plan.package(name));
    let mut mistake = Diagnostic::new("", format!("`{name}` {problem}")).help(help);
    if let Some((at, request)) = request.and_then(|request| Some((request.at.as_ref()?, request))) {
        mistake = mistake.at(at).word(request.name.as_str());
    }
    Err(Refused(Box::new(mistake)))
}

/// The headers of the image's kernel, where they are not locked.
fn missing_headers(packages: &[LockedPackage]) -> Option<String> {
    let headers = |kernel: &&LockedPackage| {
        let release = kernel.name.trim_start_matches("linux-image-").trim_start_matches("unsigned-");
        format!("linux-headers-{release}")
    };
    let headers = kernels(packages).first().map(headers)?;
    (!packages.iter().any(|package| package.name == headers)).then_some(headers)
}

/// The package that brings the headers of every kernel which the description's own brings.
fn meta_package(plan: &Plan) -> Option<String> {
    let flavour = |name: &str| {
        let rest = name.strip_prefix("linux-image-").or_else(|| name.strip_prefix("linux-"))?;
        rest.starts_with(|c: char| c.is_ascii_lowercase()).then(|| format!("linux-headers-{rest}"))
    };
    plan.packages.iter().find_map(|package| flavour(&package.name))
}

#[cfg(test)]
mod tests {
    use bedplate_core::rule::device;

    use super::*;
    use crate::source::kernels::tests::locked;

    const KERNEL: &str = "linux-image-6.12.57+deb13-amd64";

    fn refused(plan: &Plan, names: &[&str]) -> String {
        let Refused(mistake) = check(plan, &locked(names), Dependencies::default).unwrap_err();
        assert_eq!(mistake.at, plan.package("zfs-dkms").and_then(|package| package.at.clone()));
        format!("{}; {}", mistake.message, mistake.help.clone().unwrap_or_default())
    }

    /// Case 18.
    #[test]
    fn headers_that_are_missing_are_told_before_the_build() {
        let image = device().package("zfs-dkms").dangerous_command_line("lockdown=none");
        let plan = image.dangerous_command_line("module.sig_enforce=0").plan().unwrap();
        assert_eq!(
            refused(&plan, &[KERNEL, "zfs-dkms"]),
            "`zfs-dkms` builds a module for the kernel `6.12.57+deb13-amd64`, whose headers are not among the \
             packages; add `.package(\"linux-headers-amd64\")`"
        );
        let all = locked(&[KERNEL, "linux-headers-6.12.57+deb13-amd64", "zfs-dkms"]);
        check(&plan, &all, Dependencies::default).unwrap();
    }

    /// Case 18.
    #[test]
    fn a_module_that_a_dependency_brings_is_refused_as_well() {
        let names = [KERNEL, "linux-headers-6.12.57+deb13-amd64", "zfs-dkms"];
        let told = refused(&device().plan().unwrap(), &names);
        assert!(told.contains("nobody has signed") && told.contains(".without(\"zfs-dkms\")"), "{told}");
    }
}
