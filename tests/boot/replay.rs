//! Updates, and a power cut at any write: QEMU logs what an update writes, and the disk is judged as it is after each of
//! these writes, with any part of what no flush had brought to it. Some of these disks are started, too.

#![expect(clippy::print_stdout, reason = "a failure is told with the seed that repeats it")]

mod judge;

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use bedplate::vm::Vm;
use bedplate::vm::guest::Guest;
use bedplate::vm::replay::{Action, Cut, Replay};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use self::judge::{Judge, State};
use crate::power::{asked, cuts, seed};
use crate::{product, versions};

/// A device's life, as its disk saw it, and what was done when, by the number of the first write.
pub struct Session {
    replay: Replay,
    phases: Phases,
}

/// Names of what was done, and where it ended.
pub type Phases = Vec<(&'static str, usize)>;

/// The phase at whose end there is something that the device keeps.
pub const STARTED: &str = "the first start";
pub const INSTALLED: &str = "the installation";

/// Version 1 starts for the first time and makes its second slot; version 2 is installed. `before` is a script that is
/// run before the installation.
fn installed(before: &str) -> (Guest, Phases) {
    let mut guest = versions::device("1").log_writes().start().unwrap();
    let mut phases = Vec::new();
    guest.settle().unwrap();
    versions::keep(&mut guest);
    phases.push((STARTED, guest.logged().unwrap()));
    versions::online(&mut guest);
    guest.check(before).unwrap();
    guest.install(&versions::bundle("2", "")).unwrap();
    guest.check("sync").unwrap();
    phases.push((INSTALLED, guest.logged().unwrap()));
    (guest, phases)
}

/// Then, version 2 is started, and proves itself.
fn proven() -> Session {
    let (mut guest, mut phases) = installed("true");
    guest.reboot().unwrap();
    assert_eq!(versions::running(&mut guest), "2");
    guest.check("sync").unwrap();
    phases.push(("the start of the new version", guest.logged().unwrap()));
    versions::proven(&mut guest);
    guest.check("sync").unwrap();
    phases.push(("the blessing", guest.logged().unwrap()));
    Session::new(guest.kill().unwrap(), phases)
}

impl Session {
    /// Of a device that is off now.
    pub fn new(vm: Vm, phases: Phases) -> Self {
        Self { replay: vm.replay().unwrap(), phases }
    }

    /// A device until version 2 is installed. `before` is a script that is run before the installation.
    pub fn installed(before: &str) -> Self {
        let (guest, phases) = installed(before);
        Self::new(guest.kill().unwrap(), phases)
    }

    /// The disk at the end of a phase, with all that was written.
    pub fn whole(&mut self, phase: &str) -> Cut {
        // Of chance, what leaves each write whole.
        self.replay.cut(self.end(phase), || 2)
    }

    /// What was being done when a write was the next one.
    fn phase(&self, at: usize) -> &'static str {
        self.phases.iter().find(|(_, end)| at < *end).map_or("the end", |(name, _)| name)
    }

    /// Where a phase ends.
    pub fn end(&self, phase: &str) -> usize {
        self.phases.iter().find(|(name, _)| *name == phase).unwrap().1
    }

    /// So many moments before an `end` at which to cut, in their order: three of four while something is on its way to
    /// what decides about the start, which are few, and the others anywhere.
    fn moments(&self, judge: &Judge, count: usize, end: usize, random: &mut StdRng) -> Vec<usize> {
        let (mut dense, mut on_its_way) = (Vec::new(), false);
        for (at, entry) in self.replay.entries()[..end].iter().enumerate() {
            on_its_way = entry.action != Action::Flush && (on_its_way || judge.decides(&entry.range));
            if on_its_way {
                dense.push(at + 1);
            }
        }
        assert!(dense.len() > 10, "only {} writes go to what decides about the start", dense.len());
        let mut moments: Vec<usize> = (0..count)
            .map(|number| match number % 4 {
                0 => random.gen_range(0..=end),
                _ => dense[random.gen_range(0..dense.len())],
            })
            .collect();
        moments.sort_unstable();
        moments
    }

    /// Cuts at each of these moments. How often which phase left which state; and what was wrong.
    fn judge(&mut self, judge: &mut Judge, moments: &[usize], random: &mut StdRng) -> (Seen, Vec<String>) {
        let (mut seen, mut wrong) = (Seen::new(), Vec::new());
        for &at in moments {
            let mut cut = self.replay.cut(at, || random.r#gen());
            let phase = self.phase(at);
            match judge.judge(&mut cut) {
                Ok(state) => *seen.entry((phase, state)).or_default() += 1,
                Err(error) => wrong.push(format!("at write {at}, in {phase}: {error:#}")),
            }
        }
        (seen, wrong)
    }
}

/// How the judge says that an update is listed that is not whole.
const TORN: &str = "is listed, and is not version 2's kernel image";

type Seen = BTreeMap<(&'static str, State), u32>;

/// Of the artifacts of version 2, with what is wrong with it.
fn judge(breaks: &str) -> Judge {
    Judge::new(&versions::built("1", ""), &versions::built("2", breaks))
}

/// Cuts a session so many times until version 2 is installed, and finds nothing wrong.
pub fn holds(mut session: Session, breaks: &str, count: usize, random: &mut StdRng) {
    let (mut judge, started) = (judge(breaks), Instant::now());
    let end = session.end(INSTALLED);
    let into_running =
        session.replay.entries()[..end].iter().filter(|entry| judge.is_running_slot(&entry.range));
    assert_eq!(into_running.count(), 0, "something was written into the slot that runs");
    let mut moments = session.moments(&judge, count - 1, end, random);
    // The new version is listed by now.
    moments.push(end - 1);
    let (seen, wrong) = session.judge(&mut judge, &moments, random);
    println!("{count} cuts in {:.0?}: {seen:?}", started.elapsed());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    for state in [State::Old, State::New] {
        assert!(seen.contains_key(&(INSTALLED, state)), "no cut within the installation leaves {state:?}");
    }
}

#[test]
fn whatever_a_power_cut_leaves_of_an_update_a_whole_version_is_started() {
    if !asked() {
        return;
    }
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut session, mut judge) = (proven(), judge(""));
    let into_running = session.replay.entries().iter().filter(|entry| judge.is_running_slot(&entry.range));
    assert_eq!(into_running.count(), 0, "something was written into the slot that runs");

    let count = if product::all() { 2000 } else { 1000 };
    let moments = session.moments(&judge, count, session.replay.entries().len(), &mut random);
    let started = Instant::now();
    let (seen, wrong) = session.judge(&mut judge, &moments, &mut random);
    println!("{count} of {} cuts in {:.0?}", session.replay.entries().len(), started.elapsed());
    for ((phase, state), times) in &seen {
        println!("{times:>5} in {phase}: {state:?}");
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    for state in [State::Old, State::New] {
        assert!(seen.contains_key(&(INSTALLED, state)), "no cut within the installation leaves {state:?}");
    }

    // Without the flushes of the installation, what is listed may not be whole, and that is seen.
    let installation = session.end(STARTED)..session.end(INSTALLED);
    session.replay = session.replay.without_flushes(installation.clone());
    let last: Vec<usize> = installation.rev().take(100).rev().collect();
    let (_, wrong) = session.judge(&mut judge, &last, &mut random);
    println!("{} of 100 cuts are wrong where flushes do nothing: {:?}", wrong.len(), wrong.first());
    assert!(
        !wrong.is_empty(),
        "a disk whose flushes do nothing is as good as one whose flushes do something"
    );

    session.replay = session.replay.without_flushes(0..0);
    let directory = product::scratch("replay");
    for number in 0..cuts() {
        let at = moments[random.gen_range(0..moments.len())];
        println!("start {number}: cut at write {at}, in {}", session.phase(at));
        session.replay.cut(at, || random.r#gen()).write(&directory.join("image.raw")).unwrap();
        let (kept, started) = (session.phase(at) != STARTED, Instant::now());
        let (version, guest) = versions::hold(product::machine(&directory).network(), &["1", "2"], kept);
        if versions::goes_on(number) {
            versions::go_on(guest, kept);
        }
        println!("version {version} runs, and is updated; {:.0?}", started.elapsed());
    }
    fs::remove_dir_all(directory).unwrap();
}

/// The judge is one: it finds an update that is listed before all of it is on the disk.
#[test]
fn an_update_that_is_listed_too_early_is_found() {
    if !asked() {
        return;
    }
    let mut random = StdRng::seed_from_u64(seed());
    let early =
        r#"sed -i 's/ && sync -f "$esp"$//; s/ conv=notrunc,fsync/ conv=notrunc/' /usr/lib/bedplate/slots"#;
    let (mut session, mut judge) = (Session::installed(early), judge(""));
    let moments = session.moments(&judge, 1000, session.end(INSTALLED), &mut random);
    let (_, wrong) = session.judge(&mut judge, &moments, &mut random);
    let torn = wrong.iter().filter(|error| error.contains(TORN)).count();
    println!("{torn} of 1000 cuts list what is not whole");
    assert!(torn > 0, "{}", wrong.join("\n"));
}
