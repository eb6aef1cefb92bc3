//! On small systems made by hand: what goes wrong, and that nothing else comes in.

use super::*;

/// What an initrd of a verified root is cut by.
fn usual() -> Options {
    with(InitrdFeatures { verity: true, ..InitrdFeatures::default() })
}

fn with(features: InitrdFeatures) -> Options {
    Options { features, ..Options::default() }
}

/// A system of text files in place of programs: scripts need no libraries.
fn system() -> Tree {
    let mut system = Tree::new();
    for (from, to) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")] {
        system.insert(from.into(), Node::symlink(to));
    }
    for path in programs::paths() {
        system.insert(path.into(), Node::file("#!", 0o4755));
    }
    system.insert("/usr/sbin/modprobe".into(), Node::symlink("../bin/kmod"));
    system.insert("/usr/lib/os-release".into(), Node::file("ID=debian\n", 0o644));
    system.insert("/etc/os-release".into(), Node::symlink("../usr/lib/os-release"));
    system.insert("/etc/group".into(), Node::file("root:x:0:\ndisk:x:6:operator\n", 0o644));
    system.insert("/etc/secret".into(), Node::file("x", 0o600));
    for path in files::paths() {
        if !system.contains(&path.into()) {
            system.insert(path.into(), Node::file("rule", 0o644));
        }
    }
    for name in units::names() {
        system.insert(TreePath::new("/usr/lib/systemd/system").join(name), Node::file("[Unit]\n", 0o644));
    }
    let units = TreePath::new("/usr/lib/systemd/system");
    system.insert(
        units.join("sysinit.target.wants/veritysetup.target"),
        Node::symlink("../veritysetup.target"),
    );
    system.insert(units.join("sysinit.target.wants/ldconfig.service"), Node::symlink("../ldconfig.service"));
    kernel(&mut system, "6.12.0");
    system
}

fn kernel(system: &mut Tree, release: &str) {
    let modules = TreePath::new("/usr/lib/modules").join(release);
    let mut put = |name: &str, text: &[u8]| system.insert(modules.join(name), Node::file(text, 0o644));
    put(
        "modules.dep",
        b"kernel/dm-verity.ko.zst: kernel/dm-mod.ko\nkernel/dm-mod.ko:\nkernel/overlay.ko:\nkernel/nbd.ko:\n",
    );
    put("kernel/dm-verity.ko.zst", &zstd::encode_all(&b"verity"[..], 1).unwrap());
    for name in ["dm-mod", "overlay", "nbd"] {
        put(&format!("kernel/{name}.ko"), name.as_bytes());
    }
    system.insert(TreePath::new("/boot").join(format!("vmlinuz-{release}")), Node::file("MZ", 0o644));
}

fn said(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

fn text(tree: &Tree, path: &str) -> String {
    String::from_utf8(tree.content(&path.into()).unwrap().read().unwrap()).unwrap()
}

#[test]
fn the_initrd_starts_systemd_and_knows_that_it_is_one() {
    let initrd = cut(&system(), &usual()).unwrap();
    assert_eq!(initrd.resolve(&"/init".into()).unwrap().0, "/usr/lib/systemd/systemd".into());
    assert_eq!(text(&initrd, "/etc/initrd-release"), "ID=debian\n");
    assert_eq!(initrd.resolve(&"/sbin/modprobe".into()).unwrap().0, "/usr/bin/kmod".into());
}

#[test]
fn nothing_comes_in_that_no_table_names() {
    let initrd = cut(&system(), &usual()).unwrap();
    for path in ["/etc/secret", "/etc/machine-id", "/usr/lib/modules/6.12.0/kernel/nbd.ko", "/boot"] {
        assert!(!initrd.contains(&path.into()), "{path}");
    }
    let wants = TreePath::new("/usr/lib/systemd/system/sysinit.target.wants");
    assert!(initrd.contains(&wants.join("veritysetup.target")));
    assert!(!initrd.contains(&wants.join("ldconfig.service")));
}

#[test]
fn nothing_in_it_is_set_id_and_nobody_can_log_in() {
    let initrd = cut(&system(), &usual()).unwrap();
    let open = initrd.iter().find(|(_, node)| node.mode & 0o6000 != 0);
    assert!(open.is_none(), "{open:?}");
    assert_eq!(text(&initrd, "/etc/shadow"), "root:!*:::::::\n");
    assert!(!text(&initrd, "/usr/lib/systemd/system/emergency.service").contains("sulogin"));
}

#[test]
fn modules_lie_uncompressed_where_modprobe_looks() {
    let initrd = cut(&system(), &usual()).unwrap();
    let directory = "/usr/lib/modules/6.12.0";
    assert_eq!(text(&initrd, &format!("{directory}/kernel/dm-verity.ko")), "verity");
    let dep = text(&initrd, &format!("{directory}/modules.dep"));
    assert!(dep.contains("kernel/dm-verity.ko: kernel/dm-mod.ko\n"), "{dep}");
    assert!(initrd.contains(&TreePath::new(directory).join("modules.dep.bin")));
}

#[test]
fn a_module_that_is_asked_for_comes_along() {
    let options = Options { modules: vec!["nbd".into()], ..usual() };
    let initrd = cut(&system(), &options).unwrap();
    assert!(initrd.contains(&"/usr/lib/modules/6.12.0/kernel/nbd.ko".into()));
}

#[test]
fn a_module_that_does_not_exist_is_an_error_with_the_nearest_name() {
    let error = cut(&system(), &Options { modules: vec!["overlai".into()], ..usual() }).unwrap_err();
    assert_eq!(said(&error), "there is no kernel module `overlai`; the nearest name is `overlay`");
}

#[test]
fn a_system_without_a_kernel_says_which_package_has_one() {
    let mut system = system();
    system.remove(&"/boot".into());
    let error = cut(&system, &usual()).unwrap_err();
    assert!(
        said(&error).starts_with("the system has no kernel: the image needs the package `linux-image-amd64`")
    );
}

#[test]
fn of_two_kernels_none_is_chosen() {
    let mut system = system();
    kernel(&mut system, "6.13.0");
    let error = cut(&system, &usual()).unwrap_err();
    assert_eq!(said(&error), "the system has 2 kernels, and an image boots one: `6.12.0`, `6.13.0`");
}

#[test]
fn a_missing_program_names_its_package() {
    let mut system = system();
    system.remove(&"/usr/lib/systemd/systemd-veritysetup".into());
    let error = cut(&system, &usual()).unwrap_err();
    assert_eq!(
        said(&error),
        "cannot take programs into the initrd: `/usr/lib/systemd/systemd-veritysetup` is not in the system: \
         the image needs the package `systemd-cryptsetup`"
    );
}

#[test]
fn equal_systems_give_equal_bytes() {
    let packed = |system: &Tree| pack(&cut(system, &usual()).unwrap(), 1).unwrap();
    let one = packed(&system());
    assert_eq!(one, packed(&system()));
    let back = cpio::read(&zstd::decode_all(&one[..]).unwrap()).unwrap();
    assert_eq!(back.len(), cut(&system(), &usual()).unwrap().len());
}

#[test]
fn what_was_packed_is_not_packed_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::at(&directory.path().join("store")).unwrap();
    let built = |system: &Tree, mtime, name: &str| {
        let file = directory.path().join(name);
        build(&store, system, &usual(), mtime, &file).unwrap();
        (std::fs::read(file).unwrap(), store.keys(PACKED).unwrap().len())
    };
    let (first, packed) = built(&system(), 1, "first");
    assert_eq!((first.clone(), packed), (pack(&cut(&system(), &usual()).unwrap(), 1).unwrap(), 1));
    let mut other = system();
    other.insert("usr/share/doc/of-the-root".into(), Node::file("text", 0o644));
    assert_eq!(built(&other, 1, "of another system"), (first.clone(), 1));
    let changed = "/usr/lib/systemd/systemd-veritysetup".into();
    other.insert(changed, Node::file("another", 0o755));
    let (second, packed) = built(&other, 1, "with another program");
    assert!(second != first && packed == 2);
    assert_eq!(built(&system(), 2, "of another time").1, 3);
}

#[test]
fn every_unit_that_restarts_a_failed_boot_is_there() {
    let initrd = cut(&system(), &usual()).unwrap();
    let units = TreePath::new("/usr/lib/systemd/system");
    for name in ["emergency.target", "emergency.service", "reboot.target", "systemd-reboot.service"] {
        assert!(initrd.contains(&units.join(name)), "{name}");
    }
    assert_eq!(initrd.resolve(&units.join("default.target")).unwrap().0, units.join("initrd.target"));
}

#[test]
fn only_a_root_that_is_written_to_is_checked_and_only_a_verified_one_verified() {
    let has = |options: Options, path: &str| cut(&system(), &options).unwrap().contains(&path.into());
    let written = with(InitrdFeatures { writable: true, ..InitrdFeatures::default() });
    assert!(has(written.clone(), "/usr/sbin/fsck.ext4") && !has(usual(), "/usr/sbin/fsck.ext4"));
    let verity = "/usr/lib/systemd/systemd-veritysetup";
    assert!(has(usual(), verity) && !has(written, verity));
}

fn module(texts: &[&str]) -> Vec<u8> {
    // ELF64 with three sections: none, `.modinfo`, and the names of both.
    let (info, names) = (texts.join("\0"), "\0.modinfo\0.shstrtab\0");
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..20].copy_from_slice(&[1, 0, 62, 0]);
    bytes[20] = 1;
    bytes.extend(info.as_bytes());
    bytes.extend(names.as_bytes());
    let table = bytes.len();
    bytes[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    bytes[52..54].copy_from_slice(&64u16.to_le_bytes());
    bytes[58..64].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
    let sections = [(0u32, 0u32, 0, 0), (1, 1, 64, info.len()), (10, 3, 64 + info.len(), names.len())];
    for (name, kind, offset, size) in sections {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        bytes.extend(header);
    }
    bytes
}

/// A system whose module `nbd` asks for firmware.
fn with_firmware() -> Tree {
    let mut system = system();
    let path = "/usr/lib/modules/6.12.0/kernel/nbd.ko";
    let text = ["license=GPL", "firmware=nbd/a-*.fw", "firmware=nbd/b.fw", "firmware=old.fw"];
    system.insert(path.into(), Node::file(module(&text), 0o644));
    let firmware = TreePath::new("/usr/lib/firmware");
    system
        .insert(firmware.join("nbd/a-1.fw.zst"), Node::file(zstd::encode_all(&b"a1"[..], 1).unwrap(), 0o644));
    system.insert(firmware.join("nbd/b.fw"), Node::symlink("../other/b"));
    system.insert(firmware.join("other/b"), Node::file("b", 0o644));
    system.insert(firmware.join("nbd/c.fw"), Node::file("c", 0o644));
    system
}

/// Case 30.
#[test]
fn a_module_that_is_asked_for_brings_its_firmware_unpacked() {
    let options = Options { modules: vec!["nbd".into()], ..usual() };
    let initrd = cut(&with_firmware(), &options).unwrap();
    assert_eq!(text(&initrd, "/usr/lib/firmware/nbd/a-1.fw"), "a1");
    assert_eq!(text(&initrd, "/usr/lib/firmware/nbd/b.fw"), "b");
    assert!(!initrd.contains(&"/usr/lib/firmware/nbd/c.fw".into()));
    assert!(!cut(&with_firmware(), &usual()).unwrap().contains(&"/usr/lib/firmware".into()));
}

/// Case 30.
#[test]
fn a_module_without_its_firmware_or_without_itself_is_told() {
    let ask = |system: &Tree, name: &str| asked(system, &[(name.to_owned(), None)], false);
    assert_eq!(ask(&with_firmware(), "nbd").unwrap(), []);
    let mut system = with_firmware();
    let text = ["firmware=bnx2x/a.fw"];
    let path = "/usr/lib/modules/6.12.0/kernel/nbd.ko";
    system.insert(path.into(), Node::file(module(&text), 0o644));
    assert_eq!(
        ask(&system, "nbd").unwrap()[0].1,
        "the kernel module `nbd` asks for firmware, and the image has none of it: `bnx2x/a.fw`; add \
         `.component(\"non-free-firmware\").package(\"firmware-bnx2x\")`"
    );
    let error = ask(&system, "overlai").unwrap_err();
    assert_eq!(said(&error), "there is no kernel module `overlai`; the nearest name is `overlay`");
}

/// Case 11.
#[test]
fn settings_of_the_description_are_in_the_initrd() {
    let setting = |path: &str, text: Option<&str>| settings::Setting {
        path: path.into(),
        text: text.map(str::to_owned),
    };
    let options = Options {
        settings: vec![
            setting("etc/modprobe.d/o.conf", Some("options overlay metacopy=on\nsoftdep overlay pre: nbd\n")),
            setting("etc/udev/rules.d/80-drivers.rules", None),
        ],
        ..usual()
    };
    let initrd = cut(&system(), &options).unwrap();
    assert!(text(&initrd, "/etc/modprobe.d/o.conf").starts_with("options overlay metacopy=on\n"));
    assert!(initrd.contains(&"/usr/lib/modules/6.12.0/kernel/nbd.ko".into()), "a softdep comes along");
    let off = initrd.get(&"/etc/udev/rules.d/80-drivers.rules".into()).unwrap();
    assert!(matches!(&off.kind, Kind::Symlink(target) if target == b"/dev/null"));
}

/// The root asks for all devices again; a rule of the description may be about any of them.
#[test]
fn what_an_initrd_has_no_rule_for_is_not_asked_for_there() {
    let path = "/usr/lib/systemd/system/systemd-udev-trigger.service.d/bedplate.conf";
    let initrd = cut(&system(), &usual()).unwrap();
    assert!(text(&initrd, path).contains(" --subsystem-nomatch=tty "));
    let setting = |path: &str| settings::Setting { path: path.into(), text: Some(String::new()) };
    let with = |path: &str| Options { settings: vec![setting(path)], ..usual() };
    assert!(cut(&system(), &with("etc/modprobe.d/o.conf")).unwrap().contains(&path.into()));
    assert!(!cut(&system(), &with("etc/udev/rules.d/90-modem.rules")).unwrap().contains(&path.into()));
}
