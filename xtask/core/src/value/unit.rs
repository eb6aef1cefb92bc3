//! Names of systemd's units, and how a path becomes one.

use super::{Malformed, value};

value! {
    /// The full name of a unit, with its type: `docker.service`.
    ///
    /// [systemd.unit(5)](https://manpages.debian.org/systemd.unit.5): at most 255
    /// characters of `A-Z a-z 0-9 : - _ . \ @`.
    UnitName, "malformed-unit-name", "a unit's name", unit_name
}

const TYPES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

impl UnitName {
    /// Returns the name of the unit that mounts something at `path`: `var-lib-docker.mount` for `/var/lib/docker`.
    pub(crate) fn mounting(path: &str) -> Self {
        UnitName(format!("{}.mount", escape_path(path)))
    }

    /// The name's type: `service` of `docker.service`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.as_str().rsplit_once('.').map_or("", |(_, kind)| kind)
    }
}

/// A path as systemd writes it into a unit's name, without the unit's type.
///
/// `/opt/aws/amazon-cloudwatch-agent/etc` is
/// `opt-aws-amazon\x2dcloudwatch\x2dagent-etc`: `/` becomes a dash, and so a
/// dash must become something else. As `systemd-escape --path` does.
#[must_use]
pub fn escape_path(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return "-".to_string();
    }
    let mut escaped = String::with_capacity(path.len());
    for (index, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if index == 0 => escaped.push_str("\\x2e"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b':' | b'_' | b'.' => escaped.push(byte.into()),
            byte => escaped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    escaped
}

fn unit_name(text: &str) -> Result<(), Malformed> {
    let Some((stem, kind)) = text.rsplit_once('.') else {
        let refusal = Malformed::new(text, "it does not say the unit's type");
        return Err(if text.is_empty() { refusal } else { refusal.help(format!("write `{text}.service`")) });
    };
    if !TYPES.contains(&kind) {
        return Err(Malformed::new(text, format!("`.{kind}` is no type of unit"))
            .help(format!("one of .{}", TYPES.join(" ."))));
    }
    if stem.is_empty() || stem.starts_with('@') {
        return Err(Malformed::new(text, "there is nothing before its type"));
    }
    if text.len() > 255 {
        return Err(Malformed::new(text, "it is longer than 255 characters"));
    }
    match stem.chars().find(|c| !(c.is_ascii_alphanumeric() || ":-_.\\@".contains(*c))) {
        Some(wrong) => Err(Malformed::new(text, format!("`{wrong}` is not one of A-Z a-z 0-9 : - _ . \\ @"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_in_a_path_is_not_a_slash_in_the_units_name() {
        assert_eq!(
            escape_path("/opt/aws/amazon-cloudwatch-agent/etc"),
            r"opt-aws-amazon\x2dcloudwatch\x2dagent-etc"
        );
        assert_eq!(escape_path("/"), "-");
        assert_eq!(escape_path("/.config"), r"\x2econfig");
        assert_eq!(escape_path("/var/lib/docker"), "var-lib-docker");
    }
}
