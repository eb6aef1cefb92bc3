//! What this project's devices promise, held against their plans.
//!
//! A plan is made in milliseconds, without root, network or a build: whoever
//! changes `image/main.rs` learns here what the change breaks.

#[path = "../../image/main.rs"]
#[expect(dead_code, reason = "a test has a main function of its own")]
mod description;

use std::path::Path;

use bedplate::plan::{FileKind, Keyring, PartitionGuid, SavedPlan, guid};
use bedplate::{Architecture, Bind, Deb, Distribution, Image, Plan, Target, Volatile};

fn edge() -> Plan {
    description::edge(&Target::default()).plan_named("edge").unwrap()
}

fn edge_debian() -> Plan {
    description::edge_debian(&Target::default()).plan_named("edge-debian").unwrap()
}

fn development() -> Plan {
    description::edge_debian_development(&Target::default()).plan_named("edge-debian-development").unwrap()
}

fn sealed() -> Plan {
    description::edge_debian_sealed(&Target::default()).plan_named("edge-debian-sealed").unwrap()
}

/// Those that are shipped.
fn all() -> [Plan; 3] {
    [edge(), edge_debian(), sealed()]
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
fn strangers_reach_ssh_and_nothing_else() {
    for plan in all() {
        let open = plan.listeners.iter().filter(|listener| listener.from_outside);
        let open: Vec<String> = open.map(|one| format!("{} {}", one.protocol, one.port)).collect();
        // The second one is for the answers of DHCP servers.
        assert_eq!(open, ["tcp 22", "udp 68"], "{}", plan.name);
    }
}

#[test]
fn the_root_is_verified_and_what_is_written_to_it_is_forgotten() {
    for plan in all() {
        let root = &plan.disk.root;
        assert!(root.verity.is_some());
        assert_eq!(plan.volatile, Volatile::Overlay);
        assert!(plan.command_line.contains(&"systemd.volatile=overlay".to_string()));
    }
}

#[test]
fn the_disk_is_laid_out_as_ever() {
    for plan in all() {
        let layout = plan
            .disk
            .partitions()
            .map(|partition| (partition.label.as_str(), partition.offset / MIB, partition.size / MIB));
        let layout: Vec<_> = layout.collect();
        let mut expected = match plan.distribution {
            Distribution::Ubuntu => vec![
                ("root-a", 1, 2048),
                ("verity-a", 2049, 17),
                ("uki-a", 2066, 128),
                ("esp", 2194, 512),
                ("persistent", 2706, 256),
            ],
            Distribution::Debian => vec![
                ("root-a", 1, 640),
                ("verity-a", 641, 6),
                ("uki-a", 647, 32),
                ("esp", 679, 128),
                ("persistent", 807, 128),
            ],
        };
        // What is encrypted, a device makes itself, in the same place.
        expected.truncate(if plan.disk.encrypted().is_some() { 4 } else { 5 });
        assert_eq!(layout, expected);
    }
}

// ---- updates

/// A number that is changed here strands every device there is: it takes no bundle for another layout.
#[test]
fn devices_take_the_updates_of_all_later_versions() {
    let fits = |plan: Plan| {
        let updates = plan.updates.unwrap();
        (updates.compatible, updates.layout.to_string())
    };
    let fit = |name: &str, layout: &str| (name.to_owned(), layout.to_owned());
    assert_eq!(fits(edge()), fit("edge", "0e10657b-dfef-5d91-8bdc-c2cf7585a792"));
    assert_eq!(fits(edge_debian()), fit("edge-debian", "ca1a19b3-2386-5632-9aa9-973b34187421"));
    assert_ne!(fits(edge_debian()).0, fits(development()).0, "what is not shipped fits what is");
    assert_ne!(
        fits(edge_debian()).1,
        fits(sealed()).1,
        "data in the clear is not opened as what is encrypted"
    );
}

#[test]
fn the_guide_says_how_large_a_disk_has_to_be() {
    let needed = edge().disk.needs() / MIB;
    let page = include_str!("../../docs/src/how-to/updates.md");
    assert!(page.contains(&format!("For `edge` that is {needed} MiB")), "{needed} MiB");
}

/// What ships next can be installed on devices that have what ships now; and what could not is refused, with each reason.
#[test]
fn a_change_that_would_strand_devices_is_refused() {
    let next = |image: Image, name: &str| image.version("2.0.0").package("jq").plan_named(name).unwrap();
    let target = Target::default();
    next(description::edge(&target), "edge").is_compatible_with(&edge()).unwrap();
    next(description::edge_debian(&target), "edge-debian").is_compatible_with(&edge_debian()).unwrap();
    for (new, old, why) in [
        (development(), edge_debian(), "they take bundles for `edge-debian`, and this plan's are for"),
        (sealed(), edge_debian(), "their data is in the clear, and this plan's is encrypted"),
    ] {
        let refused = new.is_compatible_with(&old).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let moved = description::edge(&target).bind(Bind::new("/var/lib/new")).plan_named("edge").unwrap();
    moved.is_compatible_with(&edge()).unwrap();
    // As the version that shipped would say it, had it kept that elsewhere.
    let shipped =
        serde_json::to_string(&edge()).unwrap().replace("persistent/greengrass", "persistent/elsewhere");
    let refused = edge().is_compatible_with(SavedPlan::parse(&shipped).unwrap()).unwrap_err();
    let why = "`/greengrass` is kept in `/local/persistent/elsewhere` on their data partition";
    assert!(refused.reasons.iter().any(|reason| reason.starts_with(why)), "{refused}");
}

/// The text of a file of the initrd.
fn of_initrd<'a>(plan: &'a Plan, path: &str) -> &'a str {
    let file = plan.initrd.files.iter().find(|file| file.path == path).unwrap();
    match &file.kind {
        FileKind::File { text } => text,
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn there_are_two_slots_of_one_size_and_a_device_makes_the_second_itself() {
    for plan in all() {
        let slots = plan.disk.slots.as_ref().unwrap();
        for (first, (number, label)) in slots.first(&plan.disk).into_iter().zip(&slots.second) {
            assert!(plan.disk.partition(label).is_none(), "{label} is in the image");
            let name = format!("{number:02}-{label}.conf");
            let definition = match plan.disk.encrypted() {
                Some(_) => of_initrd(&plan, &format!("/usr/lib/bedplate/repart.d/{name}")),
                None => plan.text(&format!("/usr/lib/repart.d/{name}")).unwrap(),
            };
            assert!(definition.contains(&format!("Type={}\nLabel={label}\n", first.type_guid)));
            assert!(definition.contains(&format!("SizeMinBytes={0}\nSizeMaxBytes={0}\n", first.size)));
        }
    }
}

/// One kernel image for both: it starts the root of the slot that the boot loader took it from.
#[test]
fn the_kernel_image_is_the_same_in_both_slots() {
    for plan in all() {
        assert_eq!(plan.uki_on_esp("6.12"), "bedplate_1-a.efi");
        for argument in [
            "systemd.verity_root_data=/dev/bedplate/slot/root",
            "systemd.verity_root_hash=/dev/bedplate/slot/verity",
        ] {
            assert!(plan.command_line.iter().any(|known| known == argument), "{argument}");
        }
        assert!(
            !plan
                .command_line
                .iter()
                .any(|argument| argument.contains("-a") || argument.contains("PARTUUID"))
        );
        assert!(
            matches!(plan.disk.root.partition.guid, PartitionGuid::Fixed(_)),
            "an update writes no table"
        );
    }
}

#[test]
fn an_update_is_signed_for_this_projects_certificate() {
    let certificate = std::fs::read_to_string("image/keys/update.pem").unwrap();
    for plan in all() {
        assert_eq!(plan.text("/etc/rauc/keyring.pem"), Some(certificate.as_str()));
        let settings = plan.text("/etc/rauc/system.conf").unwrap();
        for line in ["check-purpose=codesign", "path=/etc/rauc/keyring.pem", "bundle-formats=verity"] {
            assert!(settings.lines().any(|known| known == line), "{line}");
        }
    }
}

#[test]
fn a_version_that_does_not_start_docker_is_given_up() {
    for plan in all() {
        let updates = plan.updates.as_ref().unwrap();
        let healthy: Vec<&str> = updates.healthy.iter().map(|healthy| healthy.unit.as_str()).collect();
        assert_eq!(healthy, ["multi-user.target", "docker.service"]);
        // Half an hour, and what three starts take that hang in the initrd.
        assert_eq!((updates.tries, updates.minutes), (3, 10));
    }
}

// ---- trust

#[test]
fn a_sealed_device_starts_what_was_signed_and_opens_its_data_to_that_alone() {
    let plan = sealed();
    assert_eq!(plan.secure_boot.as_ref().unwrap().keys, "image/keys/secure-boot");
    assert!(plan.disk.root.verity.is_some());
    let data = plan.disk.encrypted().unwrap();
    assert_eq!(data.partition.label, "persistent");
    // The image has nothing of it: each device makes its own.
    assert!(plan.disk.partition("persistent").is_none() && plan.artifacts.data.is_empty());
    let initrd = |path: &str| plan.initrd.files.iter().any(|file| file.path == path);
    for unit in ["bedplate-repart", "bedplate-unlock", "bedplate-erase"] {
        assert!(initrd(&format!("/usr/lib/systemd/system/{unit}.service")), "{unit}");
    }
    assert!(
        !plan.files.iter().any(|file| file.path.starts_with("/usr/lib/repart.d")),
        "the root makes partitions"
    );
    assert!(edge_debian().secure_boot.is_none());
}

#[test]
fn nothing_listens_for_names_on_the_local_network() {
    for plan in all() {
        let settings = plan.text("/usr/lib/systemd/resolved.conf.d/60-bedplate.conf").unwrap();
        assert_eq!(settings, "[Resolve]\nLLMNR=no\nMulticastDNS=no\n");
    }
}

#[test]
fn a_device_asks_nobody_for_updates_by_itself() {
    for plan in all() {
        assert_eq!(plan.updates.as_ref().unwrap().asked, None);
        assert!(plan.file("/usr/lib/systemd/system/bedplate-update.timer").is_none());
    }
}

// ---- what is kept, and who the device is

#[test]
fn the_data_partition_is_that_of_the_booted_disk_and_grows() {
    for plan in all() {
        let data = &plan.disk.data[0];
        let unit = plan.text("/usr/lib/systemd/system/local.mount").unwrap();
        assert!(unit.contains("What=/dev/bedplate/persistent\n"), "{unit}");
        assert!(data.partition.label == "persistent" && data.grow);
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
fn no_two_devices_share_a_name() {
    for plan in all() {
        assert_eq!(plan.hostname.as_deref(), Some("edge-{machine-id}"));
        assert_eq!(plan.text("/etc/hostname"), None, "a name for all is in the image");
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
        let people: Vec<&str> =
            plan.users.iter().filter(|user| !user.system).map(|user| user.name.as_str()).collect();
        let agent = plan.enables("amazon-ssm-agent.service").then_some("ssm-user");
        assert_eq!(people, ["operator"].into_iter().chain(agent).collect::<Vec<_>>());
    }
}

#[test]
fn the_operator_comes_in_by_a_credential_and_by_nothing_that_is_in_the_image() {
    for plan in all() {
        for user in &plan.users {
            assert_eq!(user.authorized_keys, [""; 0], "{}", user.name);
            assert_eq!(user.credential, user.name == "operator", "{}", user.name);
        }
        let operator = plan.users.iter().find(|user| user.name == "operator").unwrap();
        assert!(operator.administrator && operator.uid == 1000);
        assert!(plan.enables("ssh.service"));
        assert!(
            plan.text("/etc/ssh/sshd_config.d/10-bedplate.conf")
                .unwrap()
                .contains("PasswordAuthentication no")
        );
    }
}

#[test]
fn only_the_development_variant_is_weakened_and_its_plan_says_so_first() {
    for plan in all() {
        assert_eq!(plan.dangers, []);
        assert!(!plan.to_string().to_lowercase().contains("weakened"));
        assert!(!plan.files.iter().any(|file| file.path.contains("autologin")));
    }
    let plan = development();
    assert_eq!(plan.dangers.len(), 1, "{:?}", plan.dangers);
    let page = plan.to_string();
    let first = page.lines().next().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected =
        format!("edge-debian-development {version}: Debian trixie for x86-64, WEAKENED: see below");
    assert_eq!(first, expected);
    assert!(page.contains("root is logged in on every console"), "{page}");
}

#[test]
fn a_wired_interface_is_configured_by_one_program() {
    let (netplan, networkd) = ("/etc/netplan/80-wired.yaml", "/etc/systemd/network/80-wired.network");
    for (plan, by, not_by) in [(edge(), netplan, networkd), (edge_debian(), networkd, netplan)] {
        let text = plan.text(by).unwrap();
        assert!(text.to_lowercase().contains("dhcp"), "{text}");
        assert!(!text.contains("169.254"), "EC2 answers there, and nobody else");
        assert!(plan.file(not_by).is_none(), "both would answer for one interface");
        assert!(plan.enables("systemd-networkd.service"));
        assert!(plan.masks("systemd-networkd-wait-online.service"), "a device starts without its network");
        assert_eq!(plan.package("netplan.io").is_some(), by == netplan);
    }
    assert_eq!(edge().file(netplan).unwrap().mode, 0o600, "or netplan complains of it at every boot");
}

#[test]
fn what_services_keep_belongs_to_the_same_number_in_every_version() {
    let ids = |plan: Plan| -> Vec<(String, String, u32)> {
        let system = plan.users.into_iter().filter(|user| user.system || user.name == "ssm-user");
        let mut ids: Vec<_> = system.map(|user| (user.name, user.group, user.uid)).collect();
        ids.sort();
        ids
    };
    let id = |name: &str, group: &str, uid| (name.to_owned(), group.to_owned(), uid);
    // A number that is changed here is wrong on every device there is.
    assert_eq!(
        ids(edge()),
        [id("cwagent", "cwagent", 990), id("ggc_user", "ggc_group", 991), id("ssm-user", "ssm-user", 1001)]
    );
    assert_eq!(ids(edge_debian()), [id("cwagent", "cwagent", 990)]);
    let package = Deb::dangerous_unsigned("https://vendor.example/lite.deb", "0".repeat(64));
    let lite =
        description::greengrass_lite::greengrass_lite(description::edge_debian(&Target::default()), package);
    let plan = lite.plan().unwrap();
    assert!(plan.enables("greengrass-lite.target"));
    assert_eq!(plan.backing("/var/lib/greengrass"), Some("/local/persistent/var/lib/greengrass"));
    assert_eq!(
        ids(plan),
        [id("cwagent", "cwagent", 990), id("gg_component", "gg_component", 993), id("ggcore", "ggcore", 992)]
    );
}

#[test]
fn the_classic_nucleus_finds_what_it_needs_to_start() {
    let plan = edge();
    assert!(plan.enables("greengrass.service"));
    for package in ["default-jre-headless", "sudo"] {
        assert!(plan.package(package).is_some(), "{package}");
    }
    assert!(edge_debian().package("default-jre-headless").is_none(), "there is no nucleus to start");
}

#[test]
fn an_arm_device_is_the_same_device() {
    let target = Target { architecture: Architecture::Aarch64 };
    for description in [description::edge, description::edge_debian] {
        let plan = description(&target).plan_for("edge", &target).unwrap();
        assert_eq!(plan.disk.root.partition.type_guid, guid::root(Architecture::Aarch64));
        assert_eq!(plan.command_line.last().unwrap(), "console=ttyAMA0,115200");
    }
    let plan = description::edge_debian(&target).plan_for("edge-debian", &target).unwrap();
    assert!(plan.package("linux-image-arm64").is_some());
}

#[test]
fn what_is_copied_over_the_root_lies_beside_the_description() {
    for plan in all() {
        let sources: Vec<&str> = plan.overlays.iter().map(|overlay| overlay.source.as_str()).collect();
        assert_eq!(sources, ["image/overlay.agents", "image/overlay"]);
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
        assert!(claim.contains("Before=greengrass.service greengrass-lite.target\n"));
        assert!(claim.contains("UMask=0077\n") && claim.contains("RuntimeDirectoryMode=0700\n"));
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
        let plan = description::edge(&target).plan_for("edge", &target).unwrap();
        assert_eq!(plan.debs.len(), 2);
        for deb in &plan.debs {
            assert!(deb.url.contains(word), "{}", deb.url);
            assert!(deb.signature.is_some(), "{}", deb.url);
            let Some(Keyring::Key { file, url, fingerprint, .. }) = &deb.keyring else {
                panic!("{}", deb.url)
            };
            assert!(fingerprint.is_some(), "{}", deb.url);
            // A file that is named and not there makes the first build fail.
            let file = file.as_ref().map(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
            assert!(file.map_or(url.is_some(), |file| file.is_file()), "{}", deb.url);
        }
        assert!(plan.enables("amazon-ssm-agent.service"));
        assert!(plan.enables("amazon-cloudwatch-agent.service"));
    }
    assert!(edge_debian().debs.is_empty(), "it is built where AWS cannot be reached");
}

#[test]
fn credentials_that_are_handed_in_as_files_are_roots_alone() {
    for plan in all() {
        let bind = plan.binds.iter().find(|bind| bind.path == "/etc/credstore").unwrap();
        assert_eq!(bind.mode, Some(0o700));
    }
}
