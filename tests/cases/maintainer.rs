//! Maintainer scripts of the real world: what they call, print and ask.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use bedplate::disk::Disk;
use bedplate_formats::digest::hex;
use sha2::{Digest as _, Sha256};

use crate::forge::Forged;
use crate::product;
use crate::server::Server;

/// An image with a vendor's package, built.
struct Build {
    command: Command,
    out: PathBuf,
    _server: Server,
}

impl Build {
    fn of(image: &str, agent: Forged) -> Self {
        let agent = agent.build();
        let server = Server::start(BTreeMap::from([("/agent.deb".to_owned(), agent.clone())]));
        let directory = product::scratch("maintainer");
        let out = directory.join(image);
        let mut command = Command::new(product::example("cases"));
        command.current_dir(product::root()).env("NO_COLOR", "1").env_remove("COLUMNS");
        command.env("MAINTAINER_SHA256", hex(&Sha256::digest(&agent)));
        command.args(["image", image, "--out"]).arg(&out);
        command.arg("--lock").arg(directory.join(format!("{image}.lock")));
        command.arg("--mirror").arg(format!("https://vendor.example={}", server.base()));
        Self { command, out, _server: server }
    }

    fn disk(mut self) -> (Disk, PathBuf) {
        product::success(&mut self.command);
        (Disk::open(self.out.join("image.raw")).unwrap(), self.out)
    }
}

fn unit(wanted_by: &str) -> String {
    format!("[Service]\nExecStart=/usr/bin/agent\n[Install]\nWantedBy={wanted_by}\n")
}

/// Case 2.
#[test]
fn what_vendors_scripts_call_works_as_in_a_chroot() {
    let init = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: agent\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n\
        ### END INIT INFO\nstart-stop-daemon --start --exec /usr/bin/agent\n";
    let agent = Forged::of("agent", "1", "amd64")
        .control("Depends: adduser, libcap2-bin, procps, ucf\n")
        .script("postinst", include_str!("agent.postinst"))
        .file("/usr/lib/systemd/system/agent.service", 0o644, &unit("multi-user.target"))
        .file("/usr/lib/systemd/system/agent-early.service", 0o644, &unit("sysinit.target"))
        .file("/usr/lib/systemd/system/agent-late.service", 0o644, &unit("multi-user.target"))
        .file(
            "/usr/lib/systemd/system/agent.timer",
            0o644,
            "[Timer]\nOnBootSec=1h\n[Install]\nWantedBy=timers.target\n",
        )
        .file("/usr/lib/sysusers.d/agent.conf", 0o644, "u agent - \"the agent\"\n")
        .file("/usr/lib/tmpfiles.d/agent.conf", 0o644, "d /var/lib/agent 0750 agent agent\n")
        .file("/usr/share/agent/agent.conf", 0o644, "setting\n")
        .file("/etc/init.d/agent", 0o755, init)
        .file("/usr/bin/agent", 0o755, "#!/bin/sh\nexit 0\n");
    let (disk, _) = Build::of("maintainer-scripts", agent).disk();
    let root = disk.root().unwrap();
    let link = |path: &str| root.read_link(path).unwrap();
    let etc = "/etc/systemd/system";
    assert!(link(&format!("{etc}/multi-user.target.wants/agent.service")).ends_with("/agent.service"));
    assert!(
        link(&format!("{etc}/sysinit.target.wants/agent-early.service")).ends_with("/agent-early.service")
    );
    assert!(link(&format!("{etc}/timers.target.wants/agent.timer")).ends_with("/agent.timer"));
    assert_eq!(link(&format!("{etc}/old-agent.service")), "/dev/null");
    let late = format!("{etc}/multi-user.target.wants/agent-late.service");
    assert!(!root.exists(&late).unwrap());
    let passwd = root.text("/etc/passwd").unwrap();
    assert!(passwd.contains("\nagent:") && passwd.contains("\nagent-admin:"), "{passwd}");
    assert_eq!(root.text("/etc/agent.conf").unwrap(), "setting\n");
    assert_eq!(root.metadata("/var/lib/agent").unwrap().mode & 0o777, 0o750);
    assert!(!root.exists("/usr/sbin/policy-rc.d").unwrap(), "nothing of the build stays");
}
