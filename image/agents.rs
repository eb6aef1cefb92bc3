//! AWS's agents: what they must not lose, and how a device is registered.
//!
//! Their packages are not installed: an agent that is added finds its place
//! kept from the device's first day on, and is registered with credentials
//! that are handed in at provisioning, used once, and never in the image.

use bedplate::{Bind, Image, unit};

/// Where credentials lie that are handed in as files of the data partition.
pub fn credentials(image: Image) -> Image {
    image.bind(Bind::new("/etc/credstore").mode(0o700))
}

/// AWS IoT Greengrass, version 2, the classic nucleus, with all it writes
/// below `/greengrass`. It starts once the nucleus is there.
///
/// The credentials `greengrass.claim-certificate`, `greengrass.claim-key` and
/// `greengrass.config` lie in `/run/greengrass-claim` until the device has a
/// certificate of its own.
pub fn greengrass(image: Image) -> Image {
    image
        // Components are programs, and lie in it.
        .bind(Bind::new("/greengrass").executable().required_by("greengrass.service"))
        .unit(unit!("units/greengrass.service"))
        .unit(unit!("units/greengrass-claim.service"))
        .unit(unit!("units/greengrass-claim-gone.path"))
        .unit(unit!("units/greengrass-claim-gone.service"))
        .enable("greengrass.service")
        .enable("greengrass-claim.service")
        .enable("greengrass-claim-gone.path")
}

/// The SSM agent: its registration, its log, and the configuration it is
/// delivered with.
///
/// It is registered once, from the credentials `ssm.activation-code`,
/// `ssm.activation-id` and `ssm.region`. Its fingerprint of the hardware reads
/// what `dmidecode` prints; with another one the registration is void.
pub fn ssm(image: Image) -> Image {
    image
        .package("dmidecode")
        // The agent writes the scripts it is sent to a file here, and starts it.
        .bind(Bind::new("/var/lib/amazon/ssm").executable())
        .bind("/var/log/amazon/ssm")
        .bind(Bind::new("/etc/amazon/ssm").seeded())
        .unit(unit!("units/amazon-ssm-provision.service"))
        .enable("amazon-ssm-provision.service")
}

/// The CloudWatch agent: the configuration it fetches and translates, its log,
/// and how far it has read each log file.
pub fn cloudwatch(image: Image) -> Image {
    image
        .bind(Bind::new("/opt/aws/amazon-cloudwatch-agent/etc").seeded())
        .bind("/opt/aws/amazon-cloudwatch-agent/logs")
        .bind("/opt/aws/amazon-cloudwatch-agent/var")
}
