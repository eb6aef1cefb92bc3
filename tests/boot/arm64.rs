//! A device with another processor than the machine that built its image.

use crate::product::{all, small_arm64};
use bedplate::vm::Vm;

/// Firmware, boot loader, stub, kernel, initrd and root of an arm64 image, one boot and one reboot: emulated wherever
/// this machine is another one.
#[test]
fn an_arm64_image_is_verified_forgetful_and_keeps_what_it_was_told_to_keep() {
    if !all() {
        return;
    }
    let mut guest = Vm::new(&small_arm64().join("image.raw")).image("edge-debian").start().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("uname -m; dpkg --print-architecture").unwrap(), "aarch64\narm64\n");
    let status = guest.check("dmsetup status root").unwrap();
    assert!(status.trim().ends_with("verity V"), "the kernel has verified all it has read: {status}");
    assert_eq!(guest.check("findmnt -no FSTYPE /").unwrap().trim(), "overlay");
    let kept = guest.check("findmnt -no SOURCE /var/lib/kept").unwrap();
    assert!(kept.contains("[/persistent/var/lib/kept]"), "{kept}");
    guest.check("test -c /dev/tpm0 && test -d /sys/firmware/efi").unwrap();
    guest.check("echo gone >/etc/forgotten; echo kept >/var/lib/kept/kept; sync").unwrap();
    let machine = guest.check("cat /etc/machine-id").unwrap();

    guest.reboot().unwrap();
    guest.settle().unwrap();
    assert_ne!(guest.run("test -e /etc/forgotten").unwrap().code, 0, "/etc/forgotten survived a reboot");
    assert_eq!(guest.check("cat /var/lib/kept/kept").unwrap(), "kept\n");
    assert_eq!(guest.check("cat /etc/machine-id").unwrap(), machine);
    guest.power_off().unwrap();
}
