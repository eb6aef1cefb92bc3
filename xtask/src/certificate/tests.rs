use std::time::Duration;

use bedplate_fixtures::certificate::{Authority, CODE_SIGNING, EMAIL, OTHER, Request, SIGNER};
use expect_test::expect;

use super::*;

fn parse(pem: &str) -> Vec<Certificate> {
    Certificate::parse(pem.as_bytes(), "a.pem").unwrap()
}

/// Whether a device with these certificates in its keyring believes the first of the others, so many days from now.
fn on_day(days: u64, certificates: &[&str], keyring: &[&str]) -> Result<Chain> {
    let all = |texts: &[&str]| texts.iter().flat_map(|text| parse(text)).collect::<Vec<_>>();
    let now = SystemTime::now() + Duration::from_secs(days * 86_400);
    Chain::new(all(certificates), &all(keyring), now)
}

fn check(certificates: &[&str], keyring: &[&str]) -> Result<Chain> {
    on_day(0, certificates, keyring)
}

#[track_caller]
fn refused(certificates: &[&str], keyring: &[&str]) -> String {
    check(certificates, keyring).unwrap_err().to_string()
}

/// Without the moments, which are those of the test.
fn undated(message: &str) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((before, time)) if time.ends_with('Z') => format!("{before} TIME"),
        _ => line.to_owned(),
    };
    message.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_chain_leads_to_the_keyring() {
    let root = Authority::new(&Request::authority("root"));
    let middle = root.below(&Request::authority("middle"));
    let lower = middle.below(&Request { authority: Some(Some(0)), ..Request::authority("lower") });
    let direct = root.issue(&Request::signer("signer"), SIGNER);
    let far = lower.issue(&Request::signer("far"), SIGNER);
    let chain = check(&[&direct], &[&root.certificate]).unwrap();
    assert_eq!(chain.signer().subject(), "CN=signer,O=Edge");
    assert_eq!(chain.signer().issuer(), "CN=root,O=Edge");
    // In one file, in any order behind the signer's, or known to the device.
    let bundled = [&far[..], &middle.certificate, &lower.certificate].concat();
    let chain = check(&[&bundled], &[&root.certificate]).unwrap();
    assert_eq!(chain.iter().count(), 3);
    check(&[&far, &lower.certificate], &[&middle.certificate, &root.certificate]).unwrap();
}

#[test]
fn a_keyring_holds_several_for_rotation() {
    // An authority that took a new key has the name of the old one.
    let [old, new, other] = ["root", "root", "other"].map(|name| Authority::new(&Request::authority(name)));
    let keyring = [&old.certificate[..], &other.certificate, &new.certificate];
    for authority in [&old, &new, &other] {
        check(&[&authority.issue(&Request::signer("signer"), SIGNER)], &keyring).unwrap();
    }
    let signer = new.issue(&Request::signer("signer"), SIGNER);
    assert!(
        refused(&[&signer], &keyring[..2]).contains("no certificate of `CN=root,O=Edge` is in the keyring")
    );
}

#[test]
fn who_is_not_accepted_does_not_sign() {
    let [root, other] = ["root", "other"].map(|name| Authority::new(&Request::authority(name)));
    let middle = root.below(&Request::authority("middle"));
    let signer = middle.issue(&Request::signer("signer"), SIGNER);
    let messages = [
        refused(&[&signer], &[&root.certificate]),
        refused(&[&signer, &middle.certificate], &[&other.certificate]),
        refused(&[&signer, &middle.certificate], &[]),
        // Without the root, a device does not accept what is below.
        refused(&[&signer], &[&middle.certificate]),
    ];
    expect![[r#"
        invalid certificate of `CN=signer,O=Edge`: no certificate of `CN=middle,O=Edge` is in the keyring of the devices or among the intermediates; the keyring has `CN=root,O=Edge`
        invalid certificate of `CN=middle,O=Edge`: no certificate of `CN=root,O=Edge` is in the keyring of the devices or among the intermediates; the keyring has `CN=other,O=Edge`
        invalid certificate of `CN=middle,O=Edge`: no certificate of `CN=root,O=Edge` is in the keyring of the devices or among the intermediates; the keyring has none
        invalid certificate of `CN=middle,O=Edge`: no certificate of `CN=root,O=Edge` is in the keyring of the devices or among the intermediates; the keyring has `CN=middle,O=Edge`"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn the_present_is_between_the_dates() {
    let root = Authority::new(&Request { days: (-10, 20), ..Request::authority("root") });
    let signer = |days| root.issue(&Request { days, ..Request::signer("signer") }, SIGNER);
    let expired = Authority::new(&Request { days: (-9, -1), ..Request::authority("old") });
    let messages = [
        refused(&[&signer((1, 20))], &[&root.certificate]),
        refused(&[&signer((-9, -1))], &[&root.certificate]),
        refused(&[&signer((-9, 9))], &[&root.certificate, &expired.certificate]),
        on_day(30, &[&signer((-9, 90))], &[&root.certificate]).unwrap_err().to_string(),
    ];
    expect![[r#"
        invalid certificate of `CN=signer,O=Edge`: it is not valid before TIME
        invalid certificate of `CN=signer,O=Edge`: it expired at TIME
        invalid certificate of `CN=old,O=Edge`: it expired at TIME
        invalid certificate of `CN=root,O=Edge`: it expired at TIME"#]]
    .assert_eq(&undated(&messages.join("\n")));
    on_day(8, &[&signer((-9, 9))], &[&root.certificate]).unwrap();
}

#[test]
fn a_certificate_is_used_for_what_it_was_issued_for() {
    let root = Authority::new(&Request::authority("root"));
    let signer = |request: Request| refused(&[&root.issue(&request, SIGNER)], &[&root.certificate]);
    let below = |request: Request| {
        let middle = root.below(&request);
        let signer = middle.issue(&Request::signer("signer"), SIGNER);
        refused(&[&signer, &middle.certificate], &[&root.certificate])
    };
    let usage = |usage| Some(usage);
    use x509_cert::ext::pkix::KeyUsages::{DigitalSignature, KeyAgreement};
    let base = Request::signer("signer");
    let authority = Request::authority("middle");
    let messages = [
        signer(Request { purposes: vec![], ..base.clone() }),
        signer(Request { purposes: vec![EMAIL], ..base.clone() }),
        signer(Request { usage: usage(KeyAgreement), ..base.clone() }),
        below(Request { authority: None, ..authority.clone() }),
        below(Request { usage: usage(DigitalSignature), ..authority.clone() }),
        below(Request { purposes: vec![EMAIL], ..authority.clone() }),
    ];
    expect![[r#"
        invalid certificate of `CN=signer,O=Edge`: it has no extended key usage
        invalid certificate of `CN=signer,O=Edge`: its extended key usage has no code signing
        invalid certificate of `CN=signer,O=Edge`: its key usage has no digital signature
        invalid certificate of `CN=middle,O=Edge`: it issued another and is no certificate authority's
        invalid certificate of `CN=middle,O=Edge`: its key usage has no signing of certificates
        invalid certificate of `CN=middle,O=Edge`: its extended key usage has no code signing"#]]
    .assert_eq(&messages.join("\n"));

    let middle = root.below(&Request { authority: Some(Some(0)), ..authority.clone() });
    let lower = middle.below(&authority);
    let signer = lower.issue(&base, SIGNER);
    let long = refused(&[&signer, &lower.certificate, &middle.certificate], &[&root.certificate]);
    assert!(long.ends_with("there are more certificates below it than its path length allows"), "{long}");
    // What devices take as well: no key usage at all, and a purpose of the authorities that fits.
    let middle = root.below(&Request { purposes: vec![EMAIL, CODE_SIGNING], usage: None, ..authority });
    let signer = middle.issue(&Request { usage: None, ..base }, OTHER);
    check(&[&signer, &middle.certificate], &[&root.certificate]).unwrap();
}

#[test]
fn authorities_that_issued_one_another_are_not_walked_for_ever() {
    let names = ["one", "two", "three"];
    let authorities = names.map(|name| Authority::new(&Request::authority(name)));
    let mut all = vec![authorities[0].issue(&Request::signer("signer"), SIGNER)];
    for (by, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)] {
        all.push(authorities[by].issue_to(&Request::authority(names[to]), authorities[to].public_key()));
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let other = Authority::new(&Request::authority("other"));
    assert!(check(&all, &[&other.certificate]).is_err());
    check(&all, &[&authorities[2].certificate]).unwrap();
}

#[test]
fn what_is_no_certificate_is_named() {
    let whole = Authority::new(&Request::authority("root")).certificate;
    let refused = |text: &str| Certificate::parse(text.as_bytes(), "a.pem").unwrap_err().to_string();
    let bytes = bedplate_fixtures::certificate::der(&whole);
    let short = bedplate_fixtures::certificate::pem("CERTIFICATE", &bytes[..100]);
    assert_eq!(refused(SIGNER), "invalid certificate in `a.pem`: there is none");
    assert!(refused(&short).starts_with("invalid certificate in `a.pem`: "));
    assert!(
        refused(&whole.replace("-----END CERT", "-----END CART"))
            .starts_with("invalid certificate in `a.pem`: ")
    );
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let damaged = bedplate_fixtures::certificate::pem("CERTIFICATE", &damaged);
        // It is refused, or another certificate that the root has not issued.
        if let Ok(found) = Certificate::parse(damaged.as_bytes(), "a.pem") {
            assert!(!found[0].is_issued_by(&parse(&whole)[0]), "{at}");
        }
    }
}
