//! Rules of packages that come from a vendor's address.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::deb::{BY_SIGNATURE_AND_DIGEST, Deb, Trust};
use crate::image::repository::Key;
use crate::rule::{Rule, example};

pub(crate) static DEB_TWICE: Rule = Rule {
    code: "deb-twice",
    title: "a vendor's package is named once",
    why: "With two keys for one file it would be unclear whose signature counts. When two reusable pieces install the \
          same package, install it in the piece they share.",
    wrong: example!(|device| device
        .deb(Deb::signed(
            "https://vendor.example/agent.deb",
            Key::file("vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72"),
        ))
        .deb(Deb::dangerous_unsigned(
            "https://vendor.example/agent.deb",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ))),
    right: example!(|device| device.deb(Deb::signed(
        "https://vendor.example/agent.deb",
        Key::file("vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72"),
    ))),
};

pub(crate) static DEB_OUTSIDE_PROJECT: Rule = Rule {
    code: "deb-outside-project",
    title: "a package in a file lies in the project",
    why: "The lock names it by its path in the project, and whoever builds the image needs it: a path on one machine is \
          found on no other, and what lies outside of the project is in nobody's history.",
    wrong: example!(|device| device.deb(Deb::file("/home/me/agent.deb"))),
    right: example!(|device| device.deb(Deb::file("debs/agent.deb"))),
};

pub(crate) static DEB_BY_ANY_KEY: Rule = Rule {
    code: "deb-by-any-key",
    title: "a vendor's key is a file or an address, and its fingerprint is pinned",
    why: "Vendors publish their key beside what it signs, so whoever can replace the one can replace both. The \
          fingerprint is in the vendor's documentation; compare it there once, and pin it here.",
    wrong: example!(
        |device| device.deb(Deb::signed("https://vendor.example/agent.deb", Key::file("vendor.asc")))
    ),
    right: example!(|device| device.deb(Deb::signed(
        "https://vendor.example/agent.deb",
        Key::file("vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72"),
    ))),
};

pub(crate) static DEB_BY_SIGNATURE_AND_DIGEST: Rule = Rule {
    code: BY_SIGNATURE_AND_DIGEST,
    title: "a vendor's package is taken by its signature or by its digest, not both",
    why: "A signature without a key proves nothing. With the key there is no need for the digest: the lock pins it.",
    wrong: example!(|device| device.deb(
        Deb::dangerous_unsigned(
            "https://vendor.example/agent.deb",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        )
        .signature("https://vendor.example/agent.deb.asc")
    )),
    right: example!(|device| device.deb(
        Deb::signed(
            "https://vendor.example/agent.deb",
            Key::file("vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72"),
        )
        .signature("https://vendor.example/agent.deb.asc")
    )),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for (first, second) in repeated(&image.debs, address) {
        let Some(url) = address(second) else { continue };
        let mistake = Diagnostic::new(DEB_TWICE.code, format!("the package `{url}` is named twice"));
        let mistake = mistake.at(&second.at).word(url.as_str()).related(&first.at, "first named here");
        let query = |deb: &Deb| deb.url.as_ref().and_then(|url| url.value.query().map(str::to_string));
        found.push(mistake.help(match query(first) == query(second) {
            true => "remove one of the two",
            false => {
                "the lock holds no query to tell them apart: keep one of them as a file, with `Deb::file`"
            }
        }));
    }
    for deb in &image.debs {
        let Trust::Project { path } = &deb.trust else { continue };
        let (message, help) = match () {
            () if path.contains("://") => {
                ("an address is no file of the project", "write `Deb::signed` or `Deb::dangerous_unsigned`")
            }
            () if path.starts_with('/') || deb.at.beside(path).starts_with("../") => (
                "the package lies outside of the project",
                "copy it beside the description, and name it from there: `Deb::file(\"debs/agent.deb\")`",
            ),
            () => continue,
        };
        found.push(Diagnostic::new(DEB_OUTSIDE_PROJECT.code, message).at(&deb.at).word(path).help(help));
    }
    for deb in &image.debs {
        let Trust::Signed { key, .. } = &deb.trust else { continue };
        // A word that is malformed has been told; a key at an address has a rule of its own.
        if !key.mistakes().is_empty() || key.url.is_some() {
            continue;
        }
        let (message, help) = match (&key.file, &key.fingerprint) {
            (Some(_), Some(_)) => continue,
            (_, None) => (
                "the key of the package is any that is in its file",
                "add `.pinned(\"…\")` with the fingerprint that the vendor documents",
            ),
            (None, _) => (
                "the key of the package is named, and is in no file",
                "write `Key::file(\"keys/vendor.asc\").pinned(\"…\")`; no vendor's key ships with Bedplate",
            ),
        };
        found.push(Diagnostic::new(DEB_BY_ANY_KEY.code, message).at(&deb.at).help(help));
    }
}

/// What the lock calls a package: its address without the query, or its path in the project.
fn address(deb: &Deb) -> Option<String> {
    match &deb.trust {
        Trust::Project { path } => Some(deb.at.beside(path)),
        _ => Some(deb.url.as_ref()?.value.bare().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("debs.rs");

    #[test]
    fn a_package_named_twice_shows_the_first() {
        expect![[r#"
            error[deb-twice]: the package `https://vendor.example/agent.deb` is named twice
              --> xtask/core/src/check/debs.rs:LL:CC
               |
            LL |     "https://vendor.example/agent.deb",
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/debs.rs:LL:CC
               |
            LL |     "https://vendor.example/agent.deb",
               |     ---------------------------------- first named here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&DEB_TWICE, SOURCE));
    }

    /// Case 3.
    #[test]
    fn a_package_outside_of_the_project_is_refused() {
        expect![[r#"
            error[deb-outside-project]: the package lies outside of the project
              --> xtask/core/src/check/debs.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.deb(Deb::file("/home/me/agent.deb"))),
               |                                                   ^^^^^^^^^^^^^^^^^^^^
               |
               = help: copy it beside the description, and name it from there: `Deb::file("debs/agent.deb")`
        "#]]
        .assert_eq(&refusal(&DEB_OUTSIDE_PROJECT, SOURCE));
        let refused = |path| device().deb(Deb::file(path)).plan().is_err();
        assert!(refused("https://vendor.example/agent.deb") && refused("../../../../../../agent.deb"));
    }

    /// Case 3.
    #[test]
    fn a_file_of_the_project_is_named_by_its_path_and_no_danger() {
        let plan = device().deb(Deb::file("debs/agent.deb")).plan().unwrap();
        assert_eq!(plan.debs[0].url, "xtask/core/src/check/debs/agent.deb");
        assert!(plan.debs[0].is_file() && plan.dangers.is_empty());
        assert!(plan.page(120).contains("a file of the project"), "{}", plan.page(120));
    }

    /// Case 3.
    #[test]
    fn a_query_is_in_the_plan_and_shown_nowhere() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let url = "https://vendor.example/a.deb?X-Amz-Signature=hush";
        let plan = device().deb(Deb::dangerous_unsigned(url, digest)).plan().unwrap();
        assert_eq!(plan.debs[0].url, "https://vendor.example/a.deb");
        assert_eq!(plan.debs[0].query.as_ref().unwrap().reveal(), "X-Amz-Signature=hush");
        let json = serde_json::to_string(&plan).unwrap();
        assert!(![json, format!("{plan:?}"), plan.page(120)].iter().any(|text| text.contains("hush")));
        let other = Deb::dangerous_unsigned("https://vendor.example/a.deb?b", digest);
        let mistakes = device().deb(Deb::dangerous_unsigned(url, digest)).deb(other).plan().unwrap_err();
        assert!(mistakes.to_string().contains("with `Deb::file`"), "{mistakes}");
    }

    #[test]
    fn a_key_without_a_fingerprint_is_no_key() {
        expect![[r#"
            error[deb-by-any-key]: the key of the package is any that is in its file
              --> xtask/core/src/check/debs.rs:LL:CC
               |
            LL | …  |device| device.deb(Deb::signed("https://vendor.example/agent.deb", Key::file("vendor.asc"))
               |                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.pinned("…")` with the fingerprint that the vendor documents
        "#]].assert_eq(&refusal(&DEB_BY_ANY_KEY, SOURCE));
    }

    #[test]
    fn a_key_without_a_file_is_no_key() {
        let key = Key::fingerprint("937616F3450B7D806CBD9725D58167303B789C72");
        let mistakes = device().deb(Deb::signed("https://vendor.example/a.deb", key)).plan().unwrap_err();
        let mistake = mistakes.iter().next().unwrap();
        assert_eq!(mistake.code, DEB_BY_ANY_KEY.code);
        assert_eq!(mistake.message, "the key of the package is named, and is in no file");
    }

    #[test]
    fn a_signature_without_a_key_is_refused() {
        expect![[r#"
            error[deb-by-signature-and-digest]: a package that is taken without a signature is told where its
                   signature is
              --> xtask/core/src/check/debs.rs:LL:CC
               |
            LL |     .signature("https://vendor.example/agent.deb.asc")
               |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/debs.rs:LL:CC
               |
            LL |     Deb::dangerous_unsigned(
               |     ------------------------ taken without here
               |
               = help: name its key with `Deb::signed`, or leave `.signature` out
        "#]]
        .assert_eq(&refusal(&DEB_BY_SIGNATURE_AND_DIGEST, SOURCE));
    }

    #[test]
    fn only_what_has_no_signature_is_a_danger() {
        let plan = DEB_TWICE.right.describe().plan().unwrap();
        assert_eq!(plan.dangers, []);
        assert_eq!(plan.debs[0].signature.as_deref(), Some("https://vendor.example/agent.deb.sig"));
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let plan =
            device().deb(Deb::dangerous_unsigned("http://vendor.example/a.deb", digest)).plan().unwrap();
        assert_eq!(plan.dangers.len(), 1);
        assert_eq!(plan.dangers[0].what, "`http://vendor.example/a.deb` is installed without a signature");
        assert!(plan.dangers[0].at.is_some());
    }

    #[test]
    fn a_vendors_package_is_on_the_page_with_its_reason() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let image = DEB_TWICE.right.describe();
        let plan = image.deb(Deb::dangerous_unsigned("http://vendor.example/a.deb", digest)).plan().unwrap();
        let page = plan.page(120);
        let (_, section) = page.split_once("packages of vendors\n").unwrap();
        let lines: Vec<&str> = section.lines().take(3).map(str::trim_start).collect();
        expect![[r#"
              from                              taken because
              https://vendor.example/agent.deb  signed by 937616F3450B7D806CBD9725D58167303B789C72
              http://vendor.example/a.deb       dangerous: unsigned, sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991…"#]].assert_eq(&lines.join("\n"));
    }
}
