use std::fmt::Write as _;

use expect_test::expect;
use sha2::{Digest, Sha256};

use super::layout::{DATA, NX_COMPAT};
use super::*;
use crate::digest::hex;
use crate::pe::Section;

/// A small PE32+ with the layout of systemd's stub: sections of text, at 0x1000
/// each in memory and 0x200 in the file, and room for `room` more headers.
fn executable(sections: &[(&str, &[u8])], dll_characteristics: u16, room: usize) -> Vec<u8> {
    let count = sections.len();
    let headers = (0x40 + 4 + 20 + 240 + (count + room) * 40).next_multiple_of(0x200);
    let mut file = vec![0; headers];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0");
    put(0x44, &0x8664u16.to_le_bytes());
    put(0x46, &u16::try_from(count).unwrap().to_le_bytes());
    put(0x54, &240u16.to_le_bytes());
    put(0x56, &0x0206u16.to_le_bytes());
    let optional = 0x58;
    put(optional, &0x20bu16.to_le_bytes());
    put(optional + 8, &0x600u32.to_le_bytes());
    put(optional + 16, &0x1000u32.to_le_bytes());
    put(optional + 24, &0x1_4000_0000u64.to_le_bytes());
    put(optional + 32, &0x1000u32.to_le_bytes());
    put(optional + 36, &0x200u32.to_le_bytes());
    put(optional + 56, &u32::try_from((count + 1) * 0x1000).unwrap().to_le_bytes());
    put(optional + 60, &u32::try_from(headers).unwrap().to_le_bytes());
    put(optional + 64, &[1, 2, 3, 4]);
    put(optional + 68, &10u16.to_le_bytes());
    put(optional + 70, &dll_characteristics.to_le_bytes());
    put(optional + 108, &16u32.to_le_bytes());
    for (number, (name, content)) in sections.iter().enumerate() {
        let header = optional + 240 + number * 40;
        put(header, name.as_bytes());
        put(header + 8, &u32::try_from(content.len()).unwrap().to_le_bytes());
        put(header + 12, &u32::try_from((number + 1) * 0x1000).unwrap().to_le_bytes());
        put(header + 16, &0x200u32.to_le_bytes());
        put(header + 20, &u32::try_from(headers + number * 0x200).unwrap().to_le_bytes());
        put(header + 36, &DATA.to_le_bytes());
    }
    for (_, content) in sections {
        file.extend(*content);
        file.resize(file.len().next_multiple_of(0x200), 0);
    }
    file
}

const SBAT: &[u8] = b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\nsystemd-stub,1,The systemd Developers,systemd,257,https://systemd.io/\n";

fn stub() -> Vec<u8> {
    executable(&[(".text", b"stub"), (".sbat", SBAT), (".reloc", b"reloc")], 0x0160, 11)
}

/// A kernel without `NX_COMPAT`, with a boot header where a bzImage has it.
fn kernel() -> Vec<u8> {
    let mut kernel =
        executable(&[(".text", b"kernel"), (".sbat", b"sbat,1\nlinux,1,a\nlinux.debian,1,b")], 0, 0);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x20e..0x210].copy_from_slice(&0x0020u16.to_le_bytes());
    let text = b"6.12.0-amd64 (debian-kernel@lists.debian.org) #1 SMP Debian\0";
    kernel[0x220..0x220 + text.len()].copy_from_slice(text);
    kernel
}

fn uki() -> Uki {
    Uki::new(stub())
        .initrd(vec![b'i'; 1021])
        .initrd(vec![b'j'; 7])
        .linux(kernel())
        .cmdline("  root=/dev/x\t quiet ")
        .osrel("ID=edge\n")
        .splash("BM")
}

fn bytes(uki: &Uki) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = uki.write(&mut bytes).unwrap();
    assert_eq!(length, bytes.len() as u64);
    bytes
}

/// `ukify build --stub … --linux … --initrd … --initrd … --cmdline … --os-release
/// … --splash …` 257.13 of Debian wrote the file this is the digest of, from the
/// same inputs.
#[test]
fn the_bytes_are_those_of_ukify() {
    expect!["d60859965ecae39326359c02a89bc682c292851b000f45371606feee20370da5"]
        .assert_eq(&hex(&Sha256::digest(bytes(&uki()))));
}

/// The same, with `--uname 1.2 --sbat … --section .extra:x`.
#[test]
fn a_named_version_and_own_revocation_data_are_taken() {
    let uki = Uki::new(stub()).linux(kernel()).uname("1.2").sbat("sbat,1\nmine,1\n").section(".extra", "x");
    expect!["052b4939774178db1df9b3601c14e9044d1f2d8c9fe5a4939823165bdbb7fb37"]
        .assert_eq(&hex(&Sha256::digest(bytes(&uki))));
}

/// `ukify build … --pcr-private-key … --pcr-public-key … --phases … --pcrpkey …` 257.13 wrote it, with two keys.
#[test]
fn with_pcr_signatures_the_bytes_are_those_of_ukify() {
    use crate::pcr::tests::{PUBLIC_KEY, UKI, pcrsig};
    let magic = b"#### LoaderInfo: systemd-stub 257.13-1~deb13u1 ####\0";
    let sections = [(".text", &b"stub"[..]), (".sbat", SBAT), (".sdmagic", magic), (".reloc", b"reloc")];
    let kernel = executable(&[(".text", b"kernel"), (".sbat", b"sbat,1\nlinux,1,a\n")], 0, 0);
    let uki = Uki::new(executable(&sections, 0x0160, 12))
        .pcr_signatures(pcrsig())
        .pcr_public_key(PUBLIC_KEY)
        .linux(kernel)
        .initrd(vec![b'i'; 1021])
        .cmdline("root=/dev/x quiet")
        .osrel("ID=edge\n")
        .uname("6.12.0");
    assert!(bytes(&uki) == UKI);
}

#[test]
fn signatures_that_are_added_later_are_where_they_are_written() {
    let later = with_pcr_signatures(bytes(&uki()), "{}").unwrap();
    assert!(later == bytes(&uki().pcr_signatures("{}")));
    assert!(with_pcr_signatures(later, "{}").is_err());
    assert!(with_pcr_signatures(stub(), "{}").is_err(), "a stub is no image");
}

#[test]
fn an_image_is_laid_out_as_the_specification_says() {
    let bytes = bytes(&uki());
    let image = Image::read(&mut Cursor::new(&bytes)).unwrap();
    let mut dump = String::new();
    for section in &image.sections {
        let content = Image::content(&mut Cursor::new(&bytes), section).unwrap();
        let text: String = String::from_utf8_lossy(&content).chars().take(24).collect();
        let Section { name, virtual_address, virtual_size, offset, raw_size, flags } = section;
        writeln!(
            dump,
            "{:8} at {virtual_address:#06x} + {virtual_size:#05x}, in the file at {offset:#06x} + {raw_size:#05x}, {flags:#010x} {text:?}",
            name
        )
        .unwrap();
    }
    expect![[r#"
        .text    at 0x1000 + 0x004, in the file at 0x0400 + 0x200, 0x40000040 "stub"
        .sbat    at 0x2000 + 0x100, in the file at 0x0600 + 0x200, 0x40000040 "sbat,1,SBAT Version,sbat"
        .reloc   at 0x3000 + 0x005, in the file at 0x0800 + 0x200, 0x40000040 "reloc"
        .osrel   at 0x4000 + 0x008, in the file at 0x0a00 + 0x200, 0x40000040 "ID=edge\n"
        .cmdline at 0x5000 + 0x011, in the file at 0x0c00 + 0x200, 0x40000040 "root=/dev/x quiet"
        .uname   at 0x6000 + 0x00c, in the file at 0x0e00 + 0x200, 0x40000040 "6.12.0-amd64"
        .splash  at 0x7000 + 0x002, in the file at 0x1000 + 0x200, 0x40000040 "BM"
        .linux   at 0x8000 + 0x600, in the file at 0x1200 + 0x600, 0x40000020 "MZ\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        .initrd  at 0x9000 + 0x408, in the file at 0x1800 + 0x600, 0x40000040 "iiiiiiiiiiiiiiiiiiiiiiii"
    "#]].assert_eq(&dump);
    assert_eq!(image.dll_characteristics, 0x0060);
}

#[test]
fn a_kernel_that_is_nx_compatible_keeps_the_promise() {
    let nx = executable(&[(".text", b"kernel")], NX_COMPAT, 0);
    let image = Image::read(&mut Cursor::new(bytes(&uki().linux(nx).uname("1")))).unwrap();
    assert_eq!(image.dll_characteristics, 0x0160);
}

#[test]
fn what_cannot_become_an_image_is_refused_before_a_byte_is_written() {
    let mut messages = Vec::new();
    let mut refused = |uki: Uki| {
        let mut bytes = Vec::new();
        let error = uki.write(&mut bytes).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        messages.push(format!("{error}{}", cause.unwrap_or_default()));
        assert!(bytes.is_empty());
    };
    let with = |change: fn(&mut Vec<u8>)| {
        let mut stub = stub();
        change(&mut stub);
        Uki { stub, ..uki() }
    };
    refused(with(|stub| stub.clear()));
    refused(with(|stub| stub[0x58 + 112 + 4 * 8] = 1));
    refused(with(|stub| stub[0x4c] = 1));
    refused(with(|stub| stub[0x58 + 36] = 3));
    refused(with(|stub| stub[0x58 + 240 + 16] = 1));
    refused(Uki { stub: executable(&[(".text", b"stub"), (".sbat", SBAT)], 0, 1), ..uki() });
    refused(Uki::new(stub()));
    refused(uki().linux("text"));
    refused(uki().linux(executable(&[(".text", b"kernel")], 0, 0)));
    refused(uki().section("too-long-", "x"));
    refused(uki().section(".linux", "x"));
    refused(uki().sbat(&format!("sbat,\n{}", "x".repeat(512))));
    refused(uki().initrd(Content::File { path: std::path::Path::new("/dev/zero").into(), len: 4 << 30 }));
    refused(uki().linux(Content::File { path: std::path::Path::new("/nonexistent").into(), len: 1 }));
    expect![[r#"
        the EFI stub cannot be used: no 64-bit PE executable: the DOS header at offset `0`
        the EFI stub is signed; it takes an unsigned one
        the EFI stub cannot be used: it has a symbol table
        the EFI stub cannot be used: alignments of `515` and `4096` bytes are none
        the EFI stub cannot be used: section `.text` is not aligned in the file
        no room in the header of the EFI stub for section `.uname`: `512` bytes are too few
        a unified kernel image takes a kernel
        the kernel cannot be started by firmware: no 64-bit PE executable: the DOS header at offset `0`
        the kernel does not say its version; name it
        a section of a unified kernel image cannot be named `too-long-`
        a section of a unified kernel image cannot be named `.linux`
        section `.sbat` of the EFI stub has `512` bytes, and `687` are needed
        with section `.initrd` the image has `4295005192` bytes, and a PE executable ends at 4 GiB
        copying section `.linux` failed: No such file or directory (os error 2)"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn a_file_that_shrinks_meanwhile_is_noticed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let uki = uki().initrd(Content::File { path: file.path().into(), len: 9 });
    expect!["copying section `.initrd` failed"]
        .assert_eq(&uki.write(&mut Vec::new()).unwrap_err().to_string());
}

#[test]
fn versions_are_found_as_ukify_finds_them() {
    let banner = |text: &str| [b"MZ.....", text.as_bytes()].concat();
    let with = |text: &[u8]| {
        let mut kernel = kernel();
        kernel[0x220..0x220 + 64].fill(0);
        kernel[0x220..0x220 + text.len()].copy_from_slice(text);
        uname(&kernel)
    };
    assert_eq!(with(b"6.8.0-31-generic (buildd@lcy02) #31-Ubuntu").as_deref(), Some("6.8.0-31-generic"));
    assert_eq!(with(b"6.8.0-31-Generic (buildd@lcy02) #31-Ubuntu"), None);
    assert_eq!(with(b"6.8.0 (two words) #1"), None);
    assert_eq!(with(b"6.8.0 (builder)"), None);
    assert_eq!(with(b""), None);
    assert_eq!(
        uname(&banner("Linux version %s (%s)Linux version 6.1.0-arm64 (x)")).as_deref(),
        Some("6.1.0-arm64")
    );
    assert_eq!(uname(&banner("Linux version 6.1.0-arm64")), None);
    assert_eq!(uname(b"Linux version 6.1.0 (x)"), None);
    assert_eq!(uname(&[0; 0x206]), None);
}

#[test]
fn an_executable_that_lies_is_refused() {
    let mut messages = Vec::new();
    let mut lying = |at: usize, value: &[u8]| {
        let mut bytes = kernel();
        bytes[at..at + value.len()].copy_from_slice(value);
        messages.push(Image::read(&mut Cursor::new(bytes)).unwrap_err().to_string());
    };
    lying(0, b"ZM");
    lying(0x3c, &[0xff; 4]);
    lying(0x40, b"XX");
    lying(0x46, &[0xff; 2]);
    lying(0x54, &[0xff; 2]);
    lying(0x58, &0x10bu16.to_le_bytes());
    lying(0x58 + 240 + 16, &[0xff; 4]);
    lying(0x58 + 240 + 20, &[0xff; 4]);
    expect![[r#"
        no 64-bit PE executable: the DOS header at offset `0`
        no 64-bit PE executable: the PE header at offset `4294967295`
        no 64-bit PE executable: the PE header at offset `64`
        no 64-bit PE executable: the section table at offset `328`
        no 64-bit PE executable: the PE header at offset `64`
        no 64-bit PE executable: the PE header at offset `64`
        section `.text` lies at `512`, `4294967295` bytes long, in a file of `1536`
        section `.text` lies at `4294967295`, `512` bytes long, in a file of `1536`"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn no_change_to_an_executable_makes_reading_or_writing_panic() {
    let (stub, kernel) = (stub(), kernel());
    for at in (0..0x58 + 240 + 3 * 40).chain(0x200..0x240) {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = stub.clone();
            changed[at] = byte;
            if let Ok(image) = Image::read(&mut Cursor::new(&changed)) {
                for section in &image.sections {
                    let _ = Image::content(&mut Cursor::new(&changed), section);
                }
            }
            let _ = Uki::new(changed).linux(kernel.clone()).write(&mut io::sink());
            let mut changed = kernel.clone();
            changed[at] = byte;
            let _ = Uki::new(stub.clone()).linux(changed).write(&mut io::sink());
        }
    }
    for length in 0..stub.len() {
        let _ = Image::read(&mut Cursor::new(&stub[..length]));
    }
}
