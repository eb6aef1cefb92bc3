//! Where packages come from: files of the project, presigned addresses, flat archives, logins, backports, versions,
//! recommendations.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bedplate::archive::Keys;
use bedplate::lock::{Lock, Recommended};
use bedplate::value::Sha256;
use tempfile::TempDir;

use crate::product;
use bedplate_fixtures::archive::digest;
use bedplate_fixtures::deb::DebBuilder;
use bedplate_fixtures::signer::Signer;
use bedplate_fixtures::vendor::Vendor;

const FLAT: &str = "/core:/stable:/v1.31/deb";

/// A vendor, and a project that installs what it has.
struct Stage {
    vendor: Vendor,
    directory: TempDir,
    sha256: Sha256,
    version: String,
    logins: String,
    key: String,
}

impl Stage {
    fn new() -> Self {
        let vendor = Vendor::signing_with("https://vendor.example", Signer::new());
        let directory = tempfile::tempdir_in(product::scratch("sources")).unwrap();
        vendor.publish_key(directory.path());
        let (sha256, version, logins) = (Sha256::of([0; 32]), "1".to_owned(), String::new());
        Self { vendor, directory, sha256, version, logins, key: "vendor.asc".to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory of the project is the test's own.
    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(product::example("cases"));
        command.current_dir(product::root()).env("NO_COLOR", "1").env_remove("COLUMNS");
        command.env("CARGO_MANIFEST_DIR", self.directory.path()).env("BEDPLATE_LOGINS", &self.logins);
        command.env("SOURCES_KEY", self.path(&self.key)).env("SOURCES_SHA256", self.sha256.as_str());
        command.env("SOURCES_FINGERPRINT", self.vendor.signer.fingerprint());
        command.env("SOURCES_VERSION", &self.version);
        command.args(arguments).arg("--lock").arg(self.path("image.lock"));
        command.arg("--mirror").arg(self.vendor.mirror());
        command
    }

    fn lock(&self, image: &str) -> Command {
        self.xtask(&["lock", image])
    }

    /// What is locked anew, and what was said.
    #[track_caller]
    fn locked(&self, image: &str) -> (Lock, String) {
        let output = self.lock(image).arg("--update").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        (product::locked(&self.path("image.lock")), said)
    }

    /// What is said of a command that must fail; it names the line.
    #[track_caller]
    fn refused(&self, mut command: Command) -> String {
        let said = product::refused(&mut command);
        assert!(said.contains("--> tests/images/cases/sources.rs:"), "{said}");
        said.replace(&self.vendor.server.base(), "http://[here]")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Publishes an archive of these packages, a flat one or a suite.
    fn publish(&self, base: &str, suite: Option<&str>, more: &str, packages: &[(&str, &str, &str)]) {
        let server = &self.vendor.server;
        let mut index = String::new();
        for (name, version, control) in packages {
            let deb = DebBuilder::new(name, version).control(control).build();
            let file = format!("{name}_{version}.deb");
            server.put(&format!("{base}/{file}"), &deb);
            index.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: ./{file}\nSize: {}\nSHA256: {}\n{control}\n",
                deb.len(),
                digest(&deb)
            ));
        }
        let (directory, path) = match suite {
            Some(suite) => (format!("{base}/dists/{suite}"), "main/binary-amd64/Packages"),
            None => (base.to_owned(), "Packages"),
        };
        let sum = format!("{} {}", digest(index.as_bytes()), index.len());
        let release = format!("Date: Sat, 01 Nov 2025 00:00:00 UTC\n{more}SHA256:\n {sum} {path}\n");
        server.put(&format!("{directory}/{path}"), index.as_bytes());
        server.put(&format!("{directory}/InRelease"), &self.vendor.signer.sign(&release));
    }

    fn publish_library(&self) {
        let packages = [
            ("library", "2.0", ""),
            ("library", "2.1", "Recommends: helper | nobody, missing, broken\n"),
            ("helper", "1", "Recommends: second\n"),
            ("second", "1", ""),
            ("broken", "1", "Depends: nobody\n"),
        ];
        self.publish(FLAT, None, "", &packages);
    }
}

fn version<'a>(lock: &'a Lock, name: &str) -> Option<&'a str> {
    lock.packages.iter().find(|package| package.name == name).map(|package| package.version.as_str())
}

/// Case 3.
#[test]
fn a_package_of_the_project_is_locked_by_its_path_and_digest() {
    let stage = Stage::new();
    let said = stage.refused(stage.lock("sources-file"));
    assert!(
        said.contains("cannot read the package `tests/images/cases/debs/agent.deb`: there is no such file"),
        "{said}"
    );
    let own = stage.directory.path().file_name().unwrap().to_str().unwrap().to_owned();
    let build = |version: &str| {
        DebBuilder::of("agent", version, "amd64").file("/usr/share/agent", 0o644, &own).build()
    };
    let file = stage.path("tests/images/cases/debs/agent.deb");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, build("1")).unwrap();
    let (lock, _) = stage.locked("sources-file");
    let agent = lock.packages.iter().find(|package| package.name == "agent").unwrap();
    let expected = (digest(&build("1")), "tests/images/cases/debs/agent.deb", "project");
    assert_eq!((agent.sha256.clone(), agent.url.as_str(), agent.pocket.as_str()), expected);

    // Another one is refused with `--locked`, and told where it may be locked.
    fs::write(&file, build("2")).unwrap();
    let mut image = stage.xtask(&["image", "sources-file", "--locked"]);
    let output = image.arg("--out").arg(stage.path("out")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("package `tests/images/cases/debs/agent.deb` has changed"), "{said}");
    let changed = product::success(&mut stage.lock("sources-file"));
    assert!(changed.contains("~ agent 1 -> 2, project, "), "{changed}");
}

/// Case 3.
#[test]
fn the_query_of_an_address_is_asked_for_and_written_nowhere() {
    let mut stage = Stage::new();
    let deb = DebBuilder::of("agent", "1", "amd64").file("/usr/share/agent", 0o644, "presigned").build();
    stage.sha256 = digest(&deb);
    let path = "/agent.deb?X-Amz-Signature=hush%2F&X-Amz-Date=1";
    let blob = product::cache().join("blobs").join(&stage.sha256[..2]).join(stage.sha256.as_str());
    let _ = fs::remove_file(blob);
    // First without the file: the error has no query either.
    let said = stage.refused(stage.lock("sources-presigned"));
    assert!(said.contains("the vendor has not the package `https://vendor.example/agent.deb`"), "{said}");
    stage.vendor.server.put(path, &deb);
    let (lock, more) = stage.locked("sources-presigned");
    assert_eq!(stage.vendor.server.requests(), [path, path]);
    let agent = lock.packages.iter().find(|package| package.name == "agent").unwrap();
    assert_eq!(agent.url, "https://vendor.example/agent.deb");
    let text = fs::read_to_string(stage.path("image.lock")).unwrap();
    assert!(![text, said, more].iter().any(|text| text.contains("hush") || text.contains("X-Amz")));
}

/// Cases 4 and 17: a flat archive that wants a login.
#[test]
fn a_flat_archive_behind_a_login_is_had_and_the_login_written_nowhere() {
    let mut stage = Stage::new();
    // An index that no other test has, so that it is asked for.
    let own = format!("X-Test: {}\n", stage.directory.path().display());
    stage.publish(FLAT, None, "", &[("library", "2.1", &own)]);
    // `alice:s3 cret`
    stage.vendor.server.demand("Basic YWxpY2U6czMgY3JldA==");
    let said = stage.refused(stage.lock("sources-flat"));
    let machine = "machine http://[here] login NAME password PASSWORD";
    assert!(said.contains("answers 401") && said.contains(machine), "{said}");
    stage.logins = format!("machine {} login alice password wrong", stage.vendor.server.base());
    let said = stage.refused(stage.lock("sources-flat"));
    assert!(said.contains("the login in `BEDPLATE_LOGINS` is refused") && !said.contains("wrong"), "{said}");
    stage.logins = format!("machine {}/core login alice password \"s3 cret\"", stage.vendor.server.base());
    let (lock, said) = stage.locked("sources-flat");
    assert_eq!(version(&lock, "library"), Some("2.1"));
    let text = fs::read_to_string(stage.path("image.lock")).unwrap();
    assert!(text.contains(&format!("url = \"https://vendor.example{FLAT}/library_2.1.deb\"")), "{text}");
    assert!(!format!("{text}{said}").contains("cret"));
    // What is in the store already is not asked for, but the list of the archive always is.
    assert!(stage.vendor.server.logins().iter().any(|login| login == "Basic YWxpY2U6czMgY3JldA=="));
}

/// Cases 16 and 32.
#[test]
fn versions_suites_and_recommendations_are_taken_as_they_are_asked_for() {
    let mut stage = Stage::new();
    stage.publish_library();
    stage.version = "2.0*".to_owned();
    let (lock, _) = stage.locked("sources-version");
    assert_eq!(version(&lock, "library"), Some("2.0"));
    stage.version = "3".to_owned();
    let said = stage.refused(stage.lock("sources-version"));
    let says = "`library` has no version `3`; there is `2.1` in `./`, `2.0` in `./`";
    assert!(said.contains(says), "{said}");

    // Of a suite that is not automatic nothing is taken but what is named, and what that needs of it.
    let more = "Suite: stable-backports\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n";
    let packages = [("library", "9", ""), ("helper", "9", ""), ("tool", "9", "Depends: helper (>= 9)\n")];
    stage.publish("", Some("stable-backports"), more, &packages);
    let (lock, said) = stage.locked("sources-backports");
    assert_eq!(
        ["library", "helper", "tool"].map(|name| version(&lock, name)),
        [Some("2.1"), Some("9"), Some("9")]
    );
    // What is left out is told once.
    assert!(said.contains("Left out `broken`, recommended by `library`"), "{said}");
    // What was taken out of the description does not stay for having been locked.
    let refused = |why: &str| {
        let mut image = stage.xtask(&["image", "sources-flat", "--locked"]);
        let said = product::refused(image.arg("--out").arg(stage.path("out")));
        assert!(said.contains(why), "{said}");
    };
    refused("archive `https://vendor.example stable-backports` is not asked for any more");
    let path = stage.path("image.lock");
    let text = fs::read_to_string(&path).unwrap();
    let (before, archive) =
        text.split_once("\n[[amd64.archive]]\nbase = \"https://vendor.example\"\nsuite = \"stable-").unwrap();
    let (_, after) = archive.split_once("\n\n").unwrap();
    fs::write(&path, format!("{before}\n{after}")).unwrap();
    refused("package `tool` is not asked for any more");
    let (lock, said) = stage.locked("sources-flat");
    assert!(said.contains("Left out `broken`, `helper`, recommended by `library`"), "{said}");
    assert_eq!(version(&lock, "helper"), None);

    let (lock, said) = stage.locked("sources-recommended");
    assert_eq!(["helper", "second"].map(|name| version(&lock, name)), [Some("1"), Some("1")]);
    assert_eq!(recommended_by(&lock, "library"), ["helper second"]);
    // What is asked for and cannot be had is told with its reason.
    for one in [
        "Left out `broken`, recommended by `library`: broken : Depends: nobody but it is not installable",
        "Left out `missing`, recommended by `library`: no archive of the image has it",
    ] {
        assert!(said.contains(one), "{said}");
    }
}

/// The names that are installed because a package recommends them.
fn recommended_by(lock: &Lock, by: &str) -> Vec<String> {
    let installed = |one: &&Recommended| one.installed && one.by == by;
    lock.recommended.iter().filter(installed).map(|one| one.names.join(" ")).collect()
}

#[test]
fn what_a_package_of_the_project_recommends_is_had_by_a_word() {
    let stage = Stage::new();
    stage.publish_library();
    let file = stage.path("tests/images/cases/debs/agent.deb");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, DebBuilder::of("agent", "1", "amd64").control("Recommends: second, missing\n").build())
        .unwrap();
    let (lock, said) = stage.locked("sources-agent");
    assert_eq!(version(&lock, "second"), Some("1"));
    assert_eq!(recommended_by(&lock, "agent"), ["second"]);
    assert!(said.contains("Left out `missing`, recommended by `agent`: no archive"), "{said}");
    // The lock is as the description asks.
    let output = stage.lock("sources-agent").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("another way"), "{said}");
}

#[test]
fn a_key_of_the_distributions_archive_that_is_not_there_or_none_is_told_at_its_line() {
    let mut stage = Stage::new();
    stage.key = "nowhere.asc".to_owned();
    let said = stage.refused(stage.lock("sources-signed"));
    assert!(said.contains("cannot read the key") && said.contains("nowhere.asc"), "{said}");
    fs::write(stage.path("nowhere.asc"), "no key\n").unwrap();
    let said = stage.refused(stage.lock("sources-signed"));
    assert!(said.contains("not an OpenPGP keyring"), "{said}");
}

#[test]
fn a_third_partys_package_that_is_gone_when_the_image_is_built_is_told_at_its_line() {
    let stage = Stage::new();
    stage.publish_library();
    let (lock, _) = stage.locked("sources-flat");
    let library = lock.packages.iter().find(|package| package.name == "library").unwrap();
    let blob = product::cache().join("blobs").join(&library.sha256[..2]).join(library.sha256.as_str());
    let _ = fs::remove_file(blob);
    stage.vendor.server.remove(&format!("{FLAT}/library_2.1.deb"));
    let mut build = stage.xtask(&["image", "sources-flat", "--locked"]);
    build.arg("--out").arg(stage.path("out"));
    let said = stage.refused(build);
    assert!(said.contains("no longer carries") && said.contains("library"), "{said}");
}

/// Cases 16 and 32, of Debian itself.
#[test]
fn debians_backports_are_had_by_a_word_and_what_podman_lacks_is_told() {
    let stage = Stage::new();
    let (lock, said) = stage.locked("sources-debian");
    let kernel = lock.packages.iter().find(|package| package.name == "linux-image-cloud-amd64").unwrap();
    assert!(kernel.pocket == "backports" && kernel.version.contains("~bpo13"), "{kernel:?}");
    let podman = lock.recommended.iter().find(|recommended| recommended.by == "podman").unwrap();
    for name in ["aardvark-dns", "passt", "uidmap"] {
        assert!(podman.names.iter().any(|known| known == name), "{podman:?}");
    }
    assert!(said.contains("recommended by `podman`"), "{said}");
}

/// Case 16: the fingerprints in the rules are those of the keys in the program.
#[test]
fn the_shipped_keys_are_those_that_a_fingerprint_may_name() {
    let rings = [Keys::Debian, Keys::Ubuntu].map(|keys| keys.keyring().unwrap().fingerprints());
    assert_eq!(rings.concat(), bedplate::image::repository::SHIPPED);
    assert!(bedplate::image::repository::SHIPPED.iter().all(|print| Keys::shipped(print).is_some()));
}
