//! A device that gets the next version of its image, as an update puts it there: the root, its hash tree and the
//! kernel are others, and the device is the same.

use crate::product::{self, built_with, machine};
use bedplate::vm::guest::Guest;

/// What a device is known by, and what it keeps.
fn itself(guest: &mut Guest) -> [String; 4] {
    let keys = "cat /var/lib/bedplate/ssh/ssh_host_*_key.pub";
    let kept = "cat /etc/kept/setting /etc/kept/version /var/lib/kept/data";
    ["cat /etc/machine-id", "hostname", keys, kept].map(|ask| guest.check(ask).unwrap())
}

#[test]
fn a_device_stays_itself_over_an_update_of_its_image() {
    if !product::all() {
        return;
    }
    let [old, new] = ["1", "2"].map(|version| {
        built_with("small", "guarded", &format!("guarded-{version}"), &[("IMAGE_VERSION", version)])
    });
    let mut guest = machine(&old).start().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("cat /usr/lib/version").unwrap(), "1");
    guest.check("echo changed >/etc/kept/setting; echo mine >/var/lib/kept/data; sync").unwrap();
    let before = itself(&mut guest);
    assert_eq!(before[3], "changed\n1mine\n");

    let mut data = String::new();
    let vm = guest.power_off().unwrap().edit(|disk| {
        data = disk.digest("persistent")?;
        let root = disk.digest("root-x86-64")?;
        disk.update(&new)?;
        assert_ne!(disk.digest("root-x86-64")?, root, "the two versions are one");
        assert_eq!(disk.digest("persistent")?, data, "an update wrote to what is kept");
        Ok(())
    });
    let mut guest = vm.unwrap().start().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("cat /usr/lib/version").unwrap(), "2");
    assert!(guest.check("dmsetup status root").unwrap().trim().ends_with("verity V"));
    // What was seeded once is the device's own: not even an update touches it.
    assert_eq!(itself(&mut guest), before);
}
