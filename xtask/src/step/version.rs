//! Writes the image's name and version into its os-release.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/os-release.html#IMAGE_ID=>

use anyhow::{Context as _, Result};
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};

/// Adds `IMAGE_ID` and `IMAGE_VERSION` where the description names a version.
/// `dpkg --verify` names the changed file of `base-files`.
///
/// # Errors
/// The image has no os-release, or it cannot be read.
pub fn apply(id: &str, version: Option<&str>, tree: &mut Tree) -> Result<()> {
    let Some(version) = version else { return Ok(()) };
    let path: TreePath = "etc/os-release".into();
    let (path, node) = tree.resolve(&path).context("the image has no /etc/os-release")?;
    let Kind::File(content) = &node.kind else { anyhow::bail!("`{path}` is no file") };
    let text = String::from_utf8(content.read()?).with_context(|| format!("`{path}` is not UTF-8"))?;
    let others = |line: &&str| !line.starts_with("IMAGE_ID=") && !line.starts_with("IMAGE_VERSION=");
    let mut lines: String = text.lines().filter(others).flat_map(|line| [line, "\n"]).collect();
    lines.push_str(&format!("IMAGE_ID={id}\nIMAGE_VERSION={version}\n"));
    let node = Node { kind: Kind::File(Content::from(lines.as_str())), ..node.clone() };
    tree.insert(path, node);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::rule::device;

    /// Case 36.
    #[test]
    fn a_version_is_in_os_release_and_in_the_kernels_file_name() {
        let mut tree = Tree::new();
        tree.insert("usr/lib/os-release".into(), Node::file("ID=debian\nIMAGE_ID=old\n", 0o644));
        tree.insert("etc/os-release".into(), Node::symlink("../usr/lib/os-release"));
        let before = device().plan_named("edge").unwrap();
        apply(&before.image_id(), before.version.as_deref(), &mut tree).unwrap();
        let text =
            |tree: &Tree| String::from_utf8(tree.content(&"etc/os-release".into()).unwrap().read().unwrap());
        assert_eq!(text(&tree).unwrap(), "ID=debian\nIMAGE_ID=old\n");
        assert_eq!(before.uki_on_esp("6.12.0"), "Debian-6.12.0.efi");

        let plan = device().version("1.4.0").plan_named("edge").unwrap();
        for _ in 0..2 {
            apply(&plan.image_id(), plan.version.as_deref(), &mut tree).unwrap();
        }
        assert_eq!(text(&tree).unwrap(), "ID=debian\nIMAGE_ID=edge\nIMAGE_VERSION=1.4.0\n");
        assert_eq!(plan.uki_on_esp("6.12.0"), "edge_1.4.0.efi");
        assert!(plan.to_string().starts_with("edge 1.4.0: Debian trixie for x86-64\n"));
        assert_ne!(
            plan.uki_on_esp("6.12.0"),
            device().version("1.4.1").plan_named("edge").unwrap().uki_on_esp("6.12.0")
        );
    }
}
