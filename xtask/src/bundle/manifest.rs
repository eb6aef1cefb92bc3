//! The manifest of a bundle: a key file of GLib's, as RAUC reads it.
//!
//! <https://rauc.readthedocs.io/en/latest/reference.html#manifest>. RAUC refuses keys that it does not know, so that
//! nothing of ours is among them. What is read may come from elsewhere; hooks and their like are passed over.

use std::collections::BTreeMap;

use bedplate_formats::digest::hex;

use crate::key;

/// The extension of the file with the digests of a file's blocks.
pub const BLOCK_INDEX: &str = "block-hash-index";

/// What a bundle is, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What devices it is for: an image's name.
    pub compatible: String,
    /// The version that it brings.
    pub version: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Which build it is of.
    pub build: Option<String>,
    /// The hash tree over the payload; the copy inside of the payload has none.
    pub verity: Option<Verity>,
    /// The images, in the order in which they are written.
    pub images: Vec<Image>,
}

/// The hash tree of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verity {
    /// The root hash.
    pub hash: [u8; 32],
    /// What every hash begins with.
    pub salt: [u8; 32],
    /// The size of the tree, in bytes.
    pub size: u64,
}

/// A file that goes into a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The class of the slots, with the variant of the device behind a dot where there is one.
    pub class: String,
    /// The file in the bundle.
    pub filename: String,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its size, in bytes.
    pub size: u64,
    /// How a device may fetch only what it has not.
    pub adaptive: Vec<String>,
}

/// Why a text is no manifest of a bundle that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A line is neither a group, a key nor a comment.
    #[error("line {0} of the manifest is neither `[GROUP]` nor `KEY=VALUE`")]
    Line(usize),
    /// A key is missing.
    #[error("the manifest has no `{key}` in `[{group}]`")]
    Missing {
        /// The group.
        group: String,
        /// The key.
        key: &'static str,
    },
    /// A key has a value that it cannot have.
    #[error("invalid `{key}={value}` in `[{group}]` of the manifest: {why}")]
    Value {
        /// The group.
        group: String,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        why: &'static str,
    },
}

impl Manifest {
    /// The text, as GLib writes it.
    pub fn render(&self) -> String {
        let mut text = Text(String::new());
        text.group("update");
        text.value("compatible", &self.compatible);
        let facts = [("version", &self.version), ("description", &self.description), ("build", &self.build)];
        for (key, value) in facts {
            if let Some(value) = value {
                text.value(key, value);
            }
        }
        text.group("bundle");
        text.value("format", "verity");
        if let Some(verity) = &self.verity {
            text.value("verity-hash", &hex(&verity.hash));
            text.value("verity-salt", &hex(&verity.salt));
            text.value("verity-size", &verity.size.to_string());
        }
        for image in &self.images {
            text.group(&format!("image.{}", image.class));
            text.value("sha256", &hex(&image.sha256));
            text.value("size", &image.size.to_string());
            text.value("filename", &image.filename);
            if !image.adaptive.is_empty() {
                let list: String = image.adaptive.iter().map(|method| format!("{method};")).collect();
                text.value("adaptive", &list);
            }
        }
        text.0
    }

    /// Reads a text of any origin.
    ///
    /// # Errors
    /// It is no key file, lacks what every bundle has, or is of another format than `verity`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let groups = groups(text)?;
        let update = Group::of(&groups, "update");
        let bundle = Group::of(&groups, "bundle");
        bundle.check(
            "format",
            bundle.required("format")?,
            "a bundle of format `verity` is read here",
            |format| (format == "verity").then_some(()),
        )?;
        let digits = "it is no SHA-256 in hexadecimal";
        let digest = |digits: &str| key::digest(digits).ok();
        let bytes = |number: &str| number.parse().ok();
        let verity = match bundle.get("verity-hash") {
            None => None,
            Some(hash) => Some(Verity {
                hash: bundle.check("verity-hash", hash, digits, digest)?,
                salt: bundle.check("verity-salt", bundle.required("verity-salt")?, digits, digest)?,
                size: bundle.check(
                    "verity-size",
                    bundle.required("verity-size")?,
                    "it is no multiple of 4096 bytes above zero",
                    |number| bytes(number).filter(|&size| size > 0 && size % 4096 == 0),
                )?,
            }),
        };
        let mut images = Vec::new();
        for (name, keys) in &groups {
            let Some(class) = name.strip_prefix("image.") else { continue };
            let image = Group { name, keys: Some(keys) };
            let list = image.get("adaptive").unwrap_or_default();
            images.push(Image {
                class: class.to_owned(),
                filename: image.required("filename")?.to_owned(),
                sha256: image.check("sha256", image.required("sha256")?, digits, digest)?,
                size: image.check("size", image.required("size")?, "it is no number of bytes", bytes)?,
                adaptive: list.split(';').filter(|method| !method.is_empty()).map(str::to_owned).collect(),
            });
        }
        let fact = |key| update.get(key).map(str::to_owned);
        Ok(Self {
            compatible: update.required("compatible")?.to_owned(),
            version: fact("version"),
            description: fact("description"),
            build: fact("build"),
            verity,
            images,
        })
    }
}

struct Text(String);

impl Text {
    fn group(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(&format!("[{name}]\n"));
    }

    fn value(&mut self, key: &str, value: &str) {
        self.0.push_str(&format!("{key}={}\n", escaped(value)));
    }
}

/// A value as GLib writes it: what would end the line, or be taken for its margin.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut margin = true;
    for character in value.chars() {
        match character {
            ' ' if margin => text.push_str("\\s"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' => text.push_str("\\\\"),
            other => text.push(other),
        }
        margin &= character == ' ';
    }
    text
}

fn unescaped(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next()? {
                's' => ' ',
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

type Keys = BTreeMap<String, String>;

/// The groups of a key file, in their order.
fn groups(text: &str) -> Result<Vec<(String, Keys)>, ManifestError> {
    let mut groups: Vec<(String, Keys)> = Vec::new();
    let mut current = None;
    for (number, line) in (1..).zip(text.split('\n')) {
        // GLib ignores what stands before a line or behind a key, and keeps what stands behind a value.
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = || ManifestError::Line(number);
        if let Some(name) = line.strip_prefix('[') {
            let name = name
                .trim_end()
                .strip_suffix(']')
                .filter(|name| !name.contains(['[', ']']))
                .ok_or_else(refuse)?;
            // A group that comes again goes on.
            current = groups.iter().position(|(known, _)| known == name).or(Some(groups.len()));
            if current == Some(groups.len()) {
                groups.push((name.to_owned(), Keys::new()));
            }
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(refuse)?;
        let (_, keys) = current.and_then(|current| groups.get_mut(current)).ok_or_else(refuse)?;
        keys.insert(key.trim_end().to_owned(), unescaped(value.trim_start()).ok_or_else(refuse)?);
    }
    Ok(groups)
}

/// A group that is asked for its keys.
struct Group<'a> {
    name: &'a str,
    keys: Option<&'a Keys>,
}

impl<'a> Group<'a> {
    fn of(groups: &'a [(String, Keys)], name: &'a str) -> Self {
        let keys = groups.iter().find(|(known, _)| known == name).map(|(_, keys)| keys);
        Self { name, keys }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.keys?.get(key).map(String::as_str)
    }

    fn required(&self, key: &'static str) -> Result<&'a str, ManifestError> {
        self.get(key).ok_or_else(|| ManifestError::Missing { group: self.name.to_owned(), key })
    }

    fn check<T>(
        &self,
        key: &'static str,
        value: &str,
        why: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ManifestError> {
        read(value).ok_or_else(|| {
            let (group, value) = (self.name.to_owned(), value.escape_debug().to_string());
            ManifestError::Value { group, key, value, why }
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn manifest() -> Manifest {
        let image = |class: &str, filename: &str| Image {
            class: class.to_owned(),
            filename: filename.to_owned(),
            sha256: [0xab; 32],
            size: 8192,
            adaptive: vec![BLOCK_INDEX.to_owned()],
        };
        Manifest {
            compatible: "edge".to_owned(),
            version: Some("2".to_owned()),
            description: Some("  two blanks, a \\ and\na line".to_owned()),
            build: None,
            verity: Some(Verity { hash: [1; 32], salt: [2; 32], size: 4096 }),
            images: vec![image("root", "root.img"), image("uki", "uki.img")],
        }
    }

    #[test]
    fn it_is_written_as_glib_does() {
        expect![[r#"
            [update]
            compatible=edge
            version=2
            description=\s\stwo blanks, a \\ and\na line

            [bundle]
            format=verity
            verity-hash=0101010101010101010101010101010101010101010101010101010101010101
            verity-salt=0202020202020202020202020202020202020202020202020202020202020202
            verity-size=4096

            [image.root]
            sha256=abababababababababababababababababababababababababababababababab
            size=8192
            filename=root.img
            adaptive=block-hash-index;

            [image.uki]
            sha256=abababababababababababababababababababababababababababababababab
            size=8192
            filename=uki.img
            adaptive=block-hash-index;
        "#]]
        .assert_eq(&manifest().render());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let whole = manifest();
        assert_eq!(Manifest::parse(&whole.render()), Ok(whole.clone()));
        let inside = Manifest { verity: None, ..whole };
        assert_eq!(Manifest::parse(&inside.render()), Ok(inside));
    }

    #[test]
    fn what_others_write_is_read() {
        let text = manifest()
            .render()
            .replace('=', " = ")
            .replace("[bundle]", "# of another\n[hooks]\nfilename=a\n[bundle]");
        assert_eq!(Manifest::parse(&text), Ok(manifest()));
        let (update, rest) = text.split_at(text.find("version").unwrap());
        let apart = format!("{update}[meta.a]\nb=c\n[update]\n{rest}");
        assert_eq!(Manifest::parse(&apart), Ok(manifest()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = manifest().render();
        let refused =
            |from: &str, to: &str| Manifest::parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        let messages = [
            refused("compatible", "compatibel"),
            refused("format=verity", "format=crypt"),
            refused("verity-size=4096", "verity-size=4097"),
            refused("0101", "xyz"),
            refused("size=8192", "size=-1"),
            refused("filename=root.img", "filename"),
            refused("[bundle]", "[bundle"),
        ];
        expect![[r#"
            the manifest has no `compatible` in `[update]`
            invalid `format=crypt` in `[bundle]` of the manifest: a bundle of format `verity` is read here
            invalid `verity-size=4097` in `[bundle]` of the manifest: it is no multiple of 4096 bytes above zero
            invalid `verity-hash=xyz010101010101010101010101010101010101010101010101010101010101` in `[bundle]` of the manifest: it is no SHA-256 in hexadecimal
            invalid `size=-1` in `[image.root]` of the manifest: it is no number of bytes
            line 15 of the manifest is neither `[GROUP]` nor `KEY=VALUE`
            line 6 of the manifest is neither `[GROUP]` nor `KEY=VALUE`"#]]
        .assert_eq(&messages.join("\n"));
    }
}
