//! AWS's agents: the scripts that make a device its owner's, each run as its
//! unit runs it, and packages of the vendors' layout in a guest.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::edge::are_exposed_at_most;
use crate::product;
use bedplate::vm::guest::Guest;
use bedplate_fixtures::aws;
use bedplate_fixtures::vendor::Vendor;
use tempfile::TempDir;

/// A device's directories, and an agent that writes down how it was called.
struct Device {
    directory: TempDir,
}

impl Device {
    fn new(credentials: &[(&str, &str)]) -> Self {
        let device = Device { directory: tempfile::tempdir().unwrap() };
        for name in ["bin", "credentials", "credstore", "state", "claim"] {
            std::fs::create_dir(device.path(name)).unwrap();
        }
        for (name, value) in credentials {
            std::fs::write(device.path("credentials").join(name), value).unwrap();
            std::fs::write(device.path("credstore").join(name), value).unwrap();
        }
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What `amazon-ssm-agent` does on this device, after it has written down its arguments.
    fn agent(&self, then: &str) {
        let state = self.path("state");
        let state = state.display();
        let text = format!(
            "#!/bin/sh\necho \"$@\" >> {state}/calls\n{}\n",
            then.replace("STATE", &state.to_string())
        );
        let program = self.path("bin/amazon-ssm-agent");
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str, arguments: &[&str]) -> bool {
        let output = self.output(script, arguments);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    fn output(&self, script: &str, arguments: &[&str]) -> Output {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/overlay.agents/usr/lib/bedplate");
        let script = scripts.join(script);
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        // The unit's UMask=.
        Command::new("/bin/sh")
            .args(["-c", "umask 077; exec \"$@\"", "sh"])
            .arg(script)
            .args(arguments.iter().map(|name| self.path(name)))
            .env("PATH", path)
            .env("CREDENTIALS_DIRECTORY", self.path("credentials"))
            .output()
            .unwrap()
    }

    fn provision(&self) -> bool {
        self.run("ssm-provision", &["state/registration", "credstore"])
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.path("state/calls")).unwrap_or_default()
    }

    fn files(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const ACTIVATION: [(&str, &str); 3] = [
    ("ssm.activation-code", "secret\n"),
    ("ssm.activation-id", "the-id\n"),
    ("ssm.region", "eu-central-1\n"),
];
const CLAIM: [(&str, &str); 3] = [
    ("greengrass.claim-certificate", "certificate\n"),
    ("greengrass.claim-key", "key\n"),
    ("greengrass.config", "services:\n"),
];

#[test]
fn the_ssm_agent_is_registered_once_and_the_activation_is_gone() {
    let device = Device::new(&ACTIVATION);
    device.agent("touch STATE/registration");
    assert!(device.provision());
    assert!(device.provision(), "the next boot");
    assert_eq!(device.calls(), "-register -y -code secret -id the-id -region eu-central-1\n");
    assert_eq!(device.files("credstore"), [""; 0]);
}

#[test]
fn a_registration_that_failed_is_tried_again_with_the_same_activation() {
    let device = Device::new(&ACTIVATION);
    device.agent("exit 1");
    assert!(!device.provision());
    assert_eq!(device.files("credstore").len(), 3);
    device.agent("touch STATE/registration");
    assert!(device.provision());
    assert_eq!(device.calls().lines().count(), 2);
}

#[test]
fn an_activation_left_by_a_power_cut_behind_the_registration_is_removed() {
    let device = Device::new(&ACTIVATION);
    device.agent("exit 1");
    std::fs::write(device.path("state/registration"), "").unwrap();
    assert!(device.provision());
    assert_eq!(device.calls(), "");
    assert_eq!(device.files("credstore"), [""; 0]);
}

#[test]
fn an_activation_without_its_region_registers_nothing() {
    let device = Device::new(&ACTIVATION[..2]);
    device.agent("touch STATE/registration");
    let output = device.output("ssm-provision", &["state/registration", "credstore"]);
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "cannot register the SSM agent: missing credential ssm.region\n");
    assert_eq!(device.calls(), "");
    assert_eq!(device.files("credstore").len(), 2, "it is there when the region is handed in");
}

#[test]
fn a_device_that_is_handed_nothing_starts_as_it_is() {
    let device = Device::new(&[]);
    device.agent("touch STATE/registration");
    assert!(device.provision());
    assert!(device.run("greengrass-claim", &["claim", "state/thingCert.crt", "state/certificate.pem"]));
    assert_eq!(device.calls(), "");
    assert_eq!(device.files("claim"), [""; 0]);
}

#[test]
fn the_claim_certificate_is_for_root_alone_and_gone_after_use() {
    let device = Device::new(&CLAIM);
    assert!(device.run("greengrass-claim", &["claim", "state/thingCert.crt", "state/certificate.pem"]));
    assert_eq!(device.files("claim"), ["certificate.pem", "config.yaml", "private.key"]);
    for name in device.files("claim") {
        let mode = std::fs::metadata(device.path("claim").join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::read_to_string(device.path("claim/private.key")).unwrap(), "key\n");

    std::fs::write(device.path("state/thingCert.crt"), "").unwrap();
    assert!(device.run("greengrass-claim-gone", &["credstore", "claim"]));
    assert_eq!(device.files("claim"), [""; 0]);
    assert_eq!(device.files("credstore"), [""; 0]);
}

#[test]
fn a_device_with_a_certificate_of_its_own_is_not_given_the_claim_again() {
    // That of the classic nucleus, and that of the nucleus lite.
    for certificate in ["state/thingCert.crt", "state/certificate.pem"] {
        let device = Device::new(&CLAIM);
        std::fs::write(device.path(certificate), "").unwrap();
        assert!(device.run("greengrass-claim", &["claim", "state/thingCert.crt", "state/certificate.pem"]));
        assert_eq!(device.files("claim"), [""; 0], "{certificate}");
    }
}

/// What the SSM agent's fingerprint is made of: with another one, the
/// registration is void.
const FINGERPRINT: &str = "cat /etc/machine-id; hostname; for type in 0 1 4 17; do dmidecode -t $type | sha256sum; done; \
     cat /sys/class/net/e*/address; ls /dev/disk/by-uuid; ip -4 -o addr show scope global | tr -s ' ' | cut -d' ' -f 2,4";

/// The image of `tests/images/agents`, built in a directory of its own from what the vendor offers now.
fn agents(vendor: &Vendor, version: &str) -> PathBuf {
    vendor.offer("/amazon-ssm-agent.deb", &aws::ssm(version));
    vendor.offer("/amazon-cloudwatch-agent.deb", &aws::cloudwatch());
    vendor.offer("/aws-greengrass-lite.deb", &aws::lite());
    let out = product::scratch("images").join(format!("agents-{version}"));
    let key = vendor.publish_key(&product::scratch("vendor"));
    // A vendor's key is the test's own each time, and so is the lock.
    let locks = tempfile::tempdir().unwrap();
    let mut build = Command::new(product::example("agents"));
    build.current_dir(product::root()).env("NO_COLOR", "1");
    build.env("VENDOR_KEY", key).env("VENDOR_FINGERPRINT", vendor.signer.fingerprint());
    build.args(["image", "agents", "--lock"]).arg(locks.path().join("agents.lock"));
    product::success(build.arg("--out").arg(&out).arg("--mirror").arg(vendor.mirror()));
    out
}

const SSM_LOG: &str = "cat /var/log/amazon/ssm/amazon-ssm-agent.log";

/// A small device, and its next boot with the next version of its image; AWS's packages are played by the test.
#[test]
fn agents_keep_their_registration_their_configuration_and_their_logs() {
    if !product::all() {
        return;
    }
    let vendor = Vendor::start("https://vendor.example");
    let old = agents(&vendor, "3.3.0.0");
    let machine = product::machine(&old).network();
    let machine = ACTIVATION
        .iter()
        .chain(&CLAIM)
        .fold(machine, |machine, (name, value)| machine.credential(name, value.trim_end().as_bytes()));
    let mut guest = machine.start().unwrap();
    whole(&mut guest);

    let registered = guest.run("cat /var/lib/amazon/ssm/registrations").unwrap().stdout;
    let said = "systemctl status --no-pager -l amazon-ssm-provision greengrass-claim; ls -l /run/credentials/@system";
    assert_eq!(
        registered,
        "-register -y -code secret -id the-id -region eu-central-1\n",
        "{}",
        guest.run(said).unwrap().stdout
    );
    assert_eq!(
        guest.check(SSM_LOG).unwrap(),
        "3.3.0.0 started registered\n",
        "registered before it is started"
    );
    // Their makers' units confine nothing.
    let services = ["amazon-ssm-agent.service", "amazon-cloudwatch-agent.service", "greengrass.service"];
    are_exposed_at_most(&mut guest, &services.map(|unit| (unit, 9.6)));
    // What a package brings is found, beside what its daemon adds.
    guest.check("test -s /etc/amazon/ssm/seelog.xml").unwrap();
    guest.check("test -s /opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.toml").unwrap();
    // Nothing of theirs is in memory: what was written since the start lies on other file systems.
    let lost = guest
        .check("find /opt /srv /home /var/lib /var/log /etc -xdev -type f -newer /proc/1 -print")
        .unwrap();
    let lost: Vec<&str> = lost
        .lines()
        .filter(|path| ["amazon", "/aws", "greengrass"].iter().any(|of| path.contains(of)))
        .collect();
    assert!(lost.is_empty(), "written where it is forgotten: {lost:?}");
    // The claim lies where the nucleus looks for it, until the device has a certificate of its own: for root, and
    // for what the nucleus lite connects as.
    let key = "/run/greengrass-claim/private.key";
    assert_eq!(guest.check(&format!("stat -c '%a %U:%G' {key}")).unwrap().trim(), "640 root:ggcore");
    assert_eq!(guest.check(&format!("runuser -u ggcore -- cat {key}")).unwrap(), "key");
    assert_ne!(guest.run(&format!("runuser -u ggc_user -- cat {key}")).unwrap().code, 0);
    guest.check("mkdir -p /greengrass/v2 && touch /greengrass/v2/thingCert.crt").unwrap();
    guest.check("for i in $(seq 30); do test -e /run/greengrass-claim/private.key || exit 0; sleep 1; done; exit 1").unwrap();

    people(&mut guest);
    nuclei(&mut guest);
    // Whoever sits at the console of an image to develop with is root; at that of others nobody: `login.rs`.
    guest.wait_console("root@agents:~#", Duration::from_secs(60)).unwrap();

    if !product::release() {
        return;
    }
    let fingerprint = guest.check(FINGERPRINT).unwrap();
    guest.check("echo changed >/etc/amazon/ssm/seelog.xml; sync").unwrap();
    let mut log = "3.3.0.0 started registered\n".to_owned();
    let new = agents(&vendor, "3.3.1.0");
    let mut guest = guest.power_off().unwrap().edit(|disk| disk.update(&new)).unwrap().start().unwrap();
    log.push_str("3.3.1.0 started registered\n");
    same(&mut guest, 2, &fingerprint, &log);
    // What the new version brings for a file that nobody changed is not taken either: the device's state is its own.
    assert_eq!(
        guest.check("cat /etc/amazon/ssm/amazon-ssm-agent.json").unwrap(),
        aws::configuration("3.3.0.0")
    );
    let shipped = "unshare -m sh -c 'umount /etc/amazon/ssm && cat /etc/amazon/ssm/amazon-ssm-agent.json'";
    let shipped = guest.check(shipped).unwrap();
    assert_eq!(shipped, aws::configuration("3.3.1.0"));
}

/// What every later boot of the device finds again.
fn same(guest: &mut Guest, boot: usize, fingerprint: &str, log: &str) {
    whole(guest);
    assert_eq!(guest.check(FINGERPRINT).unwrap(), fingerprint, "boot {boot}");
    assert_eq!(guest.check("wc -l </var/lib/amazon/ssm/registrations").unwrap().trim(), "1");
    assert_eq!(guest.check(SSM_LOG).unwrap(), log);
    assert_eq!(guest.check("cat /etc/amazon/ssm/seelog.xml").unwrap(), "changed\n");
    let seen = guest.check("wc -l </opt/aws/amazon-cloudwatch-agent/var/offset").unwrap();
    assert_eq!(seen.trim(), boot.to_string());
    people(guest);
    let lite = guest.check("cat /var/lib/greengrass/config.db").unwrap();
    assert_eq!(lite, "started by ggcore\n".repeat(boot));
    // A component of an earlier deployment is there again, and is not installed again.
    guest
        .check("for i in $(seq 30); do systemctl is-active -q ggl.hello && exit 0; sleep 1; done; exit 1")
        .unwrap();
    assert_eq!(guest.check("cat /var/lib/greengrass/installed").unwrap(), "once\n");
    assert_ne!(guest.run("test -e /run/greengrass-claim/private.key").unwrap().code, 0);
}

/// What belongs to a user on the data partition belongs to a number, on each boot the same.
fn people(guest: &mut Guest) {
    for (user, uid, group) in [
        ("cwagent", 990, "cwagent"),
        ("ggc_user", 991, "ggc_group"),
        ("ggcore", 992, "ggcore"),
        ("gg_component", 993, "gg_component"),
        ("ssm-user", 1001, "ssm-user"),
    ] {
        let ids = guest.check(&format!("id -u {user}; id -g {user}; id -gn {user}")).unwrap();
        assert_eq!(ids, format!("{uid}\n{uid}\n{group}\n"), "{user}");
    }
    let agent = "/opt/aws/amazon-cloudwatch-agent";
    let owners = format!(
        "stat -c '%u:%g' {agent}/logs/amazon-cloudwatch-agent.log {agent}/var/offset /var/lib/greengrass"
    );
    assert_eq!(guest.check(&owners).unwrap(), "990:990\n990:990\n992:992\n");
    // A session of the SSM agent's is an administrator's.
    assert_eq!(guest.check("runuser -u ssm-user -- sudo -n id -un").unwrap(), "root\n");
}

/// What each nucleus needs, and what a deployment to the nucleus lite leaves behind.
fn nuclei(guest: &mut Guest) {
    guest.check("java -version").unwrap();
    let component = guest.check("sudo -n -u ggc_user -g ggc_group id -un").unwrap();
    assert_eq!(component, "ggc_user\n", "the classic nucleus starts components so");
    let deploy = "cd /var/lib/greengrass
        echo once >installed
        printf '[Service]\\nUser=gg_component\\nExecStart=/usr/bin/sleep infinity\\n' >ggl.hello.service
        printf '[Service]\\nExecStart=/bin/sh -c \"echo twice >>/var/lib/greengrass/installed\"\\n' >ggl.hello.install.service
        chown ggcore:ggcore *
        sync";
    guest.check(deploy).unwrap();
}

/// Waits until the system has settled and has its address, with both agents up.
fn whole(guest: &mut Guest) {
    guest.settle().unwrap();
    for unit in ["amazon-ssm-agent", "amazon-cloudwatch-agent"] {
        assert_eq!(guest.check(&format!("systemctl is-enabled {unit}")).unwrap().trim(), "enabled");
        guest.wait_unit(unit).unwrap();
    }
    assert_eq!(guest.check("systemctl is-enabled greengrass-lite.target").unwrap().trim(), "enabled");
    for unit in ["greengrass-lite.target", "ggl.gg_config.socket", "ggl.core.ggconfigd.service"] {
        assert_eq!(
            guest.run(&format!("systemctl is-active {unit}")).unwrap().stdout.trim(),
            "active",
            "{unit}"
        );
    }
    // netplan wrote it, from a file that is root's alone, and nothing else speaks for the interface.
    guest.check("test -s /run/systemd/network/10-netplan-wired.network").unwrap();
    assert_eq!(guest.check("stat -c %a /etc/netplan/*; ls /etc/systemd/network").unwrap(), "600\n");
    guest
        .check("for i in $(seq 60); do ip -4 -o addr | grep -q 10.0.2.15 && exit 0; sleep 1; done; exit 1")
        .unwrap();
}
