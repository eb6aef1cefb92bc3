//! Rules of kernel modules that are built while the image is.

use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::plan::{hardening, modules};
use crate::rule::{Rule, example};

pub(crate) static UNSIGNED_MODULE: Rule = Rule {
    code: "unsigned-module",
    title: "modules that DKMS builds are for a kernel that accepts unsigned ones",
    why: "DKMS compiles a module for the image's kernel, and nobody has signed it: a distribution signs its own modules \
          only, and a signing key of the build would be a secret in every image. `lockdown=integrity` and \
          `module.sig_enforce=1` are defaults of the plan, and with either of them the kernel refuses the module.",
    wrong: example!(|device| device.package("zfs-dkms")),
    right: example!(|device| device
        .package("zfs-dkms")
        .dangerous_command_line("lockdown=none")
        .dangerous_command_line("module.sig_enforce=0")),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let settings = hardening::settings(image);
    let defaults: Vec<String> = hardening::arguments(&settings).collect();
    let given = image.arguments.iter().map(|argument| argument.text());
    let accepting = modules::accepting(defaults.iter().map(String::as_str).chain(given));
    if accepting.is_empty() {
        return;
    }
    for package in image.packages.iter().filter(|package| package.value.as_str().ends_with("-dkms")) {
        let name = package.value.as_str();
        let message =
            format!("`{name}` builds a kernel module that nobody has signed, and the kernel would refuse it");
        let mistake = Diagnostic::new(UNSIGNED_MODULE.code, message).at(&package.at).word(name);
        found.push(mistake.help(format!("remove it, or write {accepting}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("dkms.rs");

    /// Case 18.
    #[test]
    fn a_module_that_the_kernel_would_refuse_is_refused_at_its_line() {
        expect![[r#"
            error[unsigned-module]: `zfs-dkms` builds a kernel module that nobody has signed, and the kernel
                   would refuse it
              --> xtask/core/src/check/dkms.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.package("zfs-dkms")),
               |                                             ^^^^^^^^^^
               |
               = help: remove it, or write `.dangerous_command_line("lockdown=none")` and
                       `.dangerous_command_line("module.sig_enforce=0")`
        "#]]
        .assert_eq(&refusal(&UNSIGNED_MODULE, SOURCE));
        let half = device().package("zfs-dkms").dangerous_command_line("lockdown=none");
        let mistakes = half.plan().unwrap_err();
        let help = mistakes.iter().next().unwrap().help.clone().unwrap();
        assert_eq!(help, "remove it, or write `.dangerous_command_line(\"module.sig_enforce=0\")`");
    }
}
