//! Words of the kernel: arguments of its command line, names of its modules.

use super::{Malformed, value};

value! {
    /// One argument of the kernel's command line: `console=ttyS0,115200`.
    Argument, "malformed-argument", "an argument of the kernel command line", argument
}

value! {
    /// The name of a kernel module, without path and `.ko`: `nbd`.
    ModuleName, "malformed-module-name", "the name of a kernel module", module
}

value! {
    /// The name of a setting of the kernel: `net.ipv4.ip_forward`.
    SysctlKey, "malformed-sysctl", "the name of a sysctl", sysctl_key
}

value! {
    /// The value of a setting of the kernel: `1`.
    SysctlValue, "malformed-sysctl", "the value of a sysctl", sysctl_value
}

fn sysctl_key(text: &str) -> Result<(), Malformed> {
    if let Some((key, value)) = text.split_once('=') {
        let (key, value) = (key.trim(), value.trim());
        return Err(Malformed::new(text, "the name and the value are given apart")
            .help(format!("write `.sysctl(\"{key}\", \"{value}\")`")));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err(Malformed::new(text, "it is not made of A-Z a-z 0-9 . _ - / * alone"));
    }
    let parts: Vec<&str> = text.split(['.', '/']).collect();
    if parts.len() < 2 || parts.contains(&"") {
        return Err(Malformed::new(text, "it is not a path of names, such as `kernel.sysrq`"));
    }
    Ok(())
}

fn sysctl_value(text: &str) -> Result<(), Malformed> {
    if text.trim().is_empty() {
        return Err(Malformed::new(text, "it is empty"));
    }
    if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(Malformed::new(text, "it holds characters that are not printable ASCII"));
    }
    Ok(())
}

fn argument(text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::new(text, "it is empty"));
    }
    if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(Malformed::new(text, "it holds characters that are not printable ASCII"));
    }
    if text.contains('"') && !quoted(text) {
        return Err(Malformed::new(text, "its quotation marks do not surround its value"));
    }
    if text.contains(' ') && !quoted(text) {
        return Err(Malformed::new(text, "the kernel would read it as several arguments").help(
            "give each argument in a call of its own: `.command_line(\"quiet\").command_line(\"splash\")`",
        ));
    }
    Ok(())
}

/// `name="a value with blanks"`, the kernel's only quoting.
fn quoted(text: &str) -> bool {
    text.split_once("=\"").is_some_and(|(name, value)| {
        !name.contains([' ', '"']) && value.ends_with('"') && value.matches('"').count() == 1
    })
}

fn module(text: &str) -> Result<(), Malformed> {
    if let Some(name) = text.strip_suffix(".ko") {
        return Err(
            Malformed::new(text, "a name alone, without path and `.ko`").help(format!("write `{name}`"))
        );
    }
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(Malformed::new(text, "it is not made of A-Z a-z 0-9 - _ alone"));
    }
    Ok(())
}
