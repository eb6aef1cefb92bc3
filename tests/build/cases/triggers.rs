//! What a package's trigger would have done, scripts, and what is left out of an image.

use bedplate::disk::Disk;

use crate::papers::debs;
use crate::product::{self, built, cases, holds};

/// Cases 5, 6, 31 and 34: what is in the root.
#[test]
fn files_of_an_overlay_come_out_as_if_a_package_had_brought_them() {
    let disk = Disk::open(built("cases", "triggers").join("image.raw")).unwrap();
    let root = disk.root().unwrap();
    let text = |path: &str| root.text(path).unwrap();
    let contains = |path: &str, bytes: &[u8]| {
        root.file(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    };
    // Case 5.
    let passwd = text("/etc/passwd");
    assert!(
        passwd.contains("\ntriggers-agent:x:980:980:An agent of case 5:/var/lib/triggers-agent:"),
        "{passwd}"
    );
    assert!(text("/etc/shadow").contains("\ntriggers-agent:!*:1::::::\n"));
    // It follows from the name: what a service keeps stays its own.
    assert!(passwd.contains("\ntriggers-helper:x:632:632:"), "{passwd}");
    // Case 6.
    let certificate = std::fs::read_to_string(
        "tests/images/cases/triggers/usr/local/share/ca-certificates/triggers-corp.crt",
    );
    assert!(text("/etc/ssl/certs/ca-certificates.crt").contains(&certificate.unwrap()));
    assert!(contains("/etc/ld.so.cache", b"/opt/triggers/lib/libz.so.1"));
    // The database is a trie: a letter where entries part is no part of the string after it.
    assert!(contains("/usr/lib/udev/hwdb.bin", b"edplate triggers*"));
    assert!(contains("/usr/lib/udev/hwdb.bin", b"/etc/udev/hwdb.d/90-triggers.hwdb"));
    assert!(contains("/usr/lib/locale/locale-archive", b"de_DE.utf8"));
    assert!(contains("/var/lib/systemd/catalog/database", b"A message of an overlay."));
    // What the device would compile at each start: packages' profiles, and this one.
    let compiled: Vec<_> = root.read_dir("/var/cache/apparmor").unwrap();
    assert_eq!(compiled.len(), 1, "{compiled:?}");
    for profile in ["triggers-agent", "firefox", ".features"] {
        assert!(root.exists(&format!("/var/cache/apparmor/{}/{profile}", compiled[0])).unwrap(), "{profile}");
    }
    assert!(contains(
        "/usr/lib/systemd/system/apparmor.service.d/bedplate.conf",
        b"aa-load /var/cache/apparmor"
    ));
    // Case 31.
    let links = "/etc/systemd/system/multi-user.target.wants";
    assert!(root.exists(&format!("{links}/triggers-agent.service")).unwrap());
    assert!(!root.exists(&format!("{links}/remote-fs.target")).unwrap());
    // Case 34.
    assert!(
        !root.exists("/usr/share/man/man1").unwrap()
            && !root.exists("/usr/share/doc/udev/changelog.gz").unwrap()
    );
    assert!(root.exists("/usr/share/doc/udev/copyright").unwrap());
    // Removed for its size, and still accounted for.
    assert!(!root.exists("/usr/share/doc/ca-certificates").unwrap());
    let packages = debs(&built("cases", "triggers"));
    let licences = packages["ca-certificates"]["licenseDeclared"].as_str().unwrap();
    assert!(licences.contains("MPL-2.0"), "{licences}");
    // The script's, and the trigger's that the script has fired.
    assert!(text("/etc/triggers-libc").starts_with("libc6 2."));
    assert_eq!(root.read_link("/opt/triggers/lib/libz.so.1").unwrap(), "libtriggers.so.1");
    // Nothing of the build is left.
    for path in ["/run/lost", "/tmp/lost", "/etc/.pwd.lock", "/usr/sbin/policy-rc.d", "/etc/passwd-"] {
        assert!(!root.exists(path).unwrap(), "{path}");
    }
}

/// An image is refused at its line, with these words.
#[track_caller]
fn refused(image: &str, words: &[&str]) {
    let said = product::refused(&mut cases(&["image", image], "small-of-triggers.lock"));
    holds(&said, &["--> tests/images/cases/triggers.rs:"]);
    holds(&said, words);
}

/// Case 6.
#[test]
fn a_certificate_without_its_package_is_refused_at_its_line() {
    let message =
        "`/usr/local/share/ca-certificates/corp.crt` has no effect without `update-ca-certificates`";
    refused("certificate-alone", &[message, "add `.package(\"ca-certificates\")`"]);
}

#[test]
fn a_profile_that_cannot_be_compiled_is_refused_at_its_line() {
    let message = "`apparmor_parser` finds fault with `/etc/apparmor.d/broken`: ";
    refused("broken-profile", &[message, "syntax error", "mend the profile, or leave it out"]);
}

#[test]
fn a_script_that_writes_the_time_is_refused_with_the_file() {
    let message = "the script `scripts/twice` does not do the same twice: `/etc/when` differ";
    refused("script-of-the-time", &[message, "$SOURCE_DATE_EPOCH"]);
}

#[test]
fn a_script_that_fails_is_shown_with_what_it_said() {
    refused("failing-script", &["the script `scripts/fails` failed with exit code 3: no such thing"]);
}

/// Case 34.
#[test]
fn what_is_not_there_cannot_be_removed() {
    let message = "`/usr/share/docs` is to be removed, but nothing in the image is there";
    refused("removes-nothing", &[message, "there is `/usr/share/doc`"]);
}
