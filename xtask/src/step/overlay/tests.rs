use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use bedplate_core::{Bind, Data, Erofs, Esp, Ext4, Image, MiB, Overlay, Renderer, Root, Text, User};
use tempfile::TempDir;

use super::*;

/// The overlay of a test, beside a description that says nothing of where it is.
struct Bench {
    directory: TempDir,
    tree: Tree,
}

impl Bench {
    /// The overlay's files: path, text and mode.
    fn new(files: &[(&str, &str, u32)]) -> Self {
        let bench = Self { directory: tempfile::tempdir().unwrap(), tree: root() };
        for (path, text, mode) in files {
            let path = bench.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        let own = fs::Permissions::from_mode(0o755);
        fs::set_permissions(bench.directory.path(), own).unwrap();
        bench
    }

    fn overlay(&self) -> Overlay {
        Overlay::outside(self.directory.path().to_str().unwrap())
    }

    /// The finished tree.
    fn build(&self, image: Image) -> Result<Tree, LocatedError> {
        let plan = image.plan().unwrap();
        let mut tree = self.tree.clone();
        let project = self.directory.path().try_into().unwrap();
        for layer in source::read_all(&plan.overlays, project)? {
            source::check(&plan, &layer)?;
        }
        let (homes, mut owners) = (Homes::make(&plan.users, &mut tree)?, Owners::default());
        overlays(&plan, project, &homes, &mut tree, &mut owners)?;
        files(&plan.files, &homes, &mut tree, &mut owners)?;
        homes.fill(&mut tree);
        crate::step::users::apply(&plan.users, &mut tree)?;
        owners.apply(&mut tree)?;
        Ok(tree)
    }

    #[track_caller]
    fn refused(&self, image: Image) -> String {
        let problem = self.build(image).unwrap_err();
        assert!(problem.at.is_some(), "{problem} has no line");
        let name = self.directory.path().to_str().unwrap();
        format!("{}; {}", problem.message, problem.help).replace(name, "/overlay")
    }

    fn caution(&self, image: Image) -> Option<String> {
        let plan = image.plan().unwrap();
        let layers = source::read_all(&plan.overlays, self.directory.path().try_into().unwrap()).unwrap();
        let name = self.directory.path().to_str().unwrap();
        let caution = modes::caution(&layers[0])?;
        Some(Renderer::plain().warning().render(&caution, &|_| None).replace(name, "/overlay"))
    }
}

/// What packages make of a root.
fn root() -> Tree {
    let mut tree = Tree::new();
    for directory in ["usr/lib/udev", "usr/bin", "var/mail", "var/spool", "run", "tmp", "etc/skel", "home"] {
        tree.insert(directory.into(), Node::directory(0o755));
    }
    for (link, target) in
        [("lib", "usr/lib"), ("bin", "usr/bin"), ("var/run", "/run"), ("var/spool/mail", "../mail")]
    {
        tree.insert(link.into(), Node::symlink(target));
    }
    tree.insert("usr/bin/sh".into(), Node::file("#!", 0o755));
    tree.insert("etc/skel/.bashrc".into(), Node::file("# skeleton\n", 0o644));
    tree.insert("etc/skel/.profile".into(), Node::file("# skeleton\n", 0o644));
    for (path, text) in [
        ("etc/passwd", "root:x:0:0::/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n"),
        ("etc/group", "root:x:0:\nwww-data:x:33:\n"),
        ("etc/shadow", "root:*:1::::::\n"),
        ("etc/gshadow", "root:*::\n"),
    ] {
        tree.insert(path.into(), Node::file(text, 0o644));
    }
    tree
}

fn device() -> Image {
    Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        .partition(Data::new("persistent", Ext4).mount("/local"))
}

fn of(tree: &Tree, path: &str) -> (u32, u32, u32) {
    let node = tree.get(&path.into()).unwrap_or_else(|| panic!("{path} is missing"));
    (node.mode, node.uid, node.gid)
}

/// case 1
#[test]
fn an_overlay_goes_through_the_links_of_the_root() {
    let bench = Bench::new(&[("lib/udev/rules.d/99-x.rules", "", 0o644), ("bin/hello", "#!", 0o755)]);
    let tree = bench.build(device().overlay(bench.overlay()).file("/lib/agent/x", "x")).unwrap();
    assert!(tree.contains(&"usr/lib/udev/rules.d/99-x.rules".into()));
    assert!(tree.contains(&"usr/bin/hello".into()) && tree.contains(&"usr/bin/sh".into()));
    assert!(tree.contains(&"usr/lib/agent/x".into()));
    for link in ["lib", "bin"] {
        assert!(matches!(tree.get(&link.into()).unwrap().kind, Kind::Symlink(_)), "{link}");
    }
}

/// case 1
#[test]
fn what_is_in_memory_on_the_device_is_refused() {
    let bench = Bench::new(&[("var/run/agent/x", "", 0o644)]);
    let said = bench.refused(device().overlay(bench.overlay()));
    assert!(
        said.starts_with(
            "`/var/run/agent` of the overlay `/overlay` cannot be in the image: `/run` is in memory"
        ),
        "{said}"
    );
    let bench = Bench::new(&[("local/agent/x", "", 0o644)]);
    let said = bench.refused(device().overlay(bench.overlay()));
    assert!(said.contains("the data partition is mounted at `/local`"), "{said}");
    let bench = Bench::new(&[("var/lib/agent/x", "", 0o644)]);
    let said = bench.refused(device().bind("/var/lib/agent").overlay(bench.overlay()));
    assert!(said.contains("starts empty") && said.contains(".seeded()"), "{said}");
}

#[test]
fn a_link_of_one_overlay_is_followed_by_the_next() {
    let first = Bench::new(&[("srv/real/y", "", 0o644)]);
    symlink("real", first.directory.path().join("srv/data")).unwrap();
    let second = Bench::new(&[("srv/data/x", "", 0o644)]);
    let tree = second.build(device().overlay(first.overlay()).overlay(second.overlay())).unwrap();
    assert!(tree.contains(&"srv/real/x".into()));
    symlink("/nowhere", first.directory.path().join("srv/gone")).unwrap();
    let third = Bench::new(&[("srv/gone/x", "", 0o644)]);
    let said = third.refused(device().overlay(first.overlay()).overlay(third.overlay()));
    assert!(said.contains("leads to `/nowhere`, which is not in the image"), "{said}");
}

/// case `home -> /local/home`
#[test]
fn an_object_does_not_become_one_of_another_kind() {
    let bench = Bench::new(&[]);
    symlink("/local/home", bench.directory.path().join("home")).unwrap();
    let said = bench.refused(device().user(User::new("alice")).overlay(bench.overlay()));
    assert!(
        said.contains("`/home` is a directory in the image") && said.contains("`.bind(\"/home\")`"),
        "{said}"
    );
    for file in ["bin", "usr/bin", "etc"] {
        let bench = Bench::new(&[(file, "", 0o644)]);
        let said = bench.refused(device().overlay(bench.overlay()));
        assert!(said.contains("directory"), "{said}");
        assert!(bench.refused(device().file(format!("/{file}"), "")).contains("directory"));
    }
    let bench = Bench::new(&[("usr/bin/sh/x", "", 0o644)]);
    assert!(bench.refused(device().overlay(bench.overlay())).contains("`/usr/bin/sh` is a file"));
    assert!(bench.refused(device().file("/usr/bin/sh/x", "")).contains("`/usr/bin/sh` is a file"));
}

/// case 22
#[test]
fn an_overlay_is_a_directory_or_a_link_to_one() {
    let bench = Bench::new(&[("real/etc/motd", "hello", 0o644), ("file.tar", "", 0o644)]);
    let at = |name: &str| Overlay::outside(bench.directory.path().join(name).to_str().unwrap());
    symlink("real", bench.directory.path().join("link")).unwrap();
    symlink("nowhere", bench.directory.path().join("gone")).unwrap();
    fs::create_dir_all(bench.directory.path().join("empty/.git")).unwrap();
    let tree = bench.build(device().overlay(at("link"))).unwrap();
    assert!(tree.contains(&"etc/motd".into()));
    for (name, why) in [
        ("file.tar", "is a file, and no directory; unpack it"),
        ("gone", "is a link that leads to nothing"),
        ("empty", "is empty"),
        ("missing", "does not exist"),
    ] {
        let said = bench.refused(device().overlay(at(name)));
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn what_editors_leave_is_left_out_and_told() {
    let bench = Bench::new(&[
        ("etc/motd", "", 0o644),
        ("etc/motd~", "", 0o644),
        ("etc/.motd.swp", "", 0o644),
        ("var/lib/agent/.gitkeep", "", 0o644),
        (".git/HEAD", "", 0o644),
        (".DS_Store", "", 0o644),
    ]);
    let image = device().overlay(bench.overlay());
    let tree = bench.build(image.clone()).unwrap();
    assert!(tree.contains(&"etc/motd".into()) && !tree.contains(&"etc/motd~".into()));
    assert!(tree.get(&"var/lib/agent".into()).unwrap().is_directory(), "the directory was meant");
    let plan = image.plan().unwrap();
    let layers = source::read_all(&plan.overlays, bench.directory.path().try_into().unwrap()).unwrap();
    let told = leavings::told(&layers[0].left_out).unwrap();
    assert_eq!(told, "`/.DS_Store`, `/.git`, `/etc/.motd.swp` and 2 more");
}

/// cases 7 and O1
#[test]
fn a_file_of_the_plan_is_refused_with_the_word_for_it() {
    for (path, word) in [
        ("etc/hosts", ".host("),
        ("etc/hostname", ".hostname("),
        ("etc/machine-id", "each device makes its own"),
        ("etc/passwd", ".user(User::new("),
        ("etc/shadow", ".user(User::new("),
        ("etc/subuid", ".user(User::new("),
        ("etc/resolv.conf", "resolved.conf.d"),
        ("lib/systemd/system/local.mount", "mount units"),
        ("etc/motd", "remove one of the two"),
    ] {
        let bench = Bench::new(&[(path, "", 0o644)]);
        let image = device().hostname("edge").package("systemd-resolved").file("/etc/motd", "");
        let said = bench.refused(image.overlay(bench.overlay()));
        assert!(said.contains(word), "{said}");
    }
}

/// case 15
#[test]
fn modes_and_owners_are_said_by_pattern() {
    let bench = Bench::new(&[
        ("etc/agent/token", "", 0o644),
        ("usr/bin/tool", "", 0o755),
        ("var/spool/drop/x", "", 0o644),
        ("srv/www/a/b", "", 0o644),
    ]);
    let overlay = bench
        .overlay()
        .mode("etc/agent/*", 0o600)
        .mode("usr/bin/tool", 0o4755)
        .mode("var/spool/drop", 0o1777)
        .mode("srv/**", 0o640)
        .owner("srv/www/**", "www-data")
        .group("etc/agent/token", "www-data");
    let text = Text::new("#!/bin/sh\n").mode(0o755).owner("www-data");
    let tree = bench.build(device().overlay(overlay).file("/usr/local/bin/x", text)).unwrap();
    assert_eq!(of(&tree, "etc/agent/token"), (0o600, 0, 33));
    assert_eq!(of(&tree, "usr/bin/tool"), (0o4755, 0, 0));
    assert_eq!(of(&tree, "var/spool/drop"), (0o1777, 0, 0));
    assert_eq!(of(&tree, "srv/www/a"), (0o755, 33, 0), "a directory can be entered");
    assert_eq!(of(&tree, "srv/www/a/b"), (0o640, 33, 0));
    assert_eq!(of(&tree, "srv/www"), (0o755, 0, 0), "below it is not itself");
    assert_eq!(of(&tree, "usr/local/bin/x"), (0o755, 33, 0));
}

#[test]
fn a_pattern_or_a_name_that_fits_nothing_is_refused() {
    let bench = Bench::new(&[("etc/motd", "", 0o644)]);
    let said = bench.refused(device().overlay(bench.overlay().mode("etc/mtod", 0o600)));
    assert!(said.contains("fits `etc/mtod`"), "{said}");
    let said = bench.refused(device().overlay(bench.overlay().mode("**/", 0o600).owner("x/**", "root")));
    assert!(said.contains("no file or directory") && said.contains("fits `x/**`"), "{said}");
    let said = bench.refused(device().overlay(bench.overlay().owner("etc/motd", "www-dtaa")));
    assert!(said.contains("did you mean `www-data`?"), "{said}");
}

/// case 15
#[test]
fn a_mode_that_no_word_takes_over_is_told() {
    let bench =
        Bench::new(&[("etc/agent/token", "", 0o600), ("usr/bin/tool", "", 0o4755), ("etc/motd", "", 0o664)]);
    let told = bench.caution(device().overlay(bench.overlay())).unwrap();
    assert!(
        told.starts_with(
            "warning: not in the image as in `/overlay`: mode 0600 of `/etc/agent/token`, mode 4755"
        ),
        "{told}"
    );
    let said = bench.overlay().mode("etc/agent/token", 0o600).mode("usr/bin/*", 0o4755);
    assert_eq!(bench.caution(device().overlay(said)), None);
}

#[test]
fn a_checkout_of_any_umask_is_the_same_image() {
    for umask in [0o077, 0o027, 0o022, 0o002] {
        let bench = Bench::new(&[("etc/a", "", 0o666 & !umask), ("etc/b", "", 0o777 & !umask)]);
        for directory in ["etc", ""] {
            let mode = fs::Permissions::from_mode(0o777 & !umask);
            fs::set_permissions(bench.directory.path().join(directory), mode).unwrap();
        }
        let image = device().overlay(bench.overlay());
        assert_eq!(bench.caution(image.clone()), None, "{umask:03o}");
        let tree = bench.build(image).unwrap();
        assert_eq!((of(&tree, "etc/a").0, of(&tree, "etc/b").0), (0o644, 0o755), "{umask:03o}");
    }
}

/// cases 15 and 19
#[test]
fn what_is_in_a_home_is_its_users() {
    let bench = Bench::new(&[("home/alice/.config/x/y", "", 0o644), ("home/alice/.bashrc", "own", 0o644)]);
    let alice = User::new("alice").uid(1500);
    let image = device().overlay(bench.overlay()).user(alice).file("/home/alice/deep/er/note", "n");
    let tree = bench.build(image).unwrap();
    assert_eq!(of(&tree, "home/alice"), (0o750, 1500, 1500));
    for path in [".config", ".config/x/y", ".bashrc", ".profile", "deep", "deep/er", "deep/er/note"] {
        let (_, uid, gid) = of(&tree, &format!("home/alice/{path}"));
        assert_eq!((uid, gid), (1500, 1500), "{path}");
    }
    let bashrc = tree.content(&"home/alice/.bashrc".into()).unwrap().read().unwrap();
    assert_eq!(bashrc, b"own", "what an overlay brings is not replaced");
    assert_eq!(of(&tree, "home"), (0o755, 0, 0));
}

#[test]
fn a_persistent_place_may_start_with_files_of_an_overlay() {
    let bench = Bench::new(&[("etc/agent/config", "", 0o644)]);
    let image = device().overlay(bench.overlay()).bind(Bind::new("/etc/agent").seeded());
    assert!(bench.build(image).unwrap().contains(&"etc/agent/config".into()));
}
