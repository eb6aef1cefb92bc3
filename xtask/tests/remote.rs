//! The shared cache: what one machine has made the next one takes, whatever the server does, and from nobody but the
//! team.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bedplate::fetch::login::Logins;
use bedplate::fetch::remote::{Amount, RemoteCache, Settings};
use bedplate::fetch::{Fetcher, Item, Patience, Silent, Subject};
use bedplate::store::Store;
use bedplate::value::Sha256;
use expect_test::expect;
use sha2::Digest as _;
use tempfile::TempDir;

use bedplate_fixtures::certificate::{OTHER, SIGNER, public_pem};
use bedplate_fixtures::server::{Reply, Server};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NAME: &str = "system-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A build machine, which has nothing at first.
struct Machine {
    _directory: TempDir,
    store: Store,
    remote: Arc<RemoteCache>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Machine {
    /// One that uses the server with these variables.
    fn new(server: &Server, variables: &[(&str, &str)]) -> Self {
        Self::with(&format!("{}/team", server.base()), variables, Logins::default())
    }

    fn with(address: &str, variables: &[(&str, &str)], logins: Logins) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(&directory.path().join("cache")).unwrap();
        let settings = settings(address, variables).unwrap().unwrap();
        let told = Arc::<Mutex<Vec<String>>>::default();
        let notice = {
            let told = told.clone();
            Box::new(move |text: &str| told.lock().unwrap().push(text.to_owned()))
        };
        let wait = Duration::from_millis(700);
        let patience = Patience { connect: wait, progress: wait, backoff: Duration::ZERO, attempts: 1 };
        let remote = Arc::new(RemoteCache::new(settings, &store, logins, patience, notice));
        Self { _directory: directory, store: store.exchanging(remote.clone()), remote, told }
    }

    /// One that puts there what it makes.
    fn writer(server: &Server) -> Self {
        Self::new(server, &[("KEY", SIGNER)])
    }

    /// One that only reads, and believes the writer, and the key that the team has next.
    fn reader(server: &Server) -> Self {
        let keys = public_pem(OTHER) + &public_pem(SIGNER);
        Self::new(server, &[("PUBLIC_KEY", &keys), ("READ_ONLY", "1")])
    }

    /// Has an entry; whether it had to be made.
    fn has(&self, kind: &str) -> bool {
        let mut made = false;
        let layer = self
            .store
            .layer_or_make(kind, KEY, |directory| {
                made = true;
                fill(directory, kind);
                Ok(())
            })
            .unwrap();
        assert_eq!(fs::read_to_string(layer.join("root/etc/name")).unwrap(), kind);
        assert_eq!(layer.join("root/etc/name").metadata().unwrap().nlink(), 2);
        assert_eq!(layer.join("root/etc").metadata().unwrap().mtime(), 1_700_000_000);
        made
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

fn fill(directory: &Path, kind: &str) {
    let etc = directory.join("root/etc");
    fs::create_dir_all(&etc).unwrap();
    fs::write(etc.join("name"), kind).unwrap();
    fs::hard_link(etc.join("name"), etc.join("other")).unwrap();
    // Bytes that cannot be packed.
    let bytes = (0..100_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    fs::write(directory.join("log"), bytes.collect::<Vec<u8>>()).unwrap();
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::open(etc).unwrap().set_modified(time).unwrap();
}

/// Settings from variables without their common beginning, and from AWS's.
fn settings(address: &str, variables: &[(&str, &str)]) -> anyhow::Result<Option<Settings>> {
    let whole = |name: &str| match name.starts_with("AWS_") {
        true => name.to_owned(),
        false => format!("BEDPLATE_REMOTE_CACHE_{name}"),
    };
    let known: BTreeMap<String, OsString> = variables
        .iter()
        .map(|(name, value)| (whole(name), OsString::from(value)))
        .chain([("BEDPLATE_REMOTE_CACHE".to_owned(), OsString::from(address))])
        .collect();
    Settings::read(&|name| known.get(name).cloned())
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    Sha256::of(sha2::Sha256::digest(bytes).into()).to_string()
}

/// Where the statement of an entry is.
fn statement(name: &str) -> String {
    format!("/team/ac/{}", digest(name))
}

/// A server with the entry `system` in it, and where its content is.
fn warm() -> (Server, String) {
    let server = Server::start(BTreeMap::new());
    let writer = Machine::writer(&server);
    assert!(writer.has("system"));
    assert_eq!(writer.remote.upload().files, 1);
    let content = server.files().into_keys().find(|path| path.starts_with("/team/cas/")).unwrap();
    (server, content)
}

#[test]
fn what_one_machine_has_made_the_next_one_takes() {
    let (server, content) = warm();
    let sent = server.files();
    let paths: Vec<&str> = sent.keys().map(String::as_str).collect();
    assert_eq!(paths, [&statement(NAME), &content]);
    assert_eq!(content, format!("/team/cas/{}", digest(&**sent[&content])));
    let text = String::from_utf8(sent[&statement(NAME)].to_vec()).unwrap();
    let size = sent[&content].len();
    let head =
        format!("bedplate cache entry v1\nname {NAME}\nsha256 {}\nsize {size}\nsignature ", &content[10..]);
    assert!(text.starts_with(&head), "{text}");
    // The content first: an entry is there when its statement is.
    let puts: Vec<String> = server.requests().into_iter().filter(|asked| asked.starts_with("PUT")).collect();
    assert_eq!(puts, [format!("PUT {content}"), format!("PUT {}", statement(NAME))]);

    let reader = Machine::reader(&server);
    assert!(!reader.has("system"));
    assert_eq!(reader.remote.taken(), Amount { files: 1, bytes: size as u64 });
    // It is there once, and not a second time as it came.
    assert_eq!(fs::read_dir(reader.store.root().join("partial")).unwrap().count(), 0);
    assert!(reader.store.path(&content[10..].parse().unwrap()).is_none());
    // What the cache has not is made, and a reader keeps it.
    assert!(reader.has("initrd"));
    assert_eq!(reader.remote.upload(), Amount::default());
    assert_eq!(server.files(), sent);
    assert_eq!(reader.told(), [""; 0]);
}

/// A machine that meets a server like this, which must cost no build and little time, and what it says. It asks no
/// second time.
#[track_caller]
fn leaves_out(server: &Server) -> (Machine, String) {
    let machine = Machine::writer(server);
    let started = Instant::now();
    assert!(machine.has("system"));
    let asked = server.requests().len();
    assert!(machine.has("initrd"));
    assert_eq!(server.requests().len(), asked, "asked again");
    assert!(started.elapsed() < Duration::from_secs(5));
    let told = machine.told().join("\n").replace(&server.base(), "[server]");
    let told = told.strip_prefix("the shared cache `[server]/team` is left out of this run: ");
    let told = told.unwrap_or_else(|| panic!("it is not left out"));
    let told = told.replace("what it has for `system-0123456789abcdef` is damaged", "[damaged]");
    (machine, told)
}

#[test]
fn a_server_that_is_out_is_left_out() {
    let (server, content) = warm();
    let statement = statement(NAME);
    let script = |path: &str, reply: Reply, expected: expect_test::Expect| {
        server.script(path, [reply]);
        let (machine, told) = leaves_out(&server);
        expected.assert_eq(&told);
        let before = server.requests();
        assert_eq!(machine.remote.upload(), Amount::default());
        assert_eq!(server.requests(), before, "sent to a server that is out");
    };
    script(&statement, Reply::Silence, expect!["no answer in time"]);
    script(&statement, Reply::Status(500), expect!["it answers 500"]);
    script(&content, Reply::Status(503), expect!["it answers 503"]);
    script(&content, Reply::Cut(1000), expect!["the connection was closed early"]);
    script(&content, Reply::Stall(1000), expect!["no answer in time"]);
    script(&content, Reply::Drip, expect!["it sends or takes less than 1.0 MB a second"]);
    script(
        &statement,
        Reply::Status(403),
        expect![
            "it answers 403; put `machine [server] login NAME password PASSWORD` into `~/.netrc`, a file of `/etc/apt/auth.conf.d`, or the variable `BEDPLATE_LOGINS`"
        ],
    );
    script(&statement, Reply::Elsewhere("http://127.0.0.1:1/".to_owned()), expect!["connection refused"]);
    let nobody = Machine::with("http://127.0.0.1:1/team", &[("KEY", SIGNER)], Logins::default());
    assert!(nobody.has("system"));
    expect!["the shared cache `http://127.0.0.1:1/team` is left out of this run: connection refused"]
        .assert_eq(&nobody.told().join("\n"));
    // Round and round.
    server.script(&statement, vec![Reply::Elsewhere(statement.clone()); 20]);
    expect!["too many redirects"].assert_eq(&leaves_out(&server).1);
}

#[test]
fn what_nobody_of_the_team_has_signed_is_not_taken_and_replaced() {
    let (server, content) = warm();
    let (ours, whole) = (server.files()[&statement(NAME)].clone(), server.files()[&content].clone());
    let other = {
        let writer = Machine::writer(&server);
        assert!(writer.has("initrd"));
        writer.remote.upload();
        server.files()[&statement(&NAME.replace("system", "initrd"))].clone()
    };
    let text = String::from_utf8(ours.to_vec()).unwrap();
    let forged = {
        let stranger = Server::start(BTreeMap::new());
        let writer = Machine::new(&stranger, &[("KEY", OTHER)]);
        assert!(writer.has("system"));
        writer.remote.upload();
        stranger.files()[&statement(NAME)].clone()
    };
    let unsigned = text.split("signature").next().unwrap().to_owned();
    let resized = text.replace("\nsize ", "\nsize 1");
    let check = |path: &str, bytes: &[u8], expected: expect_test::Expect| {
        server.put(path, bytes);
        let (machine, told) = leaves_out(&server);
        let told = told.replace(&content[10..], "[expected]").replace(&digest(bytes), "[found]");
        let told = told.replace(&whole.len().to_string(), "[size]");
        expected.assert_eq(&told.replace(&(whole.len() - 1).to_string(), "[less]"));
        // Who may replaces it with what it has made itself.
        assert_eq!(machine.remote.upload().files, 1);
        assert!(!Machine::reader(&server).has("system"));
        server.put(&statement(NAME), &ours);
        server.put(&content, &whole);
    };
    check(&statement(NAME), &forged, expect!["[damaged]: it is signed by none of the team's keys"]);
    check(&statement(NAME), &other, expect!["[damaged]: it is `initrd-0123456789abcdef`, another entry"]);
    check(
        &statement(NAME),
        resized.as_bytes(),
        expect!["[damaged]: it is signed by none of the team's keys"],
    );
    check(&statement(NAME), unsigned.as_bytes(), expect!["[damaged]: its statement is malformed"]);
    check(&statement(NAME), b"\xff\0signature ", expect!["[damaged]: its statement is malformed"]);
    check(&statement(NAME), b"<html>Please log in", expect!["[damaged]: its statement is malformed"]);
    check(&statement(NAME), &vec![b'x'; 100_000], expect!["[damaged]: it has more than 16384 bytes"]);
    check(&content, &[&whole[..], b"more"].concat(), expect!["[damaged]: it has more than [size] bytes"]);
    check(&content, &whole[..whole.len() - 1], expect!["[damaged]: it has [less] bytes instead of [size]"]);
    let mut flipped = whole.to_vec();
    flipped[500] ^= 1;
    check(&content, &flipped, expect!["[damaged]: its sha256 is `[found]` instead of `[expected]`"]);
}

#[test]
fn an_entry_that_a_server_has_forgotten_in_part_is_made_again() {
    let (server, content) = warm();
    server.remove(&content);
    let writer = Machine::writer(&server);
    assert!(writer.has("system"));
    assert_eq!(writer.remote.upload().files, 1);
    assert_eq!(writer.told(), [""; 0]);
    assert!(!Machine::reader(&server).has("system"));
}

#[test]
fn a_server_that_takes_nothing_fails_nothing() {
    let server = Server::start(BTreeMap::new());
    let refused = |reply: Reply, expected: expect_test::Expect| {
        let writer = Machine::writer(&server);
        assert!(writer.has("system") && writer.has("initrd"));
        server.always(reply);
        assert_eq!(writer.remote.upload(), Amount::default());
        server.refuse(None);
        let told = writer.told().join("\n").replace(&server.base(), "[server]");
        let told = told.strip_prefix("cannot put anything into the shared cache `[server]/team`: ").unwrap();
        expected.assert_eq(told.strip_suffix("; the build is not affected").unwrap());
        assert!(server.files().is_empty(), "something half is there");
    };
    refused(
        Reply::Status(403),
        expect![
            "it answers 403; put `machine [server] login NAME password PASSWORD` into `~/.netrc`, a file of `/etc/apt/auth.conf.d`, or the variable `BEDPLATE_LOGINS`"
        ],
    );
    refused(Reply::Status(409), expect!["it answers 409; its directories `ac` and `cas` have to be there"]);
    refused(Reply::Status(507), expect!["it answers 507"]);
    refused(Reply::Silence, expect!["no answer in time"]);
    refused(Reply::Elsewhere("/elsewhere".to_owned()), expect!["it answers 307"]);
}

#[test]
fn a_command_that_does_not_sign_is_asked_once() {
    let server = Server::start(BTreeMap::new());
    let public = public_pem(SIGNER);
    let writer = Machine::new(&server, &[("SIGN_COMMAND", "false"), ("PUBLIC_KEY", &public)]);
    assert!(writer.has("system") && writer.has("initrd"));
    assert_eq!(writer.remote.upload(), Amount::default());
    assert!(server.files().is_empty());
    expect!["`system-0123456789abcdef` is not put into the shared cache: the signing command `false` failed: exit status: 1"].assert_eq(&writer.told().join("\n"));
}

#[test]
fn without_a_key_packages_alone_are_shared() {
    let server = Server::start(BTreeMap::new());
    let keyless = Machine::new(&server, &[]);
    assert!(keyless.has("system"));
    assert_eq!(keyless.remote.upload(), Amount::default());
    assert_eq!(server.requests(), [""; 0]);
    let told = |machine: &Machine| machine.told().join("\n").replace(&server.base(), "[server]");
    expect!["packages alone are shared over `[server]/team`: `BEDPLATE_REMOTE_CACHE_PUBLIC_KEY` is not set"]
        .assert_eq(&told(&keyless));
    let reader = Machine::new(&server, &[("PUBLIC_KEY", &public_pem(SIGNER))]);
    assert!(reader.has("system"));
    assert!(reader.has("initrd"));
    assert_eq!(reader.remote.upload(), Amount::default());
    assert!(server.files().is_empty());
    expect!["packages alone are shared over `[server]/team`: `BEDPLATE_REMOTE_CACHE_KEY` is not set"]
        .assert_eq(&told(&reader));
}

#[test]
fn a_package_is_taken_from_the_cache_by_its_digest_and_put_there_when_it_is_not() {
    let (shared, archive) = (Server::start(BTreeMap::new()), Server::start(BTreeMap::new()));
    let content = b"!<arch>\nthe package".to_vec();
    archive.put("/pool/agent.deb", &content);
    let item = Item {
        subject: Subject::Package { name: "agent".to_owned(), version: "1".to_owned() },
        url: format!("{}/pool/agent.deb", archive.base()),
        query: None,
        sha256: digest(&content).parse().unwrap(),
        size: content.len() as u64,
    };
    let path = format!("/team/cas/{}", item.sha256);
    let fetch = |variables: &[(&str, &str)]| {
        let machine = Machine::new(&shared, variables);
        let fetcher = Fetcher::new(&machine.store).remote(Some(machine.remote.clone()));
        fetcher.fetch(std::slice::from_ref(&item), &Silent).unwrap();
        assert_eq!(fs::read(machine.store.path(&item.sha256).unwrap()).unwrap(), content);
        machine
    };
    // A reader puts nothing there, and anybody else does, with a key or without.
    fetch(&[("READ_ONLY", "1")]).remote.upload();
    assert!(shared.files().is_empty());
    assert_eq!(fetch(&[]).remote.upload(), Amount { files: 1, bytes: item.size });
    assert_eq!(*shared.files()[&path], content);
    assert_eq!(archive.requests().len(), 2);
    let third = fetch(&[]);
    assert_eq!((third.remote.taken().files, third.remote.upload().files), (1, 0));
    assert_eq!(archive.requests().len(), 2);
    // What is not the package is told, not used, and replaced.
    shared.put(&path, b"!<arch>\nother bytes");
    let fourth = fetch(&[]);
    let told = fourth.told().join("\n").replace(&shared.base(), "[server]");
    expect!["the shared cache `[server]/team` is left out of this run: what it has for `agent` version `1` is damaged: its sha256 is `416af9014954fa054fc1b2282a3e3c175018d1cda2d6f73ddf3f6c85d425b865` instead of `984c4711562438e6faff8a4862936668ab2ea6820a712e8ec90c054b17d9b477`"].assert_eq(&told);
    assert_eq!(fourth.remote.upload().files, 1);
    assert_eq!(*shared.files()[&path], content);
}

#[test]
fn a_login_goes_to_the_server_and_is_in_no_message() {
    let server = Server::start(BTreeMap::new());
    server.demand("Basic YWxpY2U6czNjcmV0");
    let logins = |password: &str| {
        Logins::parse(&format!("machine {}/team/ login alice password {password}", server.base()), "netrc")
    };
    let address = format!("{}/team/", server.base());
    let machine = Machine::with(&address, &[("KEY", SIGNER)], logins("s3cret"));
    assert!(machine.has("system"));
    assert_eq!(machine.remote.upload().files, 1);
    assert_eq!(machine.told(), [""; 0]);
    let machine = Machine::with(&address, &[("KEY", SIGNER)], logins("wr0ng"));
    assert!(machine.has("system"));
    expect!["the shared cache `[server]/team` is left out of this run: it answers 401; the login in `netrc` is refused: correct its line for `[server]`"].assert_eq(&machine.told().join("\n").replace(&server.base(), "[server]"));
}

#[test]
fn a_bucket_is_asked_with_the_credentials_of_the_container() {
    let server = Server::start(BTreeMap::new());
    let handed =
        r#"{"AccessKeyId": "AKIA1", "SecretAccessKey": "s3cret", "Token": "t0ken", "Expiration": "…"}"#;
    let container = Server::start(BTreeMap::from([("/me".to_owned(), handed.as_bytes().to_vec())]));
    let (base, credentials) = (server.base(), format!("{}/me", container.base()));
    let mut variables = vec![
        ("KEY", SIGNER),
        ("AWS_ENDPOINT_URL", &base),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &credentials),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "between us"),
    ];
    let machine = Machine::with("s3://bucket/team/", &variables, Logins::default());
    assert!(machine.has("system"));
    assert_eq!(machine.remote.upload().files, 1);
    let asked = server.requests();
    assert_eq!(
        (container.requests(), container.logins()),
        (vec!["/me".to_owned()], vec!["between us".to_owned()])
    );
    let path = format!("/bucket{}?", statement(NAME));
    assert_eq!(asked.len(), 3);
    assert!(asked[0].starts_with(&path) && asked[0].contains("Security-Token=t0ken&"), "{}", asked[0]);
    assert!(asked[0].contains("us-east-1%2Fs3%2Faws4_request"), "{}", asked[0]);
    assert!(asked[1].starts_with("PUT /bucket/team/cas/") && asked[2].starts_with(&format!("PUT {path}")));

    // What is signed is in no message.
    server.refuse(403);
    let machine = Machine::with("s3://bucket/team", &variables, Logins::default());
    assert!(machine.has("system"));
    expect!["the shared cache `s3://bucket/team` is left out of this run: it answers 403; the role has to be allowed `s3:GetObject` and `s3:ListBucket`, and `s3:PutObject` to put something there"].assert_eq(&machine.told().join("\n"));
    container.put("/me", b"{}");
    let machine = Machine::with("s3://bucket/team", &variables, Logins::default());
    assert!(machine.has("system"));
    expect!["the shared cache `s3://bucket/team` is left out of this run: the container's service hands out no credentials: its answer is something else"].assert_eq(&machine.told().join("\n"));
    variables.retain(|(name, _)| !name.starts_with("AWS_CONTAINER"));
    let machine = Machine::with("s3://bucket/team", &variables, Logins::default());
    assert!(machine.has("system"));
    expect!["the shared cache `s3://bucket/team` is left out of this run: there are no credentials: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, for example by `aws configure export-credentials --format env`"].assert_eq(&machine.told().join("\n"));
}

#[test]
fn settings_that_do_not_fit_are_told_before_anything_is_built() {
    let refused = |address: &str, variables: &[(&str, &str)], expected: expect_test::Expect| {
        let error = settings(address, variables).unwrap_err();
        expected.assert_eq(&format!("{error:#}"));
    };
    let https = "https://cache.example.com";
    refused(
        "cache.example.com",
        &[],
        expect![
            "invalid `BEDPLATE_REMOTE_CACHE` `cache.example.com`: give `https://HOST/PATH` or `s3://BUCKET/PREFIX`"
        ],
    );
    refused(
        "ftp://cache.example.com",
        &[],
        expect![
            "invalid `BEDPLATE_REMOTE_CACHE` `ftp://cache.example.com`: give `https://HOST/PATH` or `s3://BUCKET/PREFIX`"
        ],
    );
    refused(
        "http://cache.example.com/team",
        &[],
        expect![
            "invalid `BEDPLATE_REMOTE_CACHE` `http://cache.example.com/team`: on the way there everybody could read along; `http://` is for loopback and private networks, use `https://`"
        ],
    );
    refused(
        "https://alice:s3cret@cache.example.com",
        &[],
        expect![
            "invalid `BEDPLATE_REMOTE_CACHE`: the address has a login in it; put it into `BEDPLATE_LOGINS`, as `machine HOST login NAME password PASSWORD`"
        ],
    );
    refused(
        "https://cache.example.com/?a=b",
        &[],
        expect![
            "invalid `BEDPLATE_REMOTE_CACHE` `https://cache.example.com/?a=b`: give `https://HOST/PATH` or `s3://BUCKET/PREFIX`"
        ],
    );
    refused(
        "s3://bucket/prefix",
        &[],
        expect!["`BEDPLATE_REMOTE_CACHE` is a bucket, and `AWS_REGION` does not say of which region"],
    );
    refused(
        https,
        &[("READ_ONLY", "yes")],
        expect!["invalid `BEDPLATE_REMOTE_CACHE_READ_ONLY` `yes`: give `1` or `0`"],
    );
    refused(
        https,
        &[("KEY", "/nowhere/cache.key")],
        expect![
            "cannot read `/nowhere/cache.key`, which `BEDPLATE_REMOTE_CACHE_KEY` names: No such file or directory (os error 2)"
        ],
    );
    refused(
        https,
        &[("KEY", &public_pem(SIGNER))],
        expect!["invalid private key in `BEDPLATE_REMOTE_CACHE_KEY`: it has no PEM block `PRIVATE KEY`"],
    );
    refused(
        https,
        &[("PUBLIC_KEY", SIGNER)],
        expect!["invalid public key in `BEDPLATE_REMOTE_CACHE_PUBLIC_KEY`: it has no PEM block `PUBLIC KEY`"],
    );
    refused(
        https,
        &[("KEY", SIGNER), ("PUBLIC_KEY", &public_pem(OTHER))],
        expect![
            "what `BEDPLATE_REMOTE_CACHE_KEY` signs would be refused: the public half of the key is not in `BEDPLATE_REMOTE_CACHE_PUBLIC_KEY`"
        ],
    );
    refused(
        https,
        &[("KEY", SIGNER), ("SIGN_COMMAND", "sign")],
        expect![
            "`BEDPLATE_REMOTE_CACHE_KEY` and `BEDPLATE_REMOTE_CACHE_SIGN_COMMAND` both sign: set one of them"
        ],
    );
    refused(
        https,
        &[("SIGN_COMMAND", "sign")],
        expect![
            "`BEDPLATE_REMOTE_CACHE_SIGN_COMMAND` signs, and `BEDPLATE_REMOTE_CACHE_PUBLIC_KEY` does not name its public key"
        ],
    );
    // A build service hands empty variables to those that may not see what is in them.
    assert!(settings("", &[]).unwrap().is_none());
    assert!(settings(https, &[("KEY", ""), ("PUBLIC_KEY", ""), ("READ_ONLY", "")]).unwrap().is_some());
    // Who only reads needs no private key, not even a right one.
    assert!(settings(https, &[("KEY", "-----BEGIN nothing"), ("READ_ONLY", "1")]).unwrap().is_some());
}
