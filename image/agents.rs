//! AWS's agents: their packages, what they must not lose, and how a device is
//! registered.
//!
//! Credentials are handed in at provisioning, used once, and never in the
//! image. Where a package comes from is apart from what it must keep, so that a
//! mirror or a test can bring it another way: an agent that is added later
//! finds its place kept from the device's first day on.

use bedplate::{Architecture, Bind, Deb, Image, Key, Target, unit};

/// What provisioning needs: its scripts, and the place for credentials that
/// are handed in as files of the data partition.
pub fn provisioning(image: Image) -> Image {
    image.overlay("agents").bind(Bind::new("/etc/credstore").mode(0o700))
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

/// The SSM agent's package, from AWS, signed; started at boot.
pub fn ssm_package(image: Image, target: &Target) -> Image {
    let architecture = debian(target);
    let url = format!(
        "https://s3.amazonaws.com/ec2-downloads-windows/SSMAgent/latest/debian_{architecture}/amazon-ssm-agent.deb"
    );
    let key = Key::file("keys/amazon-ssm-agent.asc").pinned("1C5B395CBE5E74E2F1CA21592784DBF388D19D46");
    // Its package would do so under a running systemd only.
    image.deb(Deb::signed(url, key)).enable("amazon-ssm-agent.service")
}

/// The SSM agent: its registration, its log, and the configuration it is
/// delivered with.
///
/// It is registered once, from the credentials `ssm.activation-code`,
/// `ssm.activation-id` and `ssm.region`. Its fingerprint of the hardware reads
/// what `dmidecode` prints; with another one the registration is void.
pub fn ssm_state(image: Image) -> Image {
    image
        .package("dmidecode")
        // The agent writes the scripts it is sent to a file here, and starts it.
        .bind(Bind::new("/var/lib/amazon/ssm").executable().required_by("amazon-ssm-agent.service"))
        .bind("/var/log/amazon/ssm")
        .bind(Bind::new("/etc/amazon/ssm").seeded())
        .unit(unit!("units/amazon-ssm-provision.service"))
        .enable("amazon-ssm-provision.service")
}

/// The CloudWatch agent's package, from AWS, signed; started at boot.
///
/// AWS keeps the newest version only: what the lock names must be in the
/// store, or on a mirror, once there is a newer one.
pub fn cloudwatch_package(image: Image, target: &Target) -> Image {
    let architecture = debian(target);
    let url = format!(
        "https://amazoncloudwatch-agent.s3.amazonaws.com/ubuntu/{architecture}/latest/amazon-cloudwatch-agent.deb"
    );
    let key = Key::url("https://amazoncloudwatch-agent.s3.amazonaws.com/assets/amazon-cloudwatch-agent.gpg")
        .pinned("937616F3450B7D806CBD9725D58167303B789C72");
    image.deb(Deb::signed(url, key)).enable("amazon-cloudwatch-agent.service")
}

/// The CloudWatch agent: the configuration it fetches and translates, its log,
/// and how far it has read each log file.
pub fn cloudwatch_state(image: Image) -> Image {
    image
        .bind(Bind::new("/opt/aws/amazon-cloudwatch-agent/etc").seeded())
        .bind("/opt/aws/amazon-cloudwatch-agent/logs")
        .bind("/opt/aws/amazon-cloudwatch-agent/var")
}

/// Debian's word for the processor.
fn debian(target: &Target) -> &'static str {
    match target.architecture {
        Architecture::X86_64 => "amd64",
        Architecture::Aarch64 => "arm64",
    }
}
