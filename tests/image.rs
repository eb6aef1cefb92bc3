//! What this project's devices promise, held against their plans.
//!
//! A plan is made in milliseconds, without root, network or a build: whoever
//! changes `image/main.rs` learns here what the change breaks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../image/main.rs"]
#[expect(dead_code, reason = "a test has a main function of its own")]
mod image;

use std::path::Path;

use bedplate::plan::{Keyring, PartitionContent, PartitionGuid};
use bedplate::{Architecture, Plan, Target, Volatile};

fn edge() -> Plan {
    image::edge(&Target::default()).plan_named("edge").unwrap()
}

fn edge_debian() -> Plan {
    image::edge_debian(&Target::default()).plan_named("edge-debian").unwrap()
}

fn all() -> [Plan; 2] {
    [edge(), edge_debian()]
}

const MIB: u64 = 1024 * 1024;

#[test]
fn greengrass_survives_a_reboot() {
    for plan in all() {
        assert_eq!(plan.backing("/greengrass"), Some("/local/persistent/greengrass"));
    }
}

#[test]
fn what_a_device_must_not_forget_is_kept() {
    for plan in all() {
        for path in [
            "/etc/amazon/ssm",
            "/greengrass",
            "/opt/aws/amazon-cloudwatch-agent/etc",
            "/opt/aws/amazon-cloudwatch-agent/logs",
            "/opt/aws/amazon-cloudwatch-agent/var",
            "/var/lib/amazon/ssm",
            "/var/log/journal",
            "/var/lib/containerd",
            "/var/lib/docker",
            "/var/log/amazon/ssm",
            "/var/rauc",
        ] {
            assert_eq!(plan.backing(path), Some(format!("/local/persistent{path}").as_str()), "{path}");
        }
    }
}

#[test]
fn configuration_that_packages_bring_is_not_hidden_by_an_empty_directory() {
    for plan in all() {
        let seeded = plan.binds.iter().filter(|bind| bind.seeded).map(|bind| bind.path.as_str());
        let seeded: Vec<&str> = seeded.collect();
        assert_eq!(seeded, ["/etc/amazon/ssm", "/opt/aws/amazon-cloudwatch-agent/etc"]);
    }
}

#[test]
fn the_root_is_verified_and_what_is_written_to_it_is_forgotten() {
    for plan in all() {
        let root = plan.root().unwrap();
        assert!(matches!(root.content, PartitionContent::Root { verity: true, .. }));
        assert_eq!(root.guid, PartitionGuid::RootHashFirst);
        assert_eq!(plan.volatile, Volatile::Overlay);
        assert!(plan.command_line.contains(&"systemd.volatile=overlay".to_string()));
    }
}

#[test]
fn the_disk_is_laid_out_as_ever() {
    for plan in all() {
        let layout = plan
            .disk
            .partitions
            .iter()
            .map(|partition| (partition.label.as_str(), partition.offset / MIB, partition.size / MIB));
        let layout: Vec<_> = layout.collect();
        let expected = [
            ("esp", 1, 512),
            ("root-x86-64", 513, 2048),
            ("root-x86-64-verity", 2561, 17),
            ("persistent", 2578, 1024),
        ];
        assert_eq!(layout, expected);
    }
}

#[test]
fn the_data_partition_is_found_by_its_own_id_and_grows() {
    for plan in all() {
        let data = plan.partition("persistent").unwrap();
        let PartitionGuid::Fixed(guid) = data.guid else { panic!("{:?}", data.guid) };
        let unit = plan.text("/usr/lib/systemd/system/local.mount").unwrap();
        assert!(unit.contains(&format!("What=/dev/disk/by-partuuid/{guid}\n")), "{unit}");
        assert!(matches!(data.content, PartitionContent::Data { grow: true, .. }));
    }
}

#[test]
fn a_mount_unit_with_dashes_in_its_path_is_escaped() {
    for plan in all() {
        let path = r"/usr/lib/systemd/system/opt-aws-amazon\x2dcloudwatch\x2dagent-etc.mount";
        assert!(plan.text(path).unwrap().contains("Where=/opt/aws/amazon-cloudwatch-agent/etc\n"));
    }
}

#[test]
fn no_two_devices_share_a_machine_id() {
    for plan in all() {
        assert_eq!(plan.text("/etc/machine-id"), Some(""));
    }
}

#[test]
fn docker_starts_at_boot_and_comes_with_compose() {
    for (plan, compose) in [(edge(), "docker-compose-v2"), (edge_debian(), "docker-compose")] {
        assert!(plan.enables("docker.service"));
        assert!(plan.package("docker.io").is_some());
        assert!(plan.package(compose).is_some());
    }
    // Debian's daemon only recommends its client, and nothing recommended is installed.
    assert!(edge_debian().package("docker-cli").is_some());
}

#[test]
fn a_device_without_a_clock_of_its_own_finds_the_time() {
    for plan in all() {
        assert!(plan.enables("systemd-timesyncd.service"));
        assert!(plan.package("systemd-timesyncd").is_some());
    }
}

#[test]
fn a_headless_device_speaks_on_its_serial_line() {
    for plan in all() {
        assert_eq!(plan.command_line.last().unwrap(), "console=ttyS0,115200");
    }
}

#[test]
fn nothing_fails_for_want_of_a_writable_root() {
    for plan in all() {
        for unit in ["systemd-boot-update.service", "systemd-remount-fs.service", "apt-daily.timer"] {
            assert!(plan.masks(unit), "{unit}");
        }
    }
}

#[test]
fn nobody_can_log_in_with_a_password() {
    // There is no word for one; what is left is that nobody is there by accident.
    for plan in all() {
        assert_eq!(plan.users, []);
    }
}

#[test]
fn an_arm_device_is_the_same_device() {
    let target = Target { architecture: Architecture::Aarch64 };
    for description in [image::edge, image::edge_debian] {
        let plan = description(&target).plan_for("edge", &target).unwrap();
        assert!(plan.partition("root-arm64-verity").is_some());
        assert_eq!(plan.command_line.last().unwrap(), "console=ttyAMA0,115200");
    }
    let plan = image::edge_debian(&target).plan_for("edge-debian", &target).unwrap();
    assert!(plan.package("linux-image-arm64").is_some());
}

#[test]
fn what_is_copied_over_the_root_lies_beside_the_description() {
    for plan in all() {
        let sources: Vec<&str> = plan.overlays.iter().map(|overlay| overlay.source.as_str()).collect();
        assert_eq!(sources, ["image/agents", "image/overlay"]);
    }
}

#[test]
fn agents_are_registered_from_credentials_and_before_they_start() {
    for plan in all() {
        for unit in ["amazon-ssm-provision.service", "greengrass-claim.service", "greengrass-claim-gone.path"]
        {
            assert!(plan.enables(unit), "{unit}");
        }
        let text = |unit: &str| plan.text(&format!("/usr/lib/systemd/system/{unit}")).unwrap();
        let provision = text("amazon-ssm-provision.service");
        assert!(provision.contains("ImportCredential=ssm.*\n"));
        assert!(provision.contains("Before=amazon-ssm-agent.service\n"));
        let claim = text("greengrass-claim.service");
        assert!(claim.contains("ImportCredential=greengrass.*\n"));
        assert!(claim.contains("Before=greengrass.service\n"));
        assert!(plan.package("dmidecode").is_some(), "the agent's fingerprint needs it");
    }
}

#[test]
fn a_kernel_that_breaks_starts_again_and_loads_signed_modules_only() {
    for plan in all() {
        for argument in ["panic=10", "oops=panic", "lockdown=integrity", "module.sig_enforce=1"] {
            assert!(plan.command_line.iter().any(|known| known == argument), "{argument}");
        }
    }
}

#[test]
fn docker_does_not_start_anew_in_memory_when_its_data_is_lost() {
    for plan in all() {
        for (path, unit) in [
            ("/var/lib/docker", "docker.service"),
            ("/var/lib/containerd", "containerd.service"),
            ("/greengrass", "greengrass.service"),
        ] {
            let bind = plan.binds.iter().find(|bind| bind.path == path).unwrap();
            assert!(bind.executable, "{path} holds programs");
            assert!(bind.required_by.iter().any(|required| required.unit == unit), "{path}");
        }
    }
}

#[test]
fn the_vendors_packages_are_signed_and_started_and_right_for_the_processor() {
    for (architecture, word) in [(Architecture::X86_64, "amd64"), (Architecture::Aarch64, "arm64")] {
        let target = Target { architecture };
        let plan = image::edge(&target).plan_for("edge", &target).unwrap();
        assert_eq!(plan.debs.len(), 2);
        for deb in &plan.debs {
            assert!(deb.url.contains(word), "{}", deb.url);
            assert!(deb.signature.is_some(), "{}", deb.url);
            let Some(Keyring::Key { file, url, fingerprint }) = &deb.keyring else { panic!("{}", deb.url) };
            assert!(fingerprint.is_some(), "{}", deb.url);
            // A file that is named and not there makes the first build fail.
            let file = file.as_ref().map(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
            assert!(file.map_or(url.is_some(), |file| file.is_file()), "{}", deb.url);
        }
        assert!(plan.enables("amazon-ssm-agent.service"));
        assert!(plan.enables("amazon-cloudwatch-agent.service"));
    }
    assert!(edge_debian().debs.is_empty(), "it is built where AWS cannot be reached");
    for plan in all() {
        assert!(plan.dangers.is_empty(), "{:?}", plan.dangers);
    }
}

#[test]
fn credentials_that_are_handed_in_as_files_are_roots_alone() {
    for plan in all() {
        let bind = plan.binds.iter().find(|bind| bind.path == "/etc/credstore").unwrap();
        assert_eq!(bind.mode, Some(0o700));
    }
}
