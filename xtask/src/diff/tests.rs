use std::fs::File;
use std::path::PathBuf;

use bedplate_core::plan::{SavedPlan, guid};
use bedplate_core::{Architecture, Image, Target};
use bedplate_formats::tree::{Node, Tree};
use bedplate_formats::{erofs, gpt, sparse, squashfs};
use camino::Utf8Path;
use expect_test::expect;
use uuid::Uuid;

use super::page::Layout;
use super::*;

const MIB: u64 = 1 << 20;

/// What one side of a test is, and the directory that it lies in.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn erofs(&self, name: &str, tree: &Tree) -> PathBuf {
        let path = self.path(name);
        let options = erofs::write::Options {
            uuid: Uuid::from_u128(1),
            epoch: 1 << 30,
            compressor: erofs::write::Compressor::Lz4,
        };
        erofs::write::write(tree, &options, &mut File::create(&path).unwrap()).unwrap();
        path
    }

    fn squashfs(&self, name: &str, tree: &Tree) -> PathBuf {
        let path = self.path(name);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        squashfs::write(tree, &squashfs::Options { epoch: 1 << 30, block_size: 4096 }, &mut file).unwrap();
        path
    }

    /// A disk with a root of 1 MiB that begins at `start`.
    fn disk(&self, name: &str, root: &PathBuf, start: u64) -> PathBuf {
        let partition = gpt::Partition {
            number: 1,
            type_guid: guid::root(Architecture::X86_64),
            guid: Uuid::from_u128(7),
            first_lba: start * MIB / 512,
            last_lba: (start + 1) * MIB / 512 - 1,
            attributes: guid::READ_ONLY,
            name: "root-x86-64".to_owned(),
        };
        let table = gpt::Table { guid: Uuid::from_u128(9), sector_size: 512, partitions: vec![partition] };
        let path = self.path(name);
        let mut disk = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        disk.set_len(8 * MIB).unwrap();
        gpt::write(&table, &mut disk).unwrap();
        let root = File::open(root).unwrap();
        sparse::copy(&root, 0..root.metadata().unwrap().len(), &disk, start * MIB).unwrap();
        path
    }

    fn compare(&self, before: &PathBuf, after: &PathBuf) -> Comparison {
        let open = |path: &PathBuf| Side::open(Utf8Path::from_path(path).unwrap()).unwrap();
        Comparison::of(&mut open(before), &mut open(after), false).unwrap()
    }

    /// A page without the name of the directory.
    fn page(&self, found: &Comparison, width: usize) -> String {
        let mut found = found.clone();
        for name in [&mut found.before.name, &mut found.after.name] {
            *name = name.replace(&format!("{}/", self.directory.path().display()), "");
        }
        found.page(Layout { width, color: false, full: false })
    }
}

/// A system of two packages.
fn root() -> Tree {
    let mut tree = Tree::new();
    let mut put = |path: &str, node: Node| tree.insert(path.into(), node);
    let status = "Package: jq\nStatus: install ok installed\nVersion: 1.7\n\nPackage: less\nStatus: install ok installed\nVersion: 668\n";
    put("var/lib/dpkg/status", Node::file(status, 0o644));
    put("var/lib/dpkg/info/jq.list", Node::file("/.\n/bin\n/bin/jq\n/usr/share/doc/jq\n", 0o644));
    put("var/lib/dpkg/info/less.list", Node::file("/bin/less\n", 0o644));
    put("bin", Node::symlink("usr/bin"));
    put("usr/bin/jq", Node::file(vec![0; 9000], 0o755));
    put("usr/bin/less", Node::file(vec![1, 0, 2], 0o755));
    put("etc/motd", Node::file("one\ntwo\nthree\n", 0o644));
    put("etc/passwd", Node::file("root:x:0:0:root:/root:/bin/sh\n", 0o644));
    put("etc/shadow", Node::file("root:!:1::::::\n", 0o640));
    put("etc/group", Node::file("sudo:x:27:\n", 0o644));
    put(
        "etc/systemd/system/multi-user.target.wants/ssh.service",
        Node::symlink("/usr/lib/systemd/system/ssh.service"),
    );
    put("etc/same", Node::file("same".repeat(5000), 0o644));
    put("etc/gone", Node::file("gone", 0o644));
    tree
}

/// The same a version later.
fn later() -> Tree {
    let mut tree = root();
    let mut put = |path: &str, node: Node| tree.insert(path.into(), node);
    let status = "Package: jq\nStatus: install ok installed\nVersion: 1.8\n\nPackage: less\nStatus: install ok installed\nVersion: 668\n";
    put("var/lib/dpkg/status", Node::file(status, 0o644));
    put("usr/bin/jq", Node::file(vec![3; 12_000], 0o755));
    put("usr/bin/less", Node { uid: 5, ..Node::file(vec![1, 0, 2], 0o4755) });
    put("etc/motd", Node::file("one\n2\nthree\n", 0o664));
    put(
        "etc/passwd",
        Node::file("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/bash\n", 0o644),
    );
    put("etc/shadow", Node::file("root:!:1::::::\nalice::1::::::\n", 0o640));
    put("etc/group", Node::file("sudo:x:27:alice\n", 0o644));
    put("etc/systemd/system/ssh.service", Node::symlink("/dev/null"));
    put("etc/new", Node::file("new", 0o644));
    tree.remove(&"etc/gone".into());
    tree
}

#[test]
fn what_differs_between_two_roots_is_told() {
    let files = Files::new();
    let (before, after) = (files.erofs("before.raw", &root()), files.erofs("after.raw", &later()));
    let found = files.compare(&before, &after);
    expect![[r#"
        - before.raw
        + after.raw

        packages: 1 changed; +3.0 kB installed
          ~  jq  1.7 -> 1.8  +3.0 kB

        units: 1 changed
          ~  ssh.service  wanted by multi-user.target -> masked, wanted by multi-user.t…

        users and groups: 1 added, 1 changed
          ~  group sudo  gid 27 -> gid 27, with alice
          +  user alice  uid 1000, gid 1000, home /home/alice, shell /bin/bash, NO PASS…

        files of the root: 2 added, 1 removed, 6 changed; +3.1 kB, now 32.3 kB
          -  /etc/gone                        0644, 4 B
          ~  /etc/group                       size 11 B -> 16 B, text +1 -1
              @@ -1 +1 @@
              -sudo:x:27:
              +sudo:x:27:alice
          ~  /etc/motd                        mode 0644 -> 0664, size 14 B -> 12 B, tex…
              @@ -1,3 +1,3 @@
               one
              -two
              +2
               three
          +  /etc/new                         0644, 3 B
          ~  /etc/passwd                      size 30 B -> 71 B, text +1 -0
              @@ -1 +1,2 @@
               root:x:0:0:root:/root:/bin/sh
              +alice:x:1000:1000::/home/alice:/bin/bash
          ~  /etc/shadow                      size 15 B -> 30 B, other content
          +  /etc/systemd/system/ssh.service  link to /dev/null
          ~  /usr/bin/less                    owner 0:0 -> 5:0, mode 0755 -> 4755
          ~  /var/lib/dpkg/status             text +1 -1
              @@ -1,5 +1,5 @@
               Package: jq
               Status: install ok installed
              -Version: 1.7
              +Version: 1.8

               Package: less
          and 1 file of the packages above
    "#]]
    .assert_eq(&files.page(&found, 80));
    for width in [40, 60, 120, 200] {
        for line in files.page(&found, width).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn the_other_way_round_is_told_the_other_way_round() {
    let files = Files::new();
    let (before, after) = (files.erofs("before.raw", &root()), files.erofs("after.raw", &later()));
    let there = files.compare(&before, &after);
    let back = files.compare(&after, &before);
    let paths = |found: &Comparison| -> Vec<String> {
        found.files[0].files.iter().map(|file| file.path.clone()).collect()
    };
    assert_eq!(paths(&there), paths(&back));
    let added = |found: &Comparison| found.files[0].files.iter().filter(|file| file.before.is_none()).count();
    assert_eq!((added(&there), added(&back)), (2, 1));
}

#[test]
fn the_same_files_on_another_file_system_are_the_same() {
    let files = Files::new();
    let (one, other) = (files.erofs("one.raw", &root()), files.squashfs("other.raw", &root()));
    let found = files.compare(&one, &other);
    assert!(found.same, "{found:?}");
    let expected = "- one.raw\n+ other.raw\n\nnothing differs\n";
    assert!(files.page(&found, 80).starts_with(expected), "{}", files.page(&found, 80));
}

#[test]
fn the_same_bytes_are_the_same() {
    let files = Files::new();
    let (one, other) = (files.erofs("one.raw", &root()), files.erofs("other.raw", &root()));
    let found = files.compare(&one, &other);
    assert!(found.same);
    assert_eq!(found.notes, ["They are the same bytes."]);
    let disks = (files.disk("one.disk", &one, 1), files.disk("other.disk", &other, 1));
    assert!(files.compare(&disks.0, &disks.1).same);
}

#[test]
fn a_file_that_is_stored_otherwise_is_read() {
    let files = Files::new();
    let mut other = root();
    // The same length, and one byte in the middle.
    let mut content = "same".repeat(5000).into_bytes();
    content[10_000] = b'S';
    other.insert("etc/same".into(), Node::file(content, 0o644));
    let found = files.compare(&files.erofs("one.raw", &root()), &files.erofs("other.raw", &other));
    let paths: Vec<&str> = found.files[0].files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["/etc/same"]);
}

#[test]
fn a_partition_that_moves_stands_first() {
    let files = Files::new();
    let (before, after) = (files.erofs("before.raw", &root()), files.erofs("after.raw", &later()));
    let found = files.compare(&files.disk("before", &before, 1), &files.disk("after", &after, 2));
    let page = files.page(&found, 80);
    let expected =
        "- before\n+ after\n\npartitions that move\n  ! root-x86-64: begins at 1 MiB -> 2 MiB\n\npackages";
    assert!(page.starts_with(expected), "{page}");
    let colored = found.page(Layout { width: 80, color: true, full: false });
    assert!(colored.contains("\x1b[1;31m  ! root-x86-64"), "{colored:?}");
}

#[test]
fn a_root_is_compared_with_that_of_a_disk() {
    let files = Files::new();
    let before = files.erofs("before.raw", &root());
    let found = files.compare(&before, &files.disk("disk", &before, 1));
    assert!(found.same, "{found:?}");
}

#[test]
fn what_has_nothing_in_common_is_a_wrong_command_line() {
    let files = Files::new();
    let lock = files.path("a.lock");
    std::fs::write(&lock, bedplate_core::lock::LockFile::default().render()).unwrap();
    let mut tree = Tree::new();
    tree.insert("just/a/file".into(), Node::file("", 0o644));
    let data = files.erofs("data.raw", &tree);
    let open = |path: &PathBuf| Side::open(Utf8Path::from_path(path).unwrap()).unwrap();
    let error = Comparison::of(&mut open(&data), &mut open(&lock), false).unwrap_err();
    assert!(error.is::<UsageError>());
    assert!(error.to_string().starts_with("a root and a lock have nothing to compare: "), "{error}");
}

#[test]
fn a_damaged_root_is_told_with_its_path() {
    let files = Files::new();
    let (one, other) = (files.erofs("one.raw", &root()), files.erofs("other.raw", &later()));
    let bytes = std::fs::read(&other).unwrap();
    std::fs::write(&other, &bytes[..8192]).unwrap();
    let open = |path: &PathBuf| Side::open(Utf8Path::from_path(path).unwrap());
    let compared =
        open(&other).and_then(|mut other| Comparison::of(&mut open(&one).unwrap(), &mut other, false));
    let error = compared.unwrap_err();
    assert!(format!("{error:#}").contains("other.raw"), "{error:#}");
}

#[test]
fn the_markdown_is_for_a_pull_request() {
    let files = Files::new();
    let (before, after) = (files.erofs("before.raw", &root()), files.erofs("after.raw", &later()));
    let found = files.compare(&files.disk("before", &before, 1), &files.disk("after", &after, 2));
    let text = found.markdown(false).replace(&format!("{}/", files.directory.path().display()), "");
    // An expectation has no blanks on a line of their own.
    let text = text.replace("\n \n", "\n\n");
    expect![[r#"
        ### `before` → `after`

        > [!CAUTION]
        > **Partitions that move**
        >
        > * root-x86-64: begins at 1 MiB -> 2 MiB

        **Packages: 1 changed; +3.0 kB installed**

        | | package | version | size |
        |---|---|---|---|
        | `~` | `jq` | 1.7 -> 1.8 | +3.0 kB |

        **Units: 1 changed**

        | | what | how |
        |---|---|---|
        | `~` | `ssh.service` | wanted by multi-user.target -> masked, wanted by multi-user.target |

        **Users and groups: 1 added, 1 changed**

        | | what | how |
        |---|---|---|
        | `~` | `group sudo` | gid 27 -> gid 27, with alice |
        | `+` | `user alice` | uid 1000, gid 1000, home /home/alice, shell /bin/bash, NO PASSWORD ASKED |

        <details><summary><b>Files of the root: 2 added, 1 removed, 6 changed; +3.1 kB, now 32.3 kB</b></summary>

        | | path | what |
        |---|---|---|
        | `-` | `/etc/gone` | 0644, 4 B |
        | `~` | `/etc/group` | size 11 B -> 16 B, text +1 -1 |
        | `~` | `/etc/motd` | mode 0644 -> 0664, size 14 B -> 12 B, text +1 -1 |
        | `+` | `/etc/new` | 0644, 3 B |
        | `~` | `/etc/passwd` | size 30 B -> 71 B, text +1 -0 |
        | `~` | `/etc/shadow` | size 15 B -> 30 B, other content |
        | `+` | `/etc/systemd/system/ssh.service` | link to /dev/null |
        | `~` | `/usr/bin/less` | owner 0:0 -> 5:0, mode 0755 -> 4755 |
        | `~` | `/var/lib/dpkg/status` | text +1 -1 |

        `/etc/group`

        ```diff
        @@ -1 +1 @@
        -sudo:x:27:
        +sudo:x:27:alice
        ```

        `/etc/motd`

        ```diff
        @@ -1,3 +1,3 @@
         one
        -two
        +2
         three
        ```

        `/etc/passwd`

        ```diff
        @@ -1 +1,2 @@
         root:x:0:0:root:/root:/bin/sh
        +alice:x:1000:1000::/home/alice:/bin/bash
        ```

        `/var/lib/dpkg/status`

        ```diff
        @@ -1,5 +1,5 @@
         Package: jq
         Status: install ok installed
        -Version: 1.7
        +Version: 1.8
 
         Package: less
        ```

        and 1 file of the packages above

        </details>
    "#]].assert_eq(&text);
}

#[test]
fn two_plans_are_compared_like_two_images() {
    let plan = |image: Image| SavedPlan::from(&image.plan_for("edge", &Target::default()).unwrap());
    let device = || {
        use bedplate_core::{Data, Erofs, Esp, Ext4, MiB, Root};
        Image::debian("trixie")
            .package("linux-image-amd64")
            .partition(Esp::new(MiB(256)))
            .partition(Root::new(Erofs))
            .partition(Data::new("persistent", Ext4).mount("/local"))
    };
    let larger = {
        use bedplate_core::{Data, Erofs, Esp, Ext4, MiB, Root, Text};
        Image::debian("trixie")
            .package("linux-image-amd64")
            .package("jq")
            .command_line("quiet")
            .file("/etc/motd", Text::new("Hello.\n"))
            .partition(Esp::new(MiB(512)))
            .partition(Root::new(Erofs))
            .partition(Data::new("persistent", Ext4).mount("/local"))
            .mask("apt-daily.timer")
    };
    let found = plans::compare(&plan(device()), &plan(larger)).unwrap();
    let mut found = Comparison { before: name("one"), after: name("other"), ..found };
    expect![[r#"
        - one
        + other

        devices of the one cannot be updated to the other
          ! partition `esp` has 268435456 bytes on their disks, and 536870912 in this plan
          ! partition `persistent` begins at byte 2416967680 of their disks, and at byte 2685403136 of this
          plan's

        partitions that move
          ! esp: size 256 MiB -> 512 MiB
          ! persistent: begins at 2.3 GiB -> 2.5 GiB

        packages: 1 added
          +  jq  newest

        kernel image and command line: 1 added
          +  argument  quiet

        files of the root: 1 added; +7 B, now 11.0 kB
          +  /etc/motd  0644, 7 B

        settings and the rest: 1 changed
          ~  disk size  2686451712 -> 2954887168
    "#]]
    .assert_eq(&found.page(Layout { width: 100, color: false, full: false }));
    found = plans::compare(&plan(device()), &plan(device())).unwrap();
    assert!(found.same);
}

fn name(name: &str) -> Name {
    Name { name: name.to_owned(), kind: "plan" }
}
