//! Rules of Secure Boot.

use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::data::Data;
use crate::image::encryption::Tpm;
use crate::image::filesystem::{Erofs, Ext4, Squashfs};
use crate::image::root::Root;
use crate::image::secure_boot::SecureBoot;
use crate::release;
use crate::rule::{Rule, certificate, example};
use crate::{Esp, MiB};

pub(crate) static SECURE_BOOT_TWICE: Rule = Rule {
    code: "secure-boot-twice",
    title: "the keys of Secure Boot are named once",
    why: "Firmware has one platform key, and a kernel image one signature that counts. Two directories of keys cannot both \
          hold.",
    wrong: example!(|device| device
        .secure_boot(SecureBoot::keys("keys"))
        .secure_boot(SecureBoot::keys("keys/production"))),
    right: example!(|device| device.secure_boot(SecureBoot::keys("keys"))),
};

pub(crate) static SECURE_BOOT_WITHOUT_VERITY: Rule = Rule {
    code: "secure-boot-without-verity",
    title: "with Secure Boot the root is verified",
    why: "Firmware checks systemd-boot and the kernel image, and nothing behind them. What ties the root to them is the \
          root hash on the signed command line: without it whoever has the disk for a minute changes any program, and the \
          signature says all is well.",
    wrong: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs))
        .secure_boot(SecureBoot::keys("keys"))),
    right: example!(|device| Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        .secure_boot(SecureBoot::keys("keys"))),
};

pub(crate) static ENCRYPTED_WITHOUT_SECURE_BOOT: Rule = Rule {
    code: "encrypted-without-secure-boot",
    title: "what is encrypted is tied to Secure Boot",
    why: "A TPM opens the data to who started the device. Without Secure Boot anybody can start it with a system of their own \
          that tells the TPM the same, so the data would be open to whoever has the device in their hands: encrypted in \
          name.",
    wrong: example!(|system| system.partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
    right: example!(|system| system
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
};

pub(crate) static ENCRYPTED_BESIDE: Rule = Rule {
    code: "encrypted-beside",
    title: "the partition that is encrypted is the last one, and the one that binds lie on",
    why: "The device makes it at its first start, behind the partitions of the image, and the initrd opens it: the one that \
          what is persistent lies on. A second one would be opened by the root, which the TPM no longer trusts.",
    wrong: example!(|system| system
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("secrets", Ext4).mount("/secrets").fixed().encrypted(Tpm))
        .partition(Data::new("persistent", Ext4).mount("/local"))),
    right: example!(|system| system
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
};

pub(crate) static ENCRYPTED_MAKEFS: Rule = Rule {
    code: "encrypted-makefs",
    title: "an encrypted partition is formatted once",
    why: "A device makes an encrypted partition with its file system where there is none. `.dangerous_makefs()` formats what \
          is damaged, and behind the encryption that would be the data of a device whose first blocks were lost.",
    wrong: example!(|system| system
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm).dangerous_makefs())),
    right: example!(|system| system
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
};

pub(crate) static ENCRYPTED_RELEASE: Rule = Rule {
    code: "encrypted-release",
    title: "a release that encrypts data has systemd 255 or newer",
    why: "Older ones do not tell whether firmware enforces Secure Boot and whether the kernel image is measured, and would \
          seal data to a device that anybody can start.",
    wrong: example!(|device| Image::debian("bookworm")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Squashfs).verity())
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
    right: example!(|system| system
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
};

pub(crate) static RECOVERY_RELEASE: Rule = Rule {
    code: "recovery-release",
    title: "a release that makes a further key has systemd 256 or newer",
    why: "A further key is made when the TPM has opened the data. Older `systemd-cryptenroll` wants a password for that, which \
          nobody has.",
    wrong: example!(|device| Image::ubuntu("noble")
        .package("linux-generic")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm.or_recovery(certificate())))),
    right: example!(|system| system
        .secure_boot(SecureBoot::keys("keys"))
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm.or_recovery(certificate())))),
};

pub(crate) static PCR_KEY_OF_NOTHING: Rule = Rule {
    code: "pcr-key-of-nothing",
    title: "the key that is replaced is one that something was sealed to",
    why: "The key of measurements opens encrypted data. Without such data nothing on a device is sealed to the former key, and \
          `pcr.pem` is replaced by writing another one.",
    wrong: example!(|system| system
        .secure_boot(SecureBoot::keys("keys").replaces_pcr_key())
        .partition(Data::new("persistent", Ext4).mount("/local"))),
    right: example!(|system| system
        .secure_boot(SecureBoot::keys("keys").replaces_pcr_key())
        .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    secure_boot(image, found);
    for (index, data) in image.data.iter().enumerate() {
        let Some(encryption) = &data.encryption else { continue };
        let at = &encryption.at;
        if image.secure_boot.is_none() {
            let message = "without Secure Boot the TPM opens the data to anybody";
            let mistake = Diagnostic::new(ENCRYPTED_WITHOUT_SECURE_BOOT.code, message).at(at);
            found.push(mistake.help("add `.secure_boot(SecureBoot::keys(\"keys\"))`"));
        }
        let kept =
            image.kept_on().zip(data.mount.as_ref()).is_some_and(|(kept, mount)| kept.value == mount.value);
        if !kept || index + 1 < image.data.len() {
            let message = "only the last data partition, which binds lie on, can be encrypted";
            let mistake = Diagnostic::new(ENCRYPTED_BESIDE.code, message).at(at);
            found.push(mistake.help("mount it, let it grow, and describe it last"));
        }
        if let Some(makefs) = &data.makefs {
            let message = "an encrypted partition is not formatted again";
            let mistake = Diagnostic::new(ENCRYPTED_MAKEFS.code, message).at(makefs);
            found.push(mistake.related(at, "encrypted here").help("leave `.dangerous_makefs()` out"));
        }
        if let Some(certificate) = &encryption.recovery {
            found.extend(super::updates::certificate_of(certificate));
        }
        let release = release::find(image.distribution, &image.release.value);
        let replaces = image.secure_boot.as_ref().and_then(|keys| keys.replaces_pcr_key.as_ref());
        let further = [
            (encryption.recovery.as_ref().map(|_| at), "make a recovery key", "use `.encrypted(Tpm)`"),
            (replaces, "replace the key of its data", "leave `.replaces_pcr_key()` out"),
        ];
        let old = release.filter(|release| release.systemd < 256 && !release.sealing.is_empty());
        for (at, what, instead) in further {
            let (Some(release), Some(at)) = (old, at) else { continue };
            let message = format!("{} {} cannot {what}", image.distribution, release.name);
            let mistake = Diagnostic::new(RECOVERY_RELEASE.code, message).at(at);
            let mistake = mistake.related(&image.release.at, "the release");
            found.push(mistake.help(format!("{instead}, or a newer release")));
        }
        if let Some(release) = release.filter(|release| release.sealing.is_empty()) {
            let (distribution, name) = (image.distribution, release.name);
            let message = format!("{distribution} {name} cannot encrypt data for a device alone");
            let mistake = Diagnostic::new(ENCRYPTED_RELEASE.code, message).at(at);
            found.push(mistake.related(&image.release.at, "the release"));
        }
    }
}

fn secure_boot(image: &Image, found: &mut Vec<Diagnostic>) {
    let Some(SecureBoot { directory, replaces_pcr_key }) = &image.secure_boot else { return };
    let encrypted = image.data.iter().any(|data| data.encryption.is_some());
    if let Some(at) = replaces_pcr_key.as_ref().filter(|_| !encrypted) {
        let message = "no data is sealed to the key that is replaced";
        let mistake = Diagnostic::new(PCR_KEY_OF_NOTHING.code, message).at(at);
        found.push(mistake.help("leave `.replaces_pcr_key()` out"));
    }
    for again in &image.secure_boot_again {
        let mistake =
            Diagnostic::new(SECURE_BOOT_TWICE.code, "the keys of Secure Boot are named twice").at(again);
        found.push(mistake.related(&directory.at, "the first ones"));
    }
    for root in image.roots.iter().filter(|root| !root.verity) {
        let message = "Secure Boot says nothing of a root that is not verified";
        let mistake = Diagnostic::new(SECURE_BOOT_WITHOUT_VERITY.code, message).at(&root.at);
        let mistake = mistake.related(&directory.at, "asked for here");
        found.push(mistake.help("use `Root::new(Erofs).verity()`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("secure_boot.rs");

    #[test]
    fn keys_are_named_once_and_for_a_root_that_is_verified() {
        expect![[r#"
            error[encrypted-without-secure-boot]: without Secure Boot the TPM opens the data to anybody
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL | …ple!(|system| system.partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
               |                                                                               ^^^^^^^^^^^^^^
               |
               = help: add `.secure_boot(SecureBoot::keys("keys"))`
        "#]].assert_eq(&refusal(&ENCRYPTED_WITHOUT_SECURE_BOOT, SOURCE));
        expect![[r#"
            error[encrypted-beside]: only the last data partition, which binds lie on, can be encrypted
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .partition(Data::new("secrets", Ext4).mount("/secrets").fixed().encrypted(Tpm))
               |                                                                     ^^^^^^^^^^^^^^
               |
               = help: mount it, let it grow, and describe it last
        "#]]
        .assert_eq(&refusal(&ENCRYPTED_BESIDE, SOURCE));
        expect![[r#"
            error[encrypted-makefs]: an encrypted partition is not formatted again
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm).dangerous_makefs())
               |                                                                             ^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm).dangerous_makefs())
               |                                                              -------------- encrypted here
               |
               = help: leave `.dangerous_makefs()` out
        "#]].assert_eq(&refusal(&ENCRYPTED_MAKEFS, SOURCE));
        expect![[r#"
            error[encrypted-release]: Debian bookworm cannot encrypt data for a device alone
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))),
               |                                                              ^^^^^^^^^^^^^^
              ::: xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::debian("bookworm")
               |                              ------------------------- the release
        "#]]
        .assert_eq(&refusal(&ENCRYPTED_RELEASE, SOURCE));
        expect![[r#"
            error[recovery-release]: Ubuntu noble cannot make a recovery key
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL | …ion(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm.or_recovery(certificate())))),
               |                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     wrong: example!(|device| Image::ubuntu("noble")
               |                              ---------------------- the release
               |
               = help: use `.encrypted(Tpm)`, or a newer release
        "#]].assert_eq(&refusal(&RECOVERY_RELEASE, SOURCE));
        expect![[r#"
            error[secure-boot-twice]: the keys of Secure Boot are named twice
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .secure_boot(SecureBoot::keys("keys/production"))),
               |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .secure_boot(SecureBoot::keys("keys"))
               |                  ------------------------ the first ones
        "#]]
        .assert_eq(&refusal(&SECURE_BOOT_TWICE, SOURCE));
        expect![[r#"
            error[secure-boot-without-verity]: Secure Boot says nothing of a root that is not verified
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .partition(Root::new(Erofs))
               |                ^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .secure_boot(SecureBoot::keys("keys"))),
               |                  ------------------------ asked for here
               |
               = help: use `Root::new(Erofs).verity()`
        "#]]
        .assert_eq(&refusal(&SECURE_BOOT_WITHOUT_VERITY, SOURCE));
        expect![[r#"
            error[pcr-key-of-nothing]: no data is sealed to the key that is replaced
              --> xtask/core/src/check/secure_boot.rs:LL:CC
               |
            LL |     .secure_boot(SecureBoot::keys("keys").replaces_pcr_key())
               |                                           ^^^^^^^^^^^^^^^^^^
               |
               = help: leave `.replaces_pcr_key()` out
        "#]]
        .assert_eq(&refusal(&PCR_KEY_OF_NOTHING, SOURCE));
    }
}
