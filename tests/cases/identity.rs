//! Nothing of one machine in an image: keys, ids and databases that packages
//! make when they are configured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use bedplate::vm::guest::Guest;
use bedplate_formats::tree::Tree;

use crate::forge::Forged;
use crate::product::{self, all, built, machine, scratch, success};
use crate::root;
use crate::scene::{AGENT, Scene};

/// Paths that would be the same on every device.
const OF_ONE_MACHINE: [&str; 12] = [
    "etc/bind/rndc.key",
    "etc/dropbear/dropbear_rsa_host_key",
    "etc/dropbear/initramfs/dropbear_ed25519_host_key",
    "etc/iscsi/initiatorname.iscsi",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/popularity-contest.conf",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "var/lib/mysql/ibdata1",
    "var/lib/mysql/mysql",
    "var/lib/postgresql/17/main",
];

/// Cases 13, 14 and 25: no id, key or database of the build is in the image,
/// and a root that runs makes all of them.
#[test]
fn what_belongs_to_one_machine_is_made_by_the_device() {
    if !all() {
        return;
    }
    let out = built("cases", "identity");
    let tree = root::unpacked(&out, "identity");
    let there = OF_ONE_MACHINE.iter().filter(|path| tree.contains(&(**path).into()));
    assert_eq!(there.collect::<Vec<_>>(), [&""; 0]);
    assert_eq!(names_of_nothing(&tree), [""; 0]);

    let mut guest = machine(&out).quick().start().unwrap();
    let verify = "cd /usr/lib/systemd/system && systemd-analyze verify --man=no --recursive-errors=no \
                  ./bedplate-identity.service ./bedplate-mariadb.service ./bedplate-postgresql.service 2>&1";
    let verified = guest.run(verify).unwrap();
    assert_eq!((verified.code, verified.stdout.as_str()), (0, ""));
    // systemd breaks a cycle by leaving out any one of its jobs; what it did at its own start is in no journal of a container.
    let cycles = "systemd-analyze verify --man=no default.target 2>&1 | grep -i 'ordering cycle' || true";
    assert_eq!(guest.check(cycles).unwrap(), "");
    in_guest(&mut guest);
    what_is_written_to_a_database_stays(&mut guest);
}

/// The names by which OpenSSL finds certificates, where these are gone.
fn names_of_nothing(tree: &Tree) -> Vec<String> {
    let certificates = "etc/ssl/certs".into();
    let children = tree.children(&certificates).map(|(path, _)| path);
    children.filter(|path| tree.resolve(path).is_none()).map(ToString::to_string).collect()
}

/// What a device with these packages made at its start.
fn in_guest(guest: &mut Guest) {
    guest.wait_unit("bedplate-identity.service").unwrap();
    let stat = |path: &str| format!("stat -c '%a %U:%G' {path}");
    for (path, whose) in [
        ("/etc/nvme/hostid", "644 root:root"),
        ("/etc/bind/rndc.key", "640 bind:bind"),
        ("/etc/dropbear/dropbear_ed25519_host_key", "600 root:root"),
        ("/etc/ssl/private/ssl-cert-snakeoil.key", "640 root:ssl-cert"),
        ("/etc/ssl/certs/ssl-cert-snakeoil.pem", "644 root:root"),
    ] {
        assert_eq!(guest.check(&stat(path)).unwrap().trim(), whose, "{path}");
    }
    // The key and the certificate belong together, and the two names of the host do.
    let modulus = |what: &str| format!("openssl {what} -noout -modulus");
    let key = guest.check(&modulus("rsa -in /etc/ssl/private/ssl-cert-snakeoil.key")).unwrap();
    let certificate = guest.check(&modulus("x509 -in /etc/ssl/certs/ssl-cert-snakeoil.pem")).unwrap();
    assert_eq!(key, certificate);
    guest.check("grep -qF \"$(cat /etc/nvme/hostid)\" /etc/nvme/hostnqn").unwrap();

    // What is volatile is put there again as it was.
    let ids = "cat /etc/nvme/hostid /etc/bind/rndc.key";
    let before = guest.check(ids).unwrap();
    guest
        .check("rm /etc/nvme/hostid /etc/bind/rndc.key && systemctl restart bedplate-identity.service")
        .unwrap();
    assert_eq!(guest.check(ids).unwrap(), before);

    // The server finds its database and the key, and takes TLS.
    let ask = "systemctl start postgresql.service && i=0; \
               until runuser -u postgres -- psql -d postgres -Atc 'show ssl' 2>/dev/null; do \
               i=$((i+1)); [ $i -lt 60 ] || { journalctl -b -u 'postgresql@*' -u bedplate-postgresql --no-pager; exit 1; }; \
               sleep 1; done";
    assert_eq!(guest.check(ask).unwrap().trim(), "on");
}

/// A server's data directory is made by the device, once.
fn what_is_written_to_a_database_stays(guest: &mut Guest) {
    let asked = |guest: &mut Guest, query: &str| {
        let failed = "journalctl -b -u mariadb -u bedplate-mariadb --no-pager; exit 1";
        let script = format!("systemctl start mariadb.service && mariadb -Ne '{query}' || {{ {failed}; }}");
        guest.check(&script).unwrap().trim().to_owned()
    };
    let write =
        "create database kept; create table kept.kept (id int); insert into kept.kept values (1); select 1";
    assert_eq!(asked(guest, write), "1");
    assert_eq!(guest.check("ls -A /var/lib/mysql | grep bedplate || true").unwrap(), "");
    guest.reboot().unwrap();
    assert_eq!(asked(guest, "select id from kept.kept"), "1");
    let again = guest.check("journalctl -b -u bedplate-mariadb --no-pager -o cat").unwrap();
    assert!(!again.contains("Installing") && !again.contains("cannot"), "{again}");
}

/// Cases 13 and 14: two builds of one lock are the same bytes, with nothing but
/// the packages in the cache of the second.
#[test]
fn two_builds_of_packages_that_make_keys_are_the_same_bytes() {
    if !all() {
        return;
    }
    let here = built("cases", "identity");
    let scratch = tempfile::tempdir_in(scratch("identity-again")).unwrap();
    let (cache, out) = (scratch.path().join("cache"), scratch.path().join("out"));
    let lock = product::scratch("locks").join("identity.lock");
    let locked = product::locked(&lock);
    for package in locked.packages.iter().chain(&locked.tools) {
        let blob = Path::new("blobs").join(&package.sha256[..2]).join(&package.sha256);
        let (from, to) = (product::cache().join(&blob), cache.join(&blob));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // A package of the image may be one of the tools, too.
        if !to.exists() {
            success(
                Command::new("cp").args(["--preserve=timestamps,mode", "--reflink=auto"]).arg(from).arg(to),
            );
        }
    }
    let mut again = Command::new(product::example("cases"));
    again.current_dir(product::root()).env("NO_COLOR", "1").env("BEDPLATE_CACHE", &cache);
    again.args(["image", "identity", "--locked", "--offline", "--lock"]).arg(&lock);
    success(again.arg("--out").arg(&out));
    let (one, other) = (sums(&here), sums(&out));
    let differ: Vec<&String> = one.keys().filter(|name| one.get(*name) != other.get(*name)).collect();
    assert!(one.len() > 5 && differ.is_empty(), "these artifacts differ: {differ:?}");
    // Files of other owners go with the program that made them.
    success(Command::new(product::example("cases")).arg("clean").env("BEDPLATE_CACHE", &cache));
}

fn sums(directory: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(directory.join("image.SHA256SUMS")).unwrap();
    let lines = text.lines().map(|line| line.split_once(" *").unwrap());
    lines.map(|(sum, name)| (name.into(), sum.into())).collect()
}

/// Case O10: a vendor's package that makes a key, and one that notes who it is.
#[test]
fn a_vendors_package_that_makes_a_key_or_an_id_is_refused_by_name() {
    let said = refused(
        "#!/bin/sh\nset -e\nmkdir -p /etc/agent /var/lib/agent\n\
         printf -- '-----BEGIN PRIVATE KEY-----\\n%s\\n' \"$(head -c 32 /dev/urandom | base64)\" >/etc/agent/key\n\
         cat /proc/sys/kernel/random/uuid >/var/lib/agent/id\n\
         date --iso-8601=ns >/var/lib/agent/installed\necho steady >/var/lib/agent/steady\n",
    );
    for line in [
        "3 files belong to one machine, and are the same on every device:",
        "`/etc/agent/key`: a private key, by `agent`",
        "`/var/lib/agent/id`: another content in a second build, by `agent`",
        // The date of the build, or, on the day of the lock, another content.
        "`/var/lib/agent/installed`: ",
        "tests/support/vendor/main.rs:",
        ".dangerous_shared(\"/etc/agent/key\")",
    ] {
        assert!(said.contains(line), "no {line} in:\n{said}");
    }
    assert!(!said.contains("steady"), "{said}");
}

/// What the build says of the vendor's package with this `postinst`.
fn refused(postinst: &str) -> String {
    let scene = Scene::new();
    let deb = Forged::of("agent", "1", "amd64").script("postinst", postinst);
    scene.vendor.offer(AGENT, &deb.build());
    success(&mut scene.lock("signed"));
    let output = scene.image("signed", "out").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}
