//! What is kept against the finished tree: owners, services and seeds that a description can name and no package may
//! have.

mod rules;
#[cfg(test)]
mod tests;

use bedplate_core::plan::{BindKind, BindPlan, Plan};
use bedplate_core::spelling::nearest;
use bedplate_core::{Diagnostic, Rule};
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

pub(super) use self::rules::*;
use super::units::neighbour;
use super::{Findings, Subject};
use crate::step::place::{self, Astray};
use crate::step::{units, users};

/// Checks every bind.
pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for bind in &subject.plan.binds {
        found.mistakes.extend(owners(bind, subject.tree));
        found.mistakes.extend(services(bind, subject.tree));
        found.mistakes.extend(mount_point(bind, subject.plan, subject.tree));
    }
}

/// A mistake at a bind's line.
fn mistake(rule: &Rule, bind: &BindPlan, message: String, help: String) -> Diagnostic {
    let mistake = Diagnostic::new(rule.code, message).help(help);
    match &bind.at {
        Some(at) => mistake.at(at),
        None => mistake,
    }
}

/// Owners that are not in the image.
fn owners(bind: &BindPlan, tree: &Tree) -> Vec<Diagnostic> {
    let path = &bind.path;
    let mut found = Vec::new();
    for (what, file, name) in [("user", "etc/passwd", &bind.owner), ("group", "etc/group", &bind.group)] {
        let Some(name) = name else { continue };
        let names = users::names(tree, file);
        if names.contains(name) {
            continue;
        }
        let help = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("there is `{near}`"),
            None => format!("add the package that makes it, or `.user(User::system(\"{name}\").uid(…))`"),
        };
        let message = format!("`{path}` is to belong to the {what} `{name}`, which is not in the image");
        found.push(mistake(&BIND_OF_UNKNOWN_OWNER, bind, message, help).word(name));
    }
    found
}

/// Services with misspelt names: such a one would start without what it needs. What is kept for a service that is added
/// later finds it then.
fn services(bind: &BindPlan, tree: &Tree) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for required in bind.required_by.iter().filter(|required| units::find(tree, &required.unit).is_none()) {
        if let Some(near) = neighbour(&required.unit, &units::unit_names(tree)) {
            let message = format!("`{}` is to need `{}`, but is not in the image", required.unit, bind.path);
            let help = format!("there is `{near}`");
            let mut mistake = mistake(&BIND_FOR_NO_UNIT, bind, message, help).word(&required.unit);
            mistake.at.clone_from(&required.at);
            found.push(mistake);
        }
    }
    found
}

/// What stands at the mount point of a bind and does not fit it.
fn mount_point(bind: &BindPlan, plan: &Plan, tree: &Tree) -> Option<Diagnostic> {
    let path = &bind.path;
    let place = TreePath::new(path);
    let real = place::directory(tree, &place);
    if let Some((link, _)) = tree.resolve(&place).filter(|(real, _)| *real != place) {
        let message = format!("the bind of `{path}` goes through a link of the image, to `{link}`");
        let help = format!("bind that: `{}`", word(bind, &link.to_string()));
        return Some(mistake(&BIND_THROUGH_LINK, bind, message, help));
    }
    if let Err(astray @ (Astray::Dangling { .. } | Astray::Loop(_) | Astray::InMemory(_))) = real {
        let help = "bind the directory that the link leads to, or remove the link".to_owned();
        let message = format!("`{path}` cannot be persistent: {astray}");
        return Some(mistake(&BIND_THROUGH_LINK, bind, message, help));
    }
    let found = tree.get(&place).map(|node| &node.kind);
    let (fits, is) = match (bind.kind, found) {
        (_, None) => (true, ""),
        (BindKind::Directory, Some(kind)) => (matches!(kind, Kind::Directory), "no directory"),
        (BindKind::File, Some(kind)) => (matches!(kind, Kind::File(_) | Kind::Hardlink(_)), "no file"),
    };
    if !fits {
        let right = if bind.kind == BindKind::File { "Bind::new" } else { "Bind::file" };
        let message = format!("`{path}` cannot be kept as it is said: it is {is} in the image");
        return Some(mistake(&BIND_OF_OTHER_KIND, bind, message, format!("use `{right}(…)`")));
    }
    let what = hides(bind, plan, tree, &place)?;
    let message = format!("`{path}` starts empty, and hides what the image has there: {what}");
    let help = format!(
        "copy it to the data partition once with `{}`, or leave it hidden with `{}`",
        words(bind, ".seeded()"),
        words(bind, ".empty()")
    );
    Some(mistake(&BIND_HIDES_CONTENT, bind, message, help))
}

/// The first few names of what a bind covers, and nobody has asked to copy or to leave.
fn hides(bind: &BindPlan, plan: &Plan, tree: &Tree, place: &TreePath) -> Option<String> {
    if bind.at.is_none() || bind.seeded || bind.empty {
        return None;
    }
    if bind.kind == BindKind::File {
        let content = tree.content(place).filter(|content| content.len() > 0)?;
        return Some(format!("a file of {} bytes", content.len()));
    }
    // Homes are copied from the image, each by itself.
    let people = plan.users.iter().filter(|user| !user.system);
    let homes: Vec<TreePath> = people.map(|user| user.home.as_str().into()).collect();
    let is_home = |path: &TreePath| homes.iter().any(|home| home.starts_with(path));
    let names: Vec<String> = tree
        .children(place)
        .filter(|(path, _)| !is_home(path) && holds_something(tree, place, path))
        .filter_map(|(path, _)| Some(format!("`{}`", String::from_utf8_lossy(path.name()?))))
        .collect();
    let more = match names.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{}{more}", names[..names.len().min(3)].join(", ")))
}

/// True when it holds files, or directories of another owner or mode than the bind's: all others a service can make
/// for itself.
fn holds_something(tree: &Tree, place: &TreePath, path: &TreePath) -> bool {
    let like = |node: &Node| (node.uid, node.gid, node.mode);
    let own = tree.get(place).map(like);
    tree.below(path).any(|(_, node)| !node.is_directory() || Some(like(node)) != own)
}

/// The word that makes a bind, with one more call.
fn words(bind: &BindPlan, call: &str) -> String {
    let word = if bind.kind == BindKind::File { "file" } else { "new" };
    format!(".bind(Bind::{word}(\"{}\"){call})", bind.path)
}

/// The same bind at another path.
fn word(bind: &BindPlan, path: &str) -> String {
    match bind.kind {
        BindKind::Directory => format!(".bind(\"{path}\")"),
        BindKind::File => format!(".bind(Bind::file(\"{path}\"))"),
    }
}
