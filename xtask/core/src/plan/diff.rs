//! What changes from one plan to the next, for people.
//!
//! Two plans, as JSON, are flattened into named facts and compared by name. Source
//! locations are no facts: a comment added to a description changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

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

/// Returns what differs between two plans, given as the JSON of a [`Plan`](super::Plan), by name.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<Difference> {
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
fn facts(plan: &Value) -> BTreeMap<String, String> {
    let files = plan["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut facts: BTreeMap<String, String> = files.iter().map(file).collect();
    for (key, value) in plan.as_object().into_iter().flatten().filter(|(key, _)| *key != "files") {
        flatten(key.clone(), value, &mut facts);
    }
    facts
}

/// A generated file is one fact: what it is and whose.
fn file(file: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let whose = |name: &str, id: &str| text(file.get(name).unwrap_or(&file[id]));
    let (user, group) = (whose("owner", "uid"), whose("group", "gid"));
    let owner = if (user.as_str(), group.as_str()) == ("0", "0") {
        String::new()
    } else {
        format!(" of {user}:{group}")
    };
    let (mode, kind) = (file["mode"].as_u64().unwrap_or_default(), &file["kind"]);
    let kind = match (kind.as_str(), &kind["symlink"]["target"], &kind["file"]["text"]) {
        (Some("directory"), ..) => format!("directory {mode:04o}{owner}"),
        (Some(other), ..) => other.to_string(),
        (None, Value::String(target), _) => format!("link to {target}"),
        (None, _, content) => format!("file {mode:04o}{owner}\n{}", text(content)),
    };
    (format!("file {}", text(&file["path"])), kind)
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
    use crate::{Image, Plan};
    use expect_test::expect;

    fn differences(before: &Image, after: &Image) -> Vec<Difference> {
        let json = |image: &Image| serde_json::to_value(image.plan().unwrap()).unwrap();
        diff(&json(before), &json(after))
    }

    #[test]
    fn a_bind_that_is_added_shows_as_what_it_brings() {
        let found = differences(&device(), &device().package("jq").bind("/greengrass"));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        expect![[r#"
            + binds /greengrass backing: /local/persistent/greengrass
            + binds /greengrass empty: false
            + binds /greengrass executable: false
            + binds /greengrass kind: directory
            + binds /greengrass seeded: false
            + binds /greengrass unit: greengrass.mount
            + file /greengrass: directory 0755
            ~ file /usr/lib/bedplate/state: 88 lines -> 89 lines
            + file /usr/lib/systemd/system/greengrass.mount: 12 lines
            + file /usr/lib/systemd/system/local-fs.target.wants/greengrass.mount: link to ../greengrass.mount
            + packages jq recommends: false
            + packages jq why: asked"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_description_said_on_other_lines_is_the_same_plan() {
        assert_eq!(differences(&device(), &device()), []);
        let one = device().package("jq");
        let two = device().package("jq");
        let line = |plan: Plan| plan.package("jq").unwrap().at.clone();
        assert_ne!(line(one.plan().unwrap()), line(two.plan().unwrap()));
        assert_eq!(differences(&one, &two), []);
    }
}
