//! On small systems made by hand: what goes wrong, and that nothing else comes in.

use super::*;

/// What an initrd of a verified root is cut by.
fn usual() -> Options {
    Options { verity: true, ..Options::default() }
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
    let one = build(&system(), &usual(), 1).unwrap();
    assert_eq!(one, build(&system(), &usual(), 1).unwrap());
    let back = cpio::read(&zstd::decode_all(&one[..]).unwrap()).unwrap();
    assert_eq!(back.len(), cut(&system(), &usual()).unwrap().len());
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
    let written = Options { writable: true, ..Options::default() };
    assert!(has(written.clone(), "/usr/sbin/fsck.ext4") && !has(usual(), "/usr/sbin/fsck.ext4"));
    let verity = "/usr/lib/systemd/systemd-veritysetup";
    assert!(has(usual(), verity) && !has(written, verity));
}
