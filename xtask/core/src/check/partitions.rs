//! Rules of the disk.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::data::Data;
use crate::image::esp::Esp;
use crate::image::filesystem::{Erofs, Ext4, Squashfs};
use crate::image::root::Root;
use crate::location::At;
use crate::rule::{Rule, example};
use crate::value::{DevicePath, GiB, Label, MiB, Size, Value};

pub(crate) static NO_ROOT: Rule = Rule {
    code: "no-root",
    title: "an image has a root partition",
    why: "The packages are installed into it.",
    wrong: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))),
    right: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())),
};

pub(crate) static TWO_ROOTS: Rule = Rule {
    code: "two-roots",
    title: "an image has one root partition",
    why: "Two systems on one disk are two images. A second slot for updates is no second root: it is written on the \
          device, by the updater.",
    wrong: example!(|device| device.partition(Root::new(Squashfs))),
    right: example!(|device| device),
};

pub(crate) static NO_ESP: Rule = Rule {
    code: "no-esp",
    title: "an image has an EFI system partition",
    why: "The firmware looks for the boot loader there, and nowhere else.",
    wrong: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Root::new(Erofs).verity())),
    right: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Root::new(Erofs).verity())
        .partition(Esp::new(MiB(512)))),
};

pub(crate) static TWO_ESPS: Rule = Rule {
    code: "two-esps",
    title: "an image has one EFI system partition",
    why: "Firmwares differ in which of two they take, and systemd-boot reads the one it was started from.",
    wrong: example!(|device| device.partition(Esp::new(MiB(256)))),
    right: example!(|device| device),
};

pub(crate) static SECTOR_SIZE: Rule = Rule {
    code: "sector-size",
    title: "a disk has sectors of 512 or 4096 bytes",
    why: "Firmware and kernels know no other sizes. FAT32, the only FAT every firmware reads, has 65525 clusters at \
          least, and with sectors of 4096 bytes none is smaller than that: an EFI system partition then needs 257 MiB.",
    wrong: example!(|device| device.sector_size(2048)),
    right: example!(|device| device.sector_size(4096)),
};

pub(crate) static ESP_TOO_SMALL: Rule = Rule {
    code: "esp-too-small",
    title: "an EFI system partition holds two kernel images",
    why: "A kernel image has about 60 MB, and an update writes the next one beside the one that runs. FAT32, the only \
          FAT every firmware reads, needs 33 MiB in any case.",
    wrong: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Root::new(Erofs))
        .partition(Esp::new(MiB(64)))),
    right: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Root::new(Erofs))
        .partition(Esp::new(MiB(512)))),
};

pub(crate) static SIZE_OUT_OF_RANGE: Rule = Rule {
    code: "size-out-of-range",
    title: "a partition has a size that a system and a disk can have",
    why: "No root of Debian's or Ubuntu's fits into less than 64 MiB, no ext4 with a journal is of use under 16 MiB, \
          and 16 TiB is the most that ext4 takes with blocks of 4096 bytes.",
    wrong: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).size(MiB(20)))),
    right: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).size(GiB(2)))),
};

pub(crate) static LABEL_TOO_LONG: Rule = Rule {
    code: "label-too-long",
    title: "a label fits the GPT and the file system",
    why: "A name in a GPT has at most 36 UTF-16 units, and partitioning tools cut a longer one without a word. The \
          label of an ext4 has at most 16 bytes, and the partition and its file system are called the same.",
    wrong: example!(|system| system.partition(Data::new("everything-this-device-has-to-keep-forever", Ext4))),
    right: example!(|system| system.partition(Data::new("persistent", Ext4))),
};

pub(crate) static LABEL_TWICE: Rule = Rule {
    code: "label-twice",
    title: "every partition has a label of its own",
    why: "Ids are derived from labels, and people tell partitions apart by them.",
    wrong: example!(|system| system
        .partition(Data::new("persistent", Ext4).fixed())
        .partition(Data::new("persistent", Ext4))),
    right: example!(|system| system
        .partition(Data::new("logs", Ext4).fixed())
        .partition(Data::new("persistent", Ext4))),
};

pub(crate) static LABEL_OF_THE_PLAN: Rule = Rule {
    code: "label-of-the-plan",
    title: "a data partition is not labelled as one of the plan's own",
    why: "A device finds its partitions as `/dev/bedplate/LABEL`, on the disk that was booted. `disk` and `esp` are taken \
          there, and on a device that can be updated the names of its slots.",
    wrong: example!(|system| system.partition(Data::new("disk", Ext4).mount("/local"))),
    right: example!(|system| system.partition(Data::new("persistent", Ext4).mount("/local"))),
};

pub(crate) static MOUNT_TWICE: Rule = Rule {
    code: "mount-twice",
    title: "every data partition is mounted at a place of its own",
    why: "The second one would hide the first, and what is written to which would depend on the order of mounting.",
    wrong: example!(|system| system
        .partition(Data::new("logs", Ext4).mount("/local").fixed())
        .partition(Data::new("persistent", Ext4).mount("/local"))),
    right: example!(|system| system
        .partition(Data::new("logs", Ext4).mount("/logs").fixed())
        .partition(Data::new("persistent", Ext4).mount("/local"))),
};

pub(crate) static MOUNT_OVER_SYSTEM: Rule = Rule {
    code: "mount-over-system",
    title: "a data partition is not mounted over the system",
    why: "A data partition starts empty. Mounted at /usr, /etc or /var it hides what the packages put there, and the \
          device does not start; /proc, /run and their like are the kernel's. Mount it at a place of its own, and \
          bind single directories.",
    wrong: example!(|system| system.partition(Data::new("persistent", Ext4).mount("/etc"))),
    right: example!(|system| system.partition(Data::new("persistent", Ext4).mount("/local"))),
};

pub(crate) static GROWS_BEFORE_ANOTHER: Rule = Rule {
    code: "grows-before-another",
    title: "only the last partition of a disk grows",
    why: "Partitions grow to the end of the disk, in place. One with another behind it has nowhere to go.",
    wrong: example!(|device| device.partition(Data::new("logs", Ext4).mount("/logs"))),
    right: example!(|system| system
        .partition(Data::new("logs", Ext4).mount("/logs").fixed())
        .partition(Data::new("persistent", Ext4).mount("/local"))),
};

/// Directories the packages or the kernel fill; a data partition would hide them.
pub(super) const SYSTEM: [&str; 15] = [
    "/", "/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin",
    "/sys", "/tmp", "/usr",
];

/// Links in `/dev/bedplate`.
const OF_THE_PLAN: [&str; 10] =
    ["disk", "esp", "image-disk", "root-a", "root-b", "slot", "uki-a", "uki-b", "verity-a", "verity-b"];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    one_of_each(image, found);
    sizes(image, found);
    labels(image, found);
    mounts(image, found);

    let last = image.data.len().saturating_sub(1);
    for data in image.data.iter().take(last).filter(|data| data.grow) {
        let label = data.label.as_ref().map_or("", |label| label.value.as_str());
        let message = format!("the data partition `{label}` grows, and another one follows it");
        let mistake = Diagnostic::new(GROWS_BEFORE_ANOTHER.code, message).at(&data.at);
        let mistake = mistake.related(&image.data[last].at, "the last one");
        found.push(mistake.help("add `.fixed()`, or put it last"));
    }
}

fn one_of_each(image: &Image, found: &mut Vec<Diagnostic>) {
    match image.roots.as_slice() {
        [] => found.push(
            Diagnostic::new(NO_ROOT.code, "there is no root partition")
                .at(&image.release.at)
                .help("add `.partition(Root::new(Erofs).verity())`"),
        ),
        [first, others @ ..] => found.extend(others.iter().map(|root| {
            let second = Diagnostic::new(TWO_ROOTS.code, "there are two root partitions").at(&root.at);
            second.related(&first.at, "the first one").help("remove one of the two")
        })),
    }
    match image.esps.as_slice() {
        [] => found.push(
            Diagnostic::new(NO_ESP.code, "there is no EFI system partition")
                .at(&image.release.at)
                .help("add `.partition(Esp::new(MiB(512)))`"),
        ),
        [first, others @ ..] => found.extend(others.iter().map(|esp| {
            let second = Diagnostic::new(TWO_ESPS.code, "there are two EFI system partitions").at(&esp.at);
            second.related(&first.at, "the first one").help("remove one of the two")
        })),
    }
}

fn sizes(image: &Image, found: &mut Vec<Diagnostic>) {
    for esp in image.esps.iter().filter(|esp| esp.size < Size::mib(128)) {
        let message = format!("an EFI system partition of {} is too small", esp.size);
        let mistake = Diagnostic::new(ESP_TOO_SMALL.code, message).at(&esp.at);
        found
            .push(mistake.label("two kernel images of 60 MB do not fit").help("give it at least `MiB(128)`"));
    }
    found.extend(sectors(image));
    // FAT32 with its largest clusters ends at 2 TiB; what a firmware reads, much earlier.
    let esps = image.esps.iter().map(|esp| (esp.size, Size::mib(0), Size::mib(32 * 1024), "an ESP", &esp.at));
    let most = Size::mib(16 * 1024 * 1024);
    let roots = image.roots.iter().map(|root| (root.size, Size::mib(64), most, "a root", &root.at));
    let data = image.data.iter().map(|data| (data.size, Size::mib(16), most, "a data partition", &data.at));
    for (size, least, most, what, at) in esps.chain(roots).chain(data) {
        if size < least || size > most {
            let message = format!("{what} cannot have {size}");
            let (least, most) = (least.max(Size::mib(1)), most);
            found.push(
                Diagnostic::new(SIZE_OUT_OF_RANGE.code, message)
                    .at(at)
                    .help(format!("between {least} and {most}")),
            );
        }
    }
}

fn labels(image: &Image, found: &mut Vec<Diagnostic>) {
    for label in image.data.iter().filter_map(|data| data.label.as_ref()) {
        let text = label.value.as_str();
        let units = text.encode_utf16().count();
        let mistake = |reason: String| {
            let message = format!("the label `{text}` is too long");
            Diagnostic::new(LABEL_TOO_LONG.code, message).at(&label.at).word(text).label(reason)
        };
        if units > 36 {
            found.push(mistake(format!("it has {units} UTF-16 units, and a name in a GPT has at most 36")));
        } else if text.len() > 16 {
            found.push(mistake(format!(
                "it has {} bytes, and the label of an ext4 has at most 16",
                text.len()
            )));
        }
    }
    let taken = |label: &&At<Label>| OF_THE_PLAN.contains(&label.value.as_str());
    for label in image.data.iter().filter_map(|data| data.label.as_ref()).filter(taken) {
        let text = label.value.as_str();
        let message = format!("`{text}` is a label of the plan's own");
        let mistake = Diagnostic::new(LABEL_OF_THE_PLAN.code, message).at(&label.at).word(text);
        found.push(mistake.help("write another one: `persistent`"));
    }
    for (first, second) in repeated(&image.data, |data| data.label.as_ref().map(|label| &label.value)) {
        let text = second.label.as_ref().map_or("", |label| label.value.as_str());
        let mistake = Diagnostic::new(LABEL_TWICE.code, format!("two partitions are labelled `{text}`"));
        found.push(mistake.at(&second.at).related(&first.at, "the first one"));
    }
}

fn mounts(image: &Image, found: &mut Vec<Diagnostic>) {
    let mounts = || image.data.iter().filter_map(|data| data.mount.as_ref());
    for mount in mounts() {
        let path = &mount.value;
        let hidden = SYSTEM.iter().find(|system| path.as_str() == **system || below(path, system)).copied();
        let hidden = hidden.or((path.as_str() == "/var").then_some("/var"));
        if let Some(system) = hidden {
            let message = format!("a data partition cannot be mounted at `{path}`");
            let mistake = Diagnostic::new(MOUNT_OVER_SYSTEM.code, message).at(&mount.at);
            let mistake = mistake.label(format!("`{system}` is the system's"));
            found.push(mistake.help("mount it at `/local`, and `.bind(…)` what is to be kept"));
        }
    }
    let all: Vec<_> = mounts().collect();
    for (first, second) in repeated(all.iter().copied(), |mount| Some(&mount.value)) {
        let message = format!("two data partitions are mounted at `{}`", second.value);
        found.push(
            Diagnostic::new(MOUNT_TWICE.code, message).at(&second.at).related(&first.at, "the first one"),
        );
    }
}

/// True when `path` lies below one of the kernel's or the packages' own
/// directories; below `/` everything lies, and that alone says nothing.
fn below(path: &DevicePath, system: &str) -> bool {
    system != "/" && DevicePath::parse(system).is_ok_and(|system| system.holds(path))
}

/// The size of the disk's sectors, and whether an ESP of them can be a FAT32.
fn sectors(image: &Image) -> Vec<Diagnostic> {
    let Some(size) = &image.sector_size else { return Vec::new() };
    if !matches!(size.value, 512 | 4096) {
        let message = format!("a disk cannot have sectors of {} bytes", size.value);
        let mistake = Diagnostic::new(SECTOR_SIZE.code, message).at(&size.at);
        return vec![mistake.help("write `.sector_size(4096)`, or leave it out for 512")];
    }
    let small = image.esps.iter().filter(|esp| size.value == 4096 && esp.size < Size::mib(257));
    let mistake = |esp: &crate::image::esp::Esp| {
        let message = format!("an ESP in sectors of 4096 bytes cannot have {}", esp.size);
        let mistake = Diagnostic::new(SECTOR_SIZE.code, message).at(&esp.at);
        mistake.related(&size.at, "sectors of 4096 bytes").help("give it at least `MiB(257)`")
    };
    small.map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("partitions.rs");

    #[test]
    fn an_image_without_root_is_shown_how_to_add_one() {
        expect![[r#"
            error[no-root]: there is no root partition
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::debian("trixie")
               |                              ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.partition(Root::new(Erofs).verity())`
        "#]]
        .assert_eq(&refusal(&NO_ROOT, SOURCE));
    }

    #[test]
    fn a_second_root_is_refused() {
        expect![[r#"
            error[two-roots]: there are two root partitions
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.partition(Root::new(Squashfs))),
               |                                               ^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/rule.rs:LL:CC
               = the first one
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&TWO_ROOTS, SOURCE));
    }

    #[test]
    fn an_image_without_esp_is_shown_how_to_add_one() {
        expect![[r#"
            error[no-esp]: there is no EFI system partition
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::debian("trixie")
               |                              ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.partition(Esp::new(MiB(512)))`
        "#]]
        .assert_eq(&refusal(&NO_ESP, SOURCE));
    }

    #[test]
    fn a_second_esp_is_refused() {
        expect![[r#"
            error[two-esps]: there are two EFI system partitions
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.partition(Esp::new(MiB(256)))),
               |                                               ^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/rule.rs:LL:CC
               = the first one
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&TWO_ESPS, SOURCE));
    }

    #[test]
    fn an_esp_without_room_for_an_update_is_refused() {
        expect![[r#"
            error[esp-too-small]: an EFI system partition of 64 MiB is too small
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     .partition(Esp::new(MiB(64)))),
               |                ^^^^^^^^^^^^^^^^^ two kernel images of 60 MB do not fit
               |
               = help: give it at least `MiB(128)`
        "#]]
        .assert_eq(&refusal(&ESP_TOO_SMALL, SOURCE));
    }

    #[test]
    fn a_root_nothing_fits_into_is_refused() {
        expect![[r#"
            error[size-out-of-range]: a root cannot have 20 MiB
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     .partition(Root::new(Erofs).size(MiB(20)))),
               |                                 ^^^^^^^^^^^^^
               |
               = help: between 64 MiB and 16384 GiB
        "#]]
        .assert_eq(&refusal(&SIZE_OUT_OF_RANGE, SOURCE));
    }

    #[test]
    fn a_label_that_would_be_cut_is_refused() {
        expect![[r#"
            error[label-too-long]: the label `everything-this-device-has-to-keep-forever` is too long
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL | …le!(|system| system.partition(Data::new("everything-this-device-has-to-keep-forever", Ext4))),
               |                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |                                      it has 42 UTF-16 units, and a name in a GPT has at most 36
        "#]]
        .assert_eq(&refusal(&LABEL_TOO_LONG, SOURCE));
    }

    #[test]
    fn a_label_that_the_plan_uses_is_refused() {
        expect![[r#"
            error[label-of-the-plan]: `disk` is a label of the plan's own
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|system| system.partition(Data::new("disk", Ext4).mount("/local"))),
               |                                                         ^^^^^^
               |
               = help: write another one: `persistent`
        "#]]
        .assert_eq(&refusal(&LABEL_OF_THE_PLAN, SOURCE));
    }

    #[test]
    fn two_partitions_of_one_label_are_refused() {
        expect![[r#"
            error[label-twice]: two partitions are labelled `persistent`
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     .partition(Data::new("persistent", Ext4))),
               |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     .partition(Data::new("persistent", Ext4).fixed())
               |                ----------------------------- the first one
        "#]]
        .assert_eq(&refusal(&LABEL_TWICE, SOURCE));
    }

    #[test]
    fn two_partitions_at_one_place_are_refused() {
        expect![[r#"
            error[mount-twice]: two data partitions are mounted at `/local`
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     .partition(Data::new("persistent", Ext4).mount("/local"))),
               |                                              ^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     .partition(Data::new("logs", Ext4).mount("/local").fixed())
               |                                        --------------- the first one
        "#]]
        .assert_eq(&refusal(&MOUNT_TWICE, SOURCE));
    }

    #[test]
    fn data_does_not_hide_the_system() {
        expect![[r#"
            error[mount-over-system]: a data partition cannot be mounted at `/etc`
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|system| system.partition(Data::new("persistent", Ext4).mount("/etc"))),
               |                                                                             ^^^^^^^^^^^^^
               |                                                                          `/etc` is the system's
               |
               = help: mount it at `/local`, and `.bind(…)` what is to be kept
        "#]]
        .assert_eq(&refusal(&MOUNT_OVER_SYSTEM, SOURCE));
    }

    #[test]
    fn a_partition_does_not_grow_into_the_next() {
        expect![[r#"
            error[grows-before-another]: the data partition `persistent` grows, and another one follows it
              --> xtask/core/src/rule.rs:LL:CC
              ::: xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.partition(Data::new("logs", Ext4).mount("/logs"))),
               |                                               ----------------------- the last one
               |
               = help: add `.fixed()`, or put it last
        "#]]
        .assert_eq(&refusal(&GROWS_BEFORE_ANOTHER, SOURCE));
    }

    #[test]
    fn a_size_beyond_64_bits_is_a_mistake_and_no_overflow() {
        let mistakes = device().partition(Data::new("huge", Ext4).size(GiB(u64::MAX))).plan().unwrap_err();
        assert!(mistakes.iter().any(|mistake| mistake.code == SIZE_OUT_OF_RANGE.code), "{mistakes}");
    }

    /// Case 28.
    #[test]
    fn a_disk_of_large_sectors_has_a_large_esp() {
        expect![[r#"
            error[sector-size]: a disk cannot have sectors of 2048 bytes
              --> xtask/core/src/check/partitions.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.sector_size(2048)),
               |                                     ^^^^^^^^^^^^^^^^^
               |
               = help: write `.sector_size(4096)`, or leave it out for 512
        "#]]
        .assert_eq(&refusal(&SECTOR_SIZE, SOURCE));
        let with_esp = |size| {
            let image = Image::debian("trixie").package("linux-image-amd64").sector_size(4096);
            image
                .partition(crate::Root::new(crate::Erofs).verity())
                .partition(crate::Esp::new(crate::MiB(size)))
                .plan()
        };
        let mistakes = with_esp(256).unwrap_err();
        assert_eq!(
            mistakes.iter().next().unwrap().message,
            "an ESP in sectors of 4096 bytes cannot have 256 MiB"
        );
        let plan = with_esp(257).unwrap();
        assert_eq!(plan.disk.sector_size, 4096);
        assert!(plan.to_string().contains(" in sectors of 4096 bytes"));
    }
}
