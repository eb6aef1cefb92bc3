//! The walls of the code map: which module may use which.
//!
//! `ARCHITECTURE.md` holds them as lines of modules, the lowest first. Tests are left out: they look everywhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A crate's modules, each with the number of its line.
type Layers = BTreeMap<String, usize>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The block of layers in `ARCHITECTURE.md`, by the crate's directory.
fn layers() -> BTreeMap<String, Layers> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, block) = text.split_once("```layers\n").expect("ARCHITECTURE.md has a block of layers");
    let (block, _) = block.split_once("```").unwrap();
    let mut crates: BTreeMap<String, Layers> = BTreeMap::new();
    let mut current = String::new();
    for (number, line) in block.lines().enumerate() {
        match line.strip_prefix("  ") {
            Some(modules) => {
                let layers = crates.get_mut(&current).expect("a crate comes before its modules");
                layers.extend(modules.split(' ').map(|module| (module.to_owned(), number)));
            }
            None => {
                line.clone_into(&mut current);
                crates.insert(current.clone(), Layers::new());
            }
        }
    }
    crates
}

/// Every source file below a directory that is no test's.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The code of a file with its line numbers: without comments and without its tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().take_while(|line| !line.ends_with("mod tests {"));
    let code = code.map(|line| line.split("//").next().unwrap_or_default());
    (1..).zip(code).filter(|(_, line)| !line.trim_start().starts_with('"'))
}

/// What a file uses of its crate: the first segment of each path from `crate::`, with its line.
fn used(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut nested = false;
    for (number, line) in code(text) {
        let mut rest = line;
        if nested {
            found.extend(names(rest).map(|name| (number, name)));
            nested = !rest.contains("};");
            continue;
        }
        while let Some((_, after)) = rest.split_once("crate::") {
            match after.strip_prefix('{') {
                Some(list) => {
                    found.extend(names(list).map(|name| (number, name)));
                    nested = !list.contains("};");
                }
                None => found.extend(segment(after).map(|name| (number, name))),
            }
            rest = after;
        }
    }
    found
}

/// The first segments of a list of paths that stands in braces: those that no deeper brace encloses.
fn names(list: &str) -> impl Iterator<Item = String> {
    list.split(',').filter_map(|path| segment(path.trim()))
}

/// The first segment of a path, where it is a module's name.
fn segment(path: &str) -> Option<String> {
    let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(path.len());
    let name = &path[..end];
    name.starts_with(|c: char| c.is_ascii_lowercase()).then(|| name.to_owned())
}

#[test]
fn a_module_uses_modules_of_lower_layers_alone() {
    let mut broken = Vec::new();
    for (directory, layers) in layers() {
        let base = root().join(&directory);
        let mut files = Vec::new();
        sources(&base, &mut files);
        files.sort();
        for file in files {
            let inside = file.strip_prefix(&base).unwrap();
            let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
            if module == "lib" {
                continue;
            }
            let shown = format!("{directory}/{}", inside.display());
            let Some(own) = layers.get(module) else {
                broken.push(format!("{shown}: `{module}` is in no layer of ARCHITECTURE.md"));
                continue;
            };
            let text = fs::read_to_string(&file).unwrap();
            for (line, name) in used(&text) {
                // What `lib.rs` offers by another name is a type of a module, and a macro is of none.
                let Some(layer) = layers.get(&name).filter(|_| name != module) else { continue };
                if layer >= own {
                    broken.push(format!("{shown}:{line}: `{module}` uses `{name}`, which is not below it"));
                }
            }
        }
        for module in layers.keys() {
            let exists = base.join(format!("{module}.rs")).is_file();
            assert!(exists, "ARCHITECTURE.md names `{module}` of {directory}, which is not there");
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn core_and_formats_do_not_know_each_other_or_the_engine() {
    let foreign = |directory: &str, names: &[&str]| {
        let mut files = Vec::new();
        sources(&root().join(directory), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in code(&text) {
                let name = names.iter().find(|name| line.contains(*name));
                assert_eq!(name, None, "{}:{number} uses it", file.display());
            }
        }
    };
    foreign("xtask/core/src", &["bedplate_formats", "bedplate::"]);
    foreign("xtask/formats/src", &["bedplate_core", "bedplate::"]);
}

#[test]
fn a_path_is_read_wherever_it_stands() {
    let text = "use crate::a::{B, C};\nuse crate::{\n    d::E,\n    f,\n};\nfn x() { crate::g::h() } // crate::no\n\
                use crate::Name;\n#[cfg(test)]\nmod tests;\nuse crate::i::J;\n\
                #[cfg(test)]\nmod tests {\n    use crate::late::T;\n}\n";
    let found: Vec<(usize, String)> = used(text);
    let found: Vec<(usize, &str)> = found.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(found, [(1, "a"), (3, "d"), (4, "f"), (6, "g"), (10, "i")]);
}
