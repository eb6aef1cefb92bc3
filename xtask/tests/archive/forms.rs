//! The forms in which archives and keys come: flat, with a signature in a file of its own, with a key of an old
//! digest, a key file of several blocks.

use std::collections::BTreeMap;

use bedplate::Distribution;
use bedplate::archive::mirror::{HostSources, Mirrors};
use bedplate::archive::{self, Archive, Keys, Opened};
use bedplate::error::LocatedError;
use bedplate::fetch::login::Logins;
use bedplate::fetch::{FetchError, Silent};
use bedplate::location::SourceLocation;
use expect_test::expect;

use crate::Told;
use bedplate_fixtures::archive::*;
use bedplate_fixtures::server::Server;
use bedplate_fixtures::signer::Signer;

fn open(mini: &Mini, archive: Archive) -> anyhow::Result<Opened> {
    Ok(archive::open(&mini.fetcher(), &[archive], "amd64", now(), &Silent)?.remove(0))
}

/// The small archive as `dpkg-scanpackages` and `apt-ftparchive` make one in a directory.
fn flat(mini: &Mini, directory: &str, suite: &str) -> Archive {
    let packages = packages().replace("pool/main/j/jq/", "./");
    let release = format!(
        "Date: {}\nSHA256:\n {} {} ./Packages\n",
        bedplate_fixtures::signer::rfc5322(now() - 60),
        digest(packages.as_bytes()),
        packages.len()
    );
    mini.server.put(&format!("{directory}/Packages"), packages.as_bytes());
    mini.server.put(&format!("{directory}/InRelease"), &mini.signer.sign(&release));
    Archive { suite: suite.to_owned(), components: Vec::new(), ..mini.archive() }
}

/// Case 4.
#[test]
fn a_flat_archive_has_its_index_beside_its_release() {
    for (directory, suite) in [("", "./"), ("", "/"), ("/deb", "deb/"), ("/a:b/c~1", "./a:b/c~1/")] {
        let mini = Mini::new();
        let opened = open(&mini, flat(&mini, directory, suite)).unwrap();
        let index = opened.packages[0].index().unwrap();
        let package = archive::index::Package::from_stanza(index.find("jq").next().unwrap()).unwrap();
        // Below the address, and not below the directory.
        assert_eq!(opened.archive.url(&package.path), format!("{CANONICAL}/jq_1.7-1_amd64.deb"));
        assert_eq!(
            mini.requests_for(directory),
            ["InRelease", "Packages"].map(|f| format!("{directory}/{f}"))
        );
    }
}

/// Case 4.
#[test]
fn an_archive_may_have_its_signature_in_a_file_of_its_own() {
    let mini = Mini::new();
    let text = release(&Says::default());
    mini.server.remove(IN_RELEASE);
    mini.server.put("/dists/trixie/Release", text.as_bytes());
    mini.server.put("/dists/trixie/Release.gpg", &mini.signer.detached_armoured(text.as_bytes()));
    assert_eq!(mini.open().unwrap().release.signed_by, mini.signer.fingerprint());
    // It is held against what was seen before, as one with the signature in it.
    let older = release(&Says { date: -86_400, ..Says::default() });
    mini.server.put("/dists/trixie/Release", older.as_bytes());
    mini.server.put("/dists/trixie/Release.gpg", &mini.signer.detached(older.as_bytes()));
    assert!(mini.open().unwrap_err().to_string().ends_with(" was seen before"));
    mini.server.put("/dists/trixie/Release", text.replace("Example", "Evil").as_bytes());
    let error = format!("{:#}", mini.open().unwrap_err());
    assert!(error.contains("did not make this signature, or the text was changed"), "{error}");
}

/// Case 24.
#[test]
fn another_suite_of_a_third_party_is_told_and_of_a_distribution_refused() {
    let mini = Mini::says(&Says { suite: "bookworm", codename: "bookworm", ..Says::default() });
    let told = Told::default();
    archive::open(&mini.fetcher(), &[mini.archive()], "amd64", now(), &told).unwrap();
    expect!["the archive `http://archive.example/debian trixie` is of suite `bookworm`, codename `bookworm`, as its `Release` has it; accepted, because its key is pinned"].assert_eq(&told.0.lock().unwrap().join("\n"));
    let own = Archive { distribution: Some(Distribution::Debian), ..mini.archive() };
    let error = format!("{:#}", open(&mini, own).unwrap_err());
    assert!(error.ends_with("it is of suite `bookworm`, codename `bookworm`, not of `trixie`"), "{error}");
}

/// Case 26.
#[test]
fn every_block_of_a_key_file_is_read() {
    let (old, new) = (Signer::new(), Signer::new());
    let text = |signer: &Signer| String::from_utf8(signer.armoured_key()).unwrap();
    let indented = |text: &str| {
        text.lines()
            .map(|line| if line.is_empty() { " .\n".into() } else { format!(" {line}\n") })
            .collect::<String>()
    };
    let both = format!("# until 2026\n{}\nthe next one:\n\n{}", text(&old), text(&new));
    let binary = [&old, &new].map(|signer| pgp::ser::Serialize::to_bytes(&signer.public).unwrap()).concat();
    for file in [
        both.clone().into_bytes(),
        both.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{both}").into_bytes(),
        indented(&both).into_bytes(),
        binary,
    ] {
        let ring = archive::openpgp::Keyring::parse(&file).unwrap();
        assert_eq!(ring.fingerprints(), [old.fingerprint(), new.fingerprint()]);
    }
    let mut mini = Mini::signed_by(new);
    mini.keys = Keys::Pinned { content: both.into_bytes(), fingerprint: Some(mini.signer.fingerprint()) };
    mini.open().unwrap();

    let refused = |bytes: &[u8]| archive::openpgp::Keyring::parse(bytes).unwrap_err().to_string();
    let half = text(&old).split("-----END").next().unwrap().to_owned();
    assert_eq!(refused(half.as_bytes()), "not an OpenPGP keyring: a block in it has no end");
    let private = text(&old).replace("PUBLIC", "PRIVATE");
    assert!(refused(private.as_bytes()).contains("there is a private key in it"));
    assert!(refused(b"\0\0\0 \x01\x01\0\x02KBXf").contains("it is a keybox of gpg"));
}

/// Case 27: archives and vendors have one rule.
#[test]
fn the_digest_of_a_self_signature_does_not_matter_for_a_pinned_key() {
    let mut mini = Mini::signed_by(Signer::old().weakly_certified());
    mini.open().unwrap();
    let Keys::Pinned { content, .. } = mini.signer.keys() else { unreachable!() };
    mini.keys = Keys::Pinned { content, fingerprint: None };
    let at = SourceLocation { file: "image/main.rs".to_owned(), line: 1, column: 1 };
    let error = open(&mini, Archive { at: Some(at), ..mini.archive() }).unwrap_err();
    let LocatedError { message, help, at, .. } = error.downcast_ref().unwrap();
    expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: no signature counts: key `FINGERPRINT` signed itself with SHA1, which is too weak"].assert_eq(&mini.text(message));
    expect![[r#"pin the key with `.pinned("…")` and its whole fingerprint: then the digest of its self-signature does not matter"#]].assert_eq(help);
    assert!(at.is_some());
}

/// Case 27: a fingerprint vouches for what has it.
#[test]
fn a_weakly_bound_subkey_is_pinned_itself() {
    let mut mini = Mini::signed_by(Signer::old().weakly_bound());
    mini.publish(&mini.signer.sign_by_subkey(&release(&Says::default())));
    let error = format!("{:#}", mini.open().unwrap_err());
    assert!(
        error.ends_with("signed itself with SHA1, which is too weak for the subkey that signed"),
        "{error}"
    );
    let Keys::Pinned { content, .. } = mini.signer.keys() else { unreachable!() };
    mini.keys = Keys::Pinned { content, fingerprint: Some(mini.signer.subkey_fingerprint()) };
    mini.open().unwrap();
    // Then the other keys of its owner do not count.
    mini.publish(&mini.signer.sign(&release(&Says::default())));
    let error = format!("{:#}", mini.open().unwrap_err());
    assert!(error.contains("and by no pinned key"), "{error}");
}

/// Case 17.
#[test]
fn a_login_goes_to_its_server_and_to_no_other() {
    let mini = Mini::new();
    // `alice:hush`
    mini.server.demand("Basic YWxpY2U6aHVzaA==");
    let error = mini.fetch().unwrap_err();
    assert!(matches!(error, FetchError::Login { status: 401, .. }), "{error}");
    let logins = format!("machine {} login alice password hush", mini.server.base());
    let fetcher = mini.fetcher().logins(Logins::parse(&logins, "a test"));
    fetcher.fetch(&[item()], &Silent).unwrap();
    assert_eq!(mini.server.logins(), ["", "Basic YWxpY2U6aHVzaA=="]);

    let other = Server::start(BTreeMap::new());
    mini.server.files().iter().for_each(|(path, content)| other.share(path, content));
    let pair = (CANONICAL.to_owned(), other.base());
    let fetcher = fetcher.mirrors(Mirrors::choose(&[], &[pair], &[], &HostSources::default()));
    archive::open(&fetcher, &[mini.archive()], "amd64", now(), &Silent).unwrap();
    assert!(!other.logins().is_empty() && other.logins().iter().all(String::is_empty));
}
