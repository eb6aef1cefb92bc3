//! Small images, for tests that build often and tests that are to fail.

use std::process::ExitCode;

use bedplate::prelude::*;

fn main() -> ExitCode {
    bedplate::main(&[image!(small), image!(writable), image!(guarded), image!(typo), image!(mistaken)])
}

/// Right as far as a plan can tell, with a package that no archive has.
pub fn typo(target: &Target) -> Image {
    small(target).packages(["less", "systemd-timesincd"])
}

/// Wrong as far as a plan can tell.
pub fn mistaken(target: &Target) -> Image {
    small(target).bind("/var/lib/kept").hostname("-small-")
}

/// As few packages as boot, and one of everything a description can hold.
pub fn small(target: &Target) -> Image {
    smallest(target).volatile(Volatile::Overlay).volatile_size(MiB(64))
}

fn smallest(target: &Target) -> Image {
    let (kernel, console) = match target.architecture {
        Architecture::X86_64 => ("linux-image-cloud-amd64", "console=ttyS0,115200"),
        Architecture::Aarch64 => ("linux-image-cloud-arm64", "console=ttyAMA0,115200"),
    };
    Image::debian("trixie")
        .packages([kernel, "systemd-sysv", "systemd-boot"])
        .packages(["dbus", "dmsetup", "kmod"])
        .hostname("small-{machine-id}")
        .command_line(console)
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity().size(MiB(512)))
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(256)))
        .bind("/var/lib/kept")
        .bind(Bind::new("/etc/kept").seeded().required_by("needs-kept.service"))
        .bind(Bind::new("/opt/kept").mode(0o750).owner("nobody").group("nogroup").executable())
        .unit(unit!("needs-kept.service"))
        .enable("needs-kept.service")
        .overlay("overlay")
}

/// The same, with all that is written to its root kept.
pub fn writable(target: &Target) -> Image {
    smallest(target).volatile(Volatile::Persistent)
}

/// The same, with a door: one comes in by the key in `OPERATOR_KEY`, one by a credential.
pub fn guarded(target: &Target) -> Image {
    let image = versioned(small(target)).packages(["openssh-client", "libpam-systemd"]).hostname("{serial}");
    let visitor = User::new("visitor").login(Login::Credential);
    let image = image.user(User::new("caller").login(Login::Credential));
    let operator = User::new("operator").own_group("operators").administrator();
    match std::env::var("OPERATOR_KEY") {
        Ok(key) => image.user(operator.login(Login::Key(key.as_str()))).user(visitor),
        Err(_) => image.user(operator).user(visitor),
    }
}

/// The version in `IMAGE_VERSION`, in what every build brings, and in what a device takes over once.
fn versioned(image: Image) -> Image {
    match std::env::var("IMAGE_VERSION") {
        Ok(version) => image.file("/usr/lib/version", &version).file("/etc/kept/version", &version),
        Err(_) => image,
    }
}
