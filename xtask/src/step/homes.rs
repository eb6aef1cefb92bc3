//! The homes of the description's users: made before anything is laid into them, so that what is belongs to the user,
//! and filled from `/etc/skel` in the end, as useradd(8) does.

use bedplate_core::plan::UserPlan;
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};

use super::place;
use crate::error::LocatedError;

const SKELETON: &str = "etc/skel";

/// The homes in a tree, and whose they are.
#[derive(Debug, Default)]
pub struct Homes {
    homes: Vec<Home>,
    /// Homes on data partitions: where each is on the device, and where the image has it.
    moved: Vec<(TreePath, TreePath)>,
}

#[derive(Debug)]
struct Home {
    path: TreePath,
    uid: u32,
    gid: u32,
}

impl Homes {
    /// Makes the home of each user who logs in. A directory that is there and another's stays so.
    ///
    /// # Errors
    /// A home that no directory can be, at the user's line.
    pub fn make(users: &[UserPlan], tree: &mut Tree) -> Result<Self, LocatedError> {
        let mut homes = Self::default();
        for user in users.iter().filter(|user| !user.system) {
            homes.add(user, tree)?;
        }
        Ok(homes)
    }

    fn add(&mut self, user: &UserPlan, tree: &mut Tree) -> Result<(), LocatedError> {
        let problem = |why: String| LocatedError {
            message: format!("the home `{}` of `{}` cannot be made: {why}", user.home, user.name),
            at: user.at.clone(),
            word: None,
            help: format!("choose another with `.home(\"/home/{}\")`", user.name),
        };
        let path = TreePath::new(&user.image_home);
        let path = place::directory(tree, &path).map_err(|astray| problem(astray.to_string()))?;
        if place::is_in_memory(&path) {
            return Err(problem("it is in memory on the device, and empty at every boot".into()));
        }
        match tree.get(&path) {
            Some(node) if node.uid != user.uid => return Ok(()),
            Some(_) => {}
            None => {
                let home = Node { uid: user.uid, gid: user.gid, ..Node::directory(0o750) };
                self.insert(tree, &path, home);
            }
        }
        if user.home != user.image_home {
            self.moved.push((TreePath::new(&user.home), path.clone()));
        }
        self.homes.push(Home { path, uid: user.uid, gid: user.gid });
        Ok(())
    }

    /// Where the image has what is to be at this path on the device.
    pub fn in_image(&self, path: &TreePath) -> TreePath {
        let moved = self.moved.iter().find(|(home, _)| path.starts_with(home));
        moved.map_or_else(
            || path.clone(),
            |(home, image)| {
                path.components().skip(home.depth()).fold(image.clone(), |to, name| to.join(name))
            },
        )
    }

    /// Puts a node of root's in. In a home, it and the directories that it needs are the user's.
    pub fn insert(&self, tree: &mut Tree, path: &TreePath, node: Node) {
        let around = self.homes.iter().filter(|home| path.starts_with(&home.path));
        let innermost = around.max_by_key(|home| home.path.depth());
        let Some(home) = innermost else { return tree.insert(path.clone(), node) };
        let own = |node: Node| match (node.uid, node.gid) {
            (0, 0) => Node { uid: home.uid, gid: home.gid, ..node },
            _ => node,
        };
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(directory) = above.filter(|path| !tree.contains(path)) {
            above = directory.parent();
            missing.push(directory);
        }
        for directory in missing.into_iter().rev() {
            tree.insert(directory, own(Node::directory(0o755)));
        }
        tree.insert(path.clone(), own(node));
    }

    /// Copies the skeleton into each home, where there is nothing of the same name.
    pub fn fill(&self, tree: &mut Tree) {
        let skeleton = TreePath::new(SKELETON);
        let files: Vec<(TreePath, Node)> =
            tree.below(&skeleton).skip(1).map(|(path, node)| (path.clone(), whole(tree, node))).collect();
        for home in &self.homes {
            for (path, node) in &files {
                let path = path
                    .components()
                    .skip(skeleton.depth())
                    .fold(home.path.clone(), |to, name| to.join(name));
                let above =
                    path.parent().and_then(|parent| tree.get(&parent)).is_some_and(Node::is_directory);
                if above && !tree.contains(&path) {
                    tree.insert(path, Node { uid: home.uid, gid: home.gid, ..node.clone() });
                }
            }
        }
    }
}

/// The node with a content of its own.
fn whole(tree: &Tree, node: &Node) -> Node {
    let kind = match &node.kind {
        Kind::Hardlink(first) => {
            Kind::File(tree.content(first).cloned().unwrap_or_else(|| Content::from(Vec::new())))
        }
        kind => kind.clone(),
    };
    Node { kind, ..node.clone() }
}
