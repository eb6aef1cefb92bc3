//! Descriptions that together have one of everything that makes a unit or a script.

use bedplate::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8HIMqRTQJ4mZkQ9yFdYc1lLTpEJoFfCQ7m6JZLkWfT operator@desk";

/// A device that persists all it can, one whose root is written to memory, one without a data partition, one that is
/// updated, and one that encrypts what it keeps.
pub fn images() -> [(&'static str, Image); 5] {
    [
        ("persistent", persistent()),
        ("memory", memory()),
        ("volatile", volatile()),
        ("updated", updated()),
        ("sealed", sealed()),
    ]
}

fn device() -> Image {
    Image::debian("trixie")
        .packages(["linux-image-amd64", "openssh-server"])
        .partition(Esp::new(MiB(320)))
        .partition(Root::new(Erofs).verity())
}

fn persistent() -> Image {
    device()
        .hostname("edge-{machine-id}")
        .partition(
            Data::new("cold-store", Ext4).mount("/srv/cold-store").size(MiB(64)).fixed().dangerous_makefs(),
        )
        .partition(Data::new("homes", Ext4).mount("/home").size(MiB(64)).fixed())
        .partition(Data::new("persistent", Ext4).mount("/mnt/my-data").dangerous_makefs())
        .volatile(Volatile::Persistent)
        .user(User::new("alice").administrator().login(Login::Key(KEY)))
        .user(User::new("bob").login(Login::Credential))
        .user(User::system("agent").uid(990))
        .bind(Bind::new("/var/lib/my-agent").owner("agent").mode(0o750).required_by("my-agent.service"))
        .bind(Bind::new("/etc/my-agent").seeded())
        .bind(Bind::new("/opt/programs").executable().empty())
        .bind(Bind::file("/etc/serial"))
        .dangerous_autologin()
}

fn memory() -> Image {
    device()
        .hostname("edge-{serial}")
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .volatile(Volatile::Overlay)
        .volatile_size(MiB(256))
        .user(User::new("alice").home("/home/alice"))
        .bind("/home")
}

fn volatile() -> Image {
    device().hostname("edge").volatile(Volatile::Overlay)
}

fn certificate() -> Certificate {
    Certificate::new("update.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
}

fn sealed() -> Image {
    device()
        .version("1.4.0")
        .partition(Data::new("cold-store", Ext4).mount("/srv/cold-store").size(MiB(64)).fixed())
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm.or_recovery(certificate())))
        .volatile(Volatile::Overlay)
        .updates(Updates::rauc("edge", certificate()))
        .secure_boot(SecureBoot::keys("keys").replaces_pcr_key())
}

fn updated() -> Image {
    device()
        .version("1.4.0")
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .volatile(Volatile::Overlay)
        .updates(
            Updates::rauc("edge", certificate())
                .healthy_when("docker.service")
                .asked_at("https://updates.example.com/edge.raucb"),
        )
}
