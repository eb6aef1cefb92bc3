//! Keys, ids and databases that packages make when they are configured: the device makes its own.

use bedplate::vm::guest::Guest;
use bedplate_formats::tree::Tree;

use crate::product::{all, built, machine};
use crate::unpacked;

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
    let tree = unpacked::unpacked(&out, "identity");
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
    made_at_the_start(&mut guest);
    what_is_written_to_a_database_stays(&mut guest);
}

/// The names by which OpenSSL finds certificates, where these are gone.
fn names_of_nothing(tree: &Tree) -> Vec<String> {
    let certificates = "etc/ssl/certs".into();
    let children = tree.children(&certificates).map(|(path, _)| path);
    children.filter(|path| tree.resolve(path).is_none()).map(ToString::to_string).collect()
}

/// What a device with these packages made at its start.
fn made_at_the_start(guest: &mut Guest) {
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
