use expect_test::{Expect, expect};
use fs_err as fs;

use super::super::{Content, dependency::Dependency, release};
use super::*;

/// A project for mkosi, made of files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

/// Its description from the first function on, and what is left out.
#[track_caller]
fn says(files: &[(&str, &str)], expected: Expect) -> Vec<File> {
    let project = project(files);
    let mkosi = Mkosi::read(project.path()).unwrap();
    let release = mkosi.release().unwrap_or(release("trixie").unwrap());
    let dependency = Dependency::Registry("0.1".to_owned());
    let settings = Settings { name: "my-device".to_owned(), release, dependency };
    let (files, left) = mkosi.describe(&settings).unwrap();
    let main = files.iter().find(|file| file.path == Path::new("image/main.rs")).unwrap();
    let Content::Text(text) = &main.content else { panic!("{main:?}") };
    let (_, text) = text.split_once("fn main() -> ExitCode {\n").unwrap();
    let left = left.iter().map(|Left { what, why }| format!("{what}: {why}\n")).collect::<String>();
    expected.assert_eq(&format!("{text}---\n{left}"));
    files
}

const UNIT: &str = "usr/lib/systemd/system";

#[test]
fn a_project_is_described_in_words_of_ours() {
    let (local, docker) =
        (format!("mkosi.extra/{UNIT}/local.mount"), format!("mkosi.extra/{UNIT}/var-lib-docker.mount"));
    let files = says(
        &[
            (
                "mkosi.conf",
                "[Distribution]\nDistribution=debian\nRelease=trixie\nRepositories=main,non-free-firmware\n\
                 [Output]\nFormat=disk\nImageVersion=1.2\n[Content]\nBootable=yes\nBootloader=systemd-boot\n\
                 Packages=\n\tlinux-image-amd64   # a kernel\n\tjq=1.7*\n\tfirmware-realtek\n\tagent\n\
                 RemovePackages=casper\nTimezone=Europe/Berlin\nKeymap=de\nRootPassword=secret\nAutologin=yes\n\
                 KernelCommandLine=quiet root=/dev/sda2 systemd.volatile=overlay init=/bin/sh\nRemoveFiles=/usr/share/doc/*\n\
                 [Runtime]\nRAM=4G\n",
            ),
            (
                "mkosi.conf.d/20-debian.conf",
                "[Match]\nDistribution=|debian\nDistribution=|ubuntu\n[Content]\nPackages=less\n",
            ),
            ("mkosi.conf.d/30-fedora.conf", "[Match]\nDistribution=fedora\n[Content]\nPackages=dnf\n"),
            ("mkosi.conf.d/40-path.conf", "[Match]\nPathExists=/somewhere\n[Content]\nPackages=bc\n"),
            ("mkosi.packages/agent_1.0_amd64.deb", ""),
            ("mkosi.profiles/debug/mkosi.conf", "[Content]\nPackages=gdb\n"),
            ("mkosi.extra/etc/hostname", "edge\n"),
            ("mkosi.extra/etc/hosts", "127.0.0.1 localhost\n"),
            ("mkosi.extra/etc/motd", "Welcome\n"),
            (&local, "[Mount]\nWhat=/dev/disk/by-label/persistent\nWhere=/local\nType=ext4\n"),
            (
                &docker,
                "[Mount]\nWhat=/local/persistent/var/lib/docker\nWhere=/var/lib/docker\nOptions=bind\n",
            ),
            ("mkosi.skeleton/etc/apt/keyrings/docker.asc", "a key\n"),
            (
                "mkosi.skeleton/etc/apt/sources.list.d/docker.list",
                "deb [signed-by=/etc/apt/keyrings/docker.asc] https://download.example.com/debian trixie stable\n",
            ),
            (
                "mkosi.repart/00-esp.conf",
                "[Partition]\nType=esp\nFormat=vfat\nCopyFiles=/efi:/\nSizeMinBytes=2G\n",
            ),
            (
                "mkosi.repart/10-root.conf",
                "[Partition]\nType=root\nFormat=ext4\nCopyFiles=/\nMinimize=guess\n",
            ),
            (
                "mkosi.repart/20-data.conf",
                "[Partition]\nType=linux-generic\nLabel=persistent\nFormat=ext4\nSizeMinBytes=1500M\nEncrypt=tpm2\n",
            ),
            ("mkosi.postinst.chroot", "#!/bin/sh\nset -e\n"),
            ("mkosi.finalize.chroot", "#!/bin/sh\necho root:secret | chpasswd\n"),
            ("mkosi.build", "#!/bin/sh\nmake\n"),
        ],
        expect![[r#"
                bedplate::main(&[image!(my_device)])
            }

            /// The image of `mkosi.conf`.
            pub fn my_device(_: &Target) -> Image {
                Image::debian("trixie")
                    .version("1.2")
                    .hostname("edge")
                    .timezone("Europe/Berlin")
                    .file("/etc/vconsole.conf", "KEYMAP=de\n")
                    .dangerous_autologin()
                    .component("non-free-firmware")
                    .partition(Esp::new(GiB(2)))
                    .partition(Root::new(Ext4))
                    .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(1500)))
                    // mkosi: Encrypt=tpm2 of linux-generic has no word here: with `.secure_boot(…)`,
                    //   `Data::encrypted(Tpm)` encrypts on the device
                    .bind("/var/lib/docker")
                    .command_line("quiet")
                    // mkosi: KernelCommandLine=root=/dev/sda2 has no word here: it follows from
                    //   `.partition(Root::new(…))`
                    .volatile(Volatile::Overlay)
                    .dangerous_command_line("init=/bin/sh")
                    .repository(Repository::signed(
                        "https://download.example.com/debian",
                        "trixie",
                        ["stable"],
                        Key::file("keys/docker.asc"),
                    ))
                    .package("linux-image-amd64")
                    .package(Package::new("jq").version("1.7*"))
                    .package("firmware-realtek")
                    .deb(Deb::file("debs/agent_1.0_amd64.deb"))
                    .package("less")
                    .without("casper")
                    // mkosi: /etc/hosts has no word here: the plan writes it; `.host(ADDRESS, NAME)` adds a
                    //   line
                    .overlay("overlay")
                    .remove("/usr/share/doc/*")
                    // mkosi: mkosi.build has no word here: nothing is compiled into an image: build a package,
                    //   and install it with `Deb::file`
                    // mkosi: mkosi.finalize.chroot has no word here: it sets a password, and none lets anybody
                    //   in here
                    // mkosi: RootPassword=… has no word here: no password lets anybody in;
                    //   `.user(User::new(NAME).administrator().login(Login::Credential))` does
                    .script(script!("scripts/postinst"))
            }
            ---
            [Runtime]: how a machine is started is an option of `cargo xtask boot`, or a word of `Vm` in a test
            [Match] PathExists=/somewhere of 40-path.conf: only mkosi knows whether this holds; the file is not read
            mkosi.profiles: it is not read: of a project, what every build has is described
            Encrypt=tpm2 of linux-generic: with `.secure_boot(…)`, `Data::encrypted(Tpm)` encrypts on the device
            KernelCommandLine=root=/dev/sda2: it follows from `.partition(Root::new(…))`
            /etc/hosts: the plan writes it; `.host(ADDRESS, NAME)` adds a line
            mkosi.build: nothing is compiled into an image: build a package, and install it with `Deb::file`
            mkosi.finalize.chroot: it sets a password, and none lets anybody in here
            RootPassword=…: no password lets anybody in; `.user(User::new(NAME).administrator().login(Login::Credential))` does
        "#]],
    );
    let paths: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
    for path in [
        "image/debs/agent_1.0_amd64.deb",
        "image/keys/docker.asc",
        "image/scripts/postinst",
        "image/overlay/etc/motd",
    ] {
        assert!(paths.iter().any(|known| known == path), "{path}: {paths:?}");
    }
    assert!(!paths.iter().any(|path| path.ends_with(".mount") || path.ends_with("hostname")), "{paths:?}");
}

#[test]
fn images_that_start_from_others_are_functions_that_do() {
    says(
        &[
            ("mkosi.conf", "[Distribution]\nDistribution=ubuntu\nRelease=noble\n[Output]\nFormat=none\n"),
            (
                "mkosi.images/base/mkosi.conf",
                "[Output]\nFormat=directory\n[Content]\nPackages=systemd-sysv\nHostname=edge\n",
            ),
            ("mkosi.images/initrd/mkosi.conf", "[Output]\nFormat=cpio\n[Content]\nPackages=udev\n"),
            (
                "mkosi.images/full/mkosi.conf",
                "[Output]\nFormat=disk\n[Content]\nBaseTrees=%O/base\nPackages=linux-generic\n\tsystemd-sysv\n\
                 [Validation]\nVerity=hash\nSecureBoot=yes\n",
            ),
        ],
        expect![[r#"
                bedplate::main(&[image!(full)])
            }

            /// The image of `mkosi.images/full`.
            pub fn full(_: &Target) -> Image {
                Image::ubuntu("noble")
                    .with(base)
                    .hostname("edge")
                    .partition(Esp::new(MiB(512)))
                    .partition(Root::new(Erofs).verity())
                    // mkosi: SecureBoot=yes has no word here: `cargo xtask keys new image/keys/secure-boot`,
                    //   then `.secure_boot(SecureBoot::keys("keys/secure-boot"))`
                    .package("linux-generic")
            }

            /// What `mkosi.images/base` has in common.
            fn base(image: Image) -> Image {
                image.package("systemd-sysv")
            }
            ---
            the image `main`: it only starts the build of others
            the image `initrd`: the initrd is made of the image's own packages
            SecureBoot=yes: `cargo xtask keys new image/keys/secure-boot`, then `.secure_boot(SecureBoot::keys("keys/secure-boot"))`
        "#]],
    );
}

#[test]
fn an_empty_value_forgets_those_before_it() {
    says(
        &[
            (
                "mkosi.conf",
                "[Distribution]\nDistribution=debian\nRelease=trixie\n[Content]\nPackages=vim less\n",
            ),
            ("mkosi.conf.d/1.conf", "[Content]\nPackages=\n"),
            ("mkosi.conf.d/2.conf", "[Content]\nPackages=jq\nHostname=%d-%r\n"),
        ],
        expect![[r#"
                bedplate::main(&[image!(my_device)])
            }

            /// The image of `mkosi.conf`.
            pub fn my_device(_: &Target) -> Image {
                Image::debian("trixie")
                    .hostname("debian-trixie")
                    .partition(Esp::new(MiB(512)))
                    .partition(Root::new(Ext4))
                    .package("jq")
            }
            ---
        "#]],
    );
}

#[test]
fn what_is_no_project_of_debian_or_ubuntu_is_told() {
    let read = |text: &str| {
        let project = project(&[("mkosi.conf", text)]);
        let mkosi = Mkosi::read(project.path())?;
        Ok::<_, anyhow::Error>(mkosi.release()?.name)
    };
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        error("[Distribution]\nDistribution=fedora\n"),
        "`Distribution=fedora`: images are made of Debian and Ubuntu"
    );
    assert!(error("[Distribution]\nDistribution=debian\nRelease=sid\n").starts_with("unknown release `sid`"));
    assert!(error("Packages=vim\n").contains("invalid line 1 of"));
    let nothing = project(&[]);
    assert!(Mkosi::read(nothing.path()).unwrap_err().to_string().starts_with("there is no `mkosi.conf`"));
}

/// mkosi holds patterns against the paths of modules.
#[test]
fn a_pattern_that_ends_with_a_modules_name_is_that_module() {
    says(
        &[(
            "mkosi.conf",
            "[Distribution]\nDistribution=debian\nRelease=trixie\n[Content]\nKernelModulesInitrd=yes\n\
             KernelInitrdModules=default /hid.ko drivers/net/bnx2x drivers/usb/ /mmc_*\n",
        )],
        expect![[r#"
                bedplate::main(&[image!(my_device)])
            }

            /// The image of `mkosi.conf`.
            pub fn my_device(_: &Target) -> Image {
                Image::debian("trixie")
                    .partition(Esp::new(MiB(512)))
                    .partition(Root::new(Ext4))
                    .initrd_module("hid")
                    // mkosi: KernelInitrdModules=drivers/usb/ has no word here: `.initrd_module(NAME)` takes
                    //   one module, and what it needs
                    // mkosi: KernelInitrdModules=/mmc_* has no word here: `.initrd_module(NAME)` takes one
                    //   module, and what it needs
                    // mkosi: KernelModulesInitrd=yes has no word here: the initrd has the modules for common
                    //   disks
                    .initrd_module("bnx2x")
            }
            ---
            KernelInitrdModules=drivers/usb/: `.initrd_module(NAME)` takes one module, and what it needs
            KernelInitrdModules=/mmc_*: `.initrd_module(NAME)` takes one module, and what it needs
            KernelModulesInitrd=yes: the initrd has the modules for common disks
        "#]],
    );
}
