//! A plan for people: everything that was decided, on a page or two.

use std::{fmt, iter};

use super::{BindKind, DataPlan, DiskPlan, FileKind, Keyring, PartitionGuid, Plan, RootPlan, Topic, Why};
use crate::page::{Block, Page};

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.page(100))
    }
}

impl Plan {
    /// The plan as text, no line wider than `width` columns (at least 40).
    #[must_use]
    pub fn page(&self, width: usize) -> String {
        let mut page = Page::new(width);
        page.line(&format!(
            "{}{}: {} {} for {}{}",
            self.name,
            self.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default(),
            self.distribution,
            self.release,
            self.architecture,
            if self.dangers.is_empty() { "" } else { ", WEAKENED: see below" }
        ));
        for topic in Topic::ALL {
            self.tell(topic, &mut page);
        }
        page.finish()
    }

    /// What the page tells about a topic; nothing where there is nothing to tell.
    #[must_use]
    pub fn about(&self, topic: Topic) -> Vec<Block> {
        let mut page = Page::new(0);
        self.tell(topic, &mut page);
        page.into_blocks()
    }

    fn tell(&self, topic: Topic, page: &mut Page) {
        match topic {
            Topic::Dangers => self.weakened(page),
            Topic::Disk => self.disk(page),
            Topic::Budgets => self.budgets(page),
            Topic::Trust => self.trust(page),
            Topic::Listeners => self.listening(page),
            Topic::Updates => self.updates(page),
            Topic::Persistent => self.kept(page),
            Topic::Identities => self.own(page),
            Topic::CommandLine => self.command_line_page(page),
            Topic::Modules => self.modules_page(page),
            Topic::Settings => self.settings_page(page),
            Topic::Archives => self.archives_page(page),
            Topic::Packages => self.packages_page(page),
            Topic::Answers => self.answers_page(page),
            Topic::Vendors => self.vendors(page),
            Topic::Contents => self.contents_page(page),
            Topic::Enabled => self.enabled(page),
            Topic::Users => self.people(page),
            Topic::Masked => self.masked(page),
            Topic::Files => self.generated(page),
            Topic::Overlays => self.overlays_page(page),
            Topic::Artifacts => self.results(page),
        }
    }

    fn disk(&self, page: &mut Page) {
        let sectors = match self.disk.sector_size {
            512 => String::new(),
            bytes => format!(" in sectors of {bytes} bytes"),
        };
        page.heading(&format!("disk, {}{sectors}", size(self.disk.size)));
        let made = self.disk.encrypted().map(|data| {
            let mount = data.mount.as_ref().map(|mount| format!(" at {mount}")).unwrap_or_default();
            let (least, grows) = if data.grow { ("from ", ", grows") } else { ("", "") };
            let content = format!("{}{mount}, encrypted{grows}", data.filesystem);
            let (label, size) =
                (data.partition.label.clone(), format!("{least}{}", size(data.partition.size)));
            vec![String::new(), label, String::new(), size, content, "made at the first start".to_string()]
        });
        page.table(
            &["", "partition", "at", "size", "content", "id"],
            self.disk
                .partitions()
                .zip(contents(&self.disk))
                .map(|(partition, content)| {
                    vec![
                        partition.number.to_string(),
                        partition.label.clone(),
                        size(partition.offset),
                        size(partition.size),
                        content,
                        match partition.guid {
                            PartitionGuid::Fixed(guid) => guid.to_string(),
                            PartitionGuid::RootHashFirst => "first half of the root hash".to_string(),
                            PartitionGuid::RootHashLast => "second half of the root hash".to_string(),
                        },
                    ]
                })
                .chain(made),
        );
    }

    fn budgets(&self, page: &mut Page) {
        if self.budgets.is_empty() {
            return;
        }
        page.heading("budgets");
        let row = |budget: &super::BudgetPlan| {
            vec![budget.what.to_string(), format!("at most {}", size(budget.most))]
        };
        page.table(&["", ""], self.budgets.iter().map(row));
    }

    fn updates(&self, page: &mut Page) {
        let (Some(updates), Some(slots)) = (&self.updates, &self.disk.slots) else { return };
        page.heading(&format!("updates of `{}`, two slots", updates.compatible));
        let second = slots.first(&self.disk).into_iter().zip(&slots.second);
        let second = second.map(|(first, (_, label))| format!("{label} of {}", size(first.size)));
        let good = updates.healthy.iter().map(|healthy| healthy.unit.as_str()).collect::<Vec<_>>();
        let asked = updates.asked.as_deref().unwrap_or("nobody: `rauc install` is called");
        let second = second.collect::<Vec<_>>().join(", ");
        let rows = [
            ("signed by", updates.certificates.join(", ")),
            ("second slot", format!("{second}, made at the first start")),
            ("needs", format!("a disk of {} or more", size(self.disk.needs()))),
            ("on trial", format!("{} starts of {} min", updates.tries, updates.minutes)),
            ("good when", good.join(", ")),
            ("asked at", asked.to_string()),
            ("layout", updates.layout.to_string()),
        ];
        page.table(&["", ""], rows.into_iter().map(|(name, value)| vec![name.to_string(), value]));
    }

    fn weakened(&self, page: &mut Page) {
        if self.dangers.is_empty() {
            return;
        }
        page.heading("weakened by the description");
        page.table(
            &["what", "why it matters", "asked by"],
            self.dangers.iter().map(|danger| {
                let at = danger.at.as_ref().map(|at| format!("{}:{}", at.file, at.line)).unwrap_or_default();
                vec![danger.what.clone(), danger.why.clone(), at]
            }),
        );
    }

    fn kept(&self, page: &mut Page) {
        if self.binds.is_empty() {
            return;
        }
        // Every backing is this directory and the path after it.
        let below = self.binds.first().and_then(|bind| bind.backing.strip_suffix(bind.path.as_str()));
        page.heading(&format!("kept, each below {}", below.unwrap_or_default()));
        page.table(
            &["path", "starts", "whose", "asked by"],
            self.binds.iter().map(|bind| {
                let start = match (bind.seeded, bind.kind) {
                    (true, _) => "as in the image",
                    (false, BindKind::Directory) => "empty",
                    (false, BindKind::File) => "an empty file",
                };
                let mode = bind.mode.filter(|mode| *mode != 0o755).map(|mode| format!("{mode:04o}"));
                let owner = match (&bind.owner, &bind.group) {
                    (Some(owner), Some(group)) if owner == "root" && group == "root" => None,
                    (None, None) => None,
                    (owner, group) => Some(format!(
                        "{}:{}",
                        owner.as_deref().unwrap_or_default(),
                        group.as_deref().unwrap_or_default()
                    )),
                };
                let programs = bind.executable.then(|| "programs".to_string());
                let whose: Vec<String> = mode.into_iter().chain(owner).chain(programs).collect();
                let why = match (&bind.why, &bind.at) {
                    (Some(why), _) => why.clone(),
                    (None, Some(at)) => format!("{}:{}", at.file, at.line),
                    (None, None) => String::new(),
                };
                vec![bind.path.to_string(), start.to_string(), whose.join(" "), why]
            }),
        );
    }

    fn command_line_page(&self, page: &mut Page) {
        page.heading("kernel command line");
        let hash = self.disk.root.verity.as_ref().map(|_| "roothash=…");
        let words = hash.into_iter().chain(self.command_line.iter().map(String::as_str));
        page.words(words);
    }

    fn modules_page(&self, page: &mut Page) {
        if !self.modules.is_empty() {
            page.heading("kernel modules in the initrd, beyond the usual ones");
            page.words(self.modules.iter().map(|module| module.name.as_str()));
        }
    }

    fn settings_page(&self, page: &mut Page) {
        page.heading("settings");
        page.table(
            &["setting", "value", "why"],
            self.settings
                .iter()
                .map(|setting| vec![setting.key.clone(), setting.value.clone(), setting.why.clone()]),
        );
    }

    fn archives_page(&self, page: &mut Page) {
        page.heading("archives");
        page.table(
            &["suite", "components", "from"],
            self.archives.iter().map(|archive| {
                let from = match (archive.snapshots.first(), self.mirrors.first()) {
                    (Some(snapshot), _) => snapshot.to_string(),
                    (None, Some(mirror)) if archive.own => {
                        format!("{} by way of {mirror}", archive.base)
                    }
                    (None, _) => archive.base.to_string(),
                };
                vec![archive.suite.clone(), archive.components.join(" "), from]
            }),
        );
    }

    fn packages_page(&self, page: &mut Page) {
        let asked = self.packages.iter().filter(|package| package.why == Why::Asked).count();
        page.heading(&format!("packages: {asked} asked for, and what they depend on"));
        page.words(
            self.packages
                .iter()
                .filter(|package| package.why == Why::Asked)
                .map(|package| package.name.as_str()),
        );
        page.table(&["", ""], self.packages.iter().filter_map(choice));
        let implied = |package: &super::PackagePlan| match &package.why {
            Why::Implied(why) => Some(vec![format!("+ {}", package.name), why.clone()]),
            Why::Asked => None,
        };
        page.table(&["", ""], self.packages.iter().filter_map(implied));
        page.table(
            &["", ""],
            self.without.iter().map(|name| vec![format!("- {name}"), "kept out".to_string()]),
        );
    }

    fn answers_page(&self, page: &mut Page) {
        if !self.answers.is_empty() {
            page.heading("answers to questions of packages");
            let row =
                |answer: &super::AnswerPlan| vec![answer.name.clone(), answer.answer.as_str().to_string()];
            page.table(&["question", "answer"], self.answers.iter().map(row));
        }
    }

    fn enabled(&self, page: &mut Page) {
        if !self.units.enable.is_empty() {
            page.heading("started at boot");
            page.words(self.units.enable.iter().map(|unit| unit.name.as_str()));
        }
    }

    fn people(&self, page: &mut Page) {
        if !self.users.is_empty() {
            page.heading("users");
            page.table(
                &["name", "id", "groups", "logs in with"],
                self.users.iter().map(|user| {
                    let login = match (user.authorized_keys.len(), user.credential) {
                        _ if user.system => "nothing: a service's".to_string(),
                        (0, false) if user.program => "a program that becomes it".to_string(),
                        (0, false) => "nothing yet".to_string(),
                        (0, true) => "a credential's keys".to_string(),
                        (1, false) => "1 key".to_string(),
                        (count, false) => format!("{count} keys"),
                        (count, true) => format!("{count} of its own and a credential's keys"),
                    };
                    let root = if user.administrator { ", may become root" } else { "" };
                    vec![
                        user.name.clone(),
                        user.uid.to_string(),
                        user.groups.join(" "),
                        format!("{login}{root}"),
                    ]
                }),
            );
        }
    }

    fn vendors(&self, page: &mut Page) {
        if self.debs.is_empty() {
            return;
        }
        page.heading("packages of vendors");
        page.table(
            &["from", "taken because"],
            self.debs.iter().map(|deb| {
                let key = match &deb.keyring {
                    Some(Keyring::Key { fingerprint: Some(fingerprint), .. }) => fingerprint.as_str(),
                    _ => "",
                };
                let why = match &deb.sha256 {
                    None if deb.is_file() => "it is a file of the project".to_string(),
                    Some(sha256) => format!("dangerous: unsigned, sha256 {sha256}"),
                    None => format!("signed by {key}"),
                };
                let more = if deb.recommends { ", with what it recommends" } else { "" };
                vec![deb.url.to_string(), format!("{why}{more}")]
            }),
        );
    }

    fn masked(&self, page: &mut Page) {
        if !self.units.mask.is_empty() {
            page.heading("masked units");
            page.table(
                &["unit", "why"],
                self.units.mask.iter().map(|unit| {
                    let why = unit.why.as_deref().unwrap_or("the description masks it");
                    vec![unit.name.to_string(), why.to_string()]
                }),
            );
        }
    }

    fn generated(&self, page: &mut Page) {
        // Directories and the links that switch a unit on or off say nothing
        // beyond what stands above; `--json` has all.
        let is_switch = |path: &str| {
            path.contains(".wants/")
                || path.contains(".requires/")
                || path.starts_with("/etc/systemd/system/")
        };
        let told = self.files.iter().filter(|file| {
            !matches!(file.kind, FileKind::Directory | FileKind::MountPoint) && !is_switch(&file.path)
        });
        page.heading("generated files");
        page.table(&["path", "why"], told.map(|file| vec![file.path.to_string(), file.why.clone()]));
    }

    fn overlays_page(&self, page: &mut Page) {
        if !self.overlays.is_empty() {
            page.heading("copied over it");
            page.words(self.overlays.iter().map(|overlay| overlay.source.as_str()));
            let rules = self.overlays.iter().flat_map(|overlay| &overlay.rules);
            page.table(&["", ""], rules.map(|rule| vec![rule.pattern.to_string(), rule.in_words()]));
        }
    }

    fn results(&self, page: &mut Page) {
        page.heading(&format!("artifacts, in build/{}/", self.name));
        page.words(self.artifacts.names().into_iter());
    }
}

impl super::OverlayRule {
    fn in_words(&self) -> String {
        let mode = self.mode.map(|mode| format!("mode {mode:04o}"));
        let owner = self.owner.as_ref().map(|name| format!("of the user {name}"));
        let group = self.group.as_ref().map(|name| format!("of the group {name}"));
        mode.into_iter().chain(owner).chain(group).collect::<Vec<_>>().join(", ")
    }
}

impl super::ArtifactNames {
    /// All of them, the disk first.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.described().into_iter().map(|(name, _)| name).collect()
    }

    /// The same, each with what it is.
    #[must_use]
    pub fn described(&self) -> Vec<(&str, &'static str)> {
        let first = [
            (&self.disk, "the disk"),
            (&self.disk_link, "a link to the disk"),
            (&self.uki, "the unified kernel image"),
            (&self.esp, "the content of the EFI system partition"),
            (&self.root, "the content of the root partition"),
        ];
        let sometimes = [
            (&self.verity, "the hash tree of the root, with `Root::verity`"),
            (&self.uki_slot, "the kernel image's partition in a slot, with `.updates(…)`"),
        ];
        let sometimes = sometimes.into_iter().filter_map(|(name, what)| Some((name.as_ref()?, what)));
        let data = self.data.iter().map(|name| (name, "the content of a data partition, empty"));
        let uefi = self.uefi_data.iter();
        let uefi = uefi.map(|name| (name, "the firmware's variables for EC2, with `.secure_boot(…)`"));
        let last = [
            (&self.kernel, "the kernel"),
            (&self.initrd, "the initrd"),
            (&self.initrd_cpio, "the same, under the name of its format"),
            (&self.initrd_link, "a link to the initrd"),
            (&self.pcrs, "what a TPM will have measured, as JSON"),
            (&self.nitro, "the same, as AWS's tool for NitroTPM prints it"),
            (&self.manifest, "every package in the image, as JSON"),
            (&self.spdx, "the bill of materials, as SPDX"),
            (&self.cyclonedx, "the bill of materials, as CycloneDX"),
            (&self.provenance, "what the build was given, as SLSA"),
            (&self.checksums, "the sha256 of all others but the log: `sha256sum -c image.SHA256SUMS`"),
            (&self.log, "what dpkg and the packages' scripts printed"),
        ];
        let all = first.into_iter().chain(sometimes).chain(data).chain(uefi).chain(last);
        all.map(|(name, what)| (name.as_str(), what)).collect()
    }
}

/// What is in each partition, in the order of the disk.
fn contents(disk: &DiskPlan) -> impl Iterator<Item = String> {
    let RootPlan { filesystem, compression, verity, .. } = &disk.root;
    let verified = if verity.is_some() { ", verified" } else { "" };
    let root = match compression {
        crate::Compression::None => format!("{filesystem}{verified}"),
        compression => format!("{filesystem} {compression}{verified}"),
    };
    let data = disk.data.iter().filter(|data| !data.encrypted).map(
        |DataPlan { filesystem, mount, grow, .. }| {
            let mount = mount.as_ref().map(|mount| format!(" at {mount}")).unwrap_or_default();
            format!("{filesystem}{mount}{}", if *grow { ", grows" } else { "" })
        },
    );
    let verity = verity.iter().map(|_| "dm-verity".to_string());
    let uki = disk.slots.iter().map(|_| "kernel image".to_string());
    iter::once(root).chain(verity).chain(uki).chain(["fat32".to_string()]).chain(data)
}

fn size(bytes: u64) -> String {
    let mib = bytes / (1024 * 1024);
    if mib >= 1024 && mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}

/// What the description says of a package beyond its name.
fn choice(package: &super::PackagePlan) -> Option<Vec<String>> {
    let from = package.from.as_ref().map(|origin| format!("from {}", origin.suite));
    let version = package.version.as_ref().map(|version| format!("version {version}"));
    let recommends = package.recommends.then(|| "with what it recommends".to_string());
    let said: Vec<String> = from.into_iter().chain(version).chain(recommends).collect();
    (!said.is_empty()).then(|| vec![format!("= {}", package.name), said.join(", ")])
}

#[cfg(test)]
mod tests {
    use crate::page::Block;
    use crate::plan::Topic;
    use crate::rule::device;
    use crate::{Bind, User};
    use expect_test::expect;

    #[test]
    fn a_topic_is_told_by_itself() {
        let plan = device().bind("/greengrass").plan().unwrap();
        let nothing = [Block::Heading("what listens".into()), Block::Words(vec!["nothing".into()])];
        assert_eq!(plan.about(Topic::Listeners), nothing);
        assert_eq!(plan.about(Topic::Updates), []);
        let [Block::Heading(_), Block::Table { header, rows }] = &plan.about(Topic::Persistent)[..] else {
            panic!("{:?}", plan.about(Topic::Persistent));
        };
        assert!(rows.iter().all(|row| row.len() == header.len()));
        assert!(rows.iter().any(|row| row[0] == "/greengrass" && row[1] == "empty"), "{rows:?}");
    }

    #[test]
    fn a_plan_is_a_page_for_people() {
        let image = device().hostname("edge").bind("/greengrass").bind(Bind::new("/etc/amazon/ssm").seeded());
        let plan = image.user(User::new("alice").group("sudo")).enable("docker.service").plan().unwrap();
        // The line that asked is another one after every edit of this file.
        let line = plan.binds.iter().find_map(|bind| bind.at.as_ref()).map_or(0, |at| at.line);
        let page = plan.to_string().replace(&format!("display.rs:{line}"), "display.rs:LLL");
        expect![[r#"
            edge: Debian trixie for x86-64

            disk, 2835 MiB
                 partition           at        size     content                id
              1  root-x86-64         1 MiB     2 GiB    erofs lz4hc, verified  first half of the root hash
              2  root-x86-64-verity  2049 MiB  17 MiB   dm-verity              second half of the root hash
              3  esp                 2066 MiB  512 MiB  fat32                  df4bc753-d726-5191-ac4e-bd8b53c8…
              4  persistent          2578 MiB  256 MiB  ext4 at /local, grows  3f96371b-6164-5845-b740-d61a3529…

            what is verified by what
              systemd-boot          by nothing: no Secure Boot
              kernel image          by nothing: no Secure Boot; a TPM measures it
              initrd, command line  as parts of the kernel image
              root                  by the kernel, block by block, against the root hash in the kernel image
              data                  by nothing: persistent can be read and changed by who has the disk

            what listens
              nothing

            kept, each below /local/persistent
              path                          starts           whose  asked by
              /etc/amazon/ssm               as in the image         xtask/core/src/plan/display.rs:LLL
              /etc/machine-id               an empty file    0444   who this device is
              /greengrass                   empty                   xtask/core/src/plan/display.rs:LLL
              /var/lib/systemd/random-seed  an empty file    0600   its own randomness, from the last boot
              /var/lib/systemd/timers       empty                   when timers that outlast a reboot last ran

            kernel command line
              roothash=… ro gpt panic=10 oops=panic lockdown=integrity module.sig_enforce=1

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

            packages: 1 asked for, and what they depend on
              linux-image-amd64
              + dbus                systemd is spoken to over it
              + dmsetup             sets up the verified root
              + e2fsprogs           checks the data partition at boot
              + fdisk               gives a device's disk ids of its own
              + kmod                the kernel's modules
              + systemd-cryptsetup  sets up the verified root
              + systemd-repart      grows the data partition
              + systemd-sysv        the first process
              + udev                devices and their names, in the initrd too

            started at boot
              docker.service

            users
              name   id    groups  logs in with
              alice  1000  sudo    nothing yet

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
              /etc/hostname                                     the host name
              /etc/hosts                                        the host's own addresses
              /etc/locale.conf                                  the locale, for systemd
              /etc/machine-id                                   each device makes its own
              /usr/lib/bedplate/data-is-there                   says so when the data partition is lost
              /usr/lib/bedplate/name-disk                       gives the disk ids of its own
              /usr/lib/bedplate/state                           which directories and files, and what they star…
              /usr/lib/repart.d/04-persistent.conf              the partition grows to the end of the disk
              /usr/lib/sysctl.d/60-bedplate.conf                settings of the kernel
              /usr/lib/systemd/resolved.conf.d/60-bedplate.co…  nothing listens for names on the local network
              /usr/lib/systemd/system.conf.d/60-bedplate.conf   settings of systemd
              /usr/lib/systemd/system/bedplate-data.service     says so when the data partition is lost
              /usr/lib/systemd/system/bedplate-factory-reset.…  `systemctl start factory-reset.target` empties …
              /usr/lib/systemd/system/bedplate-name-disk.serv…  gives the disk ids of its own
              /usr/lib/systemd/system/bedplate-state.service    makes what lies behind the binds
              /usr/lib/systemd/system/etc-amazon-ssm.mount      kept, starting with the packages' files
              /usr/lib/systemd/system/greengrass.mount          kept, starting empty
              /usr/lib/systemd/system/local.mount               mounts the data partition of the booted disk
              /usr/lib/systemd/system/systemd-growfs@local.se…  the file system grows with its partition
              /usr/lib/systemd/system/systemd-repart.service.…  a partition that nobody knows is not grown
              /usr/lib/systemd/system/var-lib-systemd-random\…  its own randomness, from the last boot
              /usr/lib/systemd/system/var-lib-systemd-timers.…  when timers that outlast a reboot last ran
              /usr/lib/udev/rules.d/61-bedplate-disk.rules      finds the partitions of the disk that was booted
              /var/.updated                                     nothing is brought up to date at boot

            artifacts, in build/edge/
              image.raw image image.efi image.esp.raw image.root-x86-64.raw image.root-x86-64-verity.raw
              image.linux-generic.raw image.vmlinuz image.initrd initrd.cpio.zst initrd image.pcrs.json
              image.nitro.json image.manifest image.spdx.json image.cdx.json image.provenance.json
              image.SHA256SUMS image.log
        "#]].assert_eq(&page);
    }

    #[test]
    fn no_line_of_a_plan_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 100] {
            let page = device().bind("/opt/aws/amazon-cloudwatch-agent/etc").plan().unwrap().page(width);
            for line in page.lines() {
                assert!(line.chars().count() <= width, "{line}");
            }
        }
    }
}
