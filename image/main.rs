//! The devices this project builds, described.
//!
//! `cargo xtask image` turns the first one into a disk, `cargo xtask image
//! edge-debian` the second; `cargo xtask plan` shows what will be on it. What
//! is written here is all there is: nothing is configured anywhere else.

use std::process::ExitCode;

use bedplate::prelude::*;

pub mod agents;
mod docker;
#[allow(dead_code, reason = "for a device with little memory, in the place of `agents::greengrass`")]
pub mod greengrass_lite;
mod network;

fn main() -> ExitCode {
    bedplate::main(&[
        image!(edge),
        image!(edge_debian),
        image!(edge_debian_development),
        image!(edge_debian_sealed),
    ])
}

// ---- the images

/// Ubuntu 24.04 for edge devices that are managed from AWS.
pub fn edge(target: &Target) -> Image {
    edge_ubuntu(target)
        .with(|image| agents::ssm(image, target))
        .with(|image| agents::cloudwatch(image, target))
}

/// The same without what AWS signs.
pub fn edge_ubuntu(target: &Target) -> Image {
    device(Image::ubuntu("noble"), target)
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        .partition(persistent())
        .package("linux-generic-hwe-24.04")
        .package("linux-firmware")
        .package("docker-compose-v2")
        .with(network::netplan)
        .with(agents::greengrass)
        .with(|image| updated(image, "edge"))
}

/// The same device from Debian's archive, with nothing of AWS's in it: their
/// packages can be added later, and find their places kept.
pub fn edge_debian(target: &Target) -> Image {
    debian(target, persistent()).with(|image| updated(image, "edge-debian"))
}

/// The second one to develop with: never shipped, and its plan says so. Its
/// updates fit no device that is.
pub fn edge_debian_development(target: &Target) -> Image {
    debian(target, persistent()).with(|image| updated(image, "edge-debian-development")).with(development)
}

/// The second one for devices that strangers can take home: firmware starts
/// what you signed, and what is kept opens for that alone. Make the keys first:
/// `cargo xtask keys new image/keys/secure-boot`, and `docs/src/how-to/trust.md`.
pub fn edge_debian_sealed(target: &Target) -> Image {
    debian(target, persistent().encrypted(Tpm))
        .with(|image| updated(image, "edge-debian-sealed"))
        .secure_boot(SecureBoot::keys("keys/secure-boot"))
}

fn debian(target: &Target, persistent: Data) -> Image {
    // What is empty of partitions is written to each device, too. A kernel image has a quarter of the ESP: 25 MB of 34, on
    // arm64 50 of 67; the root has 405 of 671.
    let (kernel, esp) = match target.architecture {
        Architecture::X86_64 => ("linux-image-amd64", MiB(128)),
        Architecture::Aarch64 => ("linux-image-arm64", MiB(256)),
    };
    device(Image::debian("trixie"), target)
        .partition(Esp::new(esp))
        .partition(Root::new(Erofs).verity().size(MiB(640)))
        .partition(persistent.size(MiB(128)))
        .package(kernel)
        .packages(["docker-cli", "docker-compose"])
        .with(network::networkd)
        .with(agents::ssm_state)
        .with(agents::cloudwatch_state)
        .with(agents::greengrass_state)
}

/// What the devices have in common beside partitions, whose sizes are each
/// one's own.
fn device(image: Image, target: &Target) -> Image {
    image
        .hostname("edge-{machine-id}")
        // Programs may write anywhere; what is not kept is gone at the next boot.
        .volatile(Volatile::Overlay)
        .with(who_may_enter)
        .with(what_is_kept)
        .with(|image| consoles(image, target))
        .with(base)
        .overlay("overlay")
}

/// What is kept lies here; it grows to the end of the disk.
fn persistent() -> Data {
    Data::new("persistent", Ext4).mount("/local")
}

// ---- who may enter

/// One person, by ssh, with the keys that are handed to the device as the
/// credential `ssh.authorized_keys.operator`; until then, nobody. No password
/// opens anything. With the SSM agent, AWS lets in whom the account allows, as
/// `ssm-user`.
fn who_may_enter(image: Image) -> Image {
    // Debian has a group `operator` of its own already.
    let operator = User::new("operator").own_group("operators").uid(1000);
    image.user(operator.administrator().login(Login::Credential))
}

// ---- what a device remembers

/// Everything else is as in the image after each start. What an agent must not
/// lose is said with the agent, in `agents.rs`; who the device is (its machine
/// id, its ssh keys) is kept by itself.
fn what_is_kept(image: Image) -> Image {
    image
        // Images, containers and volumes.
        .with(docker::docker)
        // Credentials handed in as files, until they are used.
        .with(agents::provisioning)
        // What happened before the power went is what one wants to read.
        .bind("/var/log/journal")
        .file("/etc/systemd/journald.conf.d/60-kept.conf", "[Journal]\nSystemMaxUse=256M\n")
}

// ---- how a device is updated

/// Two slots. A device takes bundles for `compatible` that are signed with the
/// key of this certificate's authority (`keys/README.md`), when whoever manages
/// it calls `rauc install`; it asks nobody by itself. A version is good when
/// Docker runs: what the device is for is in containers.
fn updated(image: Image, compatible: &str) -> Image {
    let updates = Updates::rauc(compatible, certificate!("keys/update.pem")).healthy_when("docker.service");
    image.version(env!("CARGO_PKG_VERSION")).updates(updates)
}

// ---- what it is made of

/// Screen and serial line; systemd speaks on the last one.
fn consoles(image: Image, target: &Target) -> Image {
    let serial = match target.architecture {
        Architecture::X86_64 => "console=ttyS0,115200",
        Architecture::Aarch64 => "console=ttyAMA0,115200",
    };
    image.command_line("console=tty0").command_line(serial)
}

/// A small system with names, time, and a shell one can work in.
fn base(image: Image) -> Image {
    image
        .packages(["systemd-sysv", "systemd-boot", "systemd-resolved", "systemd-timesyncd"])
        .packages(["apparmor", "dbus", "kmod"])
        .packages(["apt", "ca-certificates", "locales", "lsb-release", "sudo", "tzdata"])
        .packages(["e2fsprogs", "fdisk", "dmsetup"])
        .packages(["iproute2", "iputils-ping", "bind9-host", "curl"])
        .packages(["bash-completion", "jq", "less", "procps", "unzip", "vim"])
        .enable("systemd-resolved.service")
        .enable("systemd-timesyncd.service")
}

/// What one wants on a device on one's desk, and on no other.
fn development(image: Image) -> Image {
    image.dangerous_autologin().packages(["gdb", "strace", "tcpdump"])
}
