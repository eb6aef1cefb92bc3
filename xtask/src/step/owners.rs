//! Owners by name: looked up when the root is finished, since packages and the description add users until then.

use bedplate_core::SourceLocation;
use bedplate_core::spelling::nearest;
use bedplate_formats::tree::{Tree, TreePath};

use super::users::read;
use crate::error::LocatedError;

/// Whose paths are to be, by name.
#[derive(Debug, Default)]
pub struct Owners(Vec<Owner>);

#[derive(Debug)]
struct Owner {
    path: TreePath,
    user: Option<String>,
    group: Option<String>,
    at: Option<SourceLocation>,
}

impl Owners {
    /// Notes whose a path is to be.
    pub fn add(
        &mut self,
        path: &TreePath,
        user: Option<&str>,
        group: Option<&str>,
        at: Option<&SourceLocation>,
    ) {
        if user.is_some() || group.is_some() {
            self.0.push(Owner {
                path: path.clone(),
                user: user.map(str::to_owned),
                group: group.map(str::to_owned),
                at: at.cloned(),
            });
        }
    }

    /// Gives each path to whom it is to belong, later words over earlier ones.
    ///
    /// # Errors
    /// A name that nobody has, at its line.
    pub fn apply(&self, tree: &mut Tree) -> Result<(), LocatedError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (users, groups) = (read(tree, "etc/passwd"), read(tree, "etc/group"));
        for owner in &self.0 {
            let uid = owner.user.as_deref().map(|name| owner.id("user", name, &users)).transpose()?;
            let gid = owner.group.as_deref().map(|name| owner.id("group", name, &groups)).transpose()?;
            if let Some(node) = tree.get_mut(&owner.path) {
                node.uid = uid.unwrap_or(node.uid);
                node.gid = gid.unwrap_or(node.gid);
            }
        }
        Ok(())
    }
}

impl Owner {
    fn id(&self, what: &str, name: &str, accounts: &str) -> Result<u32, LocatedError> {
        let lines = accounts.lines().filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?, fields.nth(1)?.parse().ok()?))
        });
        let known: Vec<(&str, u32)> = lines.collect();
        if let Some((_, id)) = known.iter().find(|(known, _)| *known == name) {
            return Ok(*id);
        }
        Err(LocatedError {
            message: format!(
                "`{}` is to belong to the {what} `{name}`, which is not in the image",
                self.path
            ),
            at: self.at.clone(),
            word: Some(name.to_owned()),
            help: match nearest(name, known.iter().map(|(known, _)| *known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("add the package that brings it, or `.user(User::system(\"{name}\").uid(990))`")
                }
            },
        })
    }
}
