//! Rules of single words: what may be a name, a path, a key.
//!
//! The grammars themselves are in [`crate::value`], a word a function.

use crate::image::data::Data;
use crate::image::deb::Deb;
use crate::image::filesystem::Ext4;
use crate::image::overlay::Overlay;
use crate::image::package::Package;
use crate::image::repository::{Key, Repository};
use crate::image::updates::Updates;
use crate::image::user::{Login, User};
use crate::rule::{Rule, certificate, example};
use crate::value::{
    Address, Argument, Compatible, DevicePath, Fingerprint, Glob, Hostname, ImageVersion, Label, Locale,
    ModuleName, PackageName, Question, Sha256, Snapshot, SshKey, Suite, SysctlKey, Timezone, UnitName, Url,
    UserName, Value as _, Version,
};

pub(crate) static MALFORMED_PACKAGE_NAME: Rule = Rule {
    code: PackageName::CODE,
    title: "a package is named as Debian policy names packages",
    why: "Debian policy 5.6.1: at least two characters of a-z, 0-9, plus, minus and dot, the first a letter or a \
          digit. A version or an architecture does not belong here: the lock pins the one, the target says the other.",
    wrong: example!(|device| device.package("Docker_IO")),
    right: example!(|device| device.package("docker.io")),
};

pub(crate) static MALFORMED_SUITE: Rule = Rule {
    code: Suite::CODE,
    title: "suites and components are words of an archive's `dists` directory",
    why: "Both become part of the address that is fetched. One that climbs out of the directory, or holds a blank, \
          would fetch something else than it says.",
    wrong: example!(|device| device.component("non-free firmware")),
    right: example!(|device| device.component("non-free-firmware")),
};

pub(crate) static MALFORMED_URL: Rule = Rule {
    code: Url::CODE,
    title: "an archive has an http or https address",
    why: "Archives are signed, so http is as good as https for what is fetched. An address with a user name and a \
          password in it would put the password into the source and into every lock.",
    wrong: example!(|device| device.mirror("mirror.example.org/debian")),
    right: example!(|device| device.mirror("https://mirror.example.org/debian")),
};

pub(crate) static MALFORMED_VERSION: Rule = Rule {
    code: Version::CODE,
    title: "a version is a whole one of Debian's, or its start and a star",
    why: "Debian policy 5.6.12: digits, letters and `. + - ~ :`, starting with a digit. Comparisons such as `>=` are not \
          needed: without a version the newest one is taken, and the lock pins it.",
    wrong: example!(|device| device.package(Package::new("jq").version(">= 1.7"))),
    right: example!(|device| device.package(Package::new("jq").version("1.7*"))),
};

pub(crate) static MALFORMED_SNAPSHOT: Rule = Rule {
    code: Snapshot::CODE,
    title: "a snapshot is a moment in UTC, written YYYYMMDDTHHMMSSZ",
    why: "The snapshot services of Debian and Ubuntu name a moment so, and nothing else: the text becomes part of \
          the address of every file.",
    wrong: example!(|device| device.snapshot("2026-01-01")),
    right: example!(|device| device.snapshot("20260101T000000Z")),
};

pub(crate) static MALFORMED_FINGERPRINT: Rule = Rule {
    code: Fingerprint::CODE,
    title: "a key is named by its whole fingerprint",
    why: "A short key id has 32 or 64 bits, and keys with a chosen short id are made in minutes. A fingerprint has \
          40 hexadecimal digits (64 for keys of version 6).",
    wrong: example!(|device| device.repository(Repository::signed(
        "https://download.docker.com/linux/debian",
        "trixie",
        ["stable"],
        Key::fingerprint("0EBFCD88"),
    ))),
    right: example!(|device| device.repository(Repository::signed(
        "https://download.docker.com/linux/debian",
        "trixie",
        ["stable"],
        Key::file("keys/docker.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88"),
    ))),
};

pub(crate) static MALFORMED_DIGEST: Rule = Rule {
    code: Sha256::CODE,
    title: "a file is named by its whole sha256",
    why: "A file without a signature is trusted for its digest alone, so the digest is one that nobody can forge and \
          all of it: 64 hexadecimal digits, as `sha256sum` prints them.",
    wrong: example!(|device| device.deb(Deb::dangerous_unsigned(
        "https://vendor.example/agent.deb",
        "d41d8cd98f00b204e9800998ecf8427e",
    ))),
    right: example!(|device| device.deb(Deb::dangerous_unsigned(
        "https://vendor.example/agent.deb",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ))),
};

pub(crate) static MALFORMED_PATH: Rule = Rule {
    code: DevicePath::CODE,
    title: "a path on the device is absolute and in its normal form",
    why: "Paths become names of units and lines of tmpfiles.d. Two spellings of one path would become two mounts, and \
          blanks, percent signs and backslashes mean something else there.",
    wrong: example!(|device| device.bind("greengrass/")),
    right: example!(|device| device.bind("/greengrass")),
};

pub(crate) static MALFORMED_HOSTNAME: Rule = Rule {
    code: Hostname::CODE,
    title: "a host name is made of a-z, 0-9 and dashes",
    why: "systemd ignores a host name with other characters, and the device would be called `localhost`.",
    wrong: example!(|device| device.hostname("Edge_Device")),
    right: example!(|device| device.hostname("edge-device")),
};

pub(crate) static MALFORMED_IMAGE_VERSION: Rule = Rule {
    code: ImageVersion::CODE,
    title: "an image's version is made of a-z, 0-9, dot, dash and underscore",
    why: "os-release(5) allows no other characters in IMAGE_VERSION, and the version becomes part of a file name on \
          the EFI system partition, where capital and small letters are the same.",
    wrong: example!(|device| device.version("1.4.0+git")),
    right: example!(|device| device.version("1.4.0-git")),
};

pub(crate) static MALFORMED_COMPATIBLE: Rule = Rule {
    code: Compatible::CODE,
    title: "what devices and bundles have in common is one word",
    why: "RAUC compares it letter by letter and writes it into files of settings, where blanks and signs mean something \
          else. Devices that one image does not fit have another word.",
    wrong: example!(|device| device.version("1").updates(Updates::rauc("Edge device", certificate()))),
    right: example!(|device| device.version("1").updates(Updates::rauc("edge-device", certificate()))),
};

pub(crate) static MALFORMED_HOST: Rule = Rule {
    code: Address::CODE,
    title: "a line of /etc/hosts is an address and its names",
    why: "The address comes first, without a prefix length, and each name is one word of letters, digits, dashes, dots \
          and underscores. The C library passes over a line that it cannot read, and the name is not found.",
    wrong: example!(|device| device.host("10.0.0.5/24", "plc")),
    right: example!(|device| device.host("10.0.0.5", "plc")),
};

pub(crate) static MALFORMED_LABEL: Rule = Rule {
    code: Label::CODE,
    title: "a label is made of letters, digits, dash, underscore and dot",
    why: "A label is the partition's name, the file system's, a link in /dev/disk and a file in repart.d. Other \
          characters are escaped differently in each of the four.",
    wrong: example!(|system| system.partition(Data::new("my data", Ext4))),
    right: example!(|system| system.partition(Data::new("my-data", Ext4))),
};

pub(crate) static MALFORMED_LOCALE: Rule = Rule {
    code: Locale::CODE,
    title: "a locale is a language, a country and UTF-8",
    why: "glibc falls back to `C` without a word when it does not know a locale, and then every program mistakes \
          letters beyond ASCII. Locales of other character sets are not made.",
    wrong: example!(|device| device.locale("de_DE")),
    right: example!(|device| device.locale("de_DE.UTF-8")),
};

pub(crate) static MALFORMED_TIMEZONE: Rule = Rule {
    code: Timezone::CODE,
    title: "a time zone is named as in the tz database",
    why: "The name becomes a link into /usr/share/zoneinfo. A link to nowhere means UTC, without a word.",
    wrong: example!(|device| device.timezone("America/New York")),
    right: example!(|device| device.timezone("America/New_York")),
};

pub(crate) static MALFORMED_ARGUMENT: Rule = Rule {
    code: Argument::CODE,
    title: "each call gives the kernel one argument",
    why: "The kernel splits its command line at blanks. An argument to a call makes each one findable, refusable and \
          comparable in a plan.",
    wrong: example!(|device| device.command_line("quiet splash")),
    right: example!(|device| device.command_line("quiet").command_line("splash")),
};

pub(crate) static MALFORMED_GLOB: Rule = Rule {
    code: Glob::CODE,
    title: "a pattern of an overlay is a path with `*`, `?` and `**`",
    why: "A pattern names files by their path in the overlay: `*` stands for any characters but a slash, `?` for one of \
          them, and a part `**` for any number of directories. There are no lists and no sets of characters: call the \
          word once for each pattern.",
    wrong: example!(|device| device.overlay(Overlay::new("overlay").mode("usr/bin/{a,b}", 0o755))),
    right: example!(
        |device| device.overlay(Overlay::new("overlay").mode("usr/bin/a", 0o755).mode("usr/bin/b", 0o755))
    ),
};

pub(crate) static MALFORMED_MODULE_NAME: Rule = Rule {
    code: ModuleName::CODE,
    title: "a kernel module is named without path and suffix",
    why: "modules.dep knows where the module is, how it is compressed, and which others it needs.",
    wrong: example!(|device| device.initrd_module("nbd.ko")),
    right: example!(|device| device.initrd_module("nbd")),
};

pub(crate) static MALFORMED_SYSCTL: Rule = Rule {
    code: SysctlKey::CODE,
    title: "a sysctl is a name and a value, given apart",
    why: "systemd-sysctl passes over a line it cannot read and the device starts without the setting; what is read is \
          a path of names with dots or slashes between them, and a value on one line.",
    wrong: example!(|device| device.sysctl("kernel.sysrq=0", "0")),
    right: example!(|device| device.sysctl("kernel.sysrq", "0")),
};

pub(crate) static MALFORMED_QUESTION: Rule = Rule {
    code: Question::CODE,
    title: "a question of a package has the name that its template gives it",
    why: "debconf names a question after the package that asks it first: names with slashes between them. Its \
          answer is one line, as debconf-set-selections(1) takes it.",
    wrong: example!(|device| device.debconf("install-setuid", true)),
    right: example!(|device| device.debconf("wireshark-common/install-setuid", true)),
};

pub(crate) static MALFORMED_USER_NAME: Rule = Rule {
    code: UserName::CODE,
    title: "users and groups are named in systemd's strict form",
    why: "Other names are legal in one tool and refused by the next: useradd, systemd, ssh and PAM agree on a-z, 0-9, \
          dash and underscore, starting with a letter, at most 31 characters.",
    wrong: example!(|device| device.user(User::new("Operator"))),
    right: example!(|device| device.user(User::new("alice"))),
};

pub(crate) static MALFORMED_SSH_KEY: Rule = Rule {
    code: SshKey::CODE,
    title: "a user logs in with a public key of OpenSSH's",
    why: "sshd skips a line it cannot read, without a word, and the device cannot be reached. A private key would be \
          readable by everyone who has the image; a key cut off in copying lets nobody in.",
    wrong: example!(|device| device.user(User::new("alice").login(Login::Key("hunter2")))),
    right: example!(|device| device.user(User::new("alice").login(Login::Key(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    )))),
};

pub(crate) static MALFORMED_UNIT_NAME: Rule = Rule {
    code: UnitName::CODE,
    title: "a unit is named in full, with its type",
    why: "`docker` could be docker.service or docker.socket. systemctl guesses; a description does not.",
    wrong: example!(|device| device.enable("docker")),
    right: example!(|device| device.enable("docker.service")),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::value::Value;
    use crate::value::*;
    use expect_test::expect;

    const SOURCE: &str = include_str!("values.rs");

    #[test]
    fn a_package_with_capitals_is_told_its_likely_name() {
        expect![[r#"
            error[malformed-package-name]: `Docker_IO` is not a package name
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.package("Docker_IO")),
               |                                             ^^^^^^^^^^^ `D` is not one of a-z 0-9 + - .
               |
               = help: did you mean `docker-io`?
        "#]]
        .assert_eq(&refusal(&MALFORMED_PACKAGE_NAME, SOURCE));
    }

    #[test]
    fn a_component_with_a_blank_is_refused() {
        expect![[r#"
            error[malformed-suite]: `non-free firmware` is not a component
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.component("non-free firmware")),
               |                                               ^^^^^^^^^^^^^^^^^^^ ` ` is not in a suite
        "#]]
        .assert_eq(&refusal(&MALFORMED_SUITE, SOURCE));
    }

    #[test]
    fn a_mirror_without_scheme_is_told_the_whole_address() {
        expect![[r#"
            error[malformed-url]: `mirror.example.org/debian` is not the address of an archive
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.mirror("mirror.example.org/debian")),
               |                                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |                                            it starts with neither `http://` nor `https://`
               |
               = help: write `https://mirror.example.org/debian`
        "#]]
        .assert_eq(&refusal(&MALFORMED_URL, SOURCE));
    }

    #[test]
    fn a_comparison_is_no_version() {
        expect![[r#"
            error[malformed-version]: `>= 1.7` is not a version
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.package(Package::new("jq").version(">= 1.7"))),
               |                                                                        ^^^^^^^^
               |                                                                        `>` is not in a version
        "#]]
        .assert_eq(&refusal(&MALFORMED_VERSION, SOURCE));
    }

    /// Case 3.
    #[test]
    fn a_path_and_a_file_address_are_told_the_word_for_files() {
        for text in ["debs/agent.deb", "/srv/agent.deb", "file:///srv/agent.deb"] {
            let help = FileUrl::parse(text).unwrap_err().help.unwrap();
            assert_eq!(help, "a package in the project is `Deb::file(\"debs/agent.deb\")`", "{text}");
        }
    }

    /// Case 17.
    #[test]
    fn a_login_in_an_address_is_told_where_it_belongs_and_not_repeated() {
        let refused = Url::parse("http://me:secret@archive.example/debian").unwrap_err();
        assert!(!format!("{refused:?} {refused}").contains("secret"));
        assert!(
            refused.help.unwrap().contains("`machine http://archive.example login NAME password PASSWORD`")
        );
    }

    #[test]
    fn a_snapshot_in_another_form_is_shown_the_form() {
        expect![[r#"
            error[malformed-snapshot]: `2026-01-01` is not a snapshot
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.snapshot("2026-01-01")),
               |                                              ^^^^^^^^^^^^
               |                                              it does not have the form YYYYMMDDTHHMMSSZ
               |
               = help: write the moment in UTC, as `20260101T000000Z`: YYYYMMDD T HHMMSS Z
        "#]]
        .assert_eq(&refusal(&MALFORMED_SNAPSHOT, SOURCE));
    }

    #[test]
    fn a_short_key_id_is_refused() {
        expect![[r#"
            error[malformed-fingerprint]: `0EBFCD88` is not a fingerprint
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     Key::fingerprint("0EBFCD88"),
               |                      ^^^^^^^^^^ it is a short key id, and two keys can share one
               |
               = help: write the whole fingerprint, 40 digits, as `gpg --show-keys --fingerprint` prints it
        "#]]
        .assert_eq(&refusal(&MALFORMED_FINGERPRINT, SOURCE));
    }

    #[test]
    fn a_weak_digest_is_told_what_it_is() {
        expect![[r#"
            error[malformed-digest]: `d41d8cd98f00b204e9800998ecf8427e` is not a sha256
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     "d41d8cd98f00b204e9800998ecf8427e",
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ it is an MD5 digest, which anybody can forge
               |
               = help: write the 64 digits that `sha256sum` prints
        "#]]
        .assert_eq(&refusal(&MALFORMED_DIGEST, SOURCE));
    }

    #[test]
    fn a_relative_path_is_told_the_absolute_one() {
        expect![[r#"
            error[malformed-path]: `greengrass/` is not a path on the device
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("greengrass/")),
               |                                          ^^^^^^^^^^^^^ it does not start with `/`
               |
               = help: write `/greengrass`
        "#]]
        .assert_eq(&refusal(&MALFORMED_PATH, SOURCE));
    }

    #[test]
    fn a_hostname_with_capitals_is_told_the_lower_case() {
        expect![[r#"
            error[malformed-hostname]: `Edge_Device` is not a host name
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.hostname("Edge_Device")),
               |                                              ^^^^^^^^^^^^^ `E` is not one of a-z 0-9 - .
               |
               = help: did you mean `edge-device`?
        "#]]
        .assert_eq(&refusal(&MALFORMED_HOSTNAME, SOURCE));
    }

    #[test]
    fn a_label_with_a_blank_is_refused() {
        expect![[r#"
            error[malformed-label]: `my data` is not a label
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|system| system.partition(Data::new("my data", Ext4))),
               |                                                         ^^^^^^^^^
               |                                                         ` ` is not one of A-Z a-z 0-9 - _ .
        "#]]
        .assert_eq(&refusal(&MALFORMED_LABEL, SOURCE));
    }

    #[test]
    fn a_locale_without_character_set_is_told_utf_8() {
        expect![[r#"
            error[malformed-locale]: `de_DE` is not a locale
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.locale("de_DE")),
               |                                            ^^^^^^^ it names no character set
               |
               = help: write `de_DE.UTF-8`
        "#]]
        .assert_eq(&refusal(&MALFORMED_LOCALE, SOURCE));
    }

    #[test]
    fn a_timezone_with_a_blank_is_told_the_underscore() {
        expect![[r#"
            error[malformed-timezone]: `America/New York` is not a time zone
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.timezone("America/New York")),
               |                                              ^^^^^^^^^^^^^^^^^^
               |                                              it does not have the form `Europe/Berlin`
               |
               = help: did you mean `America/New_York`?
        "#]]
        .assert_eq(&refusal(&MALFORMED_TIMEZONE, SOURCE));
    }

    #[test]
    fn two_arguments_in_one_are_refused() {
        expect![[r#"
            error[malformed-argument]: `quiet splash` is not an argument of the kernel command line
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.command_line("quiet splash")),
               |                                                  ^^^^^^^^^^^^^^
               |                                                  the kernel would read it as several arguments
               |
               = help: give each argument in a call of its own: `.command_line("quiet").command_line("splash")`
        "#]].assert_eq(&refusal(&MALFORMED_ARGUMENT, SOURCE));
    }

    #[test]
    fn a_module_with_suffix_is_told_the_bare_name() {
        expect![[r#"
            error[malformed-module-name]: `nbd.ko` is not the name of a kernel module
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.initrd_module("nbd.ko")),
               |                                                   ^^^^^^^^ a name alone, without path and `.ko`
               |
               = help: write `nbd`
        "#]].assert_eq(&refusal(&MALFORMED_MODULE_NAME, SOURCE));
    }

    #[test]
    fn an_address_with_a_prefix_is_shown_without() {
        expect![[r#"
            error[malformed-host]: `10.0.0.5/24` is not an address
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.host("10.0.0.5/24", "plc")),
               |                                          ^^^^^^^^^^^^^ it is no address of IPv4 or IPv6
               |
               = help: write `10.0.0.5`
        "#]]
        .assert_eq(&refusal(&MALFORMED_HOST, SOURCE));
    }

    #[test]
    fn a_pattern_has_no_lists() {
        expect![[r#"
            error[malformed-glob]: `usr/bin/{a,b}` is not a pattern of paths
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.overlay(Overlay::new("overlay").mode("usr/bin/{a,b}", 0o755
               |                                                                          ^^^^^^^^^^^^^^^
               |                                                                        `{` has no meaning in it
               |
               = help: use `*`, `?` and `**` alone, and call the word once for each pattern
        "#]].assert_eq(&refusal(&MALFORMED_GLOB, SOURCE));
    }

    #[test]
    fn a_sysctl_with_its_value_is_shown_apart() {
        expect![[r#"
            error[malformed-sysctl]: `kernel.sysrq=0` is not the name of a sysctl
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.sysctl("kernel.sysrq=0", "0")),
               |                                            ^^^^^^^^^^^^^^^^
               |                                            the name and the value are given apart
               |
               = help: write `.sysctl("kernel.sysrq", "0")`
        "#]]
        .assert_eq(&refusal(&MALFORMED_SYSCTL, SOURCE));
    }

    #[test]
    fn a_question_without_its_package_is_told_an_example() {
        expect![[r#"
            error[malformed-question]: `install-setuid` is not the name of a question
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.debconf("install-setuid", true)),
               |                                             ^^^^^^^^^^^^^^^^
               |                            it is not a path of names, such as `wireshark-common/install-setuid`
        "#]].assert_eq(&refusal(&MALFORMED_QUESTION, SOURCE));
    }

    #[test]
    fn a_user_with_capitals_is_told_the_lower_case() {
        expect![[r#"
            error[malformed-user-name]: `Operator` is not a user name
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("Operator"))),
               |                                                    ^^^^^^^^^^
               |                                                    it does not start with one of a-z _
               |
               = help: did you mean `operator`?
        "#]]
        .assert_eq(&refusal(&MALFORMED_USER_NAME, SOURCE));
    }

    #[test]
    fn a_password_is_no_key() {
        expect![[r#"
            error[malformed-ssh-key]: `hunter2` is not a public ssh key
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("alice").login(Login::Key("hunter2")))),
               |                                                                              ^^^^^^^^^
               |                                           it does not have the form `ssh-ed25519 AAAA… comment`
        "#]].assert_eq(&refusal(&MALFORMED_SSH_KEY, SOURCE));
    }

    #[test]
    fn a_unit_without_type_is_told_the_service() {
        expect![[r#"
            error[malformed-unit-name]: `docker` is not a unit's name
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.enable("docker")),
               |                                            ^^^^^^^^ it does not say the unit's type
               |
               = help: write `docker.service`
        "#]]
        .assert_eq(&refusal(&MALFORMED_UNIT_NAME, SOURCE));
    }

    fn refuses<W: Value>(texts: &[&str]) {
        for text in texts {
            assert!(W::parse(text).is_err(), "`{text}` was taken for {}", W::WHAT);
        }
    }

    fn takes<W: Value>(texts: &[&str]) {
        for text in texts {
            assert!(W::parse(text).is_ok(), "`{text}` was not taken for {}", W::WHAT);
        }
    }

    #[test]
    fn words_that_exist_are_taken() {
        takes::<PackageName>(&["g++", "libstdc++6", "docker.io", "0ad", "linux-generic-hwe-24.04"]);
        takes::<Suite>(&[
            "noble-updates",
            "stable",
            "bookworm/updates",
            "bookworm/snapshots/5.12",
            "./",
            "/",
            "a:b/c~1/",
        ]);
        takes::<Url>(&[
            "http://x/core:/stable:/v1.31/deb/",
            "http://ftp.debian.org/debian",
            "https://[::1]:8080/debian/",
            "http://127.0.0.1:9",
        ]);
        takes::<FileUrl>(&["https://x/a.deb", "https://x/a.deb?X-Amz-Signature=ab%2F&b=1"]);
        takes::<Version>(&["1.7.1-6+deb13u1", "5:27.*", "6.12~rc1"]);
        takes::<Snapshot>(&["20260101T000000Z", "20240229T235959Z"]);
        takes::<Hostname>(&["edge", "edge-7.example.org"]);
        takes::<Locale>(&["C.UTF-8", "en_US.UTF-8", "eo.UTF-8"]);
        takes::<Timezone>(&["UTC", "Etc/GMT+1", "America/Argentina/Buenos_Aires", "Europe/Berlin"]);
        takes::<Argument>(&["quiet", "console=ttyS0,115200", "dyndbg=\"file nbd.c +p\""]);
        takes::<UnitName>(&[
            "docker.service",
            "getty@tty1.service",
            r"opt-aws-amazon\x2dcloudwatch\x2dagent-etc.mount",
        ]);
        takes::<UserName>(&["operator", "_ssh", "ggc_user"]);
    }

    #[test]
    fn words_that_are_none_are_refused() {
        refuses::<PackageName>(&["", "a", "-x", "docker.io=1.0", "jq:amd64", "jq/trixie", "foo bar", "é"]);
        refuses::<Suite>(&["", "../x", "a//b", "a b", "x/../", "../", "//"]);
        refuses::<Url>(&[
            "",
            "ftp://x/",
            "http://",
            "http:///debian",
            "http://me:secret@x/debian",
            "http://x/a?b",
        ]);
        refuses::<FileUrl>(&["https://x/a b", "https://x/a?b#c", "https://x?\u{e4}"]);
        refuses::<Version>(&["", "*", ">= 1", "1_2", "latest"]);
        refuses::<Snapshot>(&[
            "",
            "20260230T000000Z",
            "20261301T000000Z",
            "20260101T240000Z",
            "2026010１T000000Z",
        ]);
        refuses::<Fingerprint>(&["", "0xDEADBEEF", "9DC8 5822", "zz"]);
        refuses::<DevicePath>(&["", "var", "/var/", "/var//lib", "/var/../etc", "/a b", "/a%i", "/a\n"]);
        refuses::<Hostname>(&["", "-edge", "edge-", "a..b", "Ä", &"a".repeat(65)]);
        refuses::<Locale>(&["", "german", "de_DE.ISO-8859-1", "de_de.UTF-8"]);
        refuses::<Timezone>(&["", "/etc/passwd", "../UTC", "Europe/", "a/b/c/d"]);
        refuses::<Argument>(&["", "a\nb", "a\"b", "\u{e4}"]);
        refuses::<SysctlKey>(&["", "sysrq", ".a.b", "a..b", "a b.c", "a.b=1", "a.b\n"]);
        refuses::<SysctlValue>(&["", " ", "1\n2", "\u{e4}"]);
        refuses::<ModuleName>(&["", "nbd.ko", "a/b", "a b"]);
        refuses::<UserName>(&["", "0op", "a.b", &"a".repeat(32)]);
        refuses::<UnitName>(&["", ".service", "@.service", "a b.service", "docker.sevice"]);
    }

    #[test]
    fn a_private_key_is_not_repeated_in_the_message() {
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n";
        let mistakes =
            crate::rule::device().user(User::new("alice").login(Login::Key(text))).plan().unwrap_err();
        assert!(!mistakes.to_string().contains("secret"), "{mistakes}");
    }

    #[test]
    fn what_a_bundle_fits_is_one_word() {
        expect![[r#"
            error[malformed-compatible]: `Edge device` is not a word for the devices that a bundle fits
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.version("1").updates(Updates::rauc("Edge device", certifica
               |                                                                        ^^^^^^^^^^^^^
               |                                                          ` ` is none of `A-Z a-z 0-9 . _ + : -`
        "#]].assert_eq(&refusal(&MALFORMED_COMPATIBLE, SOURCE));
        for compatible in ["", "a b", "a=b", "a\nb", "é", &"a".repeat(65)] {
            assert!(compatible.parse::<Compatible>().is_err(), "{compatible}");
        }
    }

    #[test]
    fn a_version_is_one_of_os_release() {
        expect![[r#"
            error[malformed-image-version]: `1.4.0+git` is not a version of an image
              --> xtask/core/src/check/values.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.version("1.4.0+git")),
               |                                             ^^^^^^^^^^^
               |                                         `+` is none of `0-9 a-z . _ -` (boot counting uses `+`)
        "#]].assert_eq(&refusal(&MALFORMED_IMAGE_VERSION, SOURCE));
        for version in ["", ".1", "1 4", "1.4.0/../x", "1.4.0+3", "V1", &"1".repeat(65)] {
            assert!(version.parse::<crate::value::ImageVersion>().is_err(), "{version}");
        }
    }
}
