//! What lasts on a device, and what stands there though the image has it not.

use bedplate_formats::tree::TreePath;

use super::super::{Subject, unit};
use super::is_below;

impl Subject<'_> {
    /// Where the data partitions are mounted.
    pub(in super::super) fn data_mounts(&self) -> impl Iterator<Item = &str> {
        self.plan.disk.data.iter().filter_map(|data| data.mount.as_deref())
    }

    /// Whether what is at this path lasts: it is kept, or on a data partition.
    pub(in super::super) fn is_kept(&self, path: &str) -> bool {
        let binds = self.plan.binds.iter().map(|bind| bind.path.as_str());
        binds.chain(self.data_mounts()).any(|directory| is_below(path, directory))
    }

    /// Whether something may stand at this path on a device, though nothing
    /// does in the image.
    pub(in super::super) fn comes_later(&self, path: &str) -> bool {
        const OF_THE_KERNEL: [&str; 7] = ["/run", "/tmp", "/var/tmp", "/var/run", "/proc", "/sys", "/dev"];
        self.is_kept(path)
            || OF_THE_KERNEL.iter().any(|directory| is_below(path, directory))
            || self.made_by_tmpfiles(path)
            || self.mounted(path)
    }

    /// Whether a line of tmpfiles.d makes it, or something it may come with.
    fn made_by_tmpfiles(&self, path: &str) -> bool {
        ["etc/tmpfiles.d", "usr/lib/tmpfiles.d"].iter().any(|directory| {
            let directory = TreePath::new(directory);
            self.tree.children(&directory).any(|(file, _)| {
                self.text(file).lines().any(|line| {
                    let mut fields = line.split_whitespace();
                    let (kind, made) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
                    let makes = kind.starts_with(['d', 'D', 'f', 'F', 'L', 'C', 'v', 'q', 'Q', 'p', 'w']);
                    let copies = kind.starts_with(['C', 'L']);
                    makes
                        && (made.trim_end_matches('/') == path
                            || is_below(made, path)
                            || copies && is_below(path, made))
                })
            })
        })
    }

    /// Whether a mount unit or fstab of the tree covers it.
    fn mounted(&self, path: &str) -> bool {
        let fstab = self.text(&TreePath::new("etc/fstab"));
        let mut mounts = fstab.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mounted = |line: &str| {
            let mount = line.split_whitespace().nth(1);
            mount.is_some_and(|mount| mount.starts_with('/') && mount != "/" && is_below(path, mount))
        };
        mounts.any(mounted)
            || unit::DIRECTORIES.iter().any(|directory| {
                let directory = TreePath::new(directory);
                let mut units =
                    self.origins.below(&directory).filter(|(path, _)| path.to_string().ends_with(".mount"));
                units.any(|(unit, _)| {
                    let settings = unit::parse(self.tree, unit);
                    settings.iter().any(|setting| setting.key == "Where" && is_below(path, &setting.value))
                })
            })
    }
}
