//! What must not compile, and what rustc says about it.
//!
//! The texts are recorded beside the sources; `TRYBUILD=overwrite` renews them.

#[test]
fn what_would_make_a_bad_device_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/errors/*.rs");
}
