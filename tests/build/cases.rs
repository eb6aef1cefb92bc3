//! What people bring: each kind of input that once made an image wrong, and what is right. The images are in
//! `tests/images/cases/`; what a device of them does is in `tests/boot/everything.rs`.

mod budgets;
mod checks;
mod identity;
mod initrd;
mod links;
mod maintainer;
mod triggers;
