//! Stands in for `newuidmap` and `newgidmap` (package uidmap) where the host has none: writes the map of a
//! process, if `/etc/subuid` or `/etc/subgid` grants it to the caller. Set-user-ID root, by its name one or the
//! other. Compiled by the test that wants it, with nothing but the standard library.

use std::os::unix::fs::MetadataExt;
use std::{env, fs};

fn main() {
    let mut arguments = env::args();
    let name = arguments.next().expect("a name");
    let (granting, map) =
        if name.ends_with("newgidmap") { ("/etc/subgid", "gid_map") } else { ("/etc/subuid", "uid_map") };
    let process: u32 = arguments.next().expect("a process").parse().expect("a process id");
    let numbers: Vec<u32> = arguments.map(|text| text.parse().expect("a number")).collect();


    // The test's user has the same id as user and as group.
    let caller = real_uid();
    assert_eq!(fs::metadata(format!("/proc/{process}")).expect("the process").uid(), caller, "not your process");
    let granted = fs::read_to_string(granting).expect("grants");
    let mut text = String::new();
    for line in numbers.chunks(3) {
        let [inside, outside, count] = line else { panic!("three numbers a range") };
        let own = (*outside, *count) == (caller, 1);
        assert!(own || grants(&granted, caller, *outside, *count), "{name}: uid range [{inside}-…) not allowed");
        text.push_str(&format!("{inside} {outside} {count}\n"));
    }
    fs::write(format!("/proc/{process}/{map}"), text).expect("the map");
}

fn grants(file: &str, caller: u32, outside: u32, count: u32) -> bool {
    file.lines().any(|line| {
        let fields: Vec<u32> = line.split(':').filter_map(|field| field.parse().ok()).collect();
        matches!(fields[..], [owner, start, size] if owner == caller && outside >= start && outside + count <= start + size)
    })
}

fn real_uid() -> u32 {
    let status = fs::read_to_string("/proc/self/status").expect("own status");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("own ids");
    line.split_whitespace().next().and_then(|field| field.parse().ok()).expect("own id")
}
