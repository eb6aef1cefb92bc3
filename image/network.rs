//! A network: every wired interface asks for an address, by what the distribution configures it with.
//!
//! One of the two, never both: each would answer for the same interfaces. No
//! address of 169.254.0.0/16 in either: EC2 answers there, and nobody else.
//! A device without its network starts all the same, and at once.

use bedplate::Image;

/// By netplan, which Ubuntu prefers: it writes networkd's configuration at boot.
pub fn netplan(image: Image) -> Image {
    // netplan warns of a file that others may read: it may hold a Wi-Fi's password. This one holds none.
    image.package("netplan.io").private_file("/etc/netplan/80-wired.yaml", NETPLAN).with(networkd_itself)
}

/// By networkd itself, as Debian has it.
pub fn networkd(image: Image) -> Image {
    image.file("/etc/systemd/network/80-wired.network", NETWORKD).with(networkd_itself)
}

fn networkd_itself(image: Image) -> Image {
    image.enable("systemd-networkd.service").mask("systemd-networkd-wait-online.service")
}

const NETPLAN: &str = "\
network:
  version: 2
  renderer: networkd
  ethernets:
    wired:
      match:
        name: \"e*\"
      dhcp4: true
      dhcp6: true
      optional: true
      link-local: [ipv6]
";

const NETWORKD: &str = "\
[Match]
Name=en* eth*

[Link]
RequiredForOnline=no

[Network]
DHCP=yes
LinkLocalAddressing=ipv6
";
