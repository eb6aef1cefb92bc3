//! What the program says, word for word: exit code, stdout and stderr.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::product::{self, small};
use bedplate_formats::tree::{Node, Tree};
use bedplate_formats::{gpt, sparse, vfat};
use expect_test::{Expect, expect};

/// Holds exit code and both streams against a snapshot. A scratch directory's
/// path becomes `[scratch]`.
#[track_caller]
fn says(command: &mut Command, expected: Expect) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let below = scratch.strip_prefix(product::root()).unwrap_or(scratch);
        text.replace(scratch.to_str().unwrap(), "[scratch]").replace(below.to_str().unwrap(), "[scratch]")
    };
    let code = output.status.code().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    expected.assert_eq(&format!("exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}"));
}

fn file(name: &str, content: &str) -> std::path::PathBuf {
    let path = product::scratch("cli").join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn nowhere(name: &str) -> std::path::PathBuf {
    let path = product::scratch("cli").join(name);
    assert!(!path.exists());
    path
}

#[test]
fn without_a_verb_it_lists_them() {
    says(
        &mut small(),
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            Builds immutable Linux images from the description in image/main.rs

            Usage: cargo xtask [OPTIONS] <COMMAND>

            Commands:
              new          Make a project of your own in a new directory
              image        Build an image into build/NAME/
              bundle       Build an image, and the signed bundle that updates devices to it
              plan         Print what will be built, without building it
              sign         Sign a built image, on this machine or another one
              keys         Make the keys that images are signed with
              lock         Pin every package the image is made of in image/NAME.lock
              vendor       Put the packages of a lock into a directory, for a machine without a network
              boot         Start a built image in QEMU; the image itself stays as it is
              ssh          Come in to a machine that `boot --ssh` started
              flash        Write a built image to a disk, and read it back; without a disk, list them
              check        Report the mistakes in every description
              explain      Explain a mistake's code
              verify       Check a built image against its plan, byte for byte
              inspect      Print what a disk, an ESP, a root, a kernel image or an update bundle holds
              diff         Print what differs between two images, or between an image and its description
              report       Write a page about a built image, to look at: report.html beside its artifacts
              tools        Run a command from packages of the image's distribution, in the sandbox
              clean        Remove what the cache holds: layers, or everything with --all
              completions  Print the script by which a shell completes these words
              man          Print the page for man(1)

            Options:
              -q, --quiet         Tell nothing but warnings and errors
              -v, --verbose       Show what maintainer scripts print, also in image.log, and each command that
                                  is run, with its time
                  --timings       Tell at the end where the time went
                  --color <WHEN>  When to use colours; without it, on a terminal where NO_COLOR is not set
                                  [possible values: auto, always, never]
              -h, --help          Print help
              -V, --version       Print version
        "#]],
    );
}

#[test]
fn a_new_project_ends_in_the_two_next_commands() {
    let directory = product::scratch("cli").join("newcomer");
    let _ = std::fs::remove_dir_all(&directory);
    let new = || {
        let mut new = small();
        new.arg("new").arg(&directory);
        new
    };
    says(
        new().args(["--release", "trixi"]),
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            error: unknown release `trixi`; did you mean `trixie`? there are `resolute`, `noble`, `trixie`, `bookworm`
        "#]],
    );
    says(
        new().args(["--release", "trixie"]),
        expect![[r#"
            exit 0
            --- stdout
            --- stderr
                    Made newcomer  for Debian trixie, in [scratch]/cli/newcomer, a git repository
                    Next cd [scratch]/cli/newcomer && cargo xtask plan
                    Then cargo xtask image
        "#]],
    );
    assert_eq!(new().output().unwrap().status.code(), Some(2), "nothing is written over");
}

#[test]
fn help_is_no_failure() {
    says(
        small().args(["image", "--help"]),
        expect![[r#"
            exit 0
            --- stdout
            Build an image into build/NAME/

            Usage: cargo xtask image [OPTIONS] [NAME]

            Arguments:
              [NAME]  The image's name; the first in main.rs when left out

            Options:
                  --arch <ARCH>
                      The architecture to build for: x86-64 or arm64
                  --out <DIR>
                      Where the artifacts lie, in place of build/NAME
                  --mirror <FROM=TO>
                      Fetch from TO what the lock names below FROM; may be given again
                  --offline
                      Use what the cache holds, and no network
                  --store <DIR>
                      Take packages from a directory that `vendor` filled
                  --lock <FILE>
                      The lock file, in place of image/NAME.lock
                  --locked
                      Fail where the lock is missing or would have to change
                  --compress
                      Write the disk as image.raw.zst, too, with the block map image.raw.bmap
                  --keys <DIR>
                      The directory with the private keys db.key, pcr.key and pcr-former.key; else BEDPLATE_KEYS
                  --db-key <FILE>
                      The private key that signs EFI programs, in PEM; else BEDPLATE_DB_KEY
                  --db-sign-command <COMMAND>
                      A program that signs them; else BEDPLATE_DB_SIGN_COMMAND
                  --pcr-key <FILE>
                      The private key that vouches for measurements, in PEM; else BEDPLATE_PCR_KEY
                  --pcr-sign-command <COMMAND>
                      A program that vouches for them; else BEDPLATE_PCR_SIGN_COMMAND
                  --pcr-former-key <FILE>
                      The private key that is replaced, in PEM; else BEDPLATE_PCR_FORMER_KEY
                  --pcr-former-sign-command <COMMAND>
                      A program that vouches by it; else BEDPLATE_PCR_FORMER_SIGN_COMMAND
              -q, --quiet
                      Tell nothing but warnings and errors
              -v, --verbose
                      Show what maintainer scripts print, also in image.log, and each command that is run, with
                      its time
                  --timings
                      Tell at the end where the time went
                  --color <WHEN>
                      When to use colours; without it, on a terminal where NO_COLOR is not set [possible values:
                      auto, always, never]
              -h, --help
                      Print help
            --- stderr
        "#]],
    );
}

#[test]
fn an_unknown_verb_is_told_the_nearest_one() {
    says(
        small().arg("imgae"),
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            error: unrecognized subcommand 'imgae'

              tip: a similar subcommand exists: 'image'

            Usage: cargo xtask [OPTIONS] <COMMAND>

            For more information, try '--help'.
        "#]],
    );
}

#[test]
fn an_unknown_image_is_told_the_nearest_one() {
    says(
        small().args(["plan", "samll"]),
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            error: no image is named `samll`; did you mean `small`? there are `small`, `writable`, `guarded`, `typo`, `mistaken`
        "#]],
    );
    says(
        small().args(["plan", "server"]),
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            error: no image is named `server`; there are `small`, `writable`, `guarded`, `typo`, `mistaken`
        "#]],
    );
}

#[test]
fn an_unknown_architecture_is_told_which_there_are() {
    says(
        small().args(["plan", "--arch", "sparc"]),
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: no architecture is named `sparc`; there are `x86-64` and `arm64`
    "#]],
    );
}

#[test]
fn a_mirror_is_two_addresses() {
    says(
        small().args(["image", "--mirror", "ftp.example.org"]),
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
            Building small from Debian trixie
        error: `ftp.example.org` is no `FROM=TO` of two `http://` or `https://` addresses
    "#]],
    );
}

#[test]
fn the_plan_is_printed_on_stdout() {
    says(
        small().arg("plan"),
        expect![[r#"
            exit 0
            --- stdout
            small: Debian trixie for x86-64

            disk, 1031 MiB
                 partition           at       size     content                id
              1  root-x86-64         1 MiB    512 MiB  erofs lz4hc, verified  first half of the root hash
              2  root-x86-64-verity  513 MiB  5 MiB    dm-verity              second half of the root hash
              3  esp                 518 MiB  256 MiB  fat32                  a8c8e0d3-5236-5b3c-9b10-8d91cb083…
              4  persistent          774 MiB  256 MiB  ext4 at /local, grows  eb822ee8-060a-51aa-a513-8e6aa93d1…

            what is verified by what
              systemd-boot          by nothing: no Secure Boot
              kernel image          by nothing: no Secure Boot; a TPM measures it
              initrd, command line  as parts of the kernel image
              root                  by the kernel, block by block, against the root hash in the kernel image
              data                  by nothing: persistent can be read and changed by who has the disk

            what listens
              nothing

            kept, each below /local/persistent
              path                        starts           whose                       asked by
              /etc/kept                   as in the image                              tests/images/small/main.…
              /etc/machine-id             an empty file    0444                        who this device is
              /opt/kept                   empty            0750 nobody:nogroup progr…  tests/images/small/main.…
              /var/lib/kept               empty                                        tests/images/small/main.…
              /var/lib/systemd/random-s…  an empty file    0600                        its own randomness, from…
              /var/lib/systemd/timers     empty                                        when timers that outlast…

            kernel command line
              roothash=… ro systemd.volatile=overlay gpt panic=10 oops=panic lockdown=integrity
              module.sig_enforce=1 console=ttyS0,115200

            settings
              setting                              value        why
              panic                                10           a kernel that gave up starts again after 10 s
              oops                                 panic        a kernel with a broken thread is not trusted to…
              lockdown                             integrity    root cannot change the running kernel
              module.sig_enforce                   1            the kernel loads its distribution's modules only
              dev.tty.ldisc_autoload               0            a terminal does not make the kernel load modules
              fs.protected_fifos                   2            nobody is led into writing to another's pipe
              fs.protected_hardlinks               1            nobody links to a file he may not write
              fs.protected_regular                 2            nobody is led into writing to another's file
              fs.protected_symlinks                1            links in /tmp are followed by their owner only
              fs.suid_dumpable                     0            what ran with more rights leaves no memory behi…
              kernel.core_pattern                  |/bin/false  no memory of a program reaches the disk
              kernel.dmesg_restrict                1            the kernel's log is the administrator's
              kernel.kexec_load_disabled           1            no kernel is started but the firmware's
              kernel.kptr_restrict                 2            no address of the kernel is shown
              kernel.sysrq                         0            a key on the console does not command the kernel
              kernel.unprivileged_bpf_disabled     1            only root loads programs into the kernel
              net.ipv4.conf.*.accept_redirects     0            nobody on the network changes routes
              net.ipv4.conf.*.accept_source_route  0            nobody on the network chooses routes
              net.ipv4.tcp_syncookies              1            a flood of connections does not lock others out
              net.ipv6.conf.*.accept_redirects     0            nobody on the network changes routes
              vm.unprivileged_userfaultfd          0            only root stops the kernel in a page fault
              CrashReboot                          yes          a device whose first process died starts again
              DefaultLimitCORE                     0            no memory of a program reaches the disk
              RuntimeWatchdogSec                   2min         a device that hangs is started again by its har…

            archives
              suite            components  from
              trixie           main        http://ftp.debian.org/debian
              trixie-security  main        http://security.debian.org/debian-security
              trixie-updates   main        http://ftp.debian.org/debian

            packages: 6 asked for, and what they depend on
              dbus dmsetup kmod linux-image-cloud-amd64 systemd-boot systemd-sysv
              + e2fsprogs           checks the data partition at boot
              + fdisk               gives a device's disk ids of its own
              + libnss-myhostname   resolves the device's own name
              + systemd-cryptsetup  sets up the verified root
              + systemd-repart      grows the data partition
              + udev                devices and their names, in the initrd too

            started at boot
              needs-kept.service

            masked units
              unit                               why
              apt-daily-upgrade.service          packages come with the image
              apt-daily-upgrade.timer            packages come with the image
              apt-daily.service                  packages come with the image
              apt-daily.timer                    packages come with the image
              dpkg-db-backup.service             dpkg's database comes with the image
              dpkg-db-backup.timer               dpkg's database comes with the image
              e2scrub_all.timer                  there are no LVM volumes to scrub
              e2scrub_reap.service               there are no LVM volumes to scrub
              motd-news.timer                    nothing is fetched that nobody asked for
              sys-kernel-debug.mount             nobody debugs the kernel of a device
              sys-kernel-tracing.mount           nobody traces the kernel of a device
              systemd-boot-random-seed.service   randomness is kept on the data partition, and the ESP as it is
              systemd-boot-update.service        the boot loader comes with the image
              systemd-firstboot.service          nobody sits at the console to be asked
              systemd-machine-id-commit.service  the id is on the data partition already
              systemd-remount-fs.service         the root is mounted as it stays

            generated files
              path                                              why
              /etc/.updated                                     nothing is brought up to date at boot
              /etc/default/locale                               the locale, for PAM
              /etc/hostname                                     names each device `small-{machine-id}`
              /etc/hosts                                        the host's own addresses
              /etc/locale.conf                                  the locale, for systemd
              /etc/machine-id                                   each device makes its own
              /usr/lib/bedplate/data-is-there                   says so when the data partition is lost
              /usr/lib/bedplate/hostname                        names each device `small-{machine-id}`
              /usr/lib/bedplate/name-disk                       gives the disk ids of its own
              /usr/lib/bedplate/overlay-has-room                says so when the memory for what is written to …
              /usr/lib/bedplate/state                           which directories and files, and what they star…
              /usr/lib/repart.d/04-persistent.conf              the partition grows to the end of the disk
              /usr/lib/sysctl.d/60-bedplate.conf                settings of the kernel
              /usr/lib/systemd/resolved.conf.d/60-bedplate.co…  nothing listens for names on the local network
              /usr/lib/systemd/system.conf.d/60-bedplate.conf   settings of systemd
              /usr/lib/systemd/system/bedplate-data.service     says so when the data partition is lost
              /usr/lib/systemd/system/bedplate-factory-reset.…  `systemctl start factory-reset.target` empties …
              /usr/lib/systemd/system/bedplate-hostname.servi…  names each device `small-{machine-id}`
              /usr/lib/systemd/system/bedplate-name-disk.serv…  gives the disk ids of its own
              /usr/lib/systemd/system/bedplate-overlay-full.s…  says so when the memory for what is written to …
              /usr/lib/systemd/system/bedplate-overlay-full.t…  says so when the memory for what is written to …
              /usr/lib/systemd/system/bedplate-state.service    makes what lies behind the binds
              /usr/lib/systemd/system/etc-kept.mount            kept, starting with the packages' files
              /usr/lib/systemd/system/local.mount               mounts the data partition of the booted disk
              /usr/lib/systemd/system/needs-kept.service        written by hand
              /usr/lib/systemd/system/needs-kept.service.d/50…  needs-kept.service does not start without /etc/…
              /usr/lib/systemd/system/opt-kept.mount            kept, starting empty
              /usr/lib/systemd/system/systemd-growfs@local.se…  the file system grows with its partition
              /usr/lib/systemd/system/systemd-repart.service.…  a partition that nobody knows is not grown
              /usr/lib/systemd/system/var-lib-kept.mount        kept, starting empty
              /usr/lib/systemd/system/var-lib-systemd-random\…  its own randomness, from the last boot
              /usr/lib/systemd/system/var-lib-systemd-timers.…  when timers that outlast a reboot last ran
              /usr/lib/udev/rules.d/61-bedplate-disk.rules      finds the partitions of the disk that was booted
              /var/.updated                                     nothing is brought up to date at boot

            copied over it
              tests/images/small/overlay

            artifacts, in build/small/
              image.raw image image.efi image.esp.raw image.root-x86-64.raw image.root-x86-64-verity.raw
              image.linux-generic.raw image.vmlinuz image.initrd initrd.cpio.zst initrd image.pcrs.json
              image.nitro.json image.manifest image.spdx.json image.cdx.json image.provenance.json
              image.SHA256SUMS image.log
            --- stderr
        "#]],
    );
}

#[test]
fn the_plan_fits_a_narrow_terminal() {
    for verb in [&["plan"][..], &["explain", "bound-twice"]] {
        let output = small().args(verb).env("COLUMNS", "60").output().unwrap();
        for line in String::from_utf8([output.stdout, output.stderr].concat()).unwrap().lines() {
            // A table and a line of source are as wide as they are.
            let words = !line.starts_with("  ");
            assert!(!words || line.chars().count() <= 60, "{verb:?}: {line}");
        }
    }
}

#[test]
fn the_plan_as_json_is_for_programs() {
    let plan: serde_json::Value =
        serde_json::from_str(&product::success(small().args(["plan", "--json"]))).unwrap();
    assert_eq!(plan["name"], "small");
    assert_eq!(plan["disk"]["root"]["verity"]["label"], "root-x86-64-verity");
    assert_eq!(plan["disk"]["data"].as_array().unwrap().len(), 1);
}

#[test]
fn two_plans_are_compared_by_what_they_decide() {
    let against = |other: &str| product::success(small().args(["plan", "small", "--against", other]));
    let found = against("writable");
    assert!(found.contains("  ~  volatile"), "{found}");
    // A plan that was saved, for what a change of the description changes.
    let saved = file("saved.json", &product::success(small().args(["plan", "writable", "--json"])));
    let again = against(saved.to_str().unwrap());
    assert_eq!(again.split_once("\n+ ").unwrap().1, found.split_once("\n+ ").unwrap().1);
    assert!(against("small").ends_with("\n\nnothing differs\n"));
    let said = product::refused(small().args(["plan", "small", "--against"]).arg(file("none.json", "{}")));
    assert!(said.contains("none.json`") && said.contains("save a plan with"), "{said}");
}

#[test]
fn a_comparison_has_a_form_for_each_reader() {
    let of = |form: &[&str]| {
        let output = small().args(["plan", "small", "--against", "writable"]).args(form).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let json: serde_json::Value = serde_json::from_str(&of(&["--json"]).1).unwrap();
    assert_eq!(json["same"], false);
    let fact = |fact: &serde_json::Value| fact["what"] == "volatile" && fact["after"] == "overlay";
    assert!(json["others"].as_array().unwrap().iter().any(fact), "{json}");
    let markdown = of(&["--markdown"]).1;
    let titled = markdown.starts_with("### ") && markdown.contains("the description of `writable`");
    assert!(titled && markdown.contains("```diff\n"), "{markdown}");
    // 1 would be a wrong command line.
    assert_eq!(of(&["--exit-code"]).0, Some(3));
    let same = small().args(["plan", "small", "--against", "small", "--exit-code"]).output().unwrap();
    assert_eq!(same.status.code(), Some(0));
}

#[test]
fn the_plan_of_a_revision_is_compiled_beside() {
    // This project's own. The builder is compiled with it, which takes minutes.
    let Ok(revision) = std::env::var("BEDPLATE_REVISION") else { return };
    let found = product::success(product::xtask().args(["plan", "edge", "--against", &revision, "--json"]));
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["before"]["name"], format!("`edge` of `{revision}`"));
}

#[test]
fn what_cannot_be_compared_is_a_wrong_command_line() {
    let scratch = product::scratch("cli");
    let said = |arguments: &[&str]| {
        let output = small().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let here = scratch.to_str().unwrap();
    assert_eq!(said(&["diff", "nothing", here]), "error: there is no file and no image `nothing`\n");
    assert_eq!(said(&["diff", "small"]), "error: `small` is not built: run `cargo xtask image small`\n");
    assert_eq!(said(&["report", "small"]), "error: `small` is not built: run `cargo xtask image small`\n");
    assert!(said(&["diff", here, here]).contains("holds no build"));
    assert!(said(&["report", "small", "--out", here]).contains("holds no build"));
    assert_eq!(
        said(&["plan", "small", "--against", "no-such-revision"]),
        "error: `no-such-revision` is no image, no file of a plan and no git revision\n"
    );
}

#[test]
fn a_plan_that_no_device_can_be_updated_to_is_told() {
    let saved = product::success(product::xtask().args(["plan", "edge-debian", "--json"]));
    let told = |plan: &serde_json::Value| -> Vec<String> {
        let other = file("before.json", &plan.to_string());
        let found = product::xtask()
            .args(["plan", "edge-debian", "--json", "--against"])
            .arg(other)
            .output()
            .unwrap();
        let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
        let reasons = found["stranded"].as_array().unwrap().iter();
        reasons.map(|reason| reason.as_str().unwrap().to_owned()).collect()
    };
    let plan: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(told(&plan), [""; 0]);
    let mut other = plan.clone();
    other["updates"]["layout"] = "00000000-0000-0000-0000-000000000000".into();
    let layout = plan["updates"]["layout"].as_str().unwrap();
    assert_eq!(
        told(&other),
        [format!(
            "its slots, its EFI system partition or its sectors have other sizes, and devices refuse bundles for disks \
             of another layout ({layout}, not 00000000-0000-0000-0000-000000000000)"
        )]
    );
    // As a plan without updates, and one that was saved before there were any.
    for without in [Some(serde_json::Value::Null), None] {
        let mut other = plan.clone();
        match without {
            Some(null) => other["updates"] = null,
            None => _ = other.as_object_mut().unwrap().remove("updates"),
        }
        assert_eq!(told(&other), ["they have one slot, and no certificate"]);
    }
}

#[test]
fn check_tells_all_mistakes_with_their_lines() {
    says(
        small().arg("check"),
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
                 Checked small
                 Checked writable
                 Checked guarded
                 Checked typo
            error[bound-twice]: `/var/lib/kept` is bound twice
              --> tests/images/small/main.rs:18:19
               |
            18 |     small(target).bind("/var/lib/kept").hostname("-small-")
               |                   ^^^^^^^^^^^^^^^^^^^^^
              ::: tests/images/small/main.rs:39:10
               |
            39 |     .bind("/var/lib/kept")
               |      --------------------- first bound here
               |
               = help: remove one of the two

            error[malformed-hostname]: `-small-` is not a host name
              --> tests/images/small/main.rs:18:50
               |
            18 |     small(target).bind("/var/lib/kept").hostname("-small-")
               |                                                  ^^^^^^^^^
               |                                            a part of it is empty, or starts or ends with a dash

            2 mistakes; `cargo xtask explain bound-twice` says more about it
        "#]],
    );
}

#[test]
fn a_wrong_description_is_not_built() {
    let output = small().args(["image", "mistaken", "--out"]).arg(nowhere("mistaken")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!product::scratch("cli").join("mistaken").exists());
}

#[test]
fn explain_knows_every_rule_it_lists() {
    let list = product::success(small().arg("explain"));
    assert!(list.lines().count() >= 25, "{list}");
    for line in list.lines() {
        let code = line.split_whitespace().next().unwrap();
        assert!(product::success(small().args(["explain", code])).starts_with(&format!("{code}: ")));
    }
    says(
        small().args(["explain", "bound-twice"]),
        expect![[r#"
        exit 0
        --- stdout
        bound-twice: a directory is bound once

        Both would become one mount unit, and one of them may be seeded and the other not. When two reusable
        pieces keep the same directory, keep it in the piece they share.

        This is refused:

            device
                .bind("/greengrass")
                .bind("/greengrass")

        This is right:

            device
                .bind("/greengrass")
        --- stderr
    "#]],
    );
    says(
        small().args(["explain", "bound-twise"]),
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: no rule is named `bound-twise`; did you mean `bound-twice`?
    "#]],
    );
}

#[test]
fn boot_without_a_disk_says_how_to_build_it() {
    says(
        small().args(["boot", "--out"]).arg(nowhere("unbuilt")),
        expect![[r#"
            exit 2
            --- stdout
            --- stderr
            error: there is no `[scratch]/cli/unbuilt/image.raw`; build it with `cargo xtask image small`
        "#]],
    );
}

#[test]
fn inspect_tells_a_wrong_path_from_a_damaged_image() {
    says(
        small().arg("inspect").arg(nowhere("nothing.raw")),
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            error: there is no file `[scratch]/cli/nothing.raw`
        "#]],
    );
    says(
        small().arg("inspect").arg(file("no-image.raw", "an image of nothing")),
        expect![[r#"
            exit 2
            --- stdout
            --- stderr
            error: reading `[scratch]/cli/no-image.raw`
              caused by: it is neither a disk with a GUID partition table, nor a file system of erofs, squashfs, ext4 or vfat, nor a unified kernel image
        "#]],
    );
    // The first of two copies of a table, and nothing behind it.
    let path = product::scratch("cli").join("cut.raw");
    disk(&path);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    says(
        small().arg("inspect").arg(path),
        expect![[r#"
            exit 2
            --- stdout
            --- stderr
            error: reading `[scratch]/cli/cut.raw`
              caused by: the last usable sector in the partition table header at offset `512` is `88030`
        "#]],
    );
}

#[test]
fn inspect_prints_a_page() {
    let path = product::scratch("cli").join("disk.raw");
    disk(&path);
    says(
        small().arg("inspect").arg(path),
        expect![[r#"
        exit 0
        --- stdout
        disk.raw: a disk of 43 MiB, 45088768 bytes

          sectors  88064 of 512 bytes
          disk id  3644712f-284e-4a62-9dc4-6422968e1ab0

        partitions
             start  end    sectors  size    type
          1  2048   86015  83968    41 MiB  EFI System

             label  id                                    holds  verity  flags
          1  esp    6f1d0c5e-2b1a-4f0e-9f52-7f1c3a9be7d4  vfat   no      no-auto
        --- stderr
    "#]],
    );
}

/// A disk of one partition, an ESP that starts nothing.
fn disk(path: &Path) {
    let esp = gpt::Partition {
        number: 1,
        type_guid: bedplate::plan::guid::ESP,
        guid: "6f1d0c5e-2b1a-4f0e-9f52-7f1c3a9be7d4".parse().unwrap(),
        first_lba: 2048,
        last_lba: 2048 + 41 * 2048 - 1,
        attributes: bedplate::plan::guid::NO_AUTO,
        name: "esp".into(),
    };
    let guid = "3644712f-284e-4a62-9dc4-6422968e1ab0".parse().unwrap();
    let mut tree = Tree::new();
    tree.insert("loader/loader.conf".into(), Node::file("timeout 0\n", 0o644));
    let options = vfat::Options {
        size: esp.size(),
        volume_id: 1,
        label: "ESP".into(),
        epoch: 1 << 30,
        sector_size: 512,
    };
    let content = tempfile::tempfile().unwrap();
    vfat::write(&tree, &content, &options).unwrap();
    let mut disk =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    disk.set_len(43 << 20).unwrap();
    sparse::copy(&content, 0..esp.size(), &disk, esp.offset()).unwrap();
    gpt::write(&gpt::Table { guid, sector_size: 512, partitions: vec![esp] }, &mut disk).unwrap();
}

#[test]
fn locked_without_a_lock_says_how_to_make_it() {
    let mut command = small();
    says(
        command.args(["image", "--locked", "--lock"]).arg(nowhere("none.lock")),
        expect![[r#"
            exit 2
            --- stdout
            --- stderr
                Building small from Debian trixie
            error: there is no lock `[scratch]/cli/none.lock`; make it with `cargo xtask lock small`
        "#]],
    );
}

#[test]
fn a_malformed_lock_is_told_apart_from_a_missing_one() {
    let lock = file("malformed.lock", "version = 1\nepoch = soon\n");
    let out = nowhere("out");
    says(
        small().args(["image", "--lock"]).arg(&lock).arg("--out").arg(&out),
        expect![[r#"
            exit 2
            --- stdout
            --- stderr
                Building small from Debian trixie
            error: `[scratch]/cli/malformed.lock` cannot be read; mend it, or remove it to have it made again
              caused by: line 2: string values must be quoted, expected literal string
        "#]],
    );
    assert_eq!(std::fs::read_to_string(lock).unwrap(), "version = 1\nepoch = soon\n");
    let merged = file("merged.lock", "<<<<<<< ours\nversion = 1\n");
    says(
        small().args(["image", "--lock"]).arg(merged).arg("--out").arg(out),
        expect![[r#"
            exit 2
            --- stdout
            --- stderr
                Building small from Debian trixie
            error: `[scratch]/cli/merged.lock` cannot be read; mend it, or remove it to have it made again
              caused by: line 1: key with no value, expected `=`
        "#]],
    );
}

#[test]
fn a_directory_that_holds_other_files_is_not_built_into() {
    let out = product::scratch("cli").join("thesis");
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(out.join("thesis.tex"), "years of work").unwrap();
    let mut command = small();
    command.args(["image", "--locked", "--offline", "--lock"]).arg(fitting_lock()).arg("--out").arg(&out);
    says(
        &mut command,
        expect![[r#"
            exit 2
            --- stdout
            --- stderr
                Building small from Debian trixie
                 warning `[scratch]/cli/fitting.lock` was made by an older program and does not say what was asked for: what is taken out of the description stays in the image until `cargo xtask lock small --update`
            error: `[scratch]/cli/thesis` holds files that no build made; choose another directory
        "#]],
    );
    assert_eq!(std::fs::read_to_string(out.join("thesis.tex")).unwrap(), "years of work");
}

/// A lock that fits `small`, of packages that do not exist.
fn fitting_lock() -> std::path::PathBuf {
    let plan: serde_json::Value =
        serde_json::from_str(&product::success(small().args(["plan", "--json"]))).unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut text = String::from("version = 1\nepoch = 1700000000\n");
    for archive in plan["archives"].as_array().unwrap() {
        text.push_str(&format!(
            "\n[[archive]]\nbase = {}\nsuite = {}\npocket = {}\ndate = 1700000000\nsha256 = \"{}\"\n",
            archive["base"],
            archive["suite"],
            archive["pocket"],
            "0".repeat(64)
        ));
    }
    let names = |field: &str| plan[field].as_array().unwrap().clone();
    let package = |list: &str, name: &str| {
        let (zeros, url) = ("0".repeat(64), format!("http://ftp.debian.org/debian/pool/{name}.deb"));
        format!(
            "\n[[{list}]]\nname = \"{name}\"\nversion = \"1\"\narchitecture = \"amd64\"\npocket = \"release\"\n\
             size = 1\nsha256 = \"{zeros}\"\nurl = \"{url}\"\n"
        )
    };
    for name in names("packages") {
        text.push_str(&package("package", &word(&name["name"])));
    }
    for name in names("tools") {
        text.push_str(&package("tool", &word(&name)));
    }
    file("fitting.lock", &text)
}

#[test]
fn nothing_is_coloured_that_is_no_terminal() {
    for verb in ["check", "plan", "nothing"] {
        for no_color in [true, false] {
            let mut command = small();
            if !no_color {
                command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
            }
            let output = command.arg(verb).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(!said.is_empty() && !said.contains(&0x1b), "{}", String::from_utf8_lossy(&said));
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for verb in [&["explain"][..], &["plan"], &["plan", "--json"], &["--help"]] {
        let mut child = small().args(verb).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{verb:?}");
        assert_eq!(output.status.code(), Some(0), "{verb:?}");
    }
}

#[test]
fn paths_are_told_as_one_would_type_them() {
    let directory = product::scratch("cli");
    let mut command = small();
    command.current_dir(&directory).args(["boot", "--out", "unbuilt"]);
    says(
        &mut command,
        expect![[r#"
        exit 2
        --- stdout
        --- stderr
        error: there is no `unbuilt/image.raw`; build it with `cargo xtask image small`
    "#]],
    );
    let mut command = small();
    command.current_dir(&directory).args(["boot", "--out"]).arg(Path::new(&directory).join("unbuilt"));
    says(
        &mut command,
        expect![[r#"
        exit 2
        --- stdout
        --- stderr
        error: there is no `unbuilt/image.raw`; build it with `cargo xtask image small`
    "#]],
    );
}

#[test]
fn nobody_comes_in_to_a_machine_that_does_not_run() {
    says(
        small().args(["ssh", "small", "--", "true"]),
        expect![[r#"
        exit 2
        --- stdout
        --- stderr
        error: `small` does not run with a way in; start it with `cargo xtask boot --ssh small` in another terminal
    "#]],
    );
}

#[test]
fn quiet_tells_data_and_errors_alone() {
    let output = small().args(["explain", "--timings", "-q", "bound-twice"]).output().unwrap();
    assert!(output.stdout.starts_with(b"bound-twice: a directory is bound once\n"));
    let timings = String::from_utf8(output.stderr).unwrap();
    assert!(timings.starts_with("    from      time  of ") && timings.lines().count() == 1, "{timings}");
    says(
        small().args(["check", "-q", "-v"]),
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: the argument '--quiet' cannot be used with '--verbose'

        Usage: cargo xtask check --quiet

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn colours_are_a_matter_of_choice() {
    let colored = |arguments: &[&str]| {
        let output = small().args(arguments).output().unwrap();
        String::from_utf8(output.stderr).unwrap().contains('\x1b')
    };
    // `small` sets NO_COLOR.
    assert!(!colored(&["check"]));
    assert!(colored(&["check", "--color", "always"]));
    assert!(!colored(&["check", "--color=never"]));
}
