//! What changes from one plan to the next, for people.
//!
//! Two plans are flattened into named facts and compared by name. Places are
//! no facts: a comment added to a description changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{FileKind, FilePlan, Plan};

/// One fact that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is a fact about: `partition persistent: size`.
    pub what: String,
    /// What it was; `None` when it is new.
    pub before: Option<String>,
    /// What it is; `None` when it is gone.
    pub after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(out, "+ {what}: {}", brief(after)),
            (Some(before), None) => write!(out, "- {what}: {}", brief(before)),
            (Some(before), Some(after)) => write!(out, "~ {what}: {} -> {}", brief(before), brief(after)),
            (None, None) => write!(out, "  {what}"),
        }
    }
}

/// A text of several lines by their number.
fn brief(value: &str) -> String {
    match value.trim_end().lines().count() {
        0 | 1 => value.trim_end().to_string(),
        lines => format!("{lines} lines"),
    }
}

/// What differs between two plans, by name.
#[must_use]
pub fn diff(before: &Plan, after: &Plan) -> Vec<Difference> {
    let (before, after) = (facts(before), facts(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let difference = |name: &String| Difference {
        what: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    changed.map(difference).collect()
}

/// Every fact of a plan by its name.
fn facts(plan: &Plan) -> BTreeMap<String, String> {
    let mut facts: BTreeMap<String, String> = plan.files.iter().map(file).collect();
    if let Ok(Value::Object(mut fields)) = serde_json::to_value(plan) {
        fields.remove("files");
        flatten(String::new(), &Value::Object(fields), &mut facts);
    }
    facts
}

/// A generated file is one fact: what it is and whose.
fn file(file: &FilePlan) -> (String, String) {
    let user = file.owner.clone().unwrap_or_else(|| file.uid.to_string());
    let group = file.group.clone().unwrap_or_else(|| file.gid.to_string());
    let owner = if (user.as_str(), group.as_str()) == ("0", "0") {
        String::new()
    } else {
        format!(" of {user}:{group}")
    };
    let kind = match &file.kind {
        FileKind::Directory => format!("directory {:04o}{owner}", file.mode),
        FileKind::Symlink { target } => format!("link to {target}"),
        FileKind::MountPoint => "place of a mount".to_string(),
        FileKind::File { text } => format!("file {:04o}{owner}\n{text}", file.mode),
    };
    (format!("file {}", file.path), kind)
}

/// The keys whose value names an element of a list, so that an element that
/// is added does not rename all that follow.
const NAMES: [&str; 8] = ["label", "path", "name", "suite", "source", "url", "what", "pattern"];

fn flatten(name: String, value: &Value, facts: &mut BTreeMap<String, String>) {
    let below = |part: &str| if name.is_empty() { part.to_string() } else { format!("{name} {part}") };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(key, _)| *key != "at") {
                flatten(below(key), value, facts);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let named = NAMES.iter().find_map(|key| element.get(key)?.as_str());
                match (named, element) {
                    (Some(named), Value::Object(fields)) => {
                        let rest = fields.iter().filter(|(_, value)| value.as_str() != Some(named));
                        let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
                        if fields.iter().all(|(key, value)| {
                            key == "at" || value.is_null() || value.as_str() == Some(named)
                        }) {
                            facts.insert(below(named), "there".to_string());
                        }
                        flatten(below(named), &Value::Object(rest), facts);
                    }
                    // A word in a list is a fact by being there.
                    (None, Value::String(word)) => _ = facts.insert(below(word), "there".to_string()),
                    (_, element) => flatten(below(&index.to_string()), element, facts),
                }
            }
        }
        Value::Null => {}
        Value::String(text) => _ = facts.insert(name, text.clone()),
        other => _ = facts.insert(name, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::device;
    use expect_test::expect;

    #[test]
    fn a_bind_that_is_added_shows_as_what_it_brings() {
        let (before, after) =
            (device().plan().unwrap(), device().package("jq").bind("/greengrass").plan().unwrap());
        let lines: Vec<String> = diff(&before, &after).iter().map(ToString::to_string).collect();
        expect![[r#"
            + binds /greengrass backing: /local/persistent/greengrass
            + binds /greengrass empty: false
            + binds /greengrass executable: false
            + binds /greengrass kind: directory
            + binds /greengrass seeded: false
            + binds /greengrass unit: greengrass.mount
            + file /greengrass: directory 0755
            ~ file /usr/lib/bedplate/state: 33 lines -> 34 lines
            + file /usr/lib/systemd/system/greengrass.mount: 12 lines
            + file /usr/lib/systemd/system/local-fs.target.wants/greengrass.mount: link to ../greengrass.mount
            + packages jq recommends: false
            + packages jq why: asked"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_description_said_on_other_lines_is_the_same_plan() {
        assert_eq!(diff(&device().plan().unwrap(), &device().plan().unwrap()), []);
        let one = device().package("jq").plan().unwrap();
        let two = device().package("jq").plan().unwrap();
        assert_ne!(one.package("jq").unwrap().at, two.package("jq").unwrap().at);
        assert_eq!(diff(&one, &two), []);
    }
}
