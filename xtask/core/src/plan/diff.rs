//! What changes from one plan to the next, for people.
//!
//! Two plans are flattened into named facts and compared by name. Places are
//! no facts: a comment added to a description changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Plan;

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
            (None, Some(after)) => write!(out, "+ {what}: {after}"),
            (Some(before), None) => write!(out, "- {what}: {before}"),
            (Some(before), Some(after)) => write!(out, "~ {what}: {before} -> {after}"),
            (None, None) => write!(out, "  {what}"),
        }
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
    let mut facts = BTreeMap::new();
    if let Ok(value) = serde_json::to_value(plan) {
        flatten(String::new(), &value, &mut facts);
    }
    facts
}

/// The keys whose value names an element of a list, so that an element that
/// is added does not rename all that follow.
const NAMES: [&str; 5] = ["label", "path", "name", "suite", "source"];

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
                    (Some(named), _) => flatten(below(named), element, facts),
                    // A word in a list is a fact by being there.
                    (None, Value::String(word)) => _ = facts.insert(below(word), "there".to_string()),
                    (None, element) => flatten(below(&index.to_string()), element, facts),
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
    use crate::explain::device;
    use expect_test::expect;

    #[test]
    fn a_bind_that_is_added_shows_as_what_it_brings() {
        let (before, after) =
            (device().plan().unwrap(), device().package("jq").bind("/greengrass").plan().unwrap());
        let lines: Vec<String> = diff(&before, &after).iter().map(ToString::to_string).collect();
        let first: Vec<&str> = lines.iter().filter_map(|line| line.lines().next()).collect();
        expect![[r#"
            + binds /greengrass backing: /local/persistent/greengrass
            + binds /greengrass path: /greengrass
            + binds /greengrass seeded: false
            + binds /greengrass unit: greengrass.mount
            + files /greengrass gid: 0
            + files /greengrass kind: directory
            + files /greengrass mode: 493
            + files /greengrass path: /greengrass
            + files /greengrass uid: 0
            + files /greengrass why: a bind is mounted here
            + files /usr/lib/bedplate/state.conf gid: 0
            + files /usr/lib/bedplate/state.conf kind file text: # Made at every boot, before the binds; what is there is left as it is.
            + files /usr/lib/bedplate/state.conf mode: 420
            + files /usr/lib/bedplate/state.conf path: /usr/lib/bedplate/state.conf
            + files /usr/lib/bedplate/state.conf uid: 0
            + files /usr/lib/bedplate/state.conf why: which directories, and what they start with
            + files /usr/lib/systemd/system/bedplate-state.service gid: 0
            + files /usr/lib/systemd/system/bedplate-state.service kind file text: [Unit]
            + files /usr/lib/systemd/system/bedplate-state.service mode: 420
            + files /usr/lib/systemd/system/bedplate-state.service path: /usr/lib/systemd/system/bedplate-state.service
            + files /usr/lib/systemd/system/bedplate-state.service uid: 0
            + files /usr/lib/systemd/system/bedplate-state.service why: makes the directories behind the binds
            + files /usr/lib/systemd/system/greengrass.mount gid: 0
            + files /usr/lib/systemd/system/greengrass.mount kind file text: [Unit]
            + files /usr/lib/systemd/system/greengrass.mount mode: 420
            + files /usr/lib/systemd/system/greengrass.mount path: /usr/lib/systemd/system/greengrass.mount
            + files /usr/lib/systemd/system/greengrass.mount uid: 0
            + files /usr/lib/systemd/system/greengrass.mount why: kept, starting empty
            + files /usr/lib/systemd/system/local-fs.target.requires/greengrass.mount gid: 0
            + files /usr/lib/systemd/system/local-fs.target.requires/greengrass.mount kind symlink target: ../greengrass.mount
            + files /usr/lib/systemd/system/local-fs.target.requires/greengrass.mount mode: 511
            + files /usr/lib/systemd/system/local-fs.target.requires/greengrass.mount path: /usr/lib/systemd/system/local-fs.target.requires/greengrass.mount
            + files /usr/lib/systemd/system/local-fs.target.requires/greengrass.mount uid: 0
            + files /usr/lib/systemd/system/local-fs.target.requires/greengrass.mount why: no service starts without what is kept
            + packages jq name: jq
            + packages jq why: asked"#]].assert_eq(&first.join("\n"));
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
