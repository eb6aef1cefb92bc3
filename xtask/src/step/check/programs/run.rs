//! Commands on the finished tree, in the sandbox, and their answers in the cache.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use anyhow::Result;
use bedplate_formats::tree::{Tree, TreePath};
use fs_err as fs;

use super::super::Subject;
use super::{Ask, Program, read};
use crate::key::Key;
use crate::step::inside::add_to;
use crate::step::origin::brought;
use crate::step::scratch::{Base, Scratch};
use crate::store::Store;

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Answer {
    /// Whether it ended with 0.
    pub success: bool,
    /// What it wrote, to standard output and error.
    pub text: String,
}

/// A finished tree, to run its programs on.
pub struct Sandboxed<'a> {
    /// Where answers are cached.
    pub store: &'a Store,
    /// The cached system that the tree was made from.
    pub base: Base<'a>,
    /// Its key.
    pub key: &'a str,
    scratch: OnceCell<Scratch>,
    /// What the tree has otherwise than the system.
    changed: OnceCell<BTreeSet<TreePath>>,
}

impl<'a> Sandboxed<'a> {
    /// Nothing is shown or run before it is needed.
    pub fn new(store: &'a Store, base: Base<'a>, key: &'a str) -> Self {
        Self { store, base, key, scratch: OnceCell::new(), changed: OnceCell::new() }
    }

    fn run(&self, tree: &Tree, argv: &[String]) -> Result<Answer> {
        if self.scratch.get().is_none() {
            // A second one would only be thrown away; there is one thread.
            let _ = self.scratch.set(Scratch::new(self.store, self.base, tree)?);
        }
        let Some(scratch) = self.scratch.get() else { anyhow::bail!("the tree is not shown") };
        // Programs write logs and locks before they test anything; the directory is gone afterwards.
        let command = scratch.sandbox().command(argv).stdin_null().stderr_to_stdout().stdout_capture();
        let output = command.unchecked().run()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Answer { success: output.status.success(), text })
    }
}

impl Ask for Sandboxed<'_> {
    fn ask(&self, subject: &Subject<'_>, program: &Program, touched: &[TreePath]) -> Result<Answer> {
        let argv = program.argv(touched);
        let changed = self.changed.get_or_init(|| brought(self.base.tree, subject.tree));
        let mut key = Key::new("answer");
        key.add(self.key);
        argv.iter().for_each(|word| key.add(word));
        let read = read::of(subject, program, touched, changed);
        add_to(&mut key, self.store, subject.tree, read)?;
        let layer = self.store.layer_or_make("answer", &key.finish(), |directory| {
            let answer = self.run(subject.tree, &argv)?;
            let end = if answer.success { "ended" } else { "failed" };
            fs::write(directory.join(end), answer.text)?;
            Ok(())
        })?;
        let failed = layer.join("failed");
        let success = !failed.exists();
        let text = fs::read_to_string(if success { layer.join("ended") } else { failed })?;
        Ok(Answer { success, text })
    }
}
