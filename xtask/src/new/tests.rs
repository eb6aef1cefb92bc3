use super::*;

fn settings(release_name: &str) -> Settings {
    let dependency = Dependency::Registry("0.1".to_owned());
    Settings { name: "my-device".to_owned(), release: release(release_name).unwrap(), dependency }
}

fn text<'a>(files: &'a [File], path: &str) -> &'a str {
    match files.iter().find(|file| file.path == Path::new(path)).map(|file| &file.content) {
        Some(Content::Text(text)) => text,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn nothing_of_this_repository_alone_is_in_a_new_one() {
    let files = settings("noble").files().unwrap();
    for file in &files {
        let text = text(&files, file.path.to_str().unwrap());
        for word in [
            "example-device",
            "example_device",
            "chore",
            "check-ignore",
            "Bedplate's own",
            "RUSTUP_TOOLCHAIN\"",
        ] {
            assert!(
                !text.contains(word) || word.starts_with("RUSTUP") && text.contains("install"),
                "{word}: {text}"
            );
        }
        assert!(!text.contains("image edge") && !text.contains("IMAGE: edge"), "{text}");
    }
    assert!(text(&files, "Containerfile").contains("docker run --rm --volume my-device:/cache"));
    assert!(text(&files, "buildspec.yml").contains("    IMAGE: my-device\n"));
    assert!(text(&files, ".github/workflows/image.yml").contains("      IMAGE: my-device\n"));
    assert!(text(&files, ".cargo/config.toml").contains("BEDPLATE_CHECKOUT"));
    let manifest = text(&files, "Cargo.toml");
    assert!(manifest.contains("[profile.dev.package.sha2]\nopt-level = 3\n"), "{manifest}");
    assert!(manifest.contains("[dependencies]\nbedplate = \"0.1\"\n"), "{manifest}");
    let toolchain = text(&files, "rust-toolchain.toml");
    assert!(toolchain.contains("channel = \"1."), "{toolchain}");
}

#[test]
fn a_description_is_of_the_release_that_was_asked_for() {
    let ubuntu = settings("noble").files().unwrap();
    assert!(
        text(&ubuntu, "image/main.rs")
            .contains("Image::ubuntu(\"noble\")\n        .package(\"linux-generic\")\n")
    );
    let debian = settings("trixie").files().unwrap();
    let description = text(&debian, "image/main.rs");
    assert!(description.contains("pub fn my_device(target"), "{description}");
    assert!(description.contains("Image::debian(\"trixie\")\n"), "{description}");
    assert!(description.contains(".package(format!(\"linux-image-{}\", target.architecture.deb()))\n"));
    assert!(release("jammy").unwrap_err().0.contains("use `noble`"));
    assert!(release("trixi").unwrap_err().0.contains("did you mean `trixie`?"));
}

#[test]
fn a_name_is_one_of_a_package_a_function_and_a_host() {
    let of = |directory: &str| name(Path::new(directory), None).map_err(|error| error.0);
    assert_eq!(of("/somewhere/my-device").unwrap(), "my-device");
    assert_eq!(name(Path::new("/somewhere/X"), Some("mine")).unwrap(), "mine");
    for wrong in ["/a/My Device", "/a/2nd", "/a/match", "/a/disk", "/"] {
        assert!(of(wrong).unwrap_err().contains("--name"), "{wrong}");
    }
}

#[test]
fn a_project_is_whole_or_not_there() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    let files =
        [File::text("a/b", "text\n"), File { path: "link".into(), content: Content::Link("a/b".into()) }];
    let left = || fs::read_dir(root).unwrap().count();

    write(&root.join("new/deep"), &files).unwrap();
    assert_eq!(fs::read_to_string(root.join("new/deep/link")).unwrap(), "text\n");
    fs::create_dir(root.join("empty")).unwrap();
    write(&root.join("empty"), &files).unwrap();
    assert!(root.join("empty/a/b").is_file());
    assert_eq!(left(), 2);

    let occupied = write(&root.join("empty"), &files).unwrap_err();
    assert!(occupied.to_string().ends_with("is there already"), "{occupied}");
    write(&root.join("empty/a/b"), &files).unwrap_err();
    let missing = [File::text("a", ""), File { path: "b".into(), content: Content::Copy("/nowhere".into()) }];
    write(&root.join("broken"), &missing).unwrap_err();
    assert_eq!(left(), 2, "nothing is left");
}
