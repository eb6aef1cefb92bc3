//! What one machine has built, the next one takes from the cache that they share.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failures::workshop::{MAIN, Workshop};
use crate::product::{self, success};
use crate::python::Python;
use bedplate_fixtures::certificate::{SIGNER, public_pem};
use bedplate_fixtures::server::Server;
use bedplate_fixtures::user::{UID, User};

/// What `moto[server]` asks for beside has nothing to do with S3.
const MOTO: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// Builds an image as root, with this cache, and once more as an ordinary user who has nothing but the description, the
/// lock and the cache: no package, and no archive. Both have built the same. Returns what the user was told.
#[track_caller]
fn is_shared(cache: &[(&str, &str)]) -> String {
    let workshop = Workshop::without_layers("shared");
    let output =
        workshop.image().envs(cache.iter().copied()).env("BEDPLATE_REMOTE_CACHE_KEY", SIGNER).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("    Uploaded ") && !warns(&told), "{told}");

    let user = User::new();
    let project = user.home().join("project");
    let images = project.join("tests/images");
    fs::create_dir_all(&images).unwrap();
    success(Command::new("cp").arg("-R").arg(product::root().join("tests/images/small")).arg(images));
    fs::copy(workshop.lock(), project.join("the.lock")).unwrap();
    success(Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(&project));
    let out = user.home().join("out");
    let mut command = user.command(&user.install(&product::small_program()));
    command.args(["image", "small", "--locked", "--lock", "the.lock", "--out"]).arg(&out);
    command.arg("--mirror").arg(format!("{MAIN}=http://127.0.0.1:1")).current_dir(&project);
    command.env("CARGO_MANIFEST_DIR", &project).env("BEDPLATE_CACHE", user.home().join("cache"));
    command.env("NO_COLOR", "1").envs(cache.iter().copied());
    command
        .env("BEDPLATE_REMOTE_CACHE_PUBLIC_KEY", public_pem(SIGNER))
        .env("BEDPLATE_REMOTE_CACHE_READ_ONLY", "1");
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert_eq!(product::sums(&out), product::sums(&workshop.path("out")));
    let packages = fs::read_dir(user.home().join("cache/blobs")).unwrap();
    let packages = packages.flat_map(|directory| fs::read_dir(directory.unwrap().path()).unwrap());
    assert_eq!(packages.count(), 0, "{told}");
    told
}

/// Whether something was wrong with the cache.
fn warns(told: &str) -> bool {
    told.lines().any(|line| line.contains("warning") && line.contains("shared "))
}

#[test]
fn another_user_on_another_machine_takes_what_was_built() {
    if !product::all() {
        return;
    }
    let server = Server::start(BTreeMap::new());
    let told = is_shared(&[("BEDPLATE_REMOTE_CACHE", &format!("{}/team", server.base()))]);
    assert!(told.contains("      Shared ") && !warns(&told), "{told}");
    // Nothing was made anew: every question that the second one had was answered.
    let entries = server.files().into_keys().filter(|path| path.starts_with("/team/ac/")).count();
    let asked = server.requests().into_iter().filter(|request| request.starts_with("/team/ac/")).count();
    assert_eq!(asked, 2 * entries);
}

#[test]
fn a_bucket_is_a_cache() {
    if !product::all() {
        return;
    }
    let moto = Moto::start();
    let endpoint = format!("http://{}", moto.address);
    let variables = [
        ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret/+"),
        ("BEDPLATE_REMOTE_CACHE", "s3://bucket/the/team"),
    ];
    moto.put("/bucket");
    let told = is_shared(&variables);
    assert!(told.contains("from `s3://bucket/the/team`") && !warns(&told), "{told}");
}

/// A server of S3's protocol that others have written. It ends with the test.
struct Moto {
    process: Child,
    address: String,
}

impl Moto {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let python = Python::with("moto", &MOTO);
        let mut command = python.command(&["-m", "moto.server", "-H", "127.0.0.1", "-p"]);
        let process = command.arg(address.port().to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        let moto = Self { process: process.spawn().unwrap(), address: address.to_string() };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(120), "moto does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        moto
    }

    /// Makes a bucket.
    fn put(&self, path: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("PUT {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
