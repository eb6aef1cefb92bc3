//! Maintainer scripts of the real world: what they call, print and ask.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bedplate::disk::Disk;
use bedplate_formats::digest::hex;
use expect_test::{Expect, expect};
use sha2::{Digest as _, Sha256};

use crate::product;
use bedplate_fixtures::deb::DebBuilder;
use bedplate_fixtures::server::Server;

/// An image with a vendor's package, built.
struct Build {
    command: Command,
    out: PathBuf,
    _server: Server,
}

impl Build {
    fn of(image: &str, agent: DebBuilder) -> Self {
        Self::named(image, image, agent)
    }

    /// The same in a directory of its own.
    fn named(image: &str, name: &str, agent: DebBuilder) -> Self {
        let agent = agent.build();
        let server = Server::start(BTreeMap::from([("/agent.deb".to_owned(), agent.clone())]));
        let directory = product::scratch("maintainer");
        let out = directory.join(name);
        let mut command = Command::new(product::example("cases"));
        command.current_dir(product::root()).env("NO_COLOR", "1").env_remove("COLUMNS");
        command.env("MAINTAINER_SHA256", hex(&Sha256::digest(&agent)));
        command.args(["image", image, "--out"]).arg(&out);
        command.arg("--lock").arg(directory.join(format!("{name}.lock")));
        command.arg("--mirror").arg(format!("https://vendor.example={}", server.base()));
        Self { command, out, _server: server }
    }

    fn disk(&mut self) -> Disk {
        product::success(&mut self.command);
        Disk::open(self.out.join("image.raw")).unwrap()
    }

    /// The build must fail, and say this.
    #[track_caller]
    fn fails(mut self, expected: &Expect) {
        let said = product::refused(&mut self.command);
        let error = said.split_once("error: ").map_or(&*said, |(_, error)| error);
        expected.assert_eq(&product::anonymous(error));
    }
}

fn unit(wanted_by: &str) -> String {
    format!("[Service]\nExecStart=/usr/bin/agent\n[Install]\nWantedBy={wanted_by}\n")
}

const TEMPLATES: &str = "Template: agent/accept\nType: boolean\nDefault: false\nDescription: Accept the licence?\n\n\
    Template: agent/site\nType: select\nChoices: south, north\nDescription: Where is it?\n";

/// Cases 2 and 35.
#[test]
fn what_vendors_scripts_call_works_as_in_a_chroot_and_what_they_ask_is_answered() {
    let init = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: agent\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n\
        ### END INIT INFO\nstart-stop-daemon --start --exec /usr/bin/agent\n";
    let agent = DebBuilder::of("agent", "1", "amd64")
        .control("Depends: adduser, debconf, libcap2-bin, procps, ucf\n")
        .script("templates", TEMPLATES)
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
    let mut build = Build::of("maintainer-scripts", agent);
    let disk = build.disk();
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
    assert!(root.exists("/usr/lib/firmware/ipw2100-1.3.fw").unwrap(), "its licence is accepted");

    let log = fs::read_to_string(build.out.join("image.log")).unwrap();
    assert!(
        log.contains("\nSetting up agent (1) ...\n") && log.contains("\nthe agent is configured\n"),
        "{log}"
    );
    let sums = fs::read_to_string(build.out.join("image.SHA256SUMS")).unwrap();
    assert!(!sums.contains("image.log"), "a script may print the time");
    let again = build.command.arg("-v").output().unwrap();
    assert!(
        String::from_utf8(again.stderr).unwrap().contains(&log),
        "`-v` shows the log of a fresh image, too"
    );
}

/// Case 35.
#[test]
fn a_script_that_fails_without_an_answer_names_the_question_and_the_line() {
    let postinst = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_input high agent/accept || true\ndb_go\n\
        db_get agent/accept\nif [ \"$RET\" != true ]; then\n    echo the licence is not accepted\n    exit 3\nfi\n";
    let agent = DebBuilder::of("agent", "1", "amd64")
        .control("Depends: debconf\n")
        .script("templates", TEMPLATES)
        .script("postinst", postinst);
    Build::of("maintainer-vendor", agent).fails(&expect![[r#"
        `postinst` of the package `agent` failed with exit code 3:
               the licence is not accepted
          --> tests/images/cases/maintainer.rs:LL:CC
           |
        LL |     Deb::dangerous_unsigned("https://vendor.example/agent.deb", sha256)
           |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: the package asks questions that have no answer: add `.debconf("agent/accept", true)`,
                   `.debconf("agent/site", "south")`; `cargo xtask image -v` shows everything that was
                   printed
    "#]]);
}

/// A package with the source of a kernel module.
fn module(configuration: &str) -> DebBuilder {
    let configuration = format!(
        "PACKAGE_NAME=\"agent\"\nPACKAGE_VERSION=\"1\"\nBUILT_MODULE_NAME[0]=\"agent\"\n\
         DEST_MODULE_LOCATION[0]=\"/extra\"\nAUTOINSTALL=\"yes\"\n{configuration}"
    );
    let source = "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n";
    let postinst =
        "#!/bin/sh\nset -e\nexec /usr/lib/dkms/common.postinst agent 1 /usr/share/agent \"\" \"$2\"\n";
    DebBuilder::of("agent-dkms", "1", "all")
        .control("Depends: dkms\n")
        .script("postinst", postinst)
        .file("/usr/src/agent-1/dkms.conf", 0o644, &configuration)
        .file("/usr/src/agent-1/Makefile", 0o644, "obj-m := agent.o\n")
        .file("/usr/src/agent-1/agent.c", 0o644, source)
}

/// Case 18.
#[test]
fn a_module_is_built_for_the_images_kernel() {
    if !product::all() {
        return;
    }
    let mut build = Build::of("maintainer-module", module(""));
    let disk = build.disk();
    let root = disk.root().unwrap();
    let kernels = root.read_dir("/usr/lib/modules").unwrap();
    let [kernel] = &kernels[..] else { panic!("{kernels:?}") };
    let modules = root.read_dir(&format!("/usr/lib/modules/{kernel}/updates/dkms")).unwrap();
    assert_eq!(modules, ["agent.ko.xz"]);
    let listed = root.text(&format!("/usr/lib/modules/{kernel}/modules.dep")).unwrap();
    assert!(listed.contains("updates/dkms/agent.ko.xz:"), "modprobe finds it");
    for path in
        ["/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub", "/etc/dkms/framework.conf.d/00-bedplate.conf"]
    {
        assert!(!root.exists(path).unwrap(), "{path}");
    }
    let paths = root.walk().unwrap();
    assert!(!paths.iter().any(|(path, _)| path.ends_with("/make.log")), "it holds the time of the build");
    let log = fs::read_to_string(build.out.join("image.log")).unwrap();
    assert!(
        log.contains("\nSign command: /usr/bin/true\n"),
        "a signature would differ in every build: {log}"
    );
}

/// Case 18.
#[test]
fn a_module_that_dkms_leaves_out_fails_the_build() {
    if !product::all() {
        return;
    }
    let agent = module("BUILD_EXCLUSIVE_CONFIG=\"CONFIG_NO_SUCH_THING\"\n");
    Build::named("maintainer-module", "maintainer-module-refused", agent).fails(&expect![[r#"
        the package `agent-dkms` has no kernel module: `agent/1` could not be built for the kernel
               `6.12.118+deb13-cloud-amd64`:
               Warning: The /var/lib/dkms/agent/1/6.12.118+deb13-cloud-amd64/x86_64/dkms.conf
               for module agent/1 includes a BUILD_EXCLUSIVE directive
               which does not match this kernel/arch/config.
               This indicates that it should not be built.
          --> tests/images/cases/maintainer.rs:LL:CC
           |
        LL |     Deb::dangerous_unsigned("https://vendor.example/agent.deb", sha256)
           |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: `cargo xtask image -v` shows everything that was printed
    "#]]);
}
