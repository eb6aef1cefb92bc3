//! Text or typed value: what a builder method takes.
//!
//! `.package("docker.io")` and `.package(PackageName::parse(…)?)` are both
//! right. Text is parsed where it is given, and what is wrong with it becomes
//! a mistake of the description, with its line; nothing fails or panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::diagnostic::Diagnostic;
use crate::location::{At, SourceLocation};
use crate::value::{Address, GiB, Malformed, MiB, Size, Value};

/// Something that says a `T`: the value itself, or text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say a `{T}`",
    label = "expected text, or a `{T}`"
)]
pub trait Given<T> {
    /// The value, or what is wrong with the text.
    ///
    /// # Errors
    /// The reason why the text is not a `T`, and the text.
    fn given(self) -> Result<T, Malformed>;
}

impl<T: Value> Given<T> for T {
    fn given(self) -> Result<T, Malformed> {
        Ok(self)
    }
}

impl<T: Value> Given<T> for &str {
    fn given(self) -> Result<T, Malformed> {
        T::parse(self)
    }
}

impl<T: Value> Given<T> for &String {
    fn given(self) -> Result<T, Malformed> {
        T::parse(self)
    }
}

impl<T: Value> Given<T> for String {
    fn given(self) -> Result<T, Malformed> {
        T::parse(&self)
    }
}

impl Given<Address> for IpAddr {
    fn given(self) -> Result<Address, Malformed> {
        Address::parse(&self.to_string())
    }
}

impl Given<Address> for Ipv4Addr {
    fn given(self) -> Result<Address, Malformed> {
        IpAddr::V4(self).given()
    }
}

impl Given<Address> for Ipv6Addr {
    fn given(self) -> Result<Address, Malformed> {
        IpAddr::V6(self).given()
    }
}

/// A size that says its unit: `MiB(512)` or `GiB(2)`, never a bare number.
#[diagnostic::on_unimplemented(
    message = "a size needs its unit",
    label = "write `MiB(…)` or `GiB(…)`",
    note = "`512` could be bytes, sectors or mebibytes; a disk's layout must not depend on the guess"
)]
pub trait SizeWithUnit {
    /// The size in bytes.
    fn size(self) -> Size;
}

impl SizeWithUnit for Size {
    fn size(self) -> Size {
        self
    }
}

impl SizeWithUnit for MiB {
    fn size(self) -> Size {
        self.into()
    }
}

impl SizeWithUnit for GiB {
    fn size(self) -> Size {
        self.into()
    }
}

/// Takes what was given, or notes what is wrong with it.
pub(crate) fn accept<T: Value>(
    mistakes: &mut Vec<Diagnostic>,
    given: impl Given<T>,
    at: &SourceLocation,
) -> Option<At<T>> {
    match given.given() {
        Ok(value) => Some(At { value, at: at.clone() }),
        Err(malformed) => {
            mistakes.push(malformed.diagnostic(T::CODE, T::WHAT).at(at));
            None
        }
    }
}
