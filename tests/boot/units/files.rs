//! Units and scripts as they come out for descriptions that have one of everything, held against systemd and shellcheck.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bedplate::Image;
use bedplate::plan::{DATABASES, FileKind, FilePlan, IDENTITIES};

use super::images::images;
use crate::product::{self, agrees, root, scratch};

const UNITS: &str = "/usr/lib/systemd/system/";

/// What the root gets of an image, and what its initrd gets.
fn written(image: &Image) -> [(&'static str, Vec<FilePlan>); 2] {
    let plan = image.plan().unwrap();
    let makers = IDENTITIES.iter().map(|row| row.package).chain(DATABASES.iter().map(|row| row.package));
    let own = plan.identity_files(&makers.collect()).unwrap();
    [("root", plan.files.into_iter().chain(own).collect()), ("initrd", plan.initrd.files)]
}

/// Those of the files that have a text, by path.
fn texts(files: &[FilePlan]) -> impl Iterator<Item = (&str, &str)> {
    files.iter().filter_map(|file| match &file.kind {
        FileKind::File { text } => Some((file.path.as_str(), text.as_str())),
        _ => None,
    })
}

/// Writes them below a root directory, with their modes.
fn write_root(files: &[FilePlan], root: &Path) {
    for file in files {
        let FileKind::File { text } = &file.kind else { continue };
        let path = root.join(&file.path[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(file.mode)).unwrap();
    }
}

#[test]
fn every_unit_and_script_comes_out() {
    let written: Vec<FilePlan> =
        images().iter().flat_map(|(_, image)| written(image)).flat_map(|(_, files)| files).collect();
    let directory = root().join("xtask/core/src/plan");
    let mut files = Vec::new();
    for part in ["units", "scripts", "settings"] {
        collect(&directory.join(part), &mut files);
    }
    assert!(files.len() > 50, "{files:?}");
    for file in files {
        let template = fs::read_to_string(&file).unwrap();
        // These are parts of others.
        let whole =
            !file.ends_with("units/sandbox.conf") && !file.starts_with(directory.join("scripts/identity"));
        let template =
            if file.starts_with(directory.join("units")) { without_head(&template) } else { &template };
        let pieces = pieces(template);
        assert!(
            texts(&written).any(|(_, text)| comes_of(text, &pieces, whole)),
            "{}: no image of tests/boot/units/images.rs has it",
            file.display()
        );
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        match path.is_dir() {
            true => collect(&path, files),
            false if hidden => {}
            false => files.push(path),
        }
    }
}

fn without_head(text: &str) -> &str {
    let lines = text.split_inclusive('\n').take_while(|line| line.starts_with('#') || *line == "\n");
    &text[lines.map(str::len).sum::<usize>()..]
}

/// What stands in a text for certain: between the names in it, and the lines that may be absent.
fn pieces(template: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for mut line in template.split_inclusive('\n') {
        if line.starts_with('@') && (line.contains("?@") || line.ends_with("@\n")) {
            pieces.push(String::new());
            continue;
        }
        while let Some(name) = name(line) {
            pieces.last_mut().unwrap().push_str(&line[..name.start]);
            pieces.push(String::new());
            line = &line[name.end..];
        }
        pieces.last_mut().unwrap().push_str(line);
    }
    pieces
}

/// Where the first name is.
fn name(line: &str) -> Option<Range<usize>> {
    line.match_indices('@').find_map(|(start, _)| {
        let (name, _) = line[start + 1..].split_once('@')?;
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        fits.then_some(start..start + name.len() + 2)
    })
}

/// True when a text has the pieces in this order; when it is `whole`, nothing before the first and after the last.
fn comes_of(text: &str, pieces: &[String], whole: bool) -> bool {
    let mut rest = text;
    for piece in pieces {
        let Some(at) = rest.find(piece.as_str()) else { return false };
        rest = &rest[at + piece.len()..];
    }
    !whole || text.starts_with(pieces[0].as_str()) && text.ends_with(pieces[pieces.len() - 1].as_str())
}

#[test]
fn shellcheck_finds_no_fault_with_our_scripts() {
    let directory = scratch("shellcheck");
    let settings = root().join("xtask/core/src/plan/scripts/.shellcheckrc");
    fs::copy(settings, directory.join(".shellcheckrc")).unwrap();
    let mut names = BTreeSet::new();
    for (image, files) in
        images().iter().flat_map(|(name, image)| written(image).map(|(_, files)| (*name, files)))
    {
        for (path, text) in texts(&files).filter(|(_, text)| text.starts_with("#!/bin/sh\n")) {
            let name = format!("{image}-{}.sh", path.rsplit('/').next().unwrap());
            fs::write(directory.join(&name), text).unwrap();
            names.insert(name);
        }
    }
    assert!(names.contains("persistent-state.sh") && names.len() > 15, "{names:?}");
    let command = ["shellcheck", "--severity=style"].into_iter();
    let argv: Vec<&str> = command.chain(names.iter().map(String::as_str)).collect();
    agrees(&directory, &["shellcheck"], &argv);
}

/// Packages with what our units start, and the units that they order themselves by.
const SYSTEM: [&str; 12] = [
    "base-files",
    "coreutils",
    "dash",
    "e2fsprogs",
    "login",
    "mount",
    "systemd",
    "systemd-cryptsetup",
    "systemd-repart",
    "systemd-sysv",
    "udev",
    "util-linux",
];
/// Beside the units lie the system's, and what any of them starts.
const VERIFY: &str = "cp -a /usr/bin /usr/sbin root/usr/ && cp -a --update=none /usr/lib/systemd root/usr/lib/ && \
     ln -s usr/bin root/bin && ln -s usr/sbin root/sbin && ln -s usr/lib root/lib && \
     systemd-analyze verify --root=root --man=no --recursive-errors=no \"$@\"";

#[test]
fn systemd_finds_no_fault_with_our_units() {
    for (name, image) in images() {
        for (part, files) in written(&image) {
            let directory = scratch("verify").join(format!("{name}-{part}"));
            if directory.exists() {
                fs::remove_dir_all(&directory).unwrap();
            }
            write_root(&files, &directory.join("root"));
            let units = texts(&files).filter_map(|(path, _)| path.strip_prefix(UNITS));
            let argv = ["sh", "-c", VERIFY, "sh"].into_iter();
            let argv: Vec<&str> = argv.chain(units.filter(|unit| !unit.contains('/'))).collect();
            let output = product::tool(&directory, &SYSTEM, &argv);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), &*said), (Some(0), ""), "{name}, {part}");
        }
    }
}

#[test]
fn our_services_may_do_no_more_than_they_need() {
    let directory = scratch("security");
    let mut names = BTreeSet::new();
    for (image, description) in images() {
        let [(_, root), _] = written(&description);
        for (path, text) in texts(&root) {
            let name = path.rsplit('/').next().unwrap();
            let ours = path.starts_with(UNITS) && name.starts_with("bedplate-") && name.ends_with(".service");
            // They are fsck and mkfs with nothing around them, as in the initrd.
            let is_alone =
                ["bedplate-check-", "bedplate-makefs-"].iter().any(|start| name.starts_with(start));
            if ours && !is_alone {
                fs::create_dir_all(directory.join(image)).unwrap();
                fs::write(directory.join(image).join(name), text).unwrap();
                names.insert(format!("./{image}/{name}"));
            }
        }
    }
    assert!(names.len() > 10, "{names:?}");
    let score = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=29"].into_iter();
    let argv: Vec<&str> = score.chain(names.iter().map(String::as_str)).collect();
    // Its exit code is not 0 when one of them is exposed more than that.
    agrees(&directory, &["base-files", "systemd"], &argv);
}
