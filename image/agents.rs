//! AWS's agents: the directories they must not lose.
//!
//! Their packages are not installed yet; a device keeps the directories from
//! its first day on, so that an agent that is added later finds its place.

use bedplate::{Bind, Image};

/// AWS IoT Greengrass, version 2, the classic nucleus: all of it.
pub fn greengrass(image: Image) -> Image {
    image.bind("/greengrass")
}

/// The SSM agent: the registration, and the configuration it is delivered with.
pub fn ssm(image: Image) -> Image {
    image.bind("/var/lib/amazon/ssm").bind(Bind::new("/etc/amazon/ssm").seeded())
}

/// The CloudWatch agent: the configuration it fetches and translates.
pub fn cloudwatch(image: Image) -> Image {
    image.bind(Bind::new("/opt/aws/amazon-cloudwatch-agent/etc").seeded())
}
