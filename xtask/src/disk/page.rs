//! A page of `inspect`: on a disk what `systemd-dissect` and `fdisk -l` print, of
//! its kernel image what `objdump -h` does.

use bedplate_core::page::{Block, Page};
use bedplate_formats::gpt::SECTOR;

use super::inspection::{Inspection, PartitionFacts, SlotFacts, System, UkiFacts};

impl Inspection {
    /// The facts as text, no line wider than `width` columns (at least 40).
    pub fn page(&self, width: usize) -> String {
        let mut page = Page::new(width);
        let what = match self.kind.as_str() {
            "disk" => "a disk".to_owned(),
            "uki" => "a unified kernel image".to_owned(),
            "vfat" => "an EFI system partition".to_owned(),
            "DM_verity_hash" => "the hash tree of a root".to_owned(),
            filesystem => format!("a file system, {filesystem}"),
        };
        page.line(&format!("{}: {what} of {}, {} bytes", self.name, size(self.size), self.size));
        let mut facts = Vec::new();
        let mut fact = |name: &str, value: String| facts.push(vec![name.to_owned(), value]);
        if let Some(sector) = self.sector_size {
            fact("sectors", format!("{} of {sector} bytes", self.size / sector));
        }
        if let Some(guid) = self.guid {
            fact("disk id", guid.to_string());
        }
        if let Some(architecture) = &self.architecture {
            fact("architecture", architecture.clone());
        }
        if let Some(system) = &self.system {
            system_facts(system, &mut fact);
        }
        if !facts.is_empty() {
            page.line("");
            page.table(&["", ""], facts.into_iter());
        }
        partitions(&self.partitions, self.sector_size.unwrap_or(SECTOR), &mut page);
        slots(&self.slots, &mut page);
        if !self.esp.is_empty() {
            page.heading("files");
            page.table(
                &["path", "size"],
                self.esp.iter().map(|file| vec![file.path.clone(), file.size.to_string()]),
            );
        }
        if let Some(uki) = &self.uki {
            uki_facts(uki, !self.slots.is_empty(), &mut page);
        }
        page.finish()
    }

    /// What is told of the kernel image, for a page in another form.
    pub(crate) fn about_kernel_image(&self) -> Vec<Block> {
        let mut page = Page::new(0);
        if let Some(uki) = &self.uki {
            uki_facts(uki, !self.slots.is_empty(), &mut page);
        }
        page.into_blocks()
    }
}

fn system_facts(system: &System, fact: &mut impl FnMut(&str, String)) {
    let hostname = match (&system.hostname, &system.hostname_from) {
        (Some(name), _) => name.clone(),
        (None, Some(target)) => format!("each device's own, in {target}"),
        (None, None) => "none".to_owned(),
    };
    fact("host name", hostname);
    let machine_id = match system.machine_id.as_deref() {
        None => "none",
        Some("") => "made on the first boot",
        Some("uninitialized") => "made on the first boot, which is one that firmware counts",
        Some(id) => id,
    };
    fact("machine id", machine_id.to_owned());
    for (number, (name, value)) in system.os_release.iter().enumerate() {
        fact(if number == 0 { "OS release" } else { "" }, format!("{name}={value}"));
    }
}

fn partitions(partitions: &[PartitionFacts], sector: u64, page: &mut Page) {
    if partitions.is_empty() {
        return;
    }
    page.heading("partitions");
    page.table(
        &["", "start", "end", "sectors", "size", "type"],
        partitions.iter().map(|partition| {
            vec![
                partition.number.to_string(),
                partition.start.to_string(),
                partition.end.to_string(),
                partition.sectors.to_string(),
                size(partition.sectors * sector),
                partition.type_name.clone(),
            ]
        }),
    );
    page.line("");
    page.table(
        &["", "label", "id", "holds", "verity", "flags"],
        partitions.iter().map(|partition| {
            let flags = [
                (partition.read_only, "read-only"),
                (partition.grows, "grows"),
                (partition.no_auto, "no-auto"),
            ];
            let flags: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
            vec![
                partition.number.to_string(),
                partition.label.clone(),
                partition.guid.to_string(),
                partition.filesystem.unwrap_or("-").to_owned(),
                if partition.verity { "yes" } else { "no" }.to_owned(),
                if flags.is_empty() { "-".to_owned() } else { flags.join(" ") },
            ]
        }),
    );
}

fn slots(slots: &[SlotFacts], page: &mut Page) {
    if slots.is_empty() {
        return;
    }
    page.heading("slots");
    page.table(
        &["", "version", "kernel image", "hash tree"],
        slots.iter().map(|slot| {
            let none = || "none".to_owned();
            let tree = match slot.root_hash_fits {
                Some(true) => "fits",
                Some(false) => "DOES NOT FIT",
                None => "-",
            };
            let images = if slot.kernel_images.is_empty() { none() } else { slot.kernel_images.join(" ") };
            let version = slot.version.clone().or_else(|| slot.unreadable.clone()).unwrap_or_else(none);
            vec![slot.slot.clone(), version, images, tree.to_owned()]
        }),
    );
}

fn uki_facts(uki: &UkiFacts, slots: bool, page: &mut Page) {
    page.heading(&format!("unified kernel image {}", uki.path));
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(vec![name.to_owned(), value]);
    fact("size", format!("{}, {} bytes", size(uki.size), uki.size));
    if let Some(uname) = &uki.uname {
        fact("kernel", uname.clone());
    }
    for (name, value) in &uki.os_release {
        if name == "PRETTY_NAME" || name == "ID" {
            fact("OS release", format!("{name}={value}"));
        }
    }
    for signature in &uki.signatures {
        let holds = if signature.holds { "" } else { ", DOES NOT HOLD" };
        fact("signature", format!("of {}{holds}", signature.signer));
    }
    if uki.signatures.is_empty() {
        fact("signature", "none".to_owned());
    }
    let fits = match uki.root_hash_fits {
        Some(true) if slots => "fits the hash tree of its slot",
        Some(false) if slots => "DOES NOT FIT the hash tree of its slot",
        Some(true) => "fits the ids of root and hash tree",
        Some(false) => "DOES NOT FIT the ids of root and hash tree",
        None if uki.root_hash.is_some() => "on the command line",
        None => "none",
    };
    fact("root hash", fits.to_owned());
    page.table(&["", ""], facts.into_iter());
    page.line("");
    page.table(
        &["section", "size", "VMA", "file offset"],
        uki.sections.iter().map(|section| {
            vec![
                section.name.clone(),
                section.size.to_string(),
                format!("{:016x}", section.vma),
                format!("{:08x}", section.offset),
            ]
        }),
    );
    if let Some(command_line) = &uki.command_line {
        page.heading("kernel command line");
        page.words(command_line.split_whitespace());
    }
}

/// Bytes in the largest binary unit that `fdisk` would take.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            let whole = value.fract() == 0.0;
            return if whole { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::inspection::SectionFacts;
    use super::*;

    fn device() -> Inspection {
        let os_release = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let release =
            [("PRETTY_NAME", "Debian GNU/Linux 13 (trixie)"), ("VERSION_ID", "13"), ("ID", "debian")];
        let partition = |number, label: &str, start, sectors, type_name: &str, filesystem| PartitionFacts {
            number,
            label: label.to_owned(),
            start,
            end: start + sectors - 1,
            sectors,
            type_name: type_name.to_owned(),
            type_guid: uuid::Uuid::from_u128(number.into()),
            guid: uuid::Uuid::from_u128(0x3644_712f_284e_4a62_9dc4_6422_968e_1ab0 + u128::from(number)),
            filesystem,
            verity: number == 2,
            read_only: number == 2 || number == 3,
            grows: number == 4,
            no_auto: false,
        };
        Inspection {
            name: "image.raw".to_owned(),
            kind: "disk".to_owned(),
            size: 3603 << 20,
            sector_size: Some(512),
            guid: Some(uuid::Uuid::from_u128(0x3644_712f_284e_4a62_9dc4_6422_968e_1ab0)),
            architecture: Some("x86-64".to_owned()),
            partitions: vec![
                partition(1, "esp", 2048, 1_048_576, "EFI System", Some("vfat")),
                partition(2, "root-x86-64", 1_050_624, 4_194_304, "Linux root (x86-64)", Some("erofs")),
                partition(
                    3,
                    "root-x86-64-verity",
                    5_244_928,
                    34_816,
                    "Linux root verity (x86-64)",
                    Some("DM_verity_hash"),
                ),
                partition(4, "persistent", 5_279_744, 2_097_152, "Linux filesystem", None),
            ],
            system: Some(System {
                filesystem: "erofs",
                hostname: Some("edge".to_owned()),
                hostname_from: None,
                machine_id: Some(String::new()),
                os_release: os_release(&release),
            }),
            slots: Vec::new(),
            esp: Vec::new(),
            uki: Some(UkiFacts {
                path: "EFI/Linux/edge-6.12.efi".to_owned(),
                size: 24_342_528,
                signatures: Vec::new(),
                sections: vec![
                    SectionFacts {
                        name: ".text".to_owned(),
                        size: 67_598,
                        vma: 0x1_4df9_1000,
                        offset: 0x600,
                    },
                    SectionFacts {
                        name: ".cmdline".to_owned(),
                        size: 195,
                        vma: 0x1_4dfa_c000,
                        offset: 0x16a00,
                    },
                ],
                uname: Some("6.12.118+deb13-amd64".to_owned()),
                command_line: Some(format!("roothash={} ro panic=10 console=ttyS0,115200", "5a".repeat(32))),
                os_release: os_release(&release),
                root_hash: Some("5a".repeat(32)),
                root_hash_fits: Some(true),
            }),
        }
    }

    #[test]
    fn a_disk_is_one_page() {
        expect![[r#"
            image.raw: a disk of 3.5 GiB, 3778019328 bytes

              sectors       7378944 of 512 bytes
              disk id       3644712f-284e-4a62-9dc4-6422968e1ab0
              architecture  x86-64
              host name     edge
              machine id    made on the first boot
              OS release    PRETTY_NAME=Debian GNU/Linux 13 (trixie)
                            VERSION_ID=13
                            ID=debian

            partitions
                 start    end      sectors  size     type
              1  2048     1050623  1048576  512 MiB  EFI System
              2  1050624  5244927  4194304  2 GiB    Linux root (x86-64)
              3  5244928  5279743  34816    17 MiB   Linux root verity (x86-64)
              4  5279744  7376895  2097152  1 GiB    Linux filesystem

                 label               id                                    holds           verity  flags
              1  esp                 3644712f-284e-4a62-9dc4-6422968e1ab1  vfat            no      -
              2  root-x86-64         3644712f-284e-4a62-9dc4-6422968e1ab2  erofs           yes     read-only
              3  root-x86-64-verity  3644712f-284e-4a62-9dc4-6422968e1ab3  DM_verity_hash  no      read-only
              4  persistent          3644712f-284e-4a62-9dc4-6422968e1ab4  -               no      grows

            unified kernel image EFI/Linux/edge-6.12.efi
              size        23.2 MiB, 24342528 bytes
              kernel      6.12.118+deb13-amd64
              OS release  PRETTY_NAME=Debian GNU/Linux 13 (trixie)
              OS release  ID=debian
              signature   none
              root hash   fits the ids of root and hash tree

              section   size   VMA               file offset
              .text     67598  000000014df91000  00000600
              .cmdline  195    000000014dfac000  00016a00

            kernel command line
              roothash=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a ro panic=10
              console=ttyS0,115200
        "#]]
        .assert_eq(&device().page(100));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 100] {
            for line in device().page(width).lines() {
                assert!(line.chars().count() <= width, "{line}");
            }
        }
    }

    #[test]
    fn a_root_hash_of_another_disk_stands_out() {
        let mut device = device();
        device.uki.as_mut().unwrap().root_hash_fits = Some(false);
        assert!(device.page(80).contains("DOES NOT FIT"));
    }
}
