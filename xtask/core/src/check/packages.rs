//! Rules of what is installed.

use crate::diagnostic::Diagnostic;
use crate::explain::{Rule, disk, example};
use crate::image::Image;
use crate::plan::implied;
use crate::release::{self, Named, Thing};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::explain::device;
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
