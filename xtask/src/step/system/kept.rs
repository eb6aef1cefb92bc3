//! What there is between two stages, kept in the cache: a package more, or another version of one, leaves the stages
//! before it as they were.
//!
//! What cannot be kept is made again, and said nothing of: it costs seconds, and whatever is the matter is told by the
//! layer that is made next.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender};

use anyhow::{Context as _, Result};
use bedplate_formats::deb::Control;
use bedplate_formats::unpack::{self, Kept, Staged};
use fs_err as fs;
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use super::{Deb, Options, System, dkms, qualified};
use crate::key::Key;
use crate::store::Store;

/// The kind of these cache entries.
const KIND: &str = "stage";
/// What was printed until then.
const LOG: &str = "log";

/// The stages of an installation.
pub(super) struct Stages<'a> {
    /// The packages of each, as indices into the packages of the lock.
    stages: Vec<Vec<usize>>,
    debs: &'a [Deb],
    store: Option<&'a Store>,
    /// `SOURCE_DATE_EPOCH` of each.
    epochs: Vec<i64>,
    /// The key of what there is after each.
    keys: Vec<String>,
}

/// What there was after some stages.
pub(super) struct Before {
    /// How many.
    pub stages: usize,
    root: Kept,
    log: String,
}

impl<'a> Stages<'a> {
    pub fn new(
        stages: Vec<Vec<usize>>,
        debs: &'a [Deb],
        controls: &[Control],
        options: &Options,
        store: Option<&'a Store>,
    ) -> Self {
        let (mut epochs, mut keys) = (Vec::<i64>::new(), Vec::<String>::new());
        let date = |&index: &usize| controls[index].files().map(|(_, file)| file.mtime).max();
        for stage in &stages {
            let newest = stage.iter().filter_map(date).chain(epochs.last().copied()).max();
            let epoch = newest.unwrap_or_default().min(options.epoch);
            let mut key = Key::new(KIND);
            match keys.last() {
                Some(before) => key.add(before),
                None => options.add_to(&mut key),
            }
            key.add(epoch.to_le_bytes());
            stage.iter().for_each(|&index| key.add(&debs[index].sha256));
            epochs.push(epoch);
            keys.push(key.finish());
        }
        Self { stages, debs, store, epochs, keys }
    }

    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// `SOURCE_DATE_EPOCH` of a stage.
    pub fn epoch(&self, stage: usize) -> i64 {
        self.epochs[stage]
    }

    /// The key of what there is after a stage.
    pub fn key(&self, stage: usize) -> &str {
        &self.keys[stage]
    }

    /// Unpacks all packages below a directory, those of a stage before those of the next, and among them the biggest
    /// first. What is `done` is one stage: what is kept needs all its packages.
    pub fn unpack(&self, done: usize, below: &Path, to: &Sender<Result<(usize, Staged)>>) {
        let mut order = Vec::new();
        for (stage, indices) in self.stages.iter().enumerate() {
            let stage = if stage < done { 0 } else { stage };
            let size = |&index: &usize| self.debs[index].package.deb.metadata().map_or(0, |file| file.len());
            order.extend(indices.iter().map(|index| (stage, Reverse(size(index)), *index)));
        }
        order.sort_unstable();
        // A bridge hands them out one by one, in this order. It ends when nobody waits any more.
        let _ = order.into_iter().par_bridge().try_for_each(|(_, _, index)| {
            let package = &self.debs[index].package;
            let directory = below.join(package.deb.file_name().unwrap_or_default());
            to.send(unpack::stage(package, &directory).map(|staged| (index, staged)).map_err(Into::into))
        });
    }

    /// Waits for the packages of some stages, and keeps in `there` what came before it was its turn.
    pub fn wait(
        &self,
        stages: Range<usize>,
        from: &Receiver<Result<(usize, Staged)>>,
        there: &mut BTreeMap<usize, Staged>,
    ) -> Result<Vec<Staged>> {
        let wanted = self.stages[stages].iter().flatten();
        let wait = |index: &usize| loop {
            if let Some(staged) = there.remove(index) {
                return Ok(staged);
            }
            let (index, staged) = from.recv().context("a thread that unpacks packages panicked")??;
            there.insert(index, staged);
        };
        wanted.map(wait).collect()
    }

    /// The packages of a stage, as dpkg calls them.
    pub fn names(&self, stage: usize, controls: &[Control]) -> Vec<String> {
        self.stages[stage].iter().map(|&index| qualified(&controls[index])).collect()
    }

    /// What is kept of as many stages as possible, the last not among them.
    pub fn last_kept(&self) -> Option<Before> {
        let store = self.store?;
        (1..self.len()).rev().find_map(|stages| {
            let layer = store.layer(KIND, &self.keys[stages - 1]);
            if !layer.is_dir() {
                return None;
            }
            let kept = Kept::open(&layer)
                .and_then(|root| Ok(Before { stages, root, log: fs::read_to_string(layer.join(LOG))? }));
            if kept.is_err() {
                // It is damaged, and kept anew.
                let _ = fs::remove_dir_all(&layer);
            }
            kept.ok()
        })
    }

    /// Keeps what there is after so many stages, for this machine alone: others get the whole system.
    pub fn keep(&self, stages: usize, system: &System<'_>) {
        let Some(store) = self.store else { return };
        let _ = store.alone().layer_or_make(KIND, &self.keys[stages - 1], |directory| {
            system.root.keep(directory)?;
            Ok(fs::write(directory.join(LOG), system.log.text())?)
        });
    }
}

impl System<'_> {
    /// Goes on from what is kept, whose packages are staged anew.
    pub(super) fn bring_back(
        &mut self,
        kept: Before,
        packages: Vec<Staged>,
        stages: &Stages<'_>,
    ) -> Result<()> {
        self.recorded = packages.len();
        self.root.bring_back(kept.root, packages)?;
        for (stage, indices) in stages.stages[..kept.stages].iter().enumerate() {
            let controls = self.explainer.controls;
            for release in indices.iter().filter_map(|&index| dkms::kernel_release(&controls[index])) {
                self.go_on_with_depmod(release, stages.key(stage))?;
            }
        }
        self.log.bring_back(&kept.log);
        // Who brought debconf was asked then.
        if self.inside.exists("usr/bin/debconf-set-selections") {
            self.answers.clear();
        }
        Ok(())
    }
}
