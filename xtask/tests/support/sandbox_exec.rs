//! The smallest program that can be re-executed by the sandbox, as tests need one.
//!
//! With arguments `ROOT COMMAND…` it does what a verb of the real one does: it gets its rights, and runs the command
//! in a sandbox with the host's `/usr`, and with `EMULATOR` in the environment with that program for those of the other
//! architecture; with `SCRATCH` in the environment in a tree that was made from a system.

use std::path::Path;
use std::process::ExitCode;

use bedplate::sandbox::Sandbox;
use bedplate::sandbox::emulation::Emulation;
use bedplate::step::scratch::{Base, Scratch};
use bedplate::store::Store;
use bedplate_formats::tree::{Kind, Node, Tree};

fn main() -> ExitCode {
    if let Some(code) = bedplate::sandbox::dispatch() {
        return code;
    }
    match run() {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    // A test is a program that has no rights, and starts sandboxes all the same.
    if std::env::var_os("WITHOUT_RIGHTS").is_none() {
        bedplate::host::enter()?;
    }
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_default();
    if let Some(kind) = std::env::var_os("SCRATCH") {
        return scratch(Path::new(&root), kind == "copy", arguments);
    }
    // With what `BIND` says, and the host's programs where the root has none.
    let mut sandbox = Sandbox::new(Path::new(&root));
    if !Path::new(&root).join("usr/bin").exists() {
        sandbox = sandbox.bind_read_only(Path::new("/usr"), "/usr");
    }
    for bind in std::env::var("BIND").iter().flat_map(|binds| binds.split(',')) {
        sandbox = match bind.split(':').collect::<Vec<_>>()[..] {
            [host, inside, "ro"] => sandbox.bind_read_only(Path::new(host), inside),
            [host, inside] => sandbox.bind(Path::new(host), inside),
            _ => anyhow::bail!("`{bind}` is no bind"),
        };
    }
    if std::env::var_os("READ_ONLY").is_some() {
        sandbox = sandbox.read_only();
    }
    let emulator = std::env::var_os("EMULATOR");
    let other = bedplate::source::host_architecture()?.other();
    let emulator = emulator.map(|program| Emulation::Own.emulator(other, Path::new(&program)));
    let sandbox = sandbox.emulated(emulator.as_ref());
    let status = sandbox.command(arguments).unchecked().run()?.status;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs the command in a tree that is not quite the system in `root`/system, and prints what it has changed.
fn scratch(root: &Path, copied: bool, command: impl Iterator<Item = String>) -> anyhow::Result<ExitCode> {
    let store = Store::at(&root.join("store"))?;
    let directory = root.join("system");
    let system = Tree::scan(&directory)?;
    let base = Base { directory: &directory, tree: &system, emulator: None };
    let mut tree = system.clone();
    tree.remove(&"etc/gone".into());
    tree.insert("etc/kind".into(), Node::directory(0o700));
    tree.insert("etc/kind/new".into(), Node { uid: 7, gid: 8, ..Node::file("new\n", 0o4755) });
    tree.insert("etc/ours".into(), Node::file("ours\n", 0o600));
    let scratch =
        if copied { Scratch::copied(&store, base, &tree) } else { Scratch::new(&store, base, &tree) }?;
    let sandbox = |sandbox: Sandbox| sandbox.bind_read_only(Path::new("/usr"), "/usr");
    let mut text = sandbox(scratch.read_only()).run(["find", "/etc", "-printf", "%p %y %m %U:%G %l\\n"])?;
    text += &sandbox(scratch.sandbox()).run(command)?;
    let changes = scratch.changes(&tree)?;
    for path in &changes.removed {
        text += &format!("- {path}\n");
    }
    for (path, node) in &changes.written {
        let kind = match &node.kind {
            Kind::File(content) => format!("{:?}", String::from_utf8_lossy(&content.read()?)),
            kind => format!("{kind:?}"),
        };
        text += &format!("+ {path} {:o} {}:{} {kind} {}\n", node.mode, node.uid, node.gid, node.xattrs.len());
    }
    let how = if scratch.is_copied() { "copied" } else { "overlay" };
    complain(how);
    print(&text);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "a test reads it")]
fn print(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "a test reads it")]
fn complain(text: &str) {
    eprintln!("{text}");
}
