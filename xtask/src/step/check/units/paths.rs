//! Programs, directories and files that a unit names.

use bedplate_core::Diagnostic;
use bedplate_core::spelling::nearest;
use bedplate_formats::tree::TreePath;

use super::super::unit::{Setting, Unit};
use super::super::{Findings, Subject};
use super::{NO_SUCH_PROGRAM, NO_SUCH_UNIT_PATH, binary, executable};
use crate::step::origin::landed;

/// Where systemd looks for a program without a slash in its name.
const PATH: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
/// Commands whose failure keeps a unit from being started.
const COMMANDS: [&str; 3] = ["ExecCondition", "ExecStartPre", "ExecStart"];

/// Programs that are started are in the image, and can be executed.
pub(super) fn programs(
    subject: &Subject<'_>,
    unit: &Unit,
    answerable: &dyn Fn(&Setting) -> bool,
    found: &mut Findings,
) {
    if ["RootDirectory", "RootImage", "ExecSearchPath"].iter().any(|key| unit.last(key).is_some()) {
        return;
    }
    for setting in COMMANDS.iter().flat_map(|key| unit.all(key)).filter(|setting| answerable(setting)) {
        let Some((program, ignored)) = program(unit, &setting.value) else { continue };
        if ignored || guarded(unit, &program) {
            continue;
        }
        found.mistakes.extend(
            cannot_run(subject, unit, &program)
                .map(|(message, help)| {
                    let message = format!("`{}` starts {message}", unit.name);
                    Diagnostic::new(NO_SUCH_PROGRAM.code, message).help(help)
                })
                .map(|mistake| subject.blame_setting(mistake, unit, setting)),
        );
    }
}

/// The program of a command line, and whether its failure is ignored.
fn program(unit: &Unit, command: &str) -> Option<(String, bool)> {
    let word = command.split_whitespace().next()?;
    let name = word.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let prefixes = &word[..word.len() - name.len()];
    let name = name.trim_matches(['"', '\'']);
    // A variable is known at run time only.
    if name.is_empty() || name.contains(['$', '\\']) {
        return None;
    }
    Some((unit.expand(name)?, prefixes.contains('-')))
}

/// Whether the unit itself looks for a path before it starts.
fn guarded(unit: &Unit, path: &str) -> bool {
    let keys =
        ["ConditionPathExists", "ConditionFileIsExecutable", "ConditionFileNotEmpty", "AssertPathExists"];
    keys.iter().flat_map(|key| unit.all(key)).any(|setting| setting.value.trim_start_matches('|') == path)
}

/// Why a program cannot be run, and what to do about it.
fn cannot_run(subject: &Subject<'_>, unit: &Unit, program: &str) -> Option<(String, String)> {
    let paths: Vec<TreePath> = match program.starts_with('/') {
        true => vec![TreePath::new(program)],
        false => PATH.iter().map(|directory| TreePath::new(directory).join(program)).collect(),
    };
    let Some(path) = paths.iter().find(|path| executable(subject, path).is_some()) else {
        if program.starts_with('/') && subject.comes_later(program) {
            return None;
        }
        let message = format!("`{program}`, which is not in the image");
        return Some((message, neighbour(subject, program)));
    };
    if executable(subject, path) == Some(false) {
        return Some((
            format!("`{program}`, which is not executable"),
            not_executable(subject, path, program),
        ));
    }
    let (path, _) = subject.tree.resolve(path)?;
    if let Some((fault, help)) = binary::fault(subject, unit, &path) {
        return Some((format!("`{program}`, {fault}"), help));
    }
    let interpreter = interpreter(subject, &path)?;
    if !interpreter.starts_with('/') || subject.comes_later(&interpreter) {
        return None;
    }
    let missing = executable(subject, &TreePath::new(&interpreter)) != Some(true);
    missing.then(|| {
        let message = format!("`{program}`, whose interpreter `{interpreter}` is not in the image");
        (message, neighbour(subject, &interpreter))
    })
}

/// What the first line of a script names.
fn interpreter(subject: &Subject<'_>, path: &TreePath) -> Option<String> {
    use std::io::Read as _;

    // A script's first line; the rest of a program is not read.
    let mut start = [0; 256];
    let read = subject.tree.content(path)?.open().ok()?.read(&mut start).ok()?;
    let line = start[..read].strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split_whitespace();
    let first = words.next()?;
    if !first.ends_with("/env") {
        return Some(first.to_owned());
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    let found = PATH.iter().map(|directory| TreePath::new(directory).join(name));
    let found = found.into_iter().find(|path| executable(subject, path).is_some());
    Some(found.map_or(format!("/usr/bin/{name}"), |path| path.to_string()))
}

/// The help for a program that is not there: the same name elsewhere, or a
/// name like it.
fn neighbour(subject: &Subject<'_>, program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    let elsewhere = PATH.iter().map(|directory| TreePath::new(directory).join(name));
    if let Some(path) = elsewhere.into_iter().find(|path| executable(subject, path) == Some(true)) {
        return format!("it is at `{path}`");
    }
    let mut directories: Vec<TreePath> = PATH.iter().map(TreePath::new).collect();
    directories.extend(landed(subject.tree, &TreePath::new(program)).parent());
    let programs: Vec<String> = directories
        .iter()
        .flat_map(|directory| subject.tree.children(directory))
        .map(|(path, _)| path.to_string())
        .collect();
    let names = programs.iter().filter_map(|path| path.rsplit('/').next());
    match nearest(name, names)
        .and_then(|near| programs.iter().find(|path| path.ends_with(&format!("/{near}"))))
    {
        Some(near) => format!("there is `{near}`"),
        None => "add the package that brings it, or put it there with an overlay".to_owned(),
    }
}

fn not_executable(subject: &Subject<'_>, path: &TreePath, program: &str) -> String {
    match subject.origins.of(path).and_then(|origin| origin.file.as_ref()) {
        Some(file) => format!("run `chmod +x {file}`"),
        None => format!("give `{program}` the mode 0755"),
    }
}

/// Directories and files without which a unit fails before its program starts.
pub(super) fn others(
    subject: &Subject<'_>,
    unit: &Unit,
    own: &dyn Fn(&Setting) -> bool,
    found: &mut Findings,
) {
    if ["RootDirectory", "RootImage"].iter().any(|key| unit.last(key).is_some()) {
        return;
    }
    const KEYS: [&str; 8] = [
        "EnvironmentFile",
        "WorkingDirectory",
        "ReadWritePaths",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "BindPaths",
        "BindReadOnlyPaths",
        "LoadCredential",
    ];
    for key in KEYS {
        for (word, setting) in unit.words(key).filter(|(_, setting)| own(setting)) {
            let word = word.trim_start_matches('+').trim_matches(['"', '\'']);
            let word = match key {
                "BindPaths" | "BindReadOnlyPaths" => word.split(':').next().unwrap_or(word),
                "LoadCredential" => word.split_once(':').map_or("", |(_, path)| path),
                _ => word,
            };
            let Some(path) = unit.expand(word).filter(|path| path.starts_with('/')) else { continue };
            // systemd takes patterns for environment files, and no match for none.
            if path.contains(['*', '?', '[', '$'])
                || guarded(unit, &path)
                || subject.tree.resolve(&TreePath::new(&path)).is_some()
                || subject.comes_later(&path)
                || made_for(unit, &path)
            {
                continue;
            }
            let message = format!("`{}` needs `{path}`, which is not in the image", unit.name);
            let help = match key {
                "LoadCredential" => "put the file there, or drop the line".to_owned(),
                "WorkingDirectory" | "ReadWritePaths" if path.starts_with("/var/lib/") => {
                    format!("write `StateDirectory={}`, or `{key}=-{path}`", &path["/var/lib/".len()..])
                }
                _ => format!("put it there, or write `{key}=-{path}`"),
            };
            let mistake = Diagnostic::new(NO_SUCH_UNIT_PATH.code, message).help(help);
            found.mistake(subject.blame_setting(mistake, unit, setting));
        }
    }
}

/// Whether systemd makes a directory for this unit.
fn made_for(unit: &Unit, path: &str) -> bool {
    let bases = [
        ("StateDirectory", "/var/lib"),
        ("CacheDirectory", "/var/cache"),
        ("LogsDirectory", "/var/log"),
        ("RuntimeDirectory", "/run"),
        ("ConfigurationDirectory", "/etc"),
    ];
    let made = bases.iter().flat_map(|(key, base)| unit.words(key).map(move |(word, _)| (word, base)));
    made.into_iter().any(|(word, base)| {
        let name = unit.expand(word.split(':').next().unwrap_or(word)).unwrap_or_default();
        let directory = format!("{base}/{name}");
        path == directory || path.strip_prefix(&directory).is_some_and(|rest| rest.starts_with('/'))
    })
}
