//! The cache has a bound, and nothing that is done to artifacts reaches it.

use std::fs::{self, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::mirror;
use super::workshop::Workshop;
use crate::product;
use crate::product::success;

/// A layer of 1 MiB that no build of today uses, last used so many days ago.
fn old_layer(workshop: &Workshop, name: &str, days: u64) {
    let layer = workshop.path("cache/layers").join(name);
    fs::create_dir(&layer).unwrap();
    fs::write(layer.join("file"), vec![1; 1 << 20]).unwrap();
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    fs::File::open(layer).unwrap().set_modified(time).unwrap();
}

/// Lets everything be used now: the base of all workshops may be older than what is tried here.
fn freshen(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (now, file) = (SystemTime::now(), fs::File::open(entry.path()).unwrap());
        if entry.file_type().unwrap().is_dir() {
            freshen(&entry.path());
        } else if file.metadata().unwrap().is_dir() {
            file.set_modified(now).unwrap();
        } else {
            file.set_times(FileTimes::new().set_accessed(now)).unwrap();
        }
    }
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_cache_holds_what_is_used_and_no_more_than_it_may() {
    let workshop = Workshop::without_the_victim("bound");
    workshop.own_layers();
    freshen(&workshop.path("cache/layers"));
    freshen(&workshop.path("cache/blobs"));
    let mirror = mirror(&workshop);
    for (name, days) in [("system-old", 31), ("system-older", 40), ("root-new", 2)] {
        old_layer(&workshop, name, days);
    }
    let there = |name: &str| workshop.path("cache/layers").join(name).exists();

    // A package is fetched: what was not used for 30 days goes, and is told.
    let output = workshop.image_from(&mirror.base()).output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    let removed: Vec<&str> = told.lines().filter(|line| line.contains("Removed")).collect();
    assert_eq!(removed, ["     Removed 2 cache entries, 2.1 MB, the least recently used"]);
    assert!(there("root-new") && !there("system-old") && !there("system-older"));

    // Once more, with room for nothing: what the build uses stays, and a build that adds nothing removes nothing.
    let used = layers(&workshop);
    fs::remove_file(workshop.blob(&workshop.victim.sha256)).unwrap();
    let elsewhere = workshop.path("elsewhere");
    let again = |out: &Path| {
        let mut build = workshop.small(&["image", "small", "--lock"]);
        build.arg(workshop.lock()).arg("--out").arg(out).env("BEDPLATE_CACHE_SIZE", "1M");
        build.arg("--mirror").arg(format!("{}={}", super::workshop::MAIN, mirror.base()));
        build
    };
    let output = again(&elsewhere).output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches("Removed").count(), 1, "{told}");
    assert!(!there("root-new"));
    let rest = layers(&workshop);
    assert!(!rest.is_empty() && rest.iter().all(|layer| used.contains(layer)), "{rest:?}");
    let third = workshop.path("third");
    let output = again(&third).arg("--offline").output().unwrap();
    assert!(output.status.success() && !stderr(&output).contains("Removed"), "{}", stderr(&output));
    assert_eq!(layers(&workshop), rest);
    assert_eq!(product::sums(&elsewhere), product::sums(&workshop.path("out")));
    assert_eq!(product::sums(&third), product::sums(&workshop.path("out")));

    // `clean` tells what it freed.
    old_layer(&workshop, "system-new", 1);
    let output = workshop.small(&["clean"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let entries = format!("Removed {} cache entries, ", rest.len() + 1);
    assert!(stderr(&output).contains(&entries), "{}", stderr(&output));
    assert_eq!(layers(&workshop), [""; 0]);
}

#[test]
fn artifacts_that_are_written_into_leave_the_cache_as_it_was() {
    let workshop = Workshop::new("edited");
    success(&mut workshop.image());
    let before = product::sums(&workshop.path("out"));
    for entry in fs::read_dir(workshop.path("out")).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            let file = fs::File::options().write(true).open(entry.path()).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"edited in place", 0).unwrap();
        }
    }
    let other = workshop.path("other");
    let mut build = workshop.small(&["image", "small", "--locked", "--offline", "--lock"]);
    success(build.arg(workshop.lock()).arg("--out").arg(&other));
    assert_eq!(product::sums(&other), before);
    // The file says what its contents are.
    let mut check = std::process::Command::new("sha256sum");
    success(check.args(["--check", "--quiet", "image.SHA256SUMS"]).current_dir(&other));
}

#[test]
fn a_size_of_the_cache_that_is_none_is_told_before_anything_is_built() {
    let mut build = product::small();
    let output =
        build.args(["image", "small", "--quiet"]).env("BEDPLATE_CACHE_SIZE", "20 GB").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    expect_test::expect![[r#"
        error: invalid `BEDPLATE_CACHE_SIZE` `20 GB`: give a number of bytes, or one with `K`, `M`, `G` or `T` behind it, as `BEDPLATE_CACHE_SIZE=20G`
    "#]]
    .assert_eq(&stderr(&output));
}

/// The names of the layers in the cache, sorted.
fn layers(workshop: &Workshop) -> Vec<String> {
    let entries = fs::read_dir(workshop.path("cache/layers")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
