//! Rules of the keys that archives and packages are signed with.

use crate::diagnostic::Diagnostic;
use crate::explain::{Rule, example};
use crate::image::Image;
use crate::image::deb::Trust;
use crate::image::repository::{Key, Repository};

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

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let of_debs = image.debs.iter().filter_map(|deb| match &deb.trust {
        Trust::Signed { key, .. } => Some(key),
        Trust::Unsigned { .. } => None,
    });
    let of_repositories = image.repositories.iter().map(|repository| &repository.key);
    let keys = of_repositories.chain(of_debs).chain(&image.signed_by);
    // A fingerprint that is malformed has been told.
    for key in keys.filter(|key| key.mistakes().is_empty() && key.fingerprint.is_none()) {
        let Some(url) = &key.url else { continue };
        let message = format!("the key is any that `{}` answers", url.value);
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
    use crate::explain::device;
    use crate::image::deb::Deb;
    use crate::plan::Keyring;
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
            url: Some("https://vendor.example/vendor.gpg".to_string()),
            fingerprint: Some(FINGERPRINT.to_string()),
        };
        assert_eq!(plan.debs[0].keyring, Some(expected));
    }
}
