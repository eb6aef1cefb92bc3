//! Rules of the keys that archives and packages are signed with.

use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::deb::Trust;
use crate::image::repository::{Key, Repository, SHIPPED};
use crate::rule::{Rule, example};

pub(crate) static KEY_FROM_ANYONE: Rule = Rule {
    code: "key-from-anyone",
    title: "a key that is fetched is pinned by its fingerprint",
    why: "Vendors publish their key beside what it signs, so whoever can replace the one can replace both, and a key \
          that is whatever an address answers today is anyone's. The fingerprint is in the vendor's documentation; \
          compare it there once, and pin it here. The key itself is then kept in the lock.",
    wrong: example!(|device| device.repository(Repository::signed(
        "https://vendor.example/debian",
        "trixie",
        ["stable"],
        Key::url("https://vendor.example/vendor.gpg"),
    ))),
    right: example!(|device| device.repository(Repository::signed(
        "https://vendor.example/debian",
        "trixie",
        ["stable"],
        Key::url("https://vendor.example/vendor.gpg").pinned("937616F3450B7D806CBD9725D58167303B789C72"),
    ))),
};

pub(crate) static KEY_NOT_SHIPPED: Rule = Rule {
    code: "key-not-shipped",
    title: "a key that is named by its fingerprint alone ships with Bedplate",
    why: "A fingerprint proves which key one has, and brings none. Debian's and Ubuntu's archive keys ship with Bedplate; \
          any other is a file of the project, or fetched from an address when the lock is made.",
    wrong: example!(|device| device.repository(Repository::signed(
        "https://vendor.example/debian",
        "trixie",
        ["stable"],
        Key::fingerprint("937616F3450B7D806CBD9725D58167303B789C72"),
    ))),
    right: example!(|device| device.repository(Repository::signed(
        "https://vendor.example/debian",
        "trixie",
        ["stable"],
        Key::url("https://vendor.example/vendor.gpg").pinned("937616F3450B7D806CBD9725D58167303B789C72"),
    ))),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let of_debs = image.debs.iter().filter_map(|deb| match &deb.trust {
        Trust::Signed { key, .. } => Some(key),
        Trust::Unsigned { .. } | Trust::Project { .. } => None,
    });
    let of_repositories = image.repositories.iter().map(|repository| &repository.key);
    let keys = of_repositories.chain(of_debs).chain(&image.signed_by);
    // That of a package is told by a rule of its own.
    let shipped = image.repositories.iter().map(|repository| &repository.key).chain(&image.signed_by);
    for key in shipped.filter(|key| key.mistakes().is_empty() && key.file.is_none() && key.url.is_none()) {
        let Some(fingerprint) = &key.fingerprint else { continue };
        let text = fingerprint.value.as_str();
        if SHIPPED.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            continue;
        }
        let mistake = Diagnostic::new(KEY_NOT_SHIPPED.code, format!("no key `{text}` ships with Bedplate"));
        found.push(mistake.at(&fingerprint.at).word(text).help(
            "give the key itself: `Key::file(\"keys/vendor.asc\").pinned(\"…\")` or `Key::url(\"https://…\").pinned(\"…\")`",
        ));
    }
    // A fingerprint that is malformed has been told.
    for key in keys.filter(|key| key.mistakes().is_empty() && key.fingerprint.is_none()) {
        let Some(url) = &key.url else { continue };
        let message = format!("the key is any that `{}` answers", url.value.bare());
        let help = "add `.pinned(\"…\")` with the fingerprint that the vendor documents";
        found.push(
            Diagnostic::new(KEY_FROM_ANYONE.code, message).at(&url.at).word(url.value.as_str()).help(help),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::image::deb::Deb;
    use crate::plan::Keyring;
    use crate::rule::device;
    use crate::value::Url;
    use expect_test::expect;

    const SOURCE: &str = include_str!("keys.rs");
    const FINGERPRINT: &str = "937616F3450B7D806CBD9725D58167303B789C72";

    #[test]
    fn a_key_that_is_fetched_is_pinned() {
        expect![[r#"
            error[key-from-anyone]: the key is any that `https://vendor.example/vendor.gpg` answers
              --> xtask/core/src/check/keys.rs:LL:CC
               |
            LL |     Key::url("https://vendor.example/vendor.gpg"),
               |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.pinned("…")` with the fingerprint that the vendor documents
        "#]]
        .assert_eq(&refusal(&KEY_FROM_ANYONE, SOURCE));
    }

    /// Case 16.
    #[test]
    fn a_key_named_by_its_fingerprint_ships_with_the_program() {
        expect![[r#"
            error[key-not-shipped]: no key `937616F3450B7D806CBD9725D58167303B789C72` ships with Bedplate
              --> xtask/core/src/check/keys.rs:LL:CC
               |
            LL |     Key::fingerprint("937616F3450B7D806CBD9725D58167303B789C72"),
               |                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: give the key itself: `Key::file("keys/vendor.asc").pinned("…")` or
                       `Key::url("https://…").pinned("…")`
        "#]]
        .assert_eq(&refusal(&KEY_NOT_SHIPPED, SOURCE));
        let key = Key::fingerprint(SHIPPED[4].to_lowercase());
        let debian = Repository::signed("http://ftp.debian.org/debian", "trixie-backports", ["main"], key);
        assert!(device().repository(debian).plan().is_ok());
    }

    #[test]
    fn so_is_that_of_a_package() {
        let key = Key::url("https://vendor.example/vendor.gpg");
        let mistakes = device().deb(Deb::signed("https://vendor.example/a.deb", key)).plan().unwrap_err();
        let codes: Vec<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
        assert_eq!(codes, [KEY_FROM_ANYONE.code]);
    }

    #[test]
    fn an_address_that_is_none_is_told_once() {
        let key = Key::url("vendor.gpg").pinned(FINGERPRINT);
        let mistakes = device().deb(Deb::signed("https://vendor.example/a.deb", key)).plan().unwrap_err();
        let codes: Vec<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
        assert_eq!(codes, ["malformed-url"]);
    }

    #[test]
    fn the_plan_says_where_a_key_is_and_which_one_counts() {
        let key = Key::url("https://vendor.example/vendor.gpg").pinned(FINGERPRINT);
        let plan = device().deb(Deb::signed("https://vendor.example/a.deb", key)).plan().unwrap();
        let expected = Keyring::Key {
            file: None,
            url: Some(Url::known("https://vendor.example/vendor.gpg")),
            query: None,
            fingerprint: Some(FINGERPRINT.to_string()),
        };
        assert_eq!(plan.debs[0].keyring, Some(expected));
    }
}
