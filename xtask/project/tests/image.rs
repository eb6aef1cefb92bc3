//! What the devices promise, held against their plan: milliseconds, without a build.

#[path = "../image/main.rs"]
#[expect(dead_code, reason = "a test has a main function of its own")]
mod image;

use bedplate::{Plan, Target, Volatile};

/// The plan of what is shipped.
fn device() -> Plan {
    image::example_device(&Target::default()).plan_named("example-device").unwrap()
}

#[test]
fn the_log_of_boots_survives_a_reboot() {
    assert_eq!(device().backing("/var/lib/boots"), Some("/local/persistent/var/lib/boots"));
}

#[test]
fn nobody_changes_the_root() {
    assert!(device().disk.root.verity.is_some());
    assert_eq!(device().volatile, Volatile::Overlay);
    assert!(device().dangers.is_empty(), "{:?}", device().dangers);
}

#[test]
fn strangers_reach_ssh_and_nothing_else() {
    let plan = device();
    let open = plan.listeners.iter().filter(|listener| listener.from_outside);
    let open: Vec<String> = open.map(|one| format!("{} {}", one.protocol, one.port)).collect();
    // The second one is for the answers of DHCP servers.
    assert_eq!(open, ["tcp 22", "udp 68"]);
}
