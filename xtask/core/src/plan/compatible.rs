//! Which devices a plan strands: those in the field have a disk, and what they keep on it, of an older plan.
//!
//! The older plan is one that was saved, as JSON: [`SavedPlan`]. Only what a device cannot undo counts. A package that is
//! gone or a service that no longer starts is a decision, and no reason.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::Plan;

/// A plan as JSON: what `cargo xtask plan --json` prints, of this version of the program or an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPlan(Value);

/// Why a text is no saved plan.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// It is no JSON.
    #[error("invalid JSON")]
    Json(#[from] serde_json::Error),
    /// It is the JSON of something else.
    #[error("it has no `disk` with a `root`: save a plan with `cargo xtask plan --json`")]
    Other,
}

impl SavedPlan {
    /// Reads a plan that was saved.
    ///
    /// # Errors
    /// It is no JSON, or that of something else.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        Self::new(serde_json::from_str(text)?)
    }

    /// Takes JSON for a plan.
    ///
    /// # Errors
    /// It is that of something else.
    pub fn new(json: Value) -> Result<Self, SavedPlanError> {
        if json["disk"]["root"].is_object() { Ok(Self(json)) } else { Err(SavedPlanError::Other) }
    }

    /// Its JSON.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }
}

impl From<&Plan> for SavedPlan {
    fn from(plan: &Plan) -> Self {
        // Text, numbers and lists of them: a plan has nothing that JSON has not.
        Self(serde_json::to_value(plan).unwrap_or_default())
    }
}

impl From<&SavedPlan> for SavedPlan {
    fn from(plan: &SavedPlan) -> Self {
        plan.clone()
    }
}

/// Why devices cannot be updated from one plan to another.
#[derive(Clone, PartialEq, Eq)]
pub struct Incompatible {
    /// Each reason, as a sentence without a full stop.
    pub reasons: Vec<String>,
}

impl fmt::Display for Incompatible {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("devices with the old plan cannot be updated to this one")?;
        self.reasons.iter().try_for_each(|reason| write!(out, "\n  * {reason}"))
    }
}

/// What `unwrap` prints in a test: the sentences.
impl fmt::Debug for Incompatible {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl std::error::Error for Incompatible {}

impl Plan {
    /// Whether devices with the plan `old` can be updated to this one, and keep what they keep. A test of the plan that
    /// shipped first refuses each change that would strand its devices:
    ///
    /// ```
    /// use bedplate_core::plan::SavedPlan;
    /// use bedplate_core::{Data, Erofs, Esp, Ext4, GiB, Image, MiB, Root};
    ///
    /// fn device(root: GiB) -> Image {
    ///     Image::debian("trixie")
    ///         .package("linux-image-amd64")
    ///         .partition(Esp::new(MiB(512)))
    ///         .partition(Root::new(Erofs).size(root))
    ///         .partition(Data::new("persistent", Ext4).mount("/local"))
    /// }
    ///
    /// // In a project: `cargo xtask plan device --json >tests/shipped.json`, and here
    /// // SavedPlan::parse(include_str!("shipped.json")).unwrap()
    /// let shipped = SavedPlan::from(&device(GiB(2)).plan().unwrap());
    ///
    /// let later = device(GiB(2)).package("jq").plan().unwrap();
    /// later.is_compatible_with(&shipped).unwrap();
    ///
    /// let larger = device(GiB(4)).plan().unwrap();
    /// let why = larger.is_compatible_with(&shipped).unwrap_err();
    /// assert!(why.to_string().contains("partition `persistent` begins at"));
    /// ```
    ///
    /// # Errors
    /// Every reason why they cannot.
    pub fn is_compatible_with(&self, old: impl Into<SavedPlan>) -> Result<(), Incompatible> {
        let reasons = reasons(&old.into(), &self.into());
        if reasons.is_empty() { Ok(()) } else { Err(Incompatible { reasons }) }
    }
}

/// Returns why devices with the plan `before` cannot be updated to `after`; nothing when they can.
#[must_use]
pub fn reasons(before: &SavedPlan, after: &SavedPlan) -> Vec<String> {
    let (before, after) = (before.json(), after.json());
    let mut reasons = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    if before["architecture"] != after["architecture"] {
        let [old, new] = [before, after].map(|plan| text(&plan["architecture"]));
        reasons.push(format!("they are {old} machines, and this plan is for {new}"));
    }
    match (before["updates"].is_null(), after["updates"].is_null()) {
        (true, false) => reasons.push("they have one slot, and no certificate".to_string()),
        (false, true) => {
            reasons.push("they take bundles, and this plan makes none: it has no updates".to_string())
        }
        (false, false) => updates(before, after, &mut reasons),
        // Whoever writes a new root into its partition finds it where it was.
        (true, true) => moved(before, after, &mut reasons),
    }
    data(before, after, &mut reasons);
    kept(before, after, &mut reasons);
    reasons
}

fn list<'a>(plan: &'a Value, path: &str) -> &'a [Value] {
    plan.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What the device's own checks refuse of a bundle.
fn updates(before: &Value, after: &Value, reasons: &mut Vec<String>) {
    let text = |plan: &Value, field: &str| plan["updates"][field].as_str().unwrap_or_default().to_string();
    let differs = |field: &str| {
        let both = [before, after].map(|plan| text(plan, field));
        (both[0] != both[1]).then_some(both)
    };
    if let Some([old, new]) = differs("compatible") {
        reasons.push(format!("they take bundles for `{old}`, and this plan's are for `{new}`"));
    }
    let encrypted = |plan: &Value| list(plan, "/disk/data").iter().any(|one| one["encrypted"] == true);
    match (encrypted(before), encrypted(after)) {
        (false, true) => reasons.push("their data is in the clear, and this plan's is encrypted".to_string()),
        (true, false) => reasons.push("their data is encrypted, and this plan's is in the clear".to_string()),
        // The layout says whether data is encrypted, too.
        _ => reasons.extend(differs("layout").map(|[old, new]| {
            format!(
                "its slots, its EFI system partition or its sectors have other sizes, and devices refuse bundles for \
                 disks of another layout ({new}, not {old})"
            )
        })),
    }
}

/// A plan's partitions by label: where each begins, and its size in bytes.
fn partitions(plan: &Value) -> BTreeMap<String, (u64, u64)> {
    let disk = &plan["disk"];
    let one = [&disk["esp"], &disk["root"], &disk["root"]["verity"]];
    let all = one.into_iter().chain(list(plan, "/disk/data"));
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    all.filter_map(|partition| {
        let label = partition["label"].as_str()?.to_string();
        Some((label, (number(&partition["offset"]), number(&partition["size"]))))
    })
    .collect()
}

fn moved(before: &Value, after: &Value, reasons: &mut Vec<String>) {
    let (old, new) = (partitions(before), partitions(after));
    for (label, (start, size)) in old {
        match new.get(&label) {
            None => reasons.push(format!("this plan has no partition `{label}`")),
            Some((other, _)) if *other != start => reasons.push(format!(
                "partition `{label}` begins at byte {start} of their disks, and at byte {other} of this plan's"
            )),
            Some((_, other)) if *other != size => reasons.push(format!(
                "partition `{label}` has {size} bytes on their disks, and {other} in this plan"
            )),
            Some(_) => {}
        }
    }
}

/// What is kept is found by the partition's label, and read by its file system.
fn data(before: &Value, after: &Value, reasons: &mut Vec<String>) {
    let by_label = |plan| -> BTreeMap<String, &Value> {
        let all = list(plan, "/disk/data").iter();
        all.filter_map(|one| Some((one["label"].as_str()?.to_string(), one))).collect()
    };
    let new = by_label(after);
    let slots = !before["updates"].is_null() && !after["updates"].is_null();
    for (label, old) in by_label(before) {
        match new.get(&label) {
            // Without slots, it is among the partitions that move.
            None if slots => {
                reasons.push(format!("this plan has no data partition `{label}`, and they keep it"))
            }
            Some(new) if new["filesystem"] != old["filesystem"] => reasons.push(format!(
                "the data partition `{label}` is {} on their disks, and {} in this plan",
                old["filesystem"].as_str().unwrap_or("something else"),
                new["filesystem"].as_str().unwrap_or("something else")
            )),
            _ => {}
        }
    }
}

/// What is kept lies at a path, and belongs to a number.
fn kept(before: &Value, after: &Value, reasons: &mut Vec<String>) {
    let named = |plan, path: &str, name: &str, field: &str| -> BTreeMap<String, String> {
        let all = list(plan, path).iter();
        let pair = |one: &Value| {
            let value = &one[field];
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            Some((one[name].as_str()?.to_string(), value))
        };
        all.filter_map(pair).collect()
    };
    let new = named(after, "/binds", "path", "backing");
    for (path, old) in named(before, "/binds", "path", "backing") {
        if let Some(new) = new.get(&path).filter(|new| **new != old) {
            reasons.push(format!(
                "`{path}` is kept in `{old}` on their data partition, and in `{new}` by this plan"
            ));
        }
    }
    let new = named(after, "/users", "name", "uid");
    for (name, old) in named(before, "/users", "name", "uid") {
        if let Some(new) = new.get(&name).filter(|new| **new != old) {
            reasons.push(format!(
                "what they keep of the user `{name}` belongs to the number {old}, which is {new} in this plan"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{certificate, device};
    use crate::{GiB, Image, SecureBoot, Size, Tpm, Updates, User};

    fn of(compatible: &str) -> Image {
        device().version("1").updates(Updates::rauc(compatible, certificate()))
    }

    fn why(before: &Image, after: &Image) -> String {
        let old = before.plan().unwrap();
        match after.plan().unwrap().is_compatible_with(&old) {
            Ok(()) => String::new(),
            Err(why) => why.reasons.join("\n"),
        }
    }

    #[test]
    fn what_strands_devices_is_told() {
        let edge = of("edge");
        assert_eq!(why(&edge, &of("edge").package("jq").version("2")), "");
        assert_eq!(why(&device(), &edge), "they have one slot, and no certificate");
        assert_eq!(why(&edge, &device()), "they take bundles, and this plan makes none: it has no updates");
        let other = "they take bundles for `edge`, and this plan's are for `edge-2`";
        assert_eq!(why(&edge, &of("edge-2")), other);
        let mut larger = of("edge");
        larger.roots[0].size = Size::from(GiB(3));
        assert!(why(&edge, &larger).contains("have other sizes"));
        let mut sealed = of("edge").secure_boot(SecureBoot::keys("keys"));
        sealed.data = vec![sealed.data.remove(0).encrypted(Tpm)];
        assert_eq!(why(&edge, &sealed), "their data is in the clear, and this plan's is encrypted");
        assert_eq!(why(&sealed, &edge), "their data is encrypted, and this plan's is in the clear");
    }

    #[test]
    fn all_reasons_are_told_at_once() {
        let mut larger = device().user(User::new("keeper").uid(1005));
        larger.roots[0].size = Size::from(GiB(3));
        let older = device().user(User::new("keeper").uid(1000));
        let why = why(&older, &larger);
        assert!(why.contains("partition `persistent` begins at byte "), "{why}");
        assert!(
            why.contains("the user `keeper` belongs to the number 1000, which is 1005 in this plan"),
            "{why}"
        );
        let plan = larger.plan().unwrap();
        let text = plan.is_compatible_with(&older.plan().unwrap()).unwrap_err().to_string();
        assert!(text.starts_with("devices with the old plan cannot be updated to this one\n  * "), "{text}");
    }

    #[test]
    fn without_slots_a_partition_stays_where_it_is() {
        assert_eq!(why(&device(), &device().package("jq").bind("/srv")), "");
    }

    #[test]
    fn a_plan_that_was_saved_is_the_same_plan() {
        let plan = of("edge").plan().unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        let saved = SavedPlan::parse(&text).unwrap();
        assert_eq!(saved, SavedPlan::from(&plan));
        plan.is_compatible_with(&saved).unwrap();
        assert!(SavedPlan::parse("{}").unwrap_err().to_string().contains("plan --json"));
        assert_eq!(SavedPlan::parse("{").unwrap_err().to_string(), "invalid JSON");
    }
}
