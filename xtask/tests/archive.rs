//! The archive's client against a server that misbehaves: each time a clear error, and the store intact.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "archive/forms.rs"]
mod forms;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use bedplate::Distribution;
use bedplate::archive::mirror::{HostSources, Mirrors};
use bedplate::archive::{self, Archive, Keys};
use bedplate::fetch::{FetchError, Fetcher, Item, Progress, Silent};
use bedplate::store::Store;
use expect_test::expect;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use bedplate_fixtures::archive::*;
use bedplate_fixtures::server::{Reply, Server};
use bedplate_fixtures::signer::Signer;

// What goes well.

#[test]
fn a_signed_archive_opens_and_its_index_is_believed() {
    let mini = Mini::new();
    let opened = mini.open().unwrap();
    assert_eq!(opened.release.signed_by, mini.signer.fingerprint());
    let index = opened.packages[0].index().unwrap();
    assert_eq!(index.names().collect::<Vec<_>>(), ["jq"]);
    assert_eq!(mini.requests_for("/dists"), [IN_RELEASE.to_owned(), packages_path()]);
    // The compressed index has done its duty.
    assert_eq!(mini.blobs(), 1);
}

#[test]
fn an_unchanged_index_is_not_fetched_again() {
    let mini = Mini::new();
    mini.open().unwrap();
    mini.open().unwrap();
    assert_eq!(mini.requests_for(IN_RELEASE).len(), 2);
    assert_eq!(mini.requests_for(&packages_path()).len(), 1);
}

#[test]
fn a_signature_by_a_subkey_counts() {
    let mini = Mini::new();
    mini.publish(&mini.signer.sign_by_subkey(&release(&Says::default())));
    assert_eq!(mini.open().unwrap().release.signed_by, mini.signer.fingerprint());
}

#[test]
fn a_package_is_fetched_once_and_then_served_without_network() {
    let mini = Mini::new();
    mini.fetch().unwrap();
    assert_eq!(fs::read(mini.store.path(&item().sha256).unwrap()).unwrap(), jq());
    let offline = mini.fetcher().offline(true);
    offline.fetch(&[item()], &Silent).unwrap();
    assert_eq!(mini.requests_for(JQ).len(), 1);
    assert_eq!(mini.partials(), 0);
}

#[test]
fn progress_counts_every_byte_once() {
    #[derive(Default)]
    struct Count(AtomicUsize, AtomicU64, AtomicU64, AtomicBool);
    impl Progress for Count {
        fn start(&self, files: usize, bytes: u64) {
            self.0.store(files, Ordering::Relaxed);
            self.1.store(bytes, Ordering::Relaxed);
        }
        fn advance(&self, bytes: u64) {
            self.2.fetch_add(bytes, Ordering::Relaxed);
        }
        fn done(&self) {
            self.3.store(true, Ordering::Relaxed);
        }
    }
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Cut(200_000), Reply::Status(500), Reply::Whole]);
    let count = Count::default();
    mini.fetcher().fetch(&[item(), item()], &count).unwrap();
    assert_eq!(count.0.into_inner(), 1);
    assert_eq!((count.1.into_inner(), count.2.into_inner()), (300_000, 300_000));
    assert!(count.3.into_inner());
}

// What goes badly at first.

#[test]
fn a_server_error_is_tried_again() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Status(500), Reply::Status(503)]);
    mini.fetch().unwrap();
    assert_eq!(mini.requests_for(JQ).len(), 3);
    mini.server.script(IN_RELEASE, [Reply::Status(502)]);
    mini.open().unwrap();
}

#[test]
fn a_truncated_body_is_resumed_where_it_ended() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Cut(100_000)]);
    mini.fetch().unwrap();
    assert_eq!(mini.requests_for(JQ), [JQ.to_owned(), format!("{JQ} from 100000")]);
    assert_eq!(mini.blobs(), 1);
}

#[test]
fn a_stalled_body_is_resumed_where_it_ended() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Stall(100_000)]);
    mini.fetch().unwrap();
    assert_eq!(mini.requests_for(JQ), [JQ.to_owned(), format!("{JQ} from 100000")]);
}

#[test]
fn what_an_earlier_run_left_is_resumed() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Cut(50_000), Reply::Status(500), Reply::Status(500)]);
    mini.fetch().unwrap_err();
    assert_eq!((mini.blobs(), mini.partials()), (0, 1));
    mini.fetch().unwrap();
    assert_eq!(mini.requests_for(JQ).last().unwrap(), &format!("{JQ} from 50000"));
    assert_eq!((mini.blobs(), mini.partials()), (1, 0));
}

#[test]
fn what_an_earlier_run_left_of_another_file_is_thrown_away() {
    let mini = Mini::new();
    fs::write(mini.store.root().join("partial").join(item().sha256.as_str()), vec![7; 50_000]).unwrap();
    mini.fetch().unwrap();
    assert_eq!(mini.requests_for(JQ), [format!("{JQ} from 50000"), JQ.to_owned()]);
    assert_eq!((mini.blobs(), mini.partials()), (1, 0));
}

#[test]
fn a_server_that_does_not_resume_is_begun_with_again() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Cut(100_000), Reply::Whole]);
    mini.fetch().unwrap();
    assert_eq!(mini.blobs(), 1);
}

#[test]
fn a_broken_blob_is_fetched_again() {
    let mini = Mini::new();
    mini.fetch().unwrap();
    let path = mini.store.path(&item().sha256).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"half").unwrap();
    mini.fetch().unwrap();
    assert_eq!(fs::read(path).unwrap(), jq());
}

#[test]
fn two_processes_that_want_the_same_fetch_it_once() {
    let mini = Mini::new();
    // The first answer stalls long enough for the second fetcher to come.
    mini.server.script(JQ, [Reply::Stall(100_000)]);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| mini.fetch().unwrap())).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(mini.requests_for(JQ), [JQ.to_owned(), format!("{JQ} from 100000")]);
    assert_eq!((mini.blobs(), mini.partials()), (1, 0));
}

// What goes badly to the end, fetching a package.

#[test]
fn a_package_the_archive_no_longer_carries() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Status(404)]);
    mini.refuses_to_fetch(&expect![[r#"
        the archive no longer carries `jq` version `1.7-1`: `http://SERVER/pool/main/j/jq/jq_1.7-1_amd64.deb` answers 404
        help: the archive has a newer version: run `cargo xtask lock --update`, or name a snapshot in the description to keep this one"#]]);
    assert_eq!(mini.requests_for(JQ).len(), 1);
}

#[test]
fn a_server_that_only_answers_500() {
    let mini = Mini::new();
    mini.server.script(JQ, [500, 500, 500].map(Reply::Status));
    mini.refuses_to_fetch(&expect![[r#"
        cannot fetch `jq` version `1.7-1`: `http://SERVER/pool/main/j/jq/jq_1.7-1_amd64.deb` answers 500, after 3 attempts
        help: try again later, or take the archive from elsewhere with `--mirror FROM=TO`"#]]);
}

#[test]
fn a_server_that_forbids() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Status(403)]);
    mini.refuses_to_fetch(&expect![[r#"
        cannot fetch `jq` version `1.7-1`: `http://SERVER/pool/main/j/jq/jq_1.7-1_amd64.deb` answers 403
        help: when it wants a login, put `machine http://SERVER login NAME password PASSWORD` into `~/.netrc`, a file of `/etc/apt/auth.conf.d`, or the variable `BEDPLATE_LOGINS`; or take the archive from elsewhere with `--mirror FROM=TO`"#]]);
}

#[test]
fn garbage_of_another_size() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Other(b"<html>Please log in to this wireless network</html>".to_vec())]);
    mini.refuses_to_fetch(&expect![[r#"
        `http://SERVER/pool/main/j/jq/jq_1.7-1_amd64.deb` is not `jq` version `1.7-1`: it has 51 bytes instead of 300000
        help: the mirror is out of step or something on the way changes files: try another with `--mirror FROM=TO`"#]]);
    assert_eq!(mini.partials(), 0);
}

#[test]
fn garbage_of_the_same_size() {
    let mini = Mini::new();
    let mut garbage = jq();
    garbage[150_000] ^= 1;
    mini.server.script(JQ, [Reply::Other(garbage)]);
    mini.refuses_to_fetch(&expect![[r#"
        `http://SERVER/pool/main/j/jq/jq_1.7-1_amd64.deb` is not `jq` version `1.7-1`: its sha256 is `694eabea279a826b692816e4ac237b84ac916de5aa0ee4df974da4a4081176c1` instead of `cbbf1aa1724d6a078f109e131e053eaae7eb669f6ef00b1ad46004a6118d965d`
        help: the mirror is out of step or something on the way changes files: try another with `--mirror FROM=TO`"#]]);
    assert_eq!(mini.partials(), 0);
}

#[test]
fn a_body_that_always_ends_early() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Cut(1000), Reply::Cut(1000), Reply::Cut(1000)]);
    mini.refuses_to_fetch(&expect![[r#"
        cannot fetch `jq` version `1.7-1` from `http://SERVER/pool/main/j/jq/jq_1.7-1_amd64.deb`: the body ends at byte 3000 of 300000, after 3 attempts
        help: check the network; what has arrived is kept and the next run resumes it; `--mirror FROM=TO` takes the archive from elsewhere"#]]);
}

#[test]
fn a_server_that_never_answers() {
    let mini = Mini::new();
    mini.server.script(JQ, [Reply::Silence, Reply::Silence, Reply::Silence]);
    mini.refuses_to_fetch(&expect![[r#"
        cannot fetch `jq` version `1.7-1` from `http://SERVER/pool/main/j/jq/jq_1.7-1_amd64.deb`: no answer within 0.3 s, after 3 attempts
        help: check the network; what has arrived is kept and the next run resumes it; `--mirror FROM=TO` takes the archive from elsewhere"#]]);
}

#[test]
fn nobody_there() {
    let mini = Mini::new();
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pair = (CANONICAL.to_owned(), format!("http://{address}"));
    let mirrors = Mirrors::choose(&[], &[pair], &[], &HostSources::default());
    let error = mini.fetcher().mirrors(mirrors).fetch(&[item()], &Silent).unwrap_err();
    let text = error.to_string().replace(&address.to_string(), "NOBODY");
    expect!["cannot fetch `jq` version `1.7-1` from `http://NOBODY/pool/main/j/jq/jq_1.7-1_amd64.deb`: connection refused, after 3 attempts"].assert_eq(&text);
    assert_eq!(mini.blobs(), 0);
}

#[test]
fn offline_and_not_in_the_store() {
    let mini = Mini::new();
    let error = mini.fetcher().offline(true).fetch(&[item()], &Silent).unwrap_err();
    expect!["`jq` version `1.7-1` is not in the store, and no network may be used"]
        .assert_eq(&error.to_string());
    assert_eq!(mini.server.requests(), Vec::<String>::new());
}

#[test]
fn more_than_the_disk_has_room_for() {
    let mini = Mini::new();
    let huge = Item { size: u64::MAX / 2, ..item() };
    let error = mini.fetcher().fetch(&[huge], &Silent).unwrap_err();
    assert!(matches!(error, FetchError::Full { wanted: Some((wanted, _)), .. } if wanted == u64::MAX / 2));
    assert_eq!(mini.server.requests(), Vec::<String>::new());
}

/// Needs root: the small disk is a tmpfs in a mount namespace of one thread.
#[test]
fn a_disk_that_is_full_in_the_middle() {
    /// Something else fills the disk just when the download begins.
    struct Neighbour(PathBuf);
    impl Progress for Neighbour {
        fn start(&self, _files: usize, _bytes: u64) {
            fs::write(&self.0, vec![1; 300_000]).unwrap();
        }
        fn advance(&self, _bytes: u64) {}
        fn done(&self) {}
    }
    let disk = tempfile::tempdir().unwrap();
    let mini = Mini::new();
    thread::scope(|scope| {
        let on_a_small_disk = || {
            #[expect(
                unsafe_code,
                reason = "no file descriptors are unshared, only the mounts of this thread"
            )]
            unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.unwrap();
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).unwrap();
            mount("bedplate", disk.path(), "tmpfs", MountFlags::empty(), Some(c"size=512k")).unwrap();
            let store = Store::at(&disk.path().join("store")).unwrap();
            let pair = (CANONICAL.to_owned(), mini.server.base());
            let mirrors = Mirrors::choose(&[], &[pair], &[], &HostSources::default());
            let neighbour = Neighbour(disk.path().join("neighbour"));
            let error = Fetcher::new(&store).mirrors(mirrors).fetch(&[item()], &neighbour).unwrap_err();
            let text = error.to_string().replace(disk.path().to_str().unwrap(), "/small");
            expect![[r#"
                no room for the downloads in `/small/store`
                help: free some space, run `cargo xtask clean`, or name another place in `BEDPLATE_CACHE`"#]]
            .assert_eq(&format!("{text}\nhelp: {}", error.advice().unwrap()));
            for directory in ["partial", "blobs"] {
                assert_eq!(fs::read_dir(store.root().join(directory)).unwrap().count(), 0, "{directory}");
            }
        };
        scope.spawn(on_a_small_disk).join().unwrap();
    });
}

// What goes badly to the end, opening the archive.

#[test]
fn an_index_that_does_not_fit_the_release() {
    let mini = Mini::new();
    mini.server.put(&packages_path(), &vec![0; compressed_packages().len()]);
    mini.refuses_to_open(&expect!["`http://SERVER/dists/trixie/main/binary-amd64/by-hash/SHA256/57688457c32ed0933095723caabebcfd9ed4557f43aff2a34fe40686edad0151` is not the index of `main` of `http://archive.example/debian trixie`, signed by `FINGERPRINT`: its sha256 is `ac9ab7fef49ac432f1e4b9b43d3df89ca06dd53c244676fa5d47a8725dcc5eb9` instead of `57688457c32ed0933095723caabebcfd9ed4557f43aff2a34fe40686edad0151`"]);
}

#[test]
fn a_release_changed_after_signing() {
    let mini = Mini::new();
    let signed = String::from_utf8(mini.signer.sign(&release(&Says::default()))).unwrap();
    mini.publish(signed.replace("Origin: Example", "Origin: Evil").as_bytes());
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: no signature counts: key `FINGERPRINT` did not make this signature, or the text was changed"]);
}

#[test]
fn a_release_signed_by_a_stranger() {
    let mini = Mini::new();
    let stranger = Signer::new();
    mini.publish(&stranger.sign(&release(&Says::default())));
    let error = format!("{:#}", mini.open().unwrap_err()).replace(&stranger.fingerprint(), "STRANGER");
    expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: signed by `STRANGER`, and by no pinned key (`FINGERPRINT`)"].assert_eq(&mini.text(&error));
}

#[test]
fn a_release_that_is_a_login_page() {
    let mini = Mini::new();
    mini.publish(b"<html>Please log in to this wireless network</html>");
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: not a signed text: it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`"]);
}

#[test]
fn text_before_the_signed_text() {
    let mini = Mini::new();
    let signed = mini.signer.sign(&release(&Says::default()));
    mini.publish(&[b"SHA256: forged\n".as_slice(), &signed].concat());
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: not a signed text: it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`"]);
}

#[test]
fn text_after_the_signature() {
    let mini = Mini::new();
    let signed = mini.signer.sign(&release(&Says::default()));
    mini.publish(&[signed.as_slice(), b"SHA256: forged\n"].concat());
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: not a signed text: it does not end with `-----END PGP SIGNATURE-----`"]);
}

#[test]
fn a_key_that_has_expired() {
    let mini = Mini::signed_by(Signer::new().expiring_after(1));
    let error = format!("{:#}", mini.open().unwrap_err());
    let (text, _) = error.rsplit_once(" on ").unwrap();
    expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: no signature counts: key `FINGERPRINT` expired"].assert_eq(&mini.text(text));
}

#[test]
fn a_key_that_expired_after_a_snapshot_was_signed() {
    let mini = Mini::signed_by(Signer::new().expiring_after(5));
    let says = Says { date: -9 * 86_400, valid_until: Some(-86_400), ..Says::default() };
    mini.publish(&mini.signer.sign_nine_days_ago(&release(&says)));
    mini.open().unwrap_err();
    let frozen = Archive { snapshots: vec![mini.server.base().parse().unwrap()], ..mini.archive() };
    archive::open(&mini.fetcher(), &[frozen], "amd64", now(), &Silent).unwrap();
}

#[test]
fn a_key_that_was_revoked() {
    let mini = Mini::signed_by(Signer::new().revoked());
    let error = format!("{:#}", mini.open().unwrap_err());
    let (text, _) = error.rsplit_once(" on ").unwrap();
    expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: no signature counts: key `FINGERPRINT` was revoked"].assert_eq(&mini.text(text));
}

#[test]
fn a_key_nothing_vouches_for() {
    Mini::signed_by(Signer::new().without_self_signature()).refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` is to sign it: no signature counts: key `FINGERPRINT` has no self-signature"]);
}

#[test]
fn a_signature_with_a_weak_digest() {
    let mini = Mini::signed_by(Signer::old());
    mini.publish(&mini.signer.sign_weakly(&release(&Says::default())));
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: no signature counts: key `FINGERPRINT` signed the text with SHA1, which is too weak"]);
}

#[test]
fn a_subkey_of_somebody_else() {
    let mini = Mini::signed_by(Signer::new().with_the_subkey_of(&Signer::new()));
    mini.publish(&mini.signer.sign_by_subkey(&release(&Says::default())));
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: no signature counts: key `FINGERPRINT` has no self-signature for the subkey that signed"]);
}

#[test]
fn a_subkey_that_does_not_sign_back() {
    let mini = Mini::signed_by(Signer::new().without_signature_back());
    mini.publish(&mini.signer.sign_by_subkey(&release(&Says::default())));
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: no signature counts: key `FINGERPRINT` has a subkey that does not sign back"]);
}

#[test]
fn a_keyring_without_the_key_the_description_names() {
    let mut mini = Mini::new();
    let Keys::Pinned { content, .. } = mini.signer.keys() else { unreachable!() };
    mini.keys = Keys::Pinned { content, fingerprint: Some("F6EC B376 2474 EDA9".to_owned()) };
    mini.refuses_to_open(&expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted: the keyring has no key `F6ECB3762474EDA9`, only `FINGERPRINT`"]);
}

#[test]
fn a_release_that_has_expired() {
    let mini = Mini::says(&Says { valid_until: Some(-60), ..Says::default() });
    let error = format!("{:#}", mini.open().unwrap_err());
    let (text, _) = error.rsplit_once(" on ").unwrap();
    expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: it expired"]
        .assert_eq(&mini.text(text));
}

#[test]
fn a_release_of_the_future() {
    let mini = Mini::says(&Says { date: 86_400, ..Says::default() });
    let error = format!("{:#}", mini.open().unwrap_err());
    let (text, _) = error.rsplit_once(" on ").unwrap();
    expect!["the `InRelease` of `http://archive.example/debian trixie` cannot be trusted; the key `FINGERPRINT` (Archive <archive@example.org>) is to sign it: it was made"]
        .assert_eq(&mini.text(text));
}

#[test]
fn a_release_without_the_architecture() {
    Mini::says(&Says { architectures: "riscv64 s390x", ..Says::default() }).refuses_to_open(&expect!["the archive `http://archive.example/debian trixie` has no architecture `amd64`, only `riscv64`, `s390x`"]);
}

#[test]
fn a_release_without_the_component() {
    let mini = Mini::new();
    let archive = Archive { components: vec!["universe".to_owned()], ..mini.archive() };
    let error = archive::open(&mini.fetcher(), &[archive], "amd64", now(), &Silent).unwrap_err();
    expect!["the archive `http://archive.example/debian trixie` has no component `universe` for `amd64`"]
        .assert_eq(&format!("{error:#}"));
}

#[test]
fn a_suite_the_archive_does_not_have() {
    let mini = Mini::new();
    let archive = Archive { suite: "trixi".to_owned(), ..mini.archive() };
    let error = archive::open(&mini.fetcher(), &[archive], "amd64", now(), &Silent).unwrap_err();
    expect!["the archive has no `InRelease` of `http://archive.example/debian trixi`: `http://SERVER/dists/trixi/InRelease` answers 404"].assert_eq(&mini.text(&format!("{error:#}")));
}

#[test]
fn an_in_release_without_end() {
    let mini = Mini::new();
    let mut endless = mini.signer.sign(&release(&Says::default()));
    endless.resize(17 << 20, b' ');
    mini.publish(&endless);
    mini.refuses_to_open(&expect!["`http://SERVER/dists/trixie/InRelease` is not `InRelease` of `http://archive.example/debian trixie`: it has 17825792 bytes instead of at most 16777216"]);
}

// What is seen over time, and had elsewhere.

/// The small archive on two servers, asked one after the other.
fn mirrored(mini: &Mini) -> (Server, Fetcher) {
    let second = Server::start(BTreeMap::new());
    mini.server.files().iter().for_each(|(path, content)| second.share(path, content));
    let pairs = [mini.server.base(), second.base()].map(|base| (CANONICAL.to_owned(), base));
    let mirrors = Mirrors::choose(&[], &pairs, &[], &HostSources::default());
    let fetcher = Fetcher::new(&mini.store).mirrors(mirrors).patience(IMPATIENT);
    (second, fetcher)
}

/// Remembers what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn start(&self, _files: usize, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn done(&self) {}
    fn notice(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

impl Told {
    fn text(&self, mini: &Mini, second: &Server) -> String {
        mini.text(&self.0.lock().unwrap().join("\n")).replace(&second.base(), "http://SECOND")
    }
}

#[test]
fn a_mirror_that_is_out_is_told_and_the_second_one_asked() {
    let mini = Mini::new();
    let (second, fetcher) = mirrored(&mini);
    mini.server.refuse(503);
    let told = Told::default();
    archive::open(&fetcher, &[mini.archive()], "amd64", now(), &told).unwrap();
    fetcher.fetch(&[item()], &told).unwrap();
    expect!["cannot fetch `InRelease` of `http://archive.example/debian trixie`: `http://SERVER/dists/trixie/InRelease` answers 503, after 3 attempts; asking `http://SECOND`"].assert_eq(&told.text(&mini, &second));
    // Who was silent is not asked again for every file.
    assert_eq!(mini.server.requests().len(), 3);
    assert_eq!(second.requests().len(), 3);
}

#[test]
fn a_file_that_the_first_mirror_has_otherwise_is_taken_from_the_second() {
    let mini = Mini::new();
    let (second, fetcher) = mirrored(&mini);
    mini.server.put(JQ, &[7; 300_000]);
    let told = Told::default();
    fetcher.fetch(&[item()], &told).unwrap();
    assert_eq!(second.requests(), [JQ]);
    let said = told.text(&mini, &second);
    assert!(said.ends_with("; asking `http://SECOND`") && said.contains("its sha256 is"), "{said}");
}

#[test]
fn a_file_that_nobody_has_is_told_as_gone_and_not_as_silence() {
    let mini = Mini::new();
    let (second, fetcher) = mirrored(&mini);
    mini.server.remove(JQ);
    second.refuse(503);
    let error = fetcher.fetch(&[item()], &Silent).unwrap_err();
    assert!(matches!(error, FetchError::Gone { .. }), "{error}");
}

#[test]
fn an_older_release_than_one_seen_before_is_refused() {
    let mini = Mini::new();
    let older = mini.signer.sign(&release(&Says { date: -86_400, ..Says::default() }));
    mini.open().unwrap();
    mini.publish(&older);
    let error = format!("{:#}", mini.open().unwrap_err());
    let (text, _) = error.split_once(" signed it for ").unwrap();
    expect!["the `InRelease` of `http://archive.example/debian trixie` at `http://SERVER/dists/trixie/InRelease` cannot be trusted: `FINGERPRINT`"].assert_eq(&mini.text(text));
    assert!(error.ends_with(" was seen before"), "{error}");
    // Signed by the same key, and so it would do as well as the newer one for whoever has never seen that.
    let fresh = Mini::new();
    fresh.publish(&older);
    let archive = Archive { keys: mini.keys.clone(), ..fresh.archive() };
    archive::open(&fresh.fetcher(), std::slice::from_ref(&archive), "amd64", now(), &Silent).unwrap();
    let locked = Archive { not_before: Some(now() - 3600), ..archive };
    let error = archive::open(&fresh.fetcher(), &[locked], "amd64", now(), &Silent).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(FetchError::Older { .. })), "{error:#}");
}

#[test]
fn of_two_mirrors_the_one_that_is_not_behind_is_taken() {
    let mini = Mini::new();
    let (_second, fetcher) = mirrored(&mini);
    archive::open(&fetcher, &[mini.archive()], "amd64", now(), &Silent).unwrap();
    mini.publish(&mini.signer.sign(&release(&Says { date: -86_400, ..Says::default() })));
    let opened = archive::open(&fetcher, &[mini.archive()], "amd64", now(), &Silent).unwrap();
    assert!(opened[0].release.date > now() - 7200);
}

#[test]
fn a_snapshot_that_is_out_is_had_from_the_store_and_then_from_the_second_mirror() {
    let mini = Mini::new();
    let (second, _) = mirrored(&mini);
    let frozen = Archive {
        distribution: Some(Distribution::Debian),
        snapshots: [mini.server.base(), second.base()].map(|base| base.parse().unwrap()).into(),
        ..mini.archive()
    };
    let open = |offline: bool, told: &Told| {
        let archives = std::slice::from_ref(&frozen);
        let mirrors = Mirrors::choose(archives, &[], &[], &HostSources::default());
        let fetcher = Fetcher::new(&mini.store).mirrors(mirrors).patience(IMPATIENT).offline(offline);
        archive::open(&fetcher, archives, "amd64", now(), told)
    };
    // The store has nothing yet.
    mini.server.refuse(503);
    let told = Told::default();
    open(false, &told).unwrap();
    expect!["cannot fetch `InRelease` of `http://archive.example/debian trixie`: `http://SERVER/dists/trixie/InRelease` answers 503, after 3 attempts; asking `http://SECOND`"].assert_eq(&told.text(&mini, &second));
    let asked = second.requests().len();
    let told = Told::default();
    open(false, &told).unwrap();
    expect!["cannot fetch `InRelease` of `http://archive.example/debian trixie`: `http://SERVER/dists/trixie/InRelease` answers 503, after 3 attempts; taking what it answered before"].assert_eq(&told.text(&mini, &second));
    open(true, &Told::default()).unwrap();
    assert_eq!(second.requests().len(), asked, "what is in the store is not asked for");
}

#[test]
fn a_live_archive_that_is_out_is_not_had_from_the_store() {
    let mini = Mini::new();
    mini.open().unwrap();
    mini.server.refuse(503);
    assert!(matches!(mini.open().unwrap_err().downcast_ref(), Some(FetchError::Status { status: 503, .. })));
}
