//! AWS IoT Greengrass, the nucleus lite: a few MB of memory, and no Java.

use bedplate::{Bind, Deb, Image, User, unit};

/// The nucleus lite, in the place of the classic one. It goes with
/// `agents::provisioning`, which lays its claim out.
///
/// AWS releases its package on the project's own pages, with a sha256 and
/// without a signature: `Deb::dangerous_unsigned(url, sha256)`, which the plan
/// tells, or `Deb::signed` with the key of whoever has looked at it.
pub fn greengrass_lite(image: Image, package: Deb) -> Image {
    let state = Bind::new("/var/lib/greengrass").owner("ggcore").group("ggcore").executable();
    image
        .deb(package)
        .user(User::system("ggcore").uid(992))
        .user(User::system("gg_component").uid(993))
        .bind(DAEMONS.into_iter().fold(state, |bind, unit| bind.required_by(unit)))
        .bind(Bind::new("/etc/greengrass").seeded())
        .enable("greengrass-lite.target")
        // Its units are wanted by the target once they are enabled, which its
        // package leaves to a running systemd. Which ones there are differs
        // from version to version: a unit that is wanted and not there is none.
        .file("/etc/systemd/system/greengrass-lite.target.d/50-units.conf", wants())
        // A deployment links a component's unit into /etc, which is forgotten;
        // the unit itself is kept.
        .unit(unit!("units/greengrass-lite-components.service"))
        .enable("greengrass-lite-components.service")
        // It connects as ggcore, so the claim is for that too.
        .file(
            "/etc/systemd/system/greengrass-claim.service.d/50-lite.conf",
            "[Service]\nGroup=ggcore\nUMask=0027\nRuntimeDirectoryMode=0750\n",
        )
}

const DAEMONS: [&str; 9] = [
    "ggl.aws.greengrass.TokenExchangeService.service",
    "ggl.core.gg-fleet-statusd.service",
    "ggl.core.ggconfigd.service",
    "ggl.core.ggdeploymentd.service",
    "ggl.core.gghealthd.service",
    "ggl.core.ggipcd.service",
    "ggl.core.ggpubsubd.service",
    "ggl.core.iotcored.service",
    "ggl.core.tesd.service",
];

const SOCKETS: [&str; 9] = [
    "ggl.aws_iot_mqtt.socket",
    "ggl.aws_iot_tes.socket",
    "ggl.gg-ipc.socket.socket",
    "ggl.gg_config.socket",
    "ggl.gg_deployment.socket",
    "ggl.gg_fleet_status.socket",
    "ggl.gg_health.socket",
    "ggl.gg_pubsub.socket",
    "ggl.ipc_component.socket",
];

fn wants() -> String {
    let wants = SOCKETS.iter().chain(&DAEMONS).map(|unit| format!("Wants={unit}\n"));
    format!("[Unit]\n{}", wants.collect::<String>())
}
