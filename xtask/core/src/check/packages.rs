//! Rules of what is installed.

use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::package::Package;
use crate::image::target::Architecture;
use crate::plan::{all_archives, implied, origins_of};
use crate::release::{self, Named, Thing};
use crate::rule::{Rule, disk, example};

pub(crate) static NO_KERNEL: Rule = Rule {
    code: "no-kernel",
    title: "an image has a kernel",
    why: "Which kernel is a choice with consequences (hardware, support, features), so none is taken silently.",
    wrong: example!(|device| Image::debian("trixie").with(disk)),
    right: example!(|device| Image::debian("trixie").package("linux-image-cloud-amd64").with(disk)),
};

pub(crate) static NAMED_OTHERWISE: Rule = Rule {
    code: "named-otherwise",
    title: "a package is called as its release calls it",
    why: "Kernels, `docker compose` and libraries have other names in Debian than in Ubuntu, and in one release than in \
          the next. A description that is moved from one to the other learns it here, at the line, and not from a \
          resolver that has never heard of the package.",
    wrong: example!(|device| device.package("docker-compose-v2")),
    right: example!(|device| device.package("docker-compose")),
};

pub(crate) static PACKAGE_IN_AND_OUT: Rule = Rule {
    code: "package-in-and-out",
    title: "a package is asked for or kept out, not both",
    why: "Which of the two wins would depend on the order of two lines that may be in two files.",
    wrong: example!(|device| device.package("rauc").without("rauc")),
    right: example!(|device| device.package("rauc")),
};

pub(crate) static NEEDED_PACKAGE_OUT: Rule = Rule {
    code: "needed-package-out",
    title: "what the rest of the description needs is not kept out",
    why: "A verified root needs what sets it up, a data partition that grows needs what grows it, and every image \
          needs its first process. Without them the image is built, and does not start.",
    wrong: example!(|device| device.without("udev")),
    right: example!(|device| device),
};

pub(crate) static PACKAGE_FROM_NOWHERE: Rule = Rule {
    code: "package-from-nowhere",
    title: "a package is taken from a suite that the image has",
    why: "The suite is one of the release's own, one that `.suite` adds, or that of a repository. Where two repositories \
          have suites of one name, the host says which is meant.",
    wrong: example!(|device| device.package(Package::new("jq").from("trixie-backports"))),
    right: example!(|device| device
        .suite("trixie-backports")
        .package(Package::new("jq").from("trixie-backports"))),
};

pub(crate) static PACKAGE_TWO_WAYS: Rule = Rule {
    code: "package-two-ways",
    title: "a package comes from one suite, in one version",
    why: "Which of the two wins would depend on the order of two lines that may be in two files.",
    wrong: example!(|device| device
        .package(Package::new("jq").version("1.7*"))
        .package(Package::new("jq").version("1.8*"))),
    right: example!(|device| device.package(Package::new("jq").version("1.7*"))),
};

/// What the names of kernel packages start with, on Debian and on Ubuntu.
const KERNELS: [&str; 9] = [
    "linux-image-",
    "linux-generic",
    "linux-virtual",
    "linux-aws",
    "linux-azure",
    "linux-gcp",
    "linux-kvm",
    "linux-lowlatency",
    "linux-raspi",
];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let release = release::find(image.distribution, &image.release.value);
    let is_kernel = |name: &str| KERNELS.iter().any(|start| name.starts_with(start));
    if !image.packages.iter().any(|package| is_kernel(package.value.as_str())) {
        let mistake = Diagnostic::new(NO_KERNEL.code, "no package is a kernel").at(&image.release.at);
        found.push(match release.and_then(|release| release.name_of(Thing::Kernel)) {
            Some(Named::As([kernel, ..])) => mistake.help(format!("add `.package(\"{kernel}\")`")),
            _ => mistake,
        });
    }
    let packages =
        release.iter().flat_map(|release| image.packages.iter().map(move |package| (release, package)));
    for (release, package) in packages {
        let name = package.value.as_str();
        let Some(otherwise) = release.otherwise(name) else { continue };
        let message = format!(
            "{} {} (`{}`) has no package `{name}`",
            image.distribution, release.version, release.name
        );
        let mistake = Diagnostic::new(NAMED_OTHERWISE.code, message).at(&package.at).word(name);
        found.push(match otherwise {
            Named::As(names) => mistake.help(format!("it is called `{}` there", names.join("` or `"))),
            Named::Within(whole) => mistake.help(format!("`{whole}` has it there: name that")),
        });
    }

    origins(image, found);

    let needed = release
        .zip(image.roots.first())
        .map(|(release, root)| implied(image, release, root))
        .unwrap_or_default();
    for out in &image.without {
        let name = out.value.as_str();
        if let Some(asked) = image.packages.iter().find(|package| package.value == out.value) {
            let mistake =
                Diagnostic::new(PACKAGE_IN_AND_OUT.code, format!("`{name}` is asked for and kept out"));
            let mistake = mistake.at(&out.at).related(&asked.at, "asked for here").word(name);
            found.push(mistake.help("remove one of the two"));
        } else if let Some((_, why, at)) = needed.iter().find(|(implied, ..)| *implied == name) {
            let message = format!("`{name}` is kept out, and is needed: {why}");
            let mistake = Diagnostic::new(NEEDED_PACKAGE_OUT.code, message).at(&out.at).word(name);
            found.push(match at {
                Some(at) => mistake.related(at, "needed for this"),
                None => mistake.help("every image needs it: remove the line"),
            });
        }
    }
}

/// Where packages come from, and in which version, where the description says it.
fn origins(image: &Image, found: &mut Vec<Diagnostic>) {
    let release = release::find(image.distribution, &image.release.value);
    let archives =
        release.map(|release| all_archives(image, release, Architecture::X86_64)).unwrap_or_default();
    for package in &image.choices {
        let (Some(suite), false) = (&package.from, archives.is_empty()) else { continue };
        let text = suite.value.as_str();
        let message = match origins_of(&archives, text).as_slice() {
            [_] => continue,
            [] => format!("the image has no suite `{text}`"),
            _ => format!("the image has more than one suite `{text}`"),
        };
        let known: Vec<&str> = archives.iter().map(|archive| archive.suite.as_str()).collect();
        let mistake = Diagnostic::new(PACKAGE_FROM_NOWHERE.code, message).at(&suite.at).word(text);
        let further = release.is_some_and(|release| release.further_suites().any(|further| further == text));
        found.push(match (known.contains(&text), further) {
            (true, _) => mistake.help("name the repository's host instead"),
            (false, true) => mistake.help(format!("add `.suite(\"{text}\")`")),
            (false, false) => mistake.help(format!("there are `{}`", known.join("`, `"))),
        });
    }
    for (number, second) in image.choices.iter().enumerate() {
        let named = |package: &Package| package.name.as_ref().map(|name| name.value.clone());
        for first in image.choices[..number].iter().filter(|first| named(first) == named(second)) {
            let differ = |one: &Option<String>, other: &Option<String>| {
                one.is_some() && other.is_some() && one != other
            };
            let from = |package: &Package| package.from.as_ref().map(|suite| suite.value.to_string());
            let version =
                |package: &Package| package.version.as_ref().map(|version| version.value.to_string());
            let differ = differ(&from(first), &from(second)) || differ(&version(first), &version(second));
            let (true, Some(first), Some(second)) = (differ, &first.name, &second.name) else { continue };
            let message = format!("`{}` is asked for in two ways", second.value);
            let mistake =
                Diagnostic::new(PACKAGE_TWO_WAYS.code, message).at(&second.at).word(second.value.as_str());
            found.push(mistake.related(&first.at, "first asked for here").help("remove one of the two"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("packages.rs");

    #[test]
    fn an_image_without_kernel_is_refused() {
        expect![[r#"
            error[no-kernel]: no package is a kernel
              --> xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::debian("trixie").with(disk)),
               |                              ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.package("linux-image-amd64")`
        "#]]
        .assert_eq(&refusal(&NO_KERNEL, SOURCE));
    }

    #[test]
    fn a_package_is_not_both_in_and_out() {
        expect![[r#"
            error[package-in-and-out]: `rauc` is asked for and kept out
              --> xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.package("rauc").without("rauc")),
               |                                                             ^^^^^^
              ::: xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.package("rauc").without("rauc")),
               |                                             ------ asked for here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&PACKAGE_IN_AND_OUT, SOURCE));
    }

    /// Case 16.
    #[test]
    fn a_package_from_a_suite_that_is_not_there_is_told_the_word() {
        expect![[r#"
            error[package-from-nowhere]: the image has no suite `trixie-backports`
              --> xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.package(Package::new("jq").from("trixie-backports"))),
               |                                                                     ^^^^^^^^^^^^^^^^^^
               |
               = help: add `.suite("trixie-backports")`
        "#]]
        .assert_eq(&refusal(&PACKAGE_FROM_NOWHERE, SOURCE));
        let plan = PACKAGE_FROM_NOWHERE.right.describe().plan().unwrap();
        assert_eq!(plan.package("jq").unwrap().from.as_ref().unwrap().suite, "trixie-backports");
        let page = plan.page(100);
        assert!(page.contains("from trixie-backports"), "{page}");
    }

    /// Case 16.
    #[test]
    fn a_package_asked_for_in_two_ways_shows_both() {
        expect![[r#"
            error[package-two-ways]: `jq` is asked for in two ways
              --> xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     .package(Package::new("jq").version("1.8*"))),
               |                           ^^^^
              ::: xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     .package(Package::new("jq").version("1.7*"))
               |                           ---- first asked for here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&PACKAGE_TWO_WAYS, SOURCE));
        let image =
            device().package(Package::new("jq").recommends()).package(Package::new("jq").version("1.7*"));
        let plan = image.plan().unwrap();
        let jq = plan.package("jq").unwrap();
        assert_eq!((jq.recommends, jq.version.as_deref()), (true, Some("1.7*")));
    }

    #[test]
    fn a_package_everything_needs_stays() {
        expect![[r#"
            error[needed-package-out]: `udev` is kept out, and is needed: devices and their names, in the initrd
                   too
              --> xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.without("udev")),
               |                                             ^^^^^^
               |
               = help: every image needs it: remove the line
        "#]].assert_eq(&refusal(&NEEDED_PACKAGE_OUT, SOURCE));
    }

    #[test]
    fn what_verity_needs_stays_as_long_as_there_is_verity() {
        let mistakes = device().without("dmsetup").plan().unwrap_err();
        let mistake = mistakes.iter().next().unwrap();
        assert_eq!(mistake.message, "`dmsetup` is kept out, and is needed: sets up the verified root");
    }

    #[test]
    fn another_releases_name_of_a_package_is_told_this_ones() {
        expect![[r#"
            error[named-otherwise]: Debian 13 (`trixie`) has no package `docker-compose-v2`
              --> xtask/core/src/check/packages.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.package("docker-compose-v2")),
               |                                             ^^^^^^^^^^^^^^^^^^^
               |
               = help: it is called `docker-compose` there
        "#]]
        .assert_eq(&refusal(&NAMED_OTHERWISE, SOURCE));
        let help =
            |image: Image| image.plan().unwrap_err().iter().find_map(|mistake| mistake.help.clone()).unwrap();
        let noble = || Image::ubuntu("noble").package("linux-generic").with(disk);
        assert_eq!(help(noble().package("docker-cli")), "`docker.io` has it there: name that");
        assert_eq!(help(noble().package("linux-image-amd64")).split('`').nth(1), Some("linux-generic"));
        // What two releases both have is nobody's other name.
        assert!(noble().packages(["docker.io", "docker-compose", "cryptsetup-bin"]).plan().is_ok());
    }
}
