//! A target under libFuzzer: the one that `BEDPLATE_FUZZ` names.
#![no_main]

use std::sync::OnceLock;

use bedplate_fuzz::{Target, target};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("BEDPLATE_FUZZ").expect("BEDPLATE_FUZZ names a target");
        target(&name).unwrap_or_else(|| panic!("there is no target `{name}`"))
    });
    target(bytes);
});
