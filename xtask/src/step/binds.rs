//! Holds what is kept against the finished tree: owners, services and seeds
//! that a description can name and no package may have.

use bedplate_core::plan::{BindKind, BindPlan, Plan};
use bedplate_core::spelling::nearest;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use super::place::{self, Astray};
use super::{units, users};
use crate::problem::Problem;

/// Checks every bind.
///
/// # Errors
/// The first that cannot be what it says, at its line.
pub fn check(plan: &Plan, tree: &Tree) -> Result<(), Problem> {
    plan.binds.iter().try_for_each(|bind| one(bind, plan, tree))
}

fn one(bind: &BindPlan, plan: &Plan, tree: &Tree) -> Result<(), Problem> {
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
    let place = TreePath::new(path);
    let real = place::directory(tree, &place);
    if let Some((link, _)) = tree.resolve(&place).filter(|(real, _)| *real != place) {
        let message = format!("the bind of `{path}` goes through a link of the image, to `{link}`");
        return Err(problem(message, None, format!("bind that: `{}`", word(bind, &link.to_string()))));
    }
    if let Err(astray @ (Astray::Dangling { .. } | Astray::Loop(_) | Astray::InMemory(_))) = real {
        let help = "bind the directory that the link leads to, or remove the link".to_owned();
        return Err(problem(format!("`{path}` cannot be persistent: {astray}"), None, help));
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
        return Err(problem(message, None, format!("use `{right}(…)`")));
    }
    match hides(bind, plan, tree, &place) {
        Some(what) => {
            let message = format!("`{path}` starts empty, and hides what the image has there: {what}");
            let help = format!(
                "copy it to the data partition once with `{}`, or leave it hidden with `{}`",
                words(bind, ".seeded()"),
                words(bind, ".empty()")
            );
            Err(problem(message, None, help))
        }
        None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::plan::RequiredBy;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("etc/passwd".into(), Node::file("root:x:0:0::/:/bin/sh\ncwagent:x:990:990:::\n", 0o644));
        tree.insert("etc/group".into(), Node::file("root:x:0:\ncwagent:x:990:\n", 0o644));
        tree.insert("usr/lib/systemd/system/agent.service".into(), Node::file("[Service]\n", 0o644));
        tree.insert("var/lib/agent".into(), Node::directory(0o755));
        tree.insert("var/lib/postgresql/17/main".into(), Node::directory(0o700));
        tree.insert("srv/people/alice/.bashrc".into(), Node::file("", 0o644));
        tree.insert("var/lib/empty/of/service".into(), Node::directory(0o755));
        tree.insert("etc/serial".into(), Node::file("0", 0o644));
        tree.insert("srv/link".into(), Node::symlink("people"));
        tree.insert("srv/gone".into(), Node::symlink("/nowhere"));
        tree
    }

    fn refused_with(change: fn(&mut BindPlan), path: &str, kind: BindKind) -> Option<String> {
        let mut bind = described();
        (bind.path, bind.kind) = (path.into(), kind);
        change(&mut bind);
        said(&bind)
    }

    fn refused(change: fn(&mut BindPlan)) -> Option<String> {
        let mut bind = described();
        change(&mut bind);
        said(&bind)
    }

    fn described() -> BindPlan {
        BindPlan {
            path: "/var/lib/agent".into(),
            backing: "/local/persistent/var/lib/agent".into(),
            kind: BindKind::Directory,
            seeded: false,
            empty: false,
            mode: Some(0o750),
            owner: Some("cwagent".into()),
            group: Some("cwagent".into()),
            executable: false,
            required_by: vec![RequiredBy { unit: "agent.service".into(), at: None }],
            unit: None,
            why: None,
            at: Some(bedplate_core::Place::caller()),
        }
    }

    fn said(bind: &BindPlan) -> Option<String> {
        let plan = bedplate_core::Image::debian("trixie")
            .package("linux-image-amd64")
            .partition(bedplate_core::Esp::new(bedplate_core::MiB(512)))
            .partition(bedplate_core::Root::new(bedplate_core::Erofs).verity())
            .user(bedplate_core::User::new("alice").home("/srv/people/alice"));
        one(bind, &plan.plan().unwrap(), &tree())
            .err()
            .map(|problem| format!("{}; {}", problem.message, problem.help))
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

    /// case 9
    #[test]
    fn what_a_bind_would_hide_is_told_with_both_ways_out() {
        let said = refused(|bind| bind.path = "/var/lib/postgresql".into()).unwrap();
        assert!(said.contains("hides what the image has there: `17`"), "{said}");
        assert!(
            said.contains(".bind(Bind::new(\"/var/lib/postgresql\").seeded())") && said.contains(".empty()"),
            "{said}"
        );
        for change in [(|bind| bind.seeded = true) as fn(&mut BindPlan), |bind| bind.empty = true] {
            let said = refused_with(change, "/var/lib/postgresql", BindKind::Directory);
            assert_eq!(said, None);
        }
        assert!(refused_with(|_| (), "/etc/serial", BindKind::File).unwrap().contains("a file of 1 bytes"));
        assert_eq!(refused_with(|_| (), "/var/lib/empty", BindKind::Directory), None);
        assert_eq!(refused_with(|_| (), "/srv/people", BindKind::Directory), None, "homes are made");
    }

    /// case 21
    #[test]
    fn a_bind_through_a_link_is_told_where_it_leads() {
        let said = refused(|bind| bind.path = "/srv/link".into()).unwrap();
        assert!(said.contains("to `/srv/people`; bind that: `.bind(\"/srv/people\")`"), "{said}");
        assert!(refused(|bind| bind.path = "/srv/link/x/y".into()).is_none_or(|said| said.contains("link")));
        assert!(refused(|bind| bind.path = "/srv/gone".into()).unwrap().contains("not in the image"));
    }

    #[test]
    fn a_bind_is_of_the_kind_of_what_it_covers() {
        let kind = refused(|bind| bind.kind = BindKind::File).unwrap();
        assert!(kind.contains("no file") && kind.contains("Bind::new"), "{kind}");
        assert_eq!(refused(|bind| bind.path = "/var/lib/new".into()), None);
    }
}
