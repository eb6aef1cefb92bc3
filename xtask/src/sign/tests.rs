use std::path::PathBuf;

use bedplate_fixtures::certificate::{Authority, ENCRYPTED, OTHER, Request, SIGNER, file, pem, rsa, rsa_of};
use der::Encode as _;
use expect_test::expect;
use tempfile::TempDir;

use super::*;

const MESSAGE: &[u8] = b"what is signed";

/// The fixtures' crate has types of its own copy of the crate.
fn public_key(pem: &str) -> PublicKey {
    let key = SubjectPublicKeyInfoOwned::from_der(&rsa(pem).to_der().unwrap()).unwrap();
    PublicKey::new(&key, "the certificate of `CN=edge`".to_owned()).unwrap()
}

fn directory(name: &str, text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), name, text);
    (directory, path)
}

/// The message without the directory of the test.
fn refused(text: &str) -> String {
    let (directory, path) = directory("key.pem", text);
    let error = Signer::key(&path).unwrap_err();
    error.to_string().replace(directory.path().to_str().unwrap(), "DIR")
}

/// A script that signs, or does something else.
fn command(script: &str) -> (TempDir, Signer) {
    let (directory, path) = directory("sign.sh", script);
    let words = format!("sh {}", path.display());
    (directory, Signer::command(&words, Duration::from_secs(20)).unwrap())
}

fn told(script: &str) -> String {
    let (_directory, signer) = command(script);
    signer.sign(MESSAGE, &public_key(SIGNER)).unwrap_err().to_string()
}

#[test]
fn a_key_signs_the_same_every_time_in_both_forms() {
    let (_directory, path) = directory("key.pem", SIGNER);
    let signer = Signer::key(&path).unwrap();
    let signature = signer.sign(MESSAGE, &public_key(SIGNER)).unwrap();
    assert_eq!(signer.sign(MESSAGE, &public_key(SIGNER)).unwrap(), signature);
    assert!(public_key(SIGNER).verify(MESSAGE, &signature));
    assert!(!public_key(OTHER).verify(MESSAGE, &signature));

    // PKCS#8 has PKCS#1 in its third field.
    let pkcs8 = bedplate_fixtures::certificate::der(SIGNER);
    let inner = AnyRef::from_der(&pkcs8)
        .unwrap()
        .sequence(|reader| {
            UintRef::decode(reader)?;
            AnyRef::decode(reader)?;
            Ok(der::asn1::OctetStringRef::decode(reader)?.as_bytes())
        })
        .unwrap();
    let (_directory, path) = directory("key.pem", &pem("RSA PRIVATE KEY", inner));
    assert_eq!(Signer::key(&path).unwrap().sign(MESSAGE, &public_key(SIGNER)).unwrap(), signature);
}

#[test]
fn a_key_of_another_certificate_does_not_sign() {
    let (directory, path) = directory("key.pem", OTHER);
    let error = Signer::key(&path).unwrap().sign(MESSAGE, &public_key(SIGNER)).unwrap_err();
    let error = error.to_string().replace(directory.path().to_str().unwrap(), "DIR");
    expect!["the private key in `DIR/key.pem` is not the one of the certificate of `CN=edge`"]
        .assert_eq(&error);
}

#[test]
fn an_encrypted_key_is_opened_by_the_password_that_somebody_types() {
    let opened = |password: Option<&str>| {
        let ask = |name: &str| {
            assert_eq!(name, "key.pem");
            Ok(password.map(str::to_owned))
        };
        Signer::opened(ENCRYPTED.as_bytes(), "key.pem".to_owned(), ask)
    };
    let signature = opened(Some("over the hills")).unwrap().sign(MESSAGE, &public_key(SIGNER)).unwrap();
    let plain = Signer::pem(SIGNER.as_bytes(), "plain".to_owned()).unwrap();
    assert_eq!(signature, plain.sign(MESSAGE, &public_key(SIGNER)).unwrap());
    let messages = [opened(Some("far away")), opened(None)].map(|refused| refused.unwrap_err().to_string());
    expect![[r#"
        invalid private key in `key.pem`: its password is another one
        invalid private key in `key.pem`: it is encrypted, and there is no terminal to ask for its password"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn what_is_no_key_that_signs_here_is_named() {
    let damaged = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    // An algorithm of elliptic curves around the bytes of nothing.
    let curve = "30 13 06 07 2a8648ce3d0201 06 08 2a8648ce3d030107".replace(' ', "");
    let hex = |digits: &str| -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    };
    let curve = hex(&format!("301c020100{curve}04020500"));
    let messages = [
        refused(damaged),
        refused(old),
        refused("nothing"),
        refused(&pem("PRIVATE KEY", &curve)),
        refused(&pem("EC PRIVATE KEY", &curve)),
        refused("-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n"),
    ];
    expect![[r#"
        invalid private key in `DIR/key.pem`: it is encrypted in a form that is not known
        invalid private key in `DIR/key.pem`: it is encrypted in a form of old
        invalid private key in `DIR/key.pem`: it has no PEM block `PRIVATE KEY`
        invalid private key in `DIR/key.pem`: it is no RSA key
        invalid private key in `DIR/key.pem`: it is no RSA key
        invalid private key in `DIR/key.pem`: it has no PEM block `PRIVATE KEY`"#]]
    .assert_eq(&messages.join("\n"));
    let missing = Signer::key(Path::new("/nonexistent/key.pem")).unwrap_err();
    expect!["cannot read the private key `/nonexistent/key.pem`"].assert_eq(&missing.to_string());
}

#[test]
fn a_public_key_is_rsa_of_2048_bits_or_more() {
    let refused = |key: Vec<u8>| {
        let key = SubjectPublicKeyInfoOwned::from_der(&key).unwrap();
        PublicKey::new(&key, "the certificate of `CN=edge`".to_owned()).unwrap_err().to_string()
    };
    let modulus = UintRef::new(&[0xff; 128]).unwrap();
    let exponent = UintRef::new(&[1, 0, 1]).unwrap();
    let short = [modulus.to_der().unwrap(), exponent.to_der().unwrap()].concat();
    let short = [&[0x30, 0x81, u8::try_from(short.len()).unwrap()][..], &short].concat();
    let messages = [
        refused(Authority::new(&Request::authority("root")).public_key().to_der().unwrap()),
        refused(rsa_of(&short).to_der().unwrap()),
        refused(rsa_of(b"no key").to_der().unwrap()),
    ];
    expect![[r#"
        invalid key of the certificate of `CN=edge`: it is no RSA key
        invalid key of the certificate of `CN=edge`: it has 1024 bits, and 2048 to 8192 are accepted
        invalid key of the certificate of `CN=edge`: it is damaged"#]]
    .assert_eq(&messages.join("\n"));
    assert_eq!(public_key(SIGNER).bits, 2048);
}

#[test]
fn no_part_of_a_key_is_in_its_debug_output() {
    let (_directory, path) = directory("key.pem", SIGNER);
    let shown = format!("{:?}", Signer::key(&path).unwrap());
    assert!(shown.len() < 20 + path.to_str().unwrap().len(), "{shown}");
    let command = Signer::command("pkcs11-tool --pin 1234", TIMEOUT).unwrap();
    assert_eq!(format!("{command:?}"), r#"Signer("pkcs11-tool")"#);
}

#[test]
fn a_command_gets_the_bytes_and_gives_the_signature() {
    let (directory, signer) = command("cd \"$(dirname \"$0\")\"; cat > got; cat signature; exit 0");
    let (_key, path) = self::directory("key.pem", SIGNER);
    let signature = Signer::key(&path).unwrap().sign(MESSAGE, &public_key(SIGNER)).unwrap();
    std::fs::write(directory.path().join("signature"), &signature).unwrap();
    assert_eq!(signer.sign(MESSAGE, &public_key(SIGNER)).unwrap(), signature);
    assert_eq!(std::fs::read(directory.path().join("got")).unwrap(), MESSAGE);
    // It is a signature of these bytes, by this key, and of nothing else.
    let error = signer.sign(b"others", &public_key(SIGNER)).unwrap_err();
    expect!["the signature from `sh` is not accepted by the key of the certificate of `CN=edge`"]
        .assert_eq(&error.to_string());
    assert!(signer.sign(MESSAGE, &public_key(OTHER)).is_err());
}

#[test]
fn a_command_that_does_not_sign_is_told() {
    let messages = [
        told("exit 3"),
        told("echo 'no token' >&2; echo >&2; echo 'is it there?' >&2; exit 1"),
        told("echo '-----BEGIN PRIVATE KEY-----' >&2; exit 1"),
        told("printf short"),
        told("exec head -c 100000 /dev/zero"),
        told("exec yes"),
        told("exec head -c 256 /dev/zero"),
        told("kill -9 $$"),
    ];
    expect![[r#"
        the signing command `sh` failed: exit status: 3
        the signing command `sh` failed: exit status: 1: no token; is it there?
        the signing command `sh` failed: exit status: 1, and printed a private key, which is not shown
        the signing command `sh` printed 5 bytes: a signature by this key has 256
        the signing command `sh` printed more bytes: a signature by this key has 256
        the signing command `sh` printed more bytes: a signature by this key has 256
        the signature from `sh` is not accepted by the key of the certificate of `CN=edge`
        the signing command `sh` failed: signal: 9 (SIGKILL)"#]]
    .assert_eq(&messages.join("\n"));
    let missing = Signer::command("/nonexistent/signer --pin 1234", TIMEOUT).unwrap();
    let error = missing.sign(MESSAGE, &public_key(SIGNER)).unwrap_err();
    assert_eq!(error.to_string(), "cannot run the signing command `/nonexistent/signer`");
    assert!(Signer::command("  ", TIMEOUT).is_err());
}

#[test]
fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
    for script in [
        "sleep 60 & echo $! > pid; wait",
        "exec 1>&-; sleep 60 & echo $! > pid; wait",
        "sleep 60 & echo $! > pid",
    ] {
        let (directory, path) = directory("sign.sh", &format!("cd \"$(dirname \"$0\")\"; {script}"));
        let signer = Signer::command(&format!("sh {}", path.display()), Duration::from_secs(1)).unwrap();
        let error = signer.sign(MESSAGE, &public_key(SIGNER)).unwrap_err();
        assert_eq!(error.to_string(), "the signing command `sh` did not end within 1 seconds", "{script}");
        let pid = std::fs::read_to_string(directory.path().join("pid")).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // Whoever adopts it may take a moment.
        let ended = || state().is_empty() || state().contains(") Z ");
        for _ in 0..100 {
            if ended() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(ended(), "{script}: {}", state());
    }
}
