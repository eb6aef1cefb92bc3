use std::error::Error;

use super::builder::{DebBuilder, archive};
use super::*;

fn sample() -> DebBuilder {
    // Content that does not compress, so that the members are of some length.
    let mut state = 1u64;
    let mut noise = String::new();
    for _ in 0..20_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.push(char::from(b'!' + u8::try_from(state >> 58).unwrap()));
    }
    DebBuilder::new("sample", "Description: one\n more\n")
        .control_file("postinst", 0o755, "#!/bin/sh\n")
        .directory("./")
        .directory("./usr/")
        .file("./usr/noise", &noise)
        .symlink("./usr/link", "../etc")
        .hardlink("./usr/again", "./usr/noise")
}

/// Entries, each with its content.
type Entries = Vec<(Entry, Vec<u8>)>;

fn read_all(deb: &[u8]) -> Result<(Control, Entries), DebError> {
    let mut entries = Vec::new();
    let control = read(
        deb,
        |_| Ok::<_, DebError>(()),
        |entry, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(DebError::Io)?;
            entries.push((entry, bytes));
            Ok(())
        },
    )?;
    Ok((control, entries))
}

/// An error with its causes.
fn message(error: &DebError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn every_compression_of_debs_is_read() {
    for control in ["", ".gz", ".xz", ".zst"] {
        for data in ["", ".gz", ".xz", ".zst"] {
            let (control, entries) = read_all(&sample().deb(control, data)).unwrap();
            assert_eq!(control.package(), "sample");
            assert_eq!(control.field("description"), "one\n more");
            assert_eq!(control.file("postinst").unwrap().mode, 0o755);
            let paths: Vec<_> = entries.iter().map(|(e, _)| String::from_utf8_lossy(&e.path)).collect();
            assert_eq!(paths, ["", "usr", "usr/noise", "usr/link", "usr/again"]);
            assert_eq!(entries[2].1.len(), 20_000);
            assert_eq!(entries[2].0.kind, EntryKind::File { size: 20_000 });
            assert_eq!(entries[3].0.kind, EntryKind::Symlink(b"../etc".to_vec()));
            assert_eq!(entries[4].0.kind, EntryKind::Hardlink(b"usr/noise".to_vec()));
        }
    }
}

#[test]
fn a_truncated_package_never_passes() {
    for ending in ["", ".gz", ".xz", ".zst"] {
        let deb = sample().deb(ending, ending);
        for length in (0..deb.len() - 1).step_by(1000).chain([deb.len() - 2]) {
            assert!(read_all(&deb[..length]).is_err(), "{ending} {length}");
        }
    }
}

#[test]
fn a_flipped_byte_of_compressed_data_is_noticed() {
    for ending in [".gz", ".xz", ".zst"] {
        let mut deb = sample().deb(ending, ending);
        let middle = deb.len() - 5000;
        deb[middle] ^= 1;
        let error = read_all(&deb).unwrap_err();
        assert!(
            matches!(&error, DebError::Damaged { member, .. } if member.starts_with("data.tar")),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_package_is_named() {
    let of = |members: &[(&str, &[u8])]| message(&read_all(&archive(members)).unwrap_err());
    let control: &[u8] = &[0; 1024];
    expect_test::expect![[r#"
        not a Debian package: it does not begin with `!<arch>`
        it ends at offset 8, before its `debian-binary`
        package format version `3.0` is not known
        it ends at offset 72, before its `control.tar`
        member `data.tar.xz` at offset 72 stands where `control.tar` must
        member `control.tar.rar` at offset 72 is compressed in a way that is not known
        its `control` file is missing"#]]
    .assert_eq(
        &[
            message(&read_all(b"<html>not found</html>").unwrap_err()),
            message(&read_all(b"!<arch>\n").unwrap_err()),
            of(&[("debian-binary", b"3.0\n")]),
            of(&[("debian-binary", b"2.0\n")]),
            of(&[("debian-binary", b"2.0\n"), ("data.tar.xz", control)]),
            of(&[("debian-binary", b"2.0\n"), ("control.tar.rar", control)]),
            of(&[("debian-binary", b"2.0\n"), ("control.tar", control)]),
        ]
        .join("\n"),
    );
}

#[test]
fn a_size_that_lies_is_noticed() {
    let deb = sample().deb("", "");
    // The size of `data.tar`, whose header follows `control.tar`.
    let at = deb.windows(8).rposition(|w| w == b"data.tar").unwrap() + 48;
    for lie in ["9999999999", "512       ", "0         ", "-1        ", "          "] {
        let mut deb = deb.clone();
        deb[at..at + 10].copy_from_slice(lie.as_bytes());
        assert!(read_all(&deb).is_err(), "{lie:?}");
    }
}

#[test]
fn bytes_after_the_compressed_stream_are_refused() {
    let deb = sample().deb(".gz", "");
    let (head, _) = deb.split_at(deb.windows(8).rposition(|w| w == b"data.tar").unwrap());
    let mut data = Vec::new();
    liblzma::read::XzEncoder::new(&[0u8; 1024][..], 0).read_to_end(&mut data).unwrap();
    data.extend(b"smuggled, and long enough to be no padding of any kind");
    let mut deb = head.to_vec();
    deb.extend(&archive(&[("data.tar.xz", &data)])[8..]);
    assert!(read_all(&deb).is_err());
}

#[test]
fn members_that_begin_with_an_underscore_are_passed_over() {
    let deb = sample().deb(".gz", ".xz");
    let extra = archive(&[("_odd", b"12345")]);
    let deb = [&deb[..72], &extra[8..], &deb[72..]].concat();
    assert_eq!(read_all(&deb).unwrap().1.len(), 5);
}

#[test]
fn long_names_and_binary_attributes_are_read() {
    let long = format!("./{}", "a/".repeat(200));
    let capability = b"30 SCHILY.xattr.user.a=\x01\n\x02\xff=\n\n";
    assert_eq!(capability.len(), 30);
    let deb = DebBuilder::new("sample", "")
        .raw(b'L', b"././@LongLink", format!("{long}\0").as_bytes())
        .directory("./short/")
        .raw(b'x', b"pax", capability)
        .raw(b'0', b"./b\xff", b"x")
        .file("./c", "")
        .deb("", ".zst");
    let (_, entries) = read_all(&deb).unwrap();
    assert_eq!(entries[0].0.path.len(), 399);
    assert_eq!(entries[1].0.path, b"b\xff");
    assert_eq!(entries[1].0.xattrs[&b"user.a"[..]], b"\x01\n\x02\xff=\n");
    assert!(entries[2].0.xattrs.is_empty());
}

#[test]
fn a_package_name_that_is_a_path_is_refused() {
    let error = read_all(&DebBuilder::new("../../etc", "").deb("", "")).unwrap_err();
    assert!(matches!(error, DebError::Field("Package")));
}
