//! Ubuntu's images, built from an archive of Ubuntu's shape, from its snapshot, by way of a proxy, and from a store
//! with no network at all: the same bytes each time.

#[path = "../images/ubuntu/main.rs"]
#[expect(dead_code, reason = "its program builds what is described in it")]
mod images;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::product;
use bedplate::lock::{Lock, LockFile};
use bedplate::report::Report;
use bedplate::source::{Access, Source};
use bedplate::{Architecture, Image, Target};
use bedplate_fixtures::aws;
use bedplate_fixtures::container;
use bedplate_fixtures::server::Server;
use bedplate_fixtures::ubuntu::{ARCHIVE, MOMENT, PORTS, SECURITY, Ubuntu};
use bedplate_fixtures::vendor::Vendor;
use tempfile::TempDir;

/// Ubuntu's archive and AWS's, a directory for what is built from them, and an empty store.
struct World {
    ubuntu: Ubuntu,
    vendor: Vendor,
    directory: TempDir,
    image: &'static str,
}

impl World {
    /// With the packages of the image, as its twin of Debian's has them.
    fn of(image: &'static str, twin: fn(&Target) -> Image) -> Self {
        let name = format!("{image}-twin");
        let lock = product::kept("locks").join(format!("{name}.lock"));
        product::success(ubuntu().args(["lock", &name, "--lock"]).arg(&lock));
        let lock = product::locked(&lock);
        let plan = twin(&Target::default()).plan_named(&name).unwrap();
        let source = Source::open(&plan, product::root().try_into().unwrap(), Access::default()).unwrap();
        source.fetch(&plan, lock.packages.iter().chain(&lock.tools), &Report::default()).unwrap();
        let packages: BTreeMap<_, _> =
            lock.packages.iter().chain(&lock.tools).map(|package| (&package.name, package)).collect();
        let packages: Vec<_> = packages.into_values().cloned().collect();

        let vendor = Vendor::start("http://vendor.example");
        vendor.offer("/amazon-ssm-agent.deb", &aws::ssm("3.3.0.0"));
        vendor.offer("/amazon-cloudwatch-agent.deb", &aws::cloudwatch());
        let directory = tempfile::tempdir_in(product::scratch("ubuntu")).unwrap();
        vendor.publish_key(directory.path());
        let ubuntu = Ubuntu::of(&packages);
        ubuntu.publish_key(directory.path());
        Self { ubuntu, vendor, directory, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A verb on the image, with an empty store that only this test has.
    fn run(&self, arguments: &[&str], lock: &str) -> Command {
        let mut command = ubuntu();
        command.env("BEDPLATE_CACHE", self.path("cache"));
        command.env("UBUNTU_KEY", self.path("ubuntu.asc")).env("VENDOR_KEY", self.path("vendor.asc"));
        command.env("VENDOR_FINGERPRINT", self.vendor.signer.fingerprint());
        command.args(arguments).arg(self.image).arg("--lock").arg(self.path(lock));
        command
    }

    /// The same with the servers in the places of the real ones.
    fn online(&self, arguments: &[&str], lock: &str) -> Command {
        let mut command = self.run(arguments, lock);
        for mirror in self.ubuntu.mirrors().into_iter().chain([self.vendor.mirror()]) {
            command.arg("--mirror").arg(mirror);
        }
        command
    }

    fn lock(&self, name: &str) -> Lock {
        product::locked(&self.path(name))
    }
}

fn ubuntu() -> Command {
    let mut command = Command::new(product::example("ubuntu"));
    command.current_dir(product::root()).env("NO_COLOR", "1").env_remove("COLUMNS");
    command
}

/// A lock that was made on a machine of the image's architecture gets the tools of this one's, and keeps the rest.
fn without_cross_tools(world: &World, text: &str) {
    let file = LockFile::parse(text).unwrap();
    let lock = Lock { cross_tools: Vec::new(), ..file.of(Architecture::Aarch64).unwrap().clone() };
    let native = file.with(Architecture::Aarch64, lock).render();
    fs::write(world.path("native.lock"), &native).unwrap();
    let mut locked = world.online(&["image"], "native.lock");
    let said = product::refused(locked.args(["--arch", "arm64", "--locked"]));
    product::holds(
        &said,
        &["has no tool `base-files` to build for arm64 on x86-64", "lock small --arch arm64"],
    );
    assert_eq!(fs::read_to_string(world.path("native.lock")).unwrap(), native);
    product::success(world.online(&["lock"], "native.lock").args(["--arch", "arm64"]));
    assert_eq!(fs::read_to_string(world.path("native.lock")).unwrap(), text);
}

#[test]
fn a_lock_names_the_pocket_and_the_origin_of_each_package() {
    let mut world = World::of("small", images::small_twin);
    product::success(&mut world.online(&["lock"], "image.lock"));
    let lock = world.lock("image.lock");
    for archive in &lock.archives {
        assert_eq!(
            (archive.origin.as_str(), &archive.signed_by),
            ("Ubuntu", &world.ubuntu.signer.fingerprint())
        );
    }
    for (name, pocket, base) in [
        ("tzdata", "updates", ARCHIVE),
        // Newer in the security pocket, and fixed there before it was copied into `-updates`.
        ("less", "security", SECURITY),
        ("unzip", "security", SECURITY),
        ("dbus", "release", ARCHIVE),
    ] {
        let package = lock.packages.iter().find(|package| package.name == name).unwrap();
        assert_eq!(package.pocket, pocket, "{name}");
        assert!(package.url.starts_with(&format!("{base}/pool/main/")), "{}", package.url);
    }
    let universe = lock.packages.iter().find(|package| package.name == "systemd-boot").unwrap();
    assert!(universe.url.contains("/pool/universe/"), "{}", universe.url);

    // The other architecture is locked into the same file, from ports, with this machine's apt.
    let before = fs::read_to_string(world.path("image.lock")).unwrap();
    product::success(world.online(&["lock"], "image.lock").args(["--arch", "arm64"]));
    let after = fs::read_to_string(world.path("image.lock")).unwrap();
    assert!(after.starts_with(before.trim_end()), "the lock of amd64 was touched");
    let file = LockFile::parse(&after).unwrap();
    let arm64 = file.of(Architecture::Aarch64).unwrap();
    assert_eq!(arm64.packages.len(), lock.packages.len());
    assert!(arm64.packages.iter().all(|package| package.url.starts_with(PORTS)));
    assert!(arm64.tools.iter().all(|package| package.architecture != "amd64"));
    // The programs that a build runs are this machine's, and so is the emulator.
    assert!(arm64.cross_tools.iter().all(|package| package.architecture != "arm64"));
    assert!(arm64.cross_tools.iter().all(|package| package.url.starts_with(&format!("{ARCHIVE}/pool/"))));
    let has = |name: &str| arm64.cross_tools.iter().any(|package| package.name == name);
    assert!(has("qemu-user-static") && has("e2fsprogs") && !has("systemd-boot-efi"));
    assert_eq!(file.of(Architecture::X86_64).unwrap().cross_tools, []);
    without_cross_tools(&world, &after);

    // A fix comes out.
    let less = lock.packages.iter().find(|package| package.name == "less").unwrap();
    let fixed = less.version.replace("ubuntu0.1", "ubuntu0.2");
    world.ubuntu.fix("less", &fixed);
    let said = product::success(world.online(&["lock"], "image.lock").arg("--update"));
    let line = said.lines().find(|line| line.contains("less")).unwrap();
    assert!(line.starts_with(&format!("~ less {} -> {fixed}, security update, ", less.version)), "{line}");
    assert!(said.contains("~ noble-security is 2 days newer"), "{said}");
}

#[test]
fn a_snapshot_is_taken_whole_and_not_before_it_is_a_day_old() {
    let world = World::of("small", images::small_twin);
    product::success(world.online(&["lock"], "snapshot.lock").env("UBUNTU_SNAPSHOT", MOMENT));
    // The live servers were not asked for anything, for the tools as little as for the image.
    for live in [&world.ubuntu.archive, &world.ubuntu.security, &world.ubuntu.ports] {
        assert_eq!(live.requests(), [""; 0]);
    }
    assert!(world.ubuntu.snapshots.requests().len() > 6);
    // The lock names no snapshot: it is the archive's files that are pinned.
    product::success(&mut world.online(&["lock"], "live.lock"));
    let packages = |name: &str| world.lock(name).packages;
    assert_eq!(packages("snapshot.lock"), packages("live.lock"));

    for (moment, age) in [("20990101T000000Z", "in the future"), (&yesterday(23), "less than 24 hours ago")] {
        let output = world.online(&["lock"], "young.lock").env("UBUNTU_SNAPSHOT", moment).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&format!("the snapshot `{moment}` is {age}, and can still change")), "{said}");
        assert!(flat.contains("images/ubuntu/main.rs:"), "{said}");
    }
    // Out, it is had from the store, and says so.
    world.ubuntu.snapshots.refuse(503);
    fs::remove_file(world.path("snapshot.lock")).unwrap();
    let output = world.online(&["lock"], "snapshot.lock").env("UBUNTU_SNAPSHOT", MOMENT).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("answers 503, after 4 attempts; taking what it answered before"), "{said}");
    assert_eq!(packages("snapshot.lock"), packages("live.lock"));
}

/// So many hours ago, as the snapshot service writes it.
fn yesterday(hours: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let text = bedplate::archive::date::format(i64::try_from(now).unwrap() - hours * 3600);
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    format!("{}T{}Z", &digits[..8], &digits[8..])
}

/// The artifacts' sums from the archive.
fn first(world: &World) -> BTreeMap<String, String> {
    let out = world.path("first");
    product::success(world.online(&["image"], "image.lock").arg("--out").arg(&out));
    product::sums(&out)
}

/// The same bytes from the archive's snapshot, and through a proxy.
fn snapshot_and_proxy(world: &World, first: &BTreeMap<String, String>) {
    let out = |name: &str| world.path(name);
    let mut frozen = world.online(&["image"], "snapshot.lock");
    product::success(frozen.env("UBUNTU_SNAPSHOT", MOMENT).arg("--out").arg(out("snapshot")));
    assert_eq!(&product::sums(&out("snapshot")), first, "the snapshot's image");

    // Nothing is asked for but what the lock names, and each once.
    let lock = world.lock("image.lock");
    let proxy = Server::start(BTreeMap::new());
    for (server, root, base) in [
        (&world.ubuntu.archive, "/ubuntu", ARCHIVE),
        (&world.ubuntu.security, "/ubuntu", SECURITY),
        (&world.vendor.server, "", "http://vendor.example"),
    ] {
        for (path, content) in server.files() {
            proxy.share(&format!("{base}{}", path.strip_prefix(root).unwrap()), &content);
        }
    }
    product::success(ubuntu().args(["clean", "--all"]).env("BEDPLATE_CACHE", world.path("cache")));
    let mut locked = world.run(&["image", "--locked"], "image.lock");
    for name in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "http_proxy", "NO_PROXY", "no_proxy"]
    {
        locked.env_remove(name);
    }
    product::success(locked.env("HTTP_PROXY", proxy.base()).arg("--out").arg(out("proxy")));
    assert_eq!(&product::sums(&out("proxy")), first, "the image by way of a proxy");
    let requests = proxy.requests();
    let asked: BTreeSet<&str> = requests.iter().map(String::as_str).collect();
    let named: BTreeSet<&str> =
        lock.packages.iter().chain(&lock.tools).map(|package| package.url.as_str()).collect();
    assert_eq!(asked, named);
    assert_eq!(requests.len(), named.len(), "something was asked for twice");
}

/// The same bytes from a directory that was brought along, in a container without privileges, in which no other test
/// builds an image of Ubuntu's. There is no network: not even a loopback address, nor a resolver; and nothing is in the
/// cache.
fn alone(world: &World, first: &BTreeMap<String, String>) -> PathBuf {
    let out = world.path("alone");
    let carried = world.path("carried");
    product::success(&mut world.online(&["vendor", carried.to_str().unwrap()], "image.lock"));
    let check =
        Command::new("sha256sum").args(["--quiet", "--check", "SHA256SUMS"]).current_dir(&carried).status();
    assert!(check.unwrap().success());
    product::success(ubuntu().args(["clean", "--all"]).env("BEDPLATE_CACHE", world.path("cache")));
    let mut build = world.run(&["image", "--locked", "--offline"], "image.lock");
    let said = product::refused(&mut build);
    product::holds(&said, &["name a directory with all of it by `--store DIR`"]);
    build.arg("--store").arg(&carried);
    let alone = container::shut_in_with(&mut build, container::DOCKER, true);
    product::success(alone.arg("--out").arg(&out));
    assert_eq!(&product::sums(&out), first, "the image of what was brought along");
    out
}

#[test]
fn a_small_image_is_the_same_from_the_archive_a_snapshot_a_proxy_and_the_store() {
    if !product::all() {
        return;
    }
    let world = World::of("small", images::small_twin);
    let first = first(&world);
    snapshot_and_proxy(&world, &first);
    alone(&world, &first);
}

#[test]
fn the_edge_device_is_the_same_without_a_network_and_boots() {
    if !product::all() {
        return;
    }
    let world = World::of("edge", images::edge_twin);
    let out = alone(&world, &first(&world));
    let lock = world.lock("image.lock");
    let pocket =
        |name: &str| lock.packages.iter().find(|package| package.name == name).unwrap().pocket.clone();
    assert_eq!(["amazon-ssm-agent", "docker-compose-v2"].map(pocket), ["vendor", "release"]);

    if !product::release() {
        return;
    }
    let mut guest = product::machine(&out).memory(3072).start().unwrap();
    guest.settle().unwrap();
    assert!(guest.check("cat /etc/os-release").unwrap().contains("VERSION_CODENAME=noble"));
    // The modules are Ubuntu's: outside of `/usr`, a package of their own, compressed with zstd.
    guest.check("test -n \"$(find /usr/lib/modules -name '*.ko.zst' -print -quit)\"").unwrap();
    guest.check("grep -q ^overlay /proc/modules").unwrap();
    guest.check("docker compose version").unwrap();
    for unit in ["docker", "amazon-ssm-agent", "amazon-cloudwatch-agent"] {
        guest.wait_unit(unit).unwrap();
    }
}
