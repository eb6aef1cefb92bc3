//! The built disk, started in QEMU, and asked from inside.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::product::{self, edge_debian, success, xtask};
use bedplate::vm::edit::MachineDisk;
use bedplate::vm::guest::Guest;

const GIB: u64 = 1 << 30;

/// One boot and one reboot that answer most questions, since each takes a minute
/// or two in emulation.
#[test]
fn a_device_is_verified_forgetful_and_keeps_what_it_was_told_to_keep() {
    let mut guest = product::machine(edge_debian()).size(8 * GIB).network().start().unwrap();
    guest.settle().unwrap();

    // The root: a tmpfs over a verified erofs.
    assert_eq!(guest.check("findmnt -no FSTYPE /").unwrap().trim(), "overlay");
    let status = guest.check("dmsetup status root").unwrap();
    assert!(status.trim().ends_with("verity V"), "the kernel has verified all it has read: {status}");
    assert_eq!(guest.check("lsblk -no FSTYPE /dev/mapper/root").unwrap().trim(), "erofs");
    guest.check("echo gone > /etc/forgotten").unwrap();

    // What lies below cannot be written.
    let write = guest.run("dd if=/dev/zero of=/dev/mapper/root bs=4096 count=1 conv=fsync").unwrap();
    assert_ne!(write.code, 0, "{}", write.stdout);
    let lower = guest
        .run("mkdir -p /run/lower && mount -t erofs /dev/mapper/root /run/lower && touch /run/lower/x")
        .unwrap();
    assert_ne!(lower.code, 0, "{}", lower.stdout);

    // The data partition: grown to the disk, and kept.
    assert_eq!(guest.check("findmnt -no FSTYPE /local").unwrap().trim(), "ext4");
    let size = product::room(&mut guest);
    assert!(size > 2 * GIB, "/local has {size} bytes on a disk of 8 GiB");
    guest.check("echo kept > /local/kept && sync").unwrap();

    // The second slot: made behind it, and nothing installed in it yet.
    let told = guest.check("cat /run/bedplate/update.json").unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["slot"], &told["second_slot"]), (&"a".into(), &true.into()), "{told}");

    // The binds: mounted from the data partition, and kept.
    let binds = ["/var/lib/docker", "/greengrass", "/etc/amazon/ssm", "/var/rauc"];
    for path in binds {
        let source = guest.check(&format!("findmnt -no SOURCE {path}")).unwrap();
        assert!(source.contains(&format!("[/persistent{path}]")), "{path} is mounted from {source}");
        guest.check(&format!("echo kept > {path}/kept && sync")).unwrap();
    }

    // AppArmor's profiles were compiled for this kernel: nothing was written since, and all are loaded.
    let compiled = guest.check("ls /var/cache/apparmor/*").unwrap().lines().count();
    assert!(compiled > 50, "{compiled} profiles");
    assert_eq!(guest.check("find /var/cache/apparmor -cmin -1440").unwrap(), "");
    let loaded = guest.check("wc -l < /sys/kernel/security/apparmor/profiles").unwrap();
    assert!(loaded.trim().parse::<usize>().unwrap() >= compiled, "{loaded} of {compiled} profiles");
    // As they are, and the package's way where they do not fit.
    let said = "journalctl --no-pager -o cat -u apparmor -g 'Restarting AppArmor'";
    assert_ne!(guest.run(said).unwrap().code, 0, "its text was read");
    guest
        .check(
            "mkdir /run/profiles && echo 'profile late /usr/bin/late {}' >/run/profiles/late && \
         mount --bind /run/profiles /etc/apparmor.d && mount -t tmpfs none /var/cache/apparmor && \
         systemctl restart apparmor && umount /etc/apparmor.d /var/cache/apparmor && \
         grep '^late ' /sys/kernel/security/apparmor/profiles",
        )
        .unwrap();
    guest.check(said).unwrap();

    // Docker: a container of the guest's own files.
    let import = "tar -C / -ch usr/bin/echo $(ldd /usr/bin/echo | grep -o '/lib[^ ]*') 2>/dev/null | docker import - local >/dev/null \
                  && docker run --rm --network none local /usr/bin/echo from a container";
    assert_eq!(guest.check(import).unwrap().trim(), "from a container");

    docker_is_bounded_and_composes(&mut guest);
    the_journal_is_bounded(&mut guest);
    network_and_time_are_right(&mut guest);
    the_kernel_and_the_units_are_hardened(&mut guest);
    only_what_was_asked_for_listens(&mut guest);

    guest.reboot().unwrap();
    guest.settle().unwrap();
    assert_ne!(guest.run("test -e /etc/forgotten").unwrap().code, 0, "/etc/forgotten survived a reboot");
    for path in ["/local", binds[0], binds[1], binds[2], binds[3]] {
        assert_eq!(guest.check(&format!("cat {path}/kept")).unwrap().trim(), "kept", "{path}");
    }
    assert_eq!(guest.check("docker image ls --format '{{.Repository}}'").unwrap().trim(), "local");
    assert_eq!(
        guest.check("docker ps -a --format '{{.Names}}' --filter name=bounded").unwrap().trim(),
        "bounded"
    );
    let vm = guest.power_off().unwrap();
    drop(vm);

    // Nothing of it reached the image.
    success(xtask().args(["verify", "edge-debian", "--out"]).arg(edge_debian()));
}

/// Of the image `local`, which the test has imported.
fn docker_is_bounded_and_composes(guest: &mut Guest) {
    guest.check("docker run --name bounded --network none local /usr/bin/echo x").unwrap();
    let log = guest.check("docker inspect -f '{{json .HostConfig.LogConfig}}' bounded").unwrap();
    for part in [r#""Type":"local""#, r#""max-size":"10m""#, r#""max-file":"3""#] {
        assert!(log.contains(part), "a container's log is bounded by {log}");
    }
    let compose = "mkdir -p /run/composed && cd /run/composed && printf '%s\\n' 'services:' '  one:' \
                   '    image: local' '    network_mode: none' '    command: [/usr/bin/echo, composed]' \
                   > compose.yaml && docker compose up --no-color 2>&1";
    let said = guest.check(compose).unwrap();
    assert!(said.contains("composed\n") && said.contains("exited with code 0"), "{said}");
}

/// What journald has understood of its configuration, on a partition of some GiB.
fn the_journal_is_bounded(guest: &mut Guest) {
    let said = guest.check("journalctl -b --no-pager -u systemd-journald -g 'System Journal'").unwrap();
    assert!(said.contains("(/var/log/journal/") && said.contains("max 256M"), "the journal takes {said}");
}

fn network_and_time_are_right(guest: &mut Guest) {
    // QEMU's own network hands out one address. Nothing in the boot waits for it.
    let addresses = "for second in $(seq 60); do ip -4 -o addr | grep -q 10.0.2.15 && break; sleep 1; done; \
                     ip -4 -o addr show";
    let addresses = guest.check(addresses).unwrap();
    assert!(addresses.contains("10.0.2.15/24"), "{addresses}");
    assert!(!addresses.contains("169.254."), "{addresses}");
    let holders = guest.run("grep -rlF 169.254.169.254 /etc /usr/lib/systemd/network").unwrap();
    assert_eq!(holders.stdout, "", "files of the network hold EC2's address");
    let resolver = guest.check("readlink -f /etc/resolv.conf").unwrap();
    assert_eq!(resolver.trim(), "/run/systemd/resolve/stub-resolv.conf");
    for unit in ["systemd-networkd", "systemd-resolved", "systemd-timesyncd"] {
        assert_eq!(guest.check(&format!("systemctl is-active {unit}")).unwrap().trim(), "active", "{unit}");
    }
}

/// From inside, and from another host: every port of TCP and of UDP.
fn only_what_was_asked_for_listens(guest: &mut Guest) {
    let sockets = guest.check("ss -Htuln | awk '{ print $1, $5 }' | sort -u").unwrap();
    let found: BTreeSet<String> = sockets
        .lines()
        .map(|line| {
            let ((protocol, _), (address, port)) =
                (line.split_once(' ').unwrap(), line.rsplit_once(':').unwrap());
            format!("{protocol} {port} {}", !address.contains(" 127.0.0."))
        })
        .collect();
    let plan = xtask().args(["plan", "edge-debian", "--json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    let planned =
        plan["listeners"].as_array().unwrap().iter().map(|one| {
            format!("{} {} {}", one["protocol"].as_str().unwrap(), one["port"], one["from_outside"])
        });
    assert_eq!(found, planned.collect(), "these listen:\n{sockets}");

    // Answers to closed ports are not to be counted out.
    let neighbour = "ip netns add outside && ip link add inside type veth peer name outside netns outside \
                     && ip addr add 192.0.2.1/24 dev inside && ip link set inside up \
                     && ip -n outside addr add 192.0.2.2/24 dev outside && ip -n outside link set outside up \
                     && sysctl -q net.ipv4.icmp_ratemask=0";
    guest.check(neighbour).unwrap();
    let scan = include_str!("edge/scan.pl");
    let found = guest
        .run_within(
            &format!("ip netns exec outside perl - 192.0.2.1 <<'END'\n{scan}\nEND"),
            Duration::from_secs(600),
        )
        .unwrap();
    assert_eq!((found.code, found.stdout.as_str()), (0, "tcp 22\n"), "what answers from outside");
    guest.check("ip netns delete outside").unwrap();
}

fn the_kernel_and_the_units_are_hardened(guest: &mut Guest) {
    let lockdown = guest.check("cat /sys/kernel/security/lockdown").unwrap();
    assert!(lockdown.contains("[integrity]"), "{lockdown}");
    assert_eq!(guest.check("cat /sys/module/module/parameters/sig_enforce").unwrap().trim(), "Y");
    assert_eq!(guest.check("cat /proc/sys/kernel/panic /proc/sys/kernel/panic_on_oops").unwrap(), "10\n1\n");
    // What systemd-sysctl made of every line of ours.
    let differing = "sed 's/ = / /' /usr/lib/sysctl.d/60-bedplate.conf | while read -r key value; do \
                     for file in /proc/sys/$(echo \"$key\" | tr . /); do \
                     test \"$(cat $file)\" = \"$value\" || echo \"$file\"; done; done";
    assert_eq!(guest.check(differing).unwrap(), "", "settings that are not in effect");
    assert_eq!(guest.check("systemctl show -P DefaultLimitCORE").unwrap().trim(), "0");

    // No exposure above 2.9 of 10, for any service of ours.
    let exposed = "cd /usr/lib/systemd/system && for unit in bedplate-*.service *-provision.service \
                   greengrass-claim*.service; do systemd-analyze security --offline=true --threshold=29 \
                   --no-pager ./$unit >/dev/null 2>&1 || echo $unit; done";
    assert_eq!(guest.check(exposed).unwrap(), "", "services that may do more than they need");
    // What others bring runs as they configure it, and no worse than today.
    are_exposed_at_most(guest, &EXPOSED);
}

/// Asks `systemd-analyze security` what each service may do, from 0 (nothing) to 10.
pub fn are_exposed_at_most(guest: &mut Guest, bounds: &[(&str, f32)]) {
    let of = |unit: &str| {
        let said = guest.check(&format!("systemd-analyze security --no-pager {unit} | tail -1")).unwrap();
        said.split_whitespace().find_map(|word| word.parse::<f32>().ok())
    };
    let found: Vec<_> = bounds.iter().map(|(unit, _)| *unit).map(of).collect();
    let holds = bounds.iter().zip(&found).all(|((_, most), found)| found.is_some_and(|found| found <= *most));
    assert!(holds, "at most {bounds:?}, and it is {found:?}");
}

/// The services that are there beside ours.
const EXPOSED: [(&str, f32); 11] = [
    ("containerd.service", 9.6),
    ("dbus.service", 9.5),
    ("docker.service", 9.6),
    ("rauc.service", 9.6),
    ("ssh.service", 9.6),
    ("systemd-journald.service", 4.9),
    ("systemd-logind.service", 4.9),
    ("systemd-networkd.service", 4.9),
    ("systemd-resolved.service", 4.9),
    ("systemd-timesyncd.service", 4.9),
    ("systemd-udevd.service", 7.4),
];

#[test]
fn a_flipped_byte_in_the_root_is_refused() {
    if !product::all() {
        return;
    }
    // The superblock of the erofs, which every mount reads.
    let flip = |disk: &MachineDisk| {
        let byte = disk.read("root-a", 1032, 1)?;
        disk.write("root-a", 1032, &[byte[0] ^ 1])
    };
    let vm = product::machine(edge_debian()).edit(flip).unwrap();
    let mut guest = vm.begin().unwrap();
    guest.wait_console("is corrupted", Duration::from_secs(300)).unwrap();
}

#[test]
fn the_other_root_file_systems_boot() {
    if !product::release() {
        return;
    }
    for kind in ["squashfs", "ext4"] {
        let mut guest = product::machine(&product::built("roots", kind)).start().unwrap();
        guest.settle().unwrap();
        let root = guest
            .check("findmnt -no FSTYPE /; lsblk -no FSTYPE /dev/mapper/root 2>/dev/null || true")
            .unwrap();
        assert!(root.contains(kind), "{root}");
        assert_eq!(guest.check("findmnt -no FSTYPE /local").unwrap().trim(), "ext4", "{kind}");
        // What is written to this root is kept; of one that forgets, the edge device is asked.
        if kind == "ext4" {
            guest.check("echo written > /etc/written && sync").unwrap();
            guest.reboot().unwrap();
            assert_eq!(guest.check("cat /etc/written").unwrap(), "written\n");
        }
    }
}
