//! The scripts that make a device its owner's, each run as the unit runs it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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

    fn run(&self, script: &str, arguments: [&str; 2]) -> bool {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("image/overlay/usr/lib/bedplate").join(script);
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        Command::new(script)
            .args(arguments.map(|name| self.path(name)))
            .env("PATH", path)
            .env("CREDENTIALS_DIRECTORY", self.path("credentials"))
            .status()
            .unwrap()
            .success()
    }

    fn provision(&self) -> bool {
        self.run("ssm-provision", ["state/registration", "credstore"])
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
    assert!(!device.provision());
    assert_eq!(device.calls(), "");
    assert_eq!(device.files("credstore").len(), 2, "it is there when the region is handed in");
}

#[test]
fn the_claim_certificate_is_for_root_alone_and_gone_after_use() {
    let device = Device::new(&CLAIM);
    assert!(device.run("greengrass-claim", ["state", "claim"]));
    assert_eq!(device.files("claim"), ["certificate.pem", "config.yaml", "private.key"]);
    for name in device.files("claim") {
        let mode = std::fs::metadata(device.path("claim").join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::read_to_string(device.path("claim/private.key")).unwrap(), "key\n");

    std::fs::write(device.path("state/thingCert.crt"), "").unwrap();
    assert!(device.run("greengrass-claim-gone", ["credstore", "claim"]));
    assert_eq!(device.files("claim"), [""; 0]);
    assert_eq!(device.files("credstore"), [""; 0]);
}

#[test]
fn a_device_with_a_certificate_of_its_own_is_not_given_the_claim_again() {
    let device = Device::new(&CLAIM);
    std::fs::write(device.path("state/thingCert.crt"), "").unwrap();
    assert!(device.run("greengrass-claim", ["state", "claim"]));
    assert_eq!(device.files("claim"), [""; 0]);
}
