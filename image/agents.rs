//! AWS's agents: each with its package, its users, what it must not lose, and
//! how a device is registered.
//!
//! An agent is one word, `.with(agents::greengrass)`. Beside it stands its
//! `_state`: the same without what comes from AWS, so that an agent that is
//! added later finds its place kept from the device's first day on. Its
//! `_from` takes the package from elsewhere: a mirror, a version of one's own.
//!
//! Credentials are handed in at provisioning, used once, and never in the
//! image. What belongs to a user on the data partition belongs to a number, so
//! every user has a fixed one: 990 and 991 here, 992 and 993 in `greengrass_lite.rs`.

use bedplate::{Architecture, Bind, Deb, Image, Key, Login, Target, User, unit};

/// What provisioning needs: its scripts, and the place for credentials that
/// are handed in as files of the data partition.
///
/// The credentials `greengrass.claim-certificate`, `greengrass.claim-key` and
/// `greengrass.config` lie in `/run/greengrass-claim`, for either nucleus,
/// until the device has a certificate of its own.
pub fn provisioning(image: Image) -> Image {
    image
        .overlay("overlay.agents")
        .bind(Bind::new("/etc/credstore").mode(0o700))
        .unit(unit!("units/greengrass-claim.service"))
        .unit(unit!("units/greengrass-claim-gone.path"))
        .unit(unit!("units/greengrass-claim-gone.service"))
        .enable("greengrass-claim.service")
        .enable("greengrass-claim-gone.path")
}

/// The SSM agent, from AWS.
pub fn ssm(image: Image, target: &Target) -> Image {
    let architecture = debian(target);
    let url = format!(
        "https://s3.amazonaws.com/ec2-downloads-windows/SSMAgent/latest/debian_{architecture}/amazon-ssm-agent.deb"
    );
    let key = Key::file("keys/amazon-ssm-agent.asc").pinned("1C5B395CBE5E74E2F1CA21592784DBF388D19D46");
    ssm_from(image, Deb::signed(url, key))
}

/// The SSM agent, started at boot, and the user of its sessions.
pub fn ssm_from(image: Image, package: Deb) -> Image {
    image
        .with(ssm_state)
        .deb(package)
        // Its package would do so under a running systemd only.
        .enable("amazon-ssm-agent.service")
        // Where there is none, the agent makes it at the first session, an
        // administrator, in memory, and again at each boot. Who becomes root on
        // a device is said in its description; and it has one number, always.
        .user(User::new("ssm-user").uid(1001).administrator().login(Login::Program))
}

/// The SSM agent's registration, its log, and the configuration it is
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

/// The CloudWatch agent, from AWS.
///
/// AWS keeps the newest version only: what the lock names must be in the
/// store, or on a mirror, once there is a newer one.
pub fn cloudwatch(image: Image, target: &Target) -> Image {
    let architecture = debian(target);
    let url = format!(
        "https://amazoncloudwatch-agent.s3.amazonaws.com/ubuntu/{architecture}/latest/amazon-cloudwatch-agent.deb"
    );
    let key = Key::url("https://amazoncloudwatch-agent.s3.amazonaws.com/assets/amazon-cloudwatch-agent.gpg")
        .pinned("937616F3450B7D806CBD9725D58167303B789C72");
    cloudwatch_from(image, Deb::signed(url, key))
}

/// The CloudWatch agent, started at boot.
pub fn cloudwatch_from(image: Image, package: Deb) -> Image {
    image.with(cloudwatch_state).deb(package).enable("amazon-cloudwatch-agent.service")
}

/// The CloudWatch agent's configuration, which it fetches and translates, its
/// log, and how far it has read each log file.
///
/// With `run_as_user` in its configuration it gives all of this to `cwagent`
/// when it starts, and works as that.
pub fn cloudwatch_state(image: Image) -> Image {
    image
        .user(User::system("cwagent").uid(990))
        .bind(Bind::new("/opt/aws/amazon-cloudwatch-agent/etc").seeded())
        .bind("/opt/aws/amazon-cloudwatch-agent/logs")
        .bind("/opt/aws/amazon-cloudwatch-agent/var")
}

/// AWS IoT Greengrass, version 2, the classic nucleus: all it needs, Java
/// among it. The nucleus itself is AWS's installer's to bring, or a backup's.
pub fn greengrass(image: Image) -> Image {
    image
        .with(greengrass_state)
        // 200 MB, and the nucleus is written in it; it starts components with sudo.
        .packages(["default-jre-headless", "sudo"])
        .user(User::system("ggc_user").own_group("ggc_group").uid(991))
}

/// What Greengrass writes, all of it below `/greengrass`, and its start, once
/// the nucleus is there.
pub fn greengrass_state(image: Image) -> Image {
    image
        // Components are programs, and lie in it.
        .bind(Bind::new("/greengrass").executable().required_by("greengrass.service"))
        .unit(unit!("units/greengrass.service"))
        .enable("greengrass.service")
}

/// Debian's word for the processor.
fn debian(target: &Target) -> &'static str {
    match target.architecture {
        Architecture::X86_64 => "amd64",
        Architecture::Aarch64 => "arm64",
    }
}
