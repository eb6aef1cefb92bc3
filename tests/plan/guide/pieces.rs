//! The pieces of descriptions in the guide and in the README, which quote them. Each is planned on a device.

use bedplate::prelude::*;

/// What a piece is given.
pub enum Start {
    /// A whole device.
    Device,
    /// One without a data partition.
    System,
}

/// A piece of a description.
type Piece = fn(Image) -> Image;

/// Every piece, with what it starts from.
pub const PIECES: &[(Start, Piece)] = &[
    (Start::Device, updates),
    (Start::System, encrypted),
    (Start::System, sealed),
    (Start::System, replaces_pcr_key),
    (Start::Device, package_file),
    (Start::Device, package_file_of_the_architecture),
    (Start::Device, signed_package),
    (Start::Device, repository),
    (Start::Device, kernel_of_backports),
    (Start::Device, kernel_file),
    (Start::Device, serial_lines),
    (Start::Device, autologin),
    (Start::Device, debug_shell),
];

fn updates(image: Image) -> Image {
    image
        .version("1.4.0")
        .updates(Updates::rauc("edge", certificate!("keys/update.pem")).healthy_when("docker.service"))
}

fn encrypted(image: Image) -> Image {
    image
        .secure_boot(SecureBoot::keys("keys/secure-boot"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))
}

fn sealed(image: Image) -> Image {
    image
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))
}

fn replaces_pcr_key(image: Image) -> Image {
    image
        .secure_boot(SecureBoot::keys("keys").replaces_pcr_key())
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))
}

fn package_file(image: Image) -> Image {
    image.deb(Deb::file("debs/agent_1.4.0_amd64.deb"))
}

fn package_file_of_the_architecture(image: Image) -> Image {
    let target = &Target::default();
    let architecture = target.architecture.deb();
    image.deb(Deb::file(&format!("debs/agent_1.4.0_{architecture}.deb")))
}

fn signed_package(image: Image) -> Image {
    let key = Key::file("keys/vendor.asc").pinned("937616F3450B7D806CBD9725D58167303B789C72");
    let agent = Deb::signed("https://vendor.example/agent.deb", key)
        .signature("https://vendor.example/agent.deb.asc");
    image.deb(agent)
}

fn repository(image: Image) -> Image {
    let docker = Repository::signed(
        "https://download.docker.com/linux/debian",
        "trixie",
        ["stable"],
        Key::file("keys/docker.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88"),
    );
    image.repository(docker).package("docker-ce")
}

fn kernel_of_backports(image: Image) -> Image {
    image.suite("trixie-backports").package(Package::new("linux-image-amd64").from("trixie-backports"))
}

fn kernel_file(_: Image) -> Image {
    Image::debian("trixie")
        .deb(Deb::file("debs/linux-image-6.12.57-edge_6.12.57-1_amd64.deb"))
        .package("linux-image-6.12.57-edge")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
}

fn serial_lines(image: Image) -> Image {
    image
        .command_line("console=ttyS1,115200")
        .command_line("earlycon")
        .command_line("systemd.journald.forward_to_console=1")
}

fn autologin(image: Image) -> Image {
    image.dangerous_autologin()
}

fn debug_shell(image: Image) -> Image {
    image.dangerous_command_line("systemd.debug_shell=ttyS0")
}
