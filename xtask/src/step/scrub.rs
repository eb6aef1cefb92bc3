//! tmp
use bedplate_formats::tree::*;
/// t
pub fn scrub(tree: &mut Tree) {
    for d in ["var/log", "var/cache/apt", "var/lib/apt/lists", "tmp", "run"] {
        let v: Vec<_> =
            tree.below(&d.into()).filter(|(_, n)| !n.is_directory()).map(|(p, _)| p.clone()).collect();
        for p in v {
            tree.remove(&p);
        }
    }
    for p in [
        "etc/machine-id",
        "var/lib/systemd/random-seed",
        "var/cache/ldconfig/aux-cache",
        "etc/passwd-",
        "etc/shadow-",
        "etc/group-",
        "etc/gshadow-",
    ] {
        tree.remove(&p.into());
    }
}
/// t
pub fn clamp_mtimes(tree: &mut Tree, epoch: i64) {
    for (_, n) in tree.iter_mut() {
        n.mtime = n.mtime.min(epoch);
    }
}
