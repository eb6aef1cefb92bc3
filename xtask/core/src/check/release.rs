//! Rules of the release an image is made of.

use crate::Esp;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::compression::Compression;
use crate::image::filesystem::{Erofs, Filesystem};
use crate::image::root::{Root, RootSlot};
use crate::release::{self, Release};
use crate::rule::{Rule, disk, example};
use crate::spelling;
use crate::value::MiB;

pub(crate) static UNKNOWN_RELEASE: Rule = Rule {
    code: "unknown-release",
    title: "an image is made of a release that Bedplate knows",
    why: "What a release can do (its version of systemd, whether its kernel reads a compressed erofs, which \
          package holds a tool) decides parts of the plan. For a release that is not in the table these would be \
          guesses.",
    wrong: example!(|device| Image::debian("trixi").package("linux-image-amd64").with(disk)),
    right: example!(|device| Image::debian("trixie").package("linux-image-amd64").with(disk)),
};

pub(crate) static REFUSED_RELEASE: Rule = Rule {
    code: "refused-release",
    title: "a release has to have what an immutable image is booted with",
    why: "Ubuntu 22.04 packages neither systemd-boot nor the stub of a unified kernel image, and its systemd is too \
          old to set up a verified root from one. An image of it could be built only with parts of another release, \
          which nobody would send security updates for.",
    wrong: example!(|device| Image::ubuntu("jammy").package("linux-generic").with(disk)),
    right: example!(|device| Image::ubuntu("noble").package("linux-generic").with(disk)),
};

pub(crate) static NOT_IN_RELEASE: Rule = Rule {
    code: "not-in-release",
    title: "what is asked for exists in the release",
    why: "The tools and the kernel of an image come from its own release. A release whose kernel cannot read zstd in \
          an erofs would make an image that does not boot, and one whose mke2fs cannot read a tar stream would need \
          root to make the file system.",
    wrong: example!(|device| Image::ubuntu("noble")
        .package("linux-generic")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).compression(Compression::Zstd))),
    right: example!(|device| Image::ubuntu("noble")
        .package("linux-generic")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).compression(Compression::Lz4hc))),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let (name, at) = (image.release.value.as_str(), &image.release.at);
    let distribution = image.distribution;
    let Some(release) = release::find(distribution, name) else {
        let known: Vec<&str> = release::names(distribution).collect();
        let elsewhere = release::RELEASES.iter().find(|release| release.name == name);
        let help = match (spelling::nearest(name, known.iter().copied()), elsewhere) {
            (Some(nearest), _) => format!("did you mean `{nearest}`?"),
            (None, Some(release)) => format!("`{name}` is a release of {}'s", release.distribution),
            (None, None) => format!("images are made of {}", known.join(", ")),
        };
        let message = format!("{distribution} has no release `{name}` that Bedplate knows");
        found.push(Diagnostic::new(UNKNOWN_RELEASE.code, message).at(at).word(name).help(help));
        return;
    };
    if let Some((reason, instead)) = release.refused {
        let message = format!("no image can be made of {distribution} {} (`{name}`)", release.version);
        let refusal = Diagnostic::new(REFUSED_RELEASE.code, message).at(at).word(name).label(reason);
        found.push(refusal.help(format!("use `{instead}`")));
        return;
    }
    for user in image.users.iter().filter(|_| !release.imports_credentials()) {
        let Some(login) = &user.credential else { continue };
        let message = format!(
            "{distribution} {} (`{name}`) has a systemd before 254, which imports no credentials",
            release.version
        );
        let mistake = Diagnostic::new(NOT_IN_RELEASE.code, message).at(login).related(at, "the release");
        found.push(mistake.help("let the user in by `Login::Key(…)`"));
    }
    for root in &image.roots {
        found.extend(missing(root, release).map(|(what, instead)| {
            let message = format!("{distribution} {} (`{name}`) {what}", release.version);
            Diagnostic::new(NOT_IN_RELEASE.code, message)
                .at(&root.at)
                .related(at, "the release")
                .help(instead)
        }));
    }
}

/// What the release lacks for this root, and what to do.
fn missing(root: &RootSlot, release: &Release) -> Option<(&'static str, &'static str)> {
    match root.filesystem {
        Filesystem::Erofs if root.compression == Compression::Zstd && !release.erofs_zstd() => Some((
            "has a kernel that reads no zstd in an erofs: that needs 6.10",
            "leave `.compression(…)` out: lz4hc is the default",
        )),
        Filesystem::Ext4 if !release.ext4_tar() => Some((
            "has no mke2fs that reads a tar stream (1.47.1)",
            "use `Root::new(Erofs)` or `Root::new(Squashfs)`",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ext4;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("release.rs");

    #[test]
    fn a_mistyped_release_is_told_the_nearest_one() {
        expect![[r#"
            error[unknown-release]: Debian has no release `trixi` that Bedplate knows
              --> xtask/core/src/check/release.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::debian("trixi").package("linux-image-amd64").with(disk)),
               |                                            ^^^^^^^
               |
               = help: did you mean `trixie`?
        "#]]
        .assert_eq(&refusal(&UNKNOWN_RELEASE, SOURCE));
    }

    #[test]
    fn jammy_is_refused_with_its_reason() {
        expect![[r#"
            error[refused-release]: no image can be made of Ubuntu 22.04 (`jammy`)
              --> xtask/core/src/check/release.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::ubuntu("jammy").package("linux-generic").with(disk)),
               |                                            ^^^^^^^
               |                         it packages neither systemd-boot nor the stub of a unified kernel image
               |
               = help: use `noble`
        "#]]
        .assert_eq(&refusal(&REFUSED_RELEASE, SOURCE));
    }

    #[test]
    fn a_compression_the_kernel_cannot_read_is_refused() {
        expect![[r#"
            error[not-in-release]: Ubuntu 24.04 (`noble`) has a kernel that reads no zstd in an erofs: that
                   needs 6.10
              --> xtask/core/src/check/release.rs:LL:CC
               |
            LL |     .partition(Root::new(Erofs).compression(Compression::Zstd))),
               |                ^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/release.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::ubuntu("noble")
               |                              ---------------------- the release
               |
               = help: leave `.compression(…)` out: lz4hc is the default
        "#]]
        .assert_eq(&refusal(&NOT_IN_RELEASE, SOURCE));
    }

    #[test]
    fn a_release_of_the_other_distribution_is_named_as_such() {
        let mistakes = Image::debian("noble").plan().unwrap_err();
        let help = mistakes.iter().find(|mistake| mistake.code == UNKNOWN_RELEASE.code).unwrap().help.clone();
        assert_eq!(help.unwrap(), "`noble` is a release of Ubuntu's");
    }

    #[test]
    fn an_ext4_root_needs_a_mke2fs_that_reads_tar() {
        let mistakes = Image::ubuntu("noble").partition(Root::new(Ext4)).plan().unwrap_err();
        assert!(mistakes.iter().any(|mistake| mistake.code == NOT_IN_RELEASE.code), "{mistakes}");
    }
}
