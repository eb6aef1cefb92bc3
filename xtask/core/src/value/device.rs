//! Words of a device: paths, host names, labels, locales, time zones.

use super::{Malformed, value};

value! {
    /// The version of an image: `1.4.0`.
    ///
    /// `IMAGE_VERSION=` of [os-release(5)](https://manpages.debian.org/os-release.5):
    /// at most 64 characters of `0-9 a-z . _ -`, the first a letter or a digit.
    ImageVersion, "malformed-image-version", "a version of an image", image_version
}

value! {
    /// What a bundle and a device have in common, so that the one fits the other: `edge`.
    ///
    /// RAUC compares it as text: at most 64 characters of `A-Z a-z 0-9 . _ + : -`.
    Compatible, "malformed-compatible", "a word for the devices that a bundle fits", compatible
}

value! {
    /// An absolute path on the device, in its one normal spelling.
    DevicePath, "malformed-path", "a path on the device", path
}

value! {
    /// A host name: labels of `a-z 0-9 -`, at most 64 characters ([hostname(5)]).
    ///
    /// `{machine-id}` and `{serial}` in it stand for what a device is known by:
    /// 12 hexadecimal digits that its machine id is hashed to, and the serial
    /// number in its firmware.
    ///
    /// [hostname(5)]: https://manpages.debian.org/hostname.5
    Hostname, "malformed-hostname", "a host name", hostname
}

value! {
    /// The label of a partition and of the file system in it.
    ///
    /// Its length, at most 36 UTF-16 units in a GPT, is a rule of its own.
    Label, "malformed-label", "a label", label
}

value! {
    /// A locale of glibc's: `en_US.UTF-8`, `C.UTF-8`.
    Locale, "malformed-locale", "a locale", locale
}

value! {
    /// A time zone of the tz database: `Europe/Berlin`, `UTC`.
    Timezone, "malformed-timezone", "a time zone", timezone
}

impl DevicePath {
    /// Returns a path that the plan itself writes to: names of units hold backslashes, which no path of a description
    /// may.
    pub(crate) fn of_plan(text: impl Into<String>) -> Self {
        let text = text.into();
        debug_assert!(path(&text.replace('\\', "")).is_ok(), "{text}");
        DevicePath(text)
    }

    /// True for this path itself and for everything below it.
    #[must_use]
    pub fn holds(&self, other: &DevicePath) -> bool {
        self.as_str() == "/"
            || other == self
            || other.as_str().strip_prefix(self.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Links to directories that every release has, and where they lead.
const LINKS: [(&str, &str); 7] = [
    ("/bin", "/usr/bin"),
    ("/lib", "/usr/lib"),
    ("/lib64", "/usr/lib64"),
    ("/sbin", "/usr/sbin"),
    ("/var/lock", "/run/lock"),
    ("/var/run", "/run"),
    ("/var/spool/mail", "/var/mail"),
];

impl DevicePath {
    /// The path behind the links to directories that every release has: `/var/spool/mail` is `/var/mail`.
    #[must_use]
    pub fn through_links(&self) -> DevicePath {
        for (link, target) in LINKS {
            match self.as_str().strip_prefix(link) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    return DevicePath(format!("{target}{rest}"));
                }
                _ => {}
            }
        }
        self.clone()
    }
}

impl Hostname {
    /// What stands for a device's machine id.
    pub(crate) const MACHINE_ID: &'static str = "{machine-id}";
    /// What stands for its serial number.
    pub(crate) const SERIAL: &'static str = "{serial}";

    /// True when each device makes its own name of it.
    pub(crate) fn is_template(&self) -> bool {
        [Self::MACHINE_ID, Self::SERIAL].iter().any(|variable| self.as_str().contains(variable))
    }
}

fn image_version(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        return Err(Malformed::new(text, "it does not start with a letter or a digit of `0-9 a-z`"));
    }
    if let Some(c) = text.chars().find(|c| !allowed(*c)) {
        let shown = if c == '+' { " (boot counting uses `+`)" } else { "" };
        return Err(Malformed::new(text, format!("`{c}` is none of `0-9 a-z . _ -`{shown}")));
    }
    if text.len() > 64 {
        return Err(Malformed::new(text, "it is longer than 64 characters"));
    }
    Ok(())
}

fn compatible(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+:-".contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(Malformed::new(text, format!("`{c}` is none of `A-Z a-z 0-9 . _ + : -`"))),
        None if text.is_empty() => Err(Malformed::new(text, "it is empty")),
        None if text.len() > 64 => Err(Malformed::new(text, "it is longer than 64 characters")),
        None => Ok(()),
    }
}

fn path(text: &str) -> Result<(), Malformed> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let normal = format!("/{}", parts.join("/"));
    if !text.starts_with('/') {
        return Err(Malformed::new(text, "it does not start with `/`").help(format!("write `{normal}`")));
    }
    if text == "/" {
        return Ok(());
    }
    if let Some(wrong) = text.chars().find(|c| c.is_control() || c.is_whitespace() || *c == '%' || *c == '\\')
    {
        return Err(Malformed::new(
            text,
            format!("`{}` would mean something else in a unit", wrong.escape_debug()),
        ));
    }
    if text.split('/').any(|part| part == "." || part == "..") {
        return Err(Malformed::new(text, "it is not in its normal form: it holds `.` or `..`"));
    }
    if text != normal {
        return Err(Malformed::new(text, "it is not in its normal form").help(format!("write `{normal}`")));
    }
    Ok(())
}

fn hostname(text: &str) -> Result<(), Malformed> {
    // What a device puts in its place is no longer than this, and ends in neither dash nor dot.
    let name = text.replace(Hostname::MACHINE_ID, "0123456789ab").replace(Hostname::SERIAL, "0");
    if name != text {
        return hostname(&name).map_err(|wrong| Malformed { text: text.to_string(), ..wrong });
    }
    if let Some(variable) = text.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
        let known = format!("`{}` or `{}`", Hostname::MACHINE_ID, Hostname::SERIAL);
        return Err(Malformed::new(text, format!("nothing is called `{{{}}}`", variable.0))
            .help(format!("write {known}")));
    }
    let lower = text.to_ascii_lowercase().replace('_', "-");
    let refused = |reason: String| {
        let refusal = Malformed::new(text, reason);
        if lower != text && hostname(&lower).is_ok() {
            refusal.help(format!("did you mean `{lower}`?"))
        } else {
            refusal
        }
    };
    if text.len() > 64 {
        return Err(refused("it is longer than 64 characters".to_string()));
    }
    if let Some(wrong) =
        text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '.'))
    {
        return Err(refused(format!("`{wrong}` is not one of a-z 0-9 - .")));
    }
    if text.split('.').any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-')) {
        return Err(refused("a part of it is empty, or starts or ends with a dash".to_string()));
    }
    Ok(())
}

fn label(text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::new(text, "it is empty"));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
        Some(wrong) => Err(Malformed::new(text, format!("`{wrong}` is not one of A-Z a-z 0-9 - _ ."))),
        None => Ok(()),
    }
}

fn locale(text: &str) -> Result<(), Malformed> {
    let refused = |reason| Malformed::new(text, reason);
    let (language, charset) = match text.split_once('.') {
        Some((language, charset)) => (language, charset),
        None => {
            let refusal = refused("it names no character set");
            let repaired = format!("{text}.UTF-8");
            return Err(if locale(&repaired).is_ok() {
                refusal.help(format!("write `{repaired}`"))
            } else {
                refusal
            });
        }
    };
    if charset != "UTF-8" {
        return Err(refused("its character set is not `UTF-8`").help(format!("write `{language}.UTF-8`")));
    }
    let (language, _modifier) = language.split_once('@').unwrap_or((language, ""));
    let well_formed = match language.split_once('_') {
        None => language == "C" || (2..=3).contains(&language.len()) && lower(language),
        Some((tongue, country)) => {
            (2..=3).contains(&tongue.len())
                && lower(tongue)
                && country.len() == 2
                && country.bytes().all(|b| b.is_ascii_uppercase())
        }
    };
    if well_formed { Ok(()) } else { Err(refused("it does not have the form `de_DE.UTF-8`")) }
}

fn lower(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase())
}

fn timezone(text: &str) -> Result<(), Malformed> {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c))
    };
    if text.split('/').all(part) && text.split('/').count() <= 3 {
        return Ok(());
    }
    let repaired = text.replace(' ', "_");
    let refusal = Malformed::new(text, "it does not have the form `Europe/Berlin`");
    Err(if repaired != text && timezone(&repaired).is_ok() {
        refusal.help(format!("did you mean `{repaired}`?"))
    } else {
        refusal
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn a_host_name_may_be_a_template() {
        for (text, template) in
            [("edge", false), ("edge-{machine-id}", true), ("{serial}", true), ("{serial}.example.com", true)]
        {
            assert_eq!(Hostname::parse(text).unwrap().is_template(), template, "{text}");
        }
        for text in ["edge-{uuid}", "edge-{machine-id", "-{serial}", "Edge-{serial}", "{serial}-"] {
            assert!(Hostname::parse(text).is_err(), "{text}");
        }
        let wrong = Hostname::parse("edge-{machine_id}").unwrap_err();
        assert_eq!(wrong.to_string(), "`edge-{machine_id}`: nothing is called `{machine_id}`");
        assert_eq!(wrong.help.unwrap(), "write `{machine-id}` or `{serial}`");
    }

    #[test]
    fn a_path_holds_what_is_below_it_and_not_what_looks_alike() {
        let docker = DevicePath::parse("/var/lib/docker").unwrap();
        assert!(docker.holds(&DevicePath::parse("/var/lib/docker/volumes").unwrap()));
        assert!(!docker.holds(&DevicePath::parse("/var/lib/docker-old").unwrap()));
        assert!(DevicePath::parse("/").unwrap().holds(&docker));
        let through = |path| DevicePath::parse(path).unwrap().through_links().to_string();
        assert_eq!(through("/var/spool/mail/x"), "/var/mail/x");
        assert_eq!(through("/libexec"), "/libexec");
    }
}
