//! What starts before the root is of the description, too.

use bedplate::disk::Disk;
use bedplate_formats::cpio;

use crate::product::{self, agrees, built, cases, holds, kept, refused};

/// Case O8.
#[test]
fn a_second_kernel_is_refused_by_the_lock_at_the_lines_that_brought_both() {
    let said = refused(&mut cases(&["lock", "initrd-two-kernels"], "two-kernels.lock"));
    holds(
        &said,
        &[
            "error: there are 2 kernels, and an image boots one: `linux-image-",
            "--> tests/images/cases/main.rs:",
            "::: tests/images/cases/initrd.rs:",
            "help: remove `linux-image-amd64` or `linux-image-cloud-amd64`",
        ],
    );
    assert!(!kept("locks").join("two-kernels.lock").exists());
}

/// Case 30.
#[test]
fn a_module_that_no_kernel_has_is_refused_at_its_line() {
    let said = refused(&mut cases(&["image", "initrd-module"], "initrd-module.lock"));
    holds(
        &said,
        &[
            "error: there is no kernel module `overlai`; the nearest name is `overlay`",
            "--> tests/images/cases/initrd.rs:",
        ],
    );
}

/// Cases 12, 28 and 36.
#[test]
fn microcode_the_version_and_large_sectors_are_on_the_disk() {
    if !product::all() {
        return;
    }
    let out = built("cases", "everything");
    let disk = Disk::open(out.join("image.raw")).unwrap();
    assert_eq!(disk.sector_size(), Some(4096));
    let verify = ["sfdisk", "--sector-size", "4096", "--verify", "image.raw"];
    assert!(agrees(&out, &["fdisk"], &verify).contains("No errors detected."));
    agrees(&out, &["dosfstools"], &["fsck.vfat", "-n", "image.esp.raw"]);
    assert_eq!(disk.esp().unwrap().read_dir("EFI/Linux").unwrap(), ["everything_1.4.0.efi"]);
    let uki = disk.uki().unwrap();
    let microcode = cpio::read(&uki.section(".ucode").unwrap()).unwrap();
    for maker in ["AuthenticAMD", "GenuineIntel"] {
        let path = format!("kernel/x86/microcode/{maker}.bin");
        assert!(microcode.content(&path.as_str().into()).unwrap().len() > 10_000, "{maker}");
    }
    let release = uki.text(".osrel").unwrap();
    assert!(release.ends_with("IMAGE_ID=everything\nIMAGE_VERSION=1.4.0"), "{release}");
}
