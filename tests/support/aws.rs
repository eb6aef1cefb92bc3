//! Packages of AWS's agents as AWS lays them out, with daemons that read, write and log where theirs do.
//!
//! A test names the module `forge` beside this one.

#![allow(dead_code, reason = "each test binary uses its own part")]

use crate::forge::Forged;

/// A unit, two conffiles, a script that enables the unit
/// only where systemd runs. Its program and a conffile say the version.
pub fn ssm(version: &str) -> Vec<u8> {
    Forged::of("amazon-ssm-agent", &format!("{version}-1"), "amd64")
        .file("/usr/bin/amazon-ssm-agent", 0o755, &SSM.replace("VERSION", version))
        .file(
            "/lib/systemd/system/amazon-ssm-agent.service",
            0o644,
            "[Unit]\nDescription=amazon-ssm-agent\nAfter=network-online.target\n\n[Service]\nType=simple\n\
             ExecStart=/usr/bin/amazon-ssm-agent\nKillMode=process\nRestart=always\n\n\
             [Install]\nWantedBy=multi-user.target\n",
        )
        .conffile("/etc/amazon/ssm/amazon-ssm-agent.json", &configuration(version))
        // Without this member, `dpkg --audit` finds fault with a package.
        .script("md5sums", "")
        .conffile("/etc/amazon/ssm/seelog.xml", "<seelog type=\"adaptive\"/>\n")
        .script(
            "postinst",
            "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ]; then systemctl enable --now amazon-ssm-agent; fi\n",
        )
        .build()
}

/// The SSM agent's configuration as its package brings it.
pub fn configuration(version: &str) -> String {
    format!("{{\"Agent\": {{\"Region\": \"\", \"Version\": \"{version}\"}}}}\n")
}

const SSM: &str = r#"#!/bin/sh
set -eu
state=/var/lib/amazon/ssm
if [ "${1:-}" = -register ]; then
    echo "$*" >>$state/registrations
    dmidecode -t 1 >$state/fingerprint
    echo '{"ManagedInstanceID":"mi-0"}' >$state/registration
    exit 0
fi
grep -q Region /etc/amazon/ssm/amazon-ssm-agent.json
if [ -e $state/registration ]; then said=registered; else said=unregistered; fi
echo "VERSION started $said" >>/var/log/amazon/ssm/amazon-ssm-agent.log
exec sleep infinity
"#;

/// The unit in `/etc`, a directory for each purpose, and a user that it makes where there is none. With
/// `run_as_user` the daemon gives its directories to that, and works as it.
pub fn cloudwatch() -> Vec<u8> {
    let root = "/opt/aws/amazon-cloudwatch-agent";
    Forged::of("amazon-cloudwatch-agent", "1.300000.0-1", "amd64")
        .file(&format!("{root}/bin/start-amazon-cloudwatch-agent"), 0o755, CLOUDWATCH)
        .file(
            "/etc/systemd/system/amazon-cloudwatch-agent.service",
            0o644,
            &format!(
                "[Unit]\nDescription=Amazon CloudWatch Agent\nAfter=network.target\n\n[Service]\nType=simple\n\
                 ExecStart={root}/bin/start-amazon-cloudwatch-agent\nKillMode=process\nRestart=on-failure\n\n\
                 [Install]\nWantedBy=multi-user.target\n"
            ),
        )
        .conffile(&format!("{root}/etc/common-config.toml"), "# [credentials]\n")
        .script("md5sums", "")
        .script(
            "preinst",
            "#!/bin/sh\nset -e\nid cwagent >/dev/null 2>&1 || useradd -r -M cwagent -s /usr/sbin/nologin\n",
        )
        .directory(&format!("{root}/logs"), 0o755)
        .directory(&format!("{root}/var"), 0o755)
        .build()
}

const CLOUDWATCH: &str = r#"#!/bin/sh
set -eu
cd /opt/aws/amazon-cloudwatch-agent
cp etc/common-config.toml etc/amazon-cloudwatch-agent.toml
chown -R cwagent:cwagent etc logs var
exec setpriv --reuid cwagent --regid cwagent --init-groups sh -c '
    echo started >>logs/amazon-cloudwatch-agent.log
    echo 1 >>var/offset
    exec sleep infinity'
"#;

/// The nucleus lite: one of its daemons and sockets, the target that all are part of, and the users it makes where
/// there are none. Nothing is enabled where no systemd runs.
pub fn lite() -> Vec<u8> {
    let unit = |name: &str| format!("/usr/lib/systemd/system/{name}");
    Forged::of("aws-greengrass-lite", "2.3.0", "amd64")
        .file("/usr/bin/ggconfigd", 0o755, LITE)
        .file(&unit("greengrass-lite.target"), 0o644, "[Install]\nWantedBy=multi-user.target\n")
        .file(
            &unit("ggl.gg_config.socket"),
            0o644,
            "[Unit]\nPartOf=greengrass-lite.target\n\n\
             [Socket]\nListenStream=/run/greengrass/gg_config\nSocketUser=ggcore\nService=ggl.core.ggconfigd.service\n\n\
             [Install]\nWantedBy=greengrass-lite.target\n",
        )
        .file(
            &unit("ggl.core.ggconfigd.service"),
            0o644,
            "[Unit]\nPartOf=greengrass-lite.target\n\n\
             [Service]\nExecStart=/usr/bin/ggconfigd\nUser=ggcore\nGroup=ggcore\nWorkingDirectory=/var/lib/greengrass\n\n\
             [Install]\nWantedBy=greengrass-lite.target\n",
        )
        .conffile("/etc/greengrass/config.d/greengrass-lite.yaml", "services: {aws.greengrass.NucleusLite: {}}\n")
        .directory("/var/lib/greengrass", 0o755)
        .script("md5sums", "")
        .script(
            "postinst",
            "#!/bin/sh\nset -e\nfor name in ggcore gg_component; do\n    id $name >/dev/null 2>&1 || useradd -r $name\ndone\n\
             chown ggcore:ggcore /var/lib/greengrass\n\
             if [ -d /run/systemd/system ]; then systemctl enable --now greengrass-lite.target; fi\n",
        )
        .build()
}

const LITE: &str = r#"#!/bin/sh
set -eu
grep -q NucleusLite /etc/greengrass/config.d/greengrass-lite.yaml
echo "started by $(id -un)" >>config.db
exec sleep infinity
"#;
