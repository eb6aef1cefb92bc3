//! What starts before the root: the kernel, its arguments, the initrd, the disk.

use bedplate::prelude::*;

use crate::small;

/// A second kernel.
pub fn initrd_two_kernels(_: &Target) -> Image {
    small().package("linux-image-amd64")
}

/// A module that no kernel has.
pub fn initrd_module(_: &Target) -> Image {
    small().initrd_module("overlai")
}

/// What the shared device has of this kind: a disk of large sectors, too.
pub fn everything(image: Image) -> Image {
    image
        .version("1.4.0")
        .sector_size(4096)
        .component("non-free-firmware")
        .packages(["intel-microcode", "amd64-microcode"])
        .file("/etc/modprobe.d/overlay.conf", "options overlay metacopy=on\n")
        .command_line("hugepagesz=2M")
        .command_line("hugepages=2")
        .enable("fstrim.timer")
}
