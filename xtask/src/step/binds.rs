//! Holds what is kept against the finished tree: owners, services and seeds
//! that a description can name and no package may have.

use bedplate_core::plan::{BindKind, BindPlan, Plan};
use bedplate_core::spelling::nearest;
use bedplate_formats::tree::{Kind, Tree, TreePath};

use super::{units, users};
use crate::problem::Problem;

/// Checks every bind.
///
/// # Errors
/// The first that cannot be what it says, at its line.
pub fn check(plan: &Plan, tree: &Tree) -> Result<(), Problem> {
    plan.binds.iter().try_for_each(|bind| one(bind, tree))
}

fn one(bind: &BindPlan, tree: &Tree) -> Result<(), Problem> {
    let path = &bind.path;
    let problem = |message: String, word: Option<&String>, help: String| Problem {
        message,
        at: bind.at.clone(),
        word: word.cloned(),
        help,
    };
    for (what, file, name) in [("user", "etc/passwd", &bind.owner), ("group", "etc/group", &bind.group)] {
        let Some(name) = name else { continue };
        let text = users::read(tree, file);
        let names: Vec<&str> = text.lines().filter_map(|line| line.split(':').next()).collect();
        if !names.contains(&name.as_str()) {
            let help = match nearest(name, names.iter().copied()) {
                Some(near) => format!("there is `{near}`"),
                None => format!("add the package that makes it, or `.user(User::system(\"{name}\").uid(…))`"),
            };
            let message = format!("`{path}` is to belong to the {what} `{name}`, which is not in the image");
            return Err(problem(message, Some(name), help));
        }
    }
    for required in &bind.required_by {
        if units::find(tree, &required.unit).is_some() {
            continue;
        }
        // What is kept for a service that is added later finds it then; a
        // misspelt one would start without what it needs.
        let Some((stem, kind)) = required.unit.rsplit_once('.') else { continue };
        let names = units::unit_names(tree);
        let alike = names.iter().filter_map(|name| name.rsplit_once('.'));
        let alike = alike.filter(|(_, other)| *other == kind).map(|(stem, _)| stem);
        if let Some(near) = nearest(stem, alike) {
            return Err(Problem {
                message: format!("`{}` is to need `{path}`, but is not in the image", required.unit),
                at: required.at.clone(),
                word: Some(required.unit.clone()),
                help: format!("there is `{near}.{kind}`"),
            });
        }
    }
    let found = tree.resolve(&TreePath::new(path)).map(|(_, node)| &node.kind);
    let (fits, is) = match (bind.kind, found) {
        (_, None) => (true, ""),
        (BindKind::Directory, Some(kind)) => (matches!(kind, Kind::Directory), "no directory"),
        (BindKind::File, Some(kind)) => (matches!(kind, Kind::File(_) | Kind::Hardlink(_)), "no file"),
    };
    if !fits {
        let right = if bind.kind == BindKind::File { "Bind::new" } else { "Bind::file" };
        let message = format!("`{path}` cannot be kept as it is said: it is {is} in the image");
        return Err(problem(message, None, format!("use `{right}(…)`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::plan::RequiredBy;
    use bedplate_formats::tree::Node;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("etc/passwd".into(), Node::file("root:x:0:0::/:/bin/sh\ncwagent:x:990:990:::\n", 0o644));
        tree.insert("etc/group".into(), Node::file("root:x:0:\ncwagent:x:990:\n", 0o644));
        tree.insert("usr/lib/systemd/system/agent.service".into(), Node::file("[Service]\n", 0o644));
        tree.insert("var/lib/agent".into(), Node::directory(0o755));
        tree
    }

    fn refused(change: fn(&mut BindPlan)) -> Option<String> {
        let mut bind = BindPlan {
            path: "/var/lib/agent".into(),
            backing: "/local/persistent/var/lib/agent".into(),
            kind: BindKind::Directory,
            seeded: false,
            mode: Some(0o750),
            owner: Some("cwagent".into()),
            group: Some("cwagent".into()),
            executable: false,
            required_by: vec![RequiredBy { unit: "agent.service".into(), at: None }],
            unit: None,
            why: None,
            at: None,
        };
        change(&mut bind);
        one(&bind, &tree()).err().map(|problem| format!("{}; {}", problem.message, problem.help))
    }

    #[test]
    fn what_no_package_has_is_refused_by_name() {
        assert_eq!(refused(|_| ()), None);
        let owner = refused(|bind| bind.owner = Some("cwagnet".into())).unwrap();
        assert!(owner.contains("the user `cwagnet`") && owner.contains("there is `cwagent`"), "{owner}");
        let group = refused(|bind| bind.group = Some("docker".into())).unwrap();
        assert!(group.contains("the group `docker`"), "{group}");
        let unit = refused(|bind| bind.required_by[0].unit = "agnet.service".into()).unwrap();
        assert!(unit.contains("there is `agent.service`"), "{unit}");
        assert_eq!(refused(|bind| bind.required_by[0].unit = "of-another-package.service".into()), None);
    }

    #[test]
    fn a_bind_is_of_the_kind_of_what_it_covers() {
        let kind = refused(|bind| bind.kind = BindKind::File).unwrap();
        assert!(kind.contains("no file") && kind.contains("Bind::new"), "{kind}");
        assert_eq!(refused(|bind| bind.path = "/var/lib/new".into()), None);
    }
}
