//! A small image that keeps one of everything, for tests of what is kept.

use std::process::ExitCode;

use bedplate::prelude::*;

fn main() -> ExitCode {
    bedplate::main(&[image!(keeper)])
}

/// A bind of every kind, a service that needs one of them, and a user with a fixed id.
pub fn keeper(_: &Target) -> Image {
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot"])
        .packages(["dbus", "dmsetup", "kmod", "systemd-timesyncd"])
        .hostname("keeper-{machine-id}")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity().size(MiB(512)))
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(256)))
        .volatile(Volatile::Overlay)
        .user(User::system("keeper").uid(990).group("systemd-journal"))
        .file("/etc/agent/config", "as shipped\n")
        .file("/etc/agent/template", "as shipped\n")
        .bind(Bind::new("/etc/agent").seeded())
        .bind(Bind::new("/var/lib/owned").mode(0o2750).owner("keeper").group("keeper"))
        .bind(Bind::new("/var/lib/plain").required_by("needy.service"))
        .bind(Bind::new("/opt/programs").executable())
        .bind(Bind::file("/etc/counter").mode(0o600))
        .bind(Bind::new("/var/log/journal").mode(0o2755).group("systemd-journal"))
        .unit(Unit::new("needy.service", NEEDY))
        .enable("needy.service")
}

const NEEDY: &str = "[Unit]\nDescription=Needs What Is Kept\n\n\
                     [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=touch /var/lib/plain/needed\n\n\
                     [Install]\nWantedBy=multi-user.target\n";
