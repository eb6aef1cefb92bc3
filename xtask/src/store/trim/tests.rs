//! On a store of three layers and a blob, each with a time of its own.

use std::os::unix::fs::MetadataExt as _;

use bedplate_core::value::Sha256;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

use super::*;
use crate::store::Claim;

const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    directory: tempfile::TempDir,
    /// What was used last, and by nobody who lives.
    blob: Sha256,
}

impl Scene {
    /// The layers `a`, `b` and `c` of 64 KiB and more, and a blob, used in this order, an hour apart.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        for (name, ago) in [("a", 5), ("b", 4), ("c", 3)] {
            let made =
                store.layer_or_make("layer", name, |made| Ok(fs::write(made.join("f"), vec![1; 1 << 16])?));
            set(&made.unwrap(), Mark::Modified, HOUR * ago);
        }
        let blob = store.insert(&vec![2; 1 << 16]).unwrap();
        set(&store.path(&blob).unwrap(), Mark::Accessed, HOUR * 2);
        Self { directory, blob }
    }

    fn store(&self, limit: u64) -> Store {
        Store::limited(self.directory.path(), limit).unwrap()
    }

    /// What is still there.
    fn rest(&self) -> String {
        let path = self.directory.path();
        let layers =
            ["a", "b", "c"].into_iter().filter(|name| path.join("layers/layer-".to_owned() + name).exists());
        let blob = path.join("blobs").join(&self.blob[..2]).join(self.blob.as_str()).exists();
        layers.chain(blob.then_some("blob")).collect::<Vec<_>>().join(" ")
    }
}

/// Lets an entry have been used so long ago.
fn set(path: &Path, mark: Mark, ago: Duration) {
    let at = (SystemTime::now() - ago).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let at = Timespec { tv_sec: at.as_secs().try_into().unwrap(), tv_nsec: 0 };
    let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = match mark {
        Mark::Accessed => Timestamps { last_access: at, last_modification: omitted },
        Mark::Modified => Timestamps { last_access: omitted, last_modification: at },
    };
    utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

#[test]
fn what_was_used_least_recently_goes_first_and_no_more_than_must() {
    let scene = Scene::new();
    let freed = scene.store((3 << 16) - 1).trim().unwrap();
    assert_eq!(scene.rest(), "c blob", "two layers are more than three of 64 KiB with their directories");
    assert_eq!((freed.entries, freed.in_use, freed.refused), (2, 0, 0));
    assert!((2 << 16..3 << 16).contains(&freed.bytes), "{freed}");
    assert_eq!(scene.store((3 << 16) - 1).trim().unwrap(), Freed::default());
    assert_eq!(scene.store(0).trim().unwrap().entries, 2);
    assert_eq!(scene.rest(), "");
}

#[test]
fn what_was_not_used_for_thirty_days_goes_however_much_room_there_is() {
    let scene = Scene::new();
    let store = scene.store(u64::MAX);
    let (month, layers) = (HOUR * 24 * 30, scene.directory.path().join("layers"));
    set(&layers.join("layer-b"), Mark::Modified, month + HOUR);
    set(&layers.join("layer-c"), Mark::Modified, month - HOUR);
    assert_eq!(store.trim().unwrap().entries, 1);
    assert_eq!(scene.rest(), "a c blob");
}

#[test]
fn what_a_run_has_used_stays_for_as_long_as_it_lives() {
    let scene = Scene::new();
    let (own, other) = (scene.store(0), scene.store(0));
    other.layer_or_make("layer", "a", |_| panic!("it is there")).unwrap();
    own.path(&scene.blob).unwrap();
    let freed = own.trim().unwrap();
    assert_eq!((scene.rest().as_str(), freed.entries, freed.in_use), ("a blob", 2, 2));
    drop((own, other));
    scene.store(0).trim().unwrap();
    assert_eq!(scene.rest(), "");
}

#[test]
fn clean_takes_the_layers_and_leaves_what_another_run_uses() {
    let scene = Scene::new();
    let (own, other) = (scene.store(0), scene.store(0));
    other.layer("layer", "b");
    let freed = own.clean(false).unwrap();
    assert_eq!((scene.rest().as_str(), freed.entries, freed.in_use), ("b blob", 2, 1));
    drop(other);
    own.clean(true).unwrap();
    assert_eq!(scene.rest(), "");
}

#[test]
fn a_mark_leaves_a_blob_whole_and_is_no_duty() {
    let scene = Scene::new();
    let store = scene.store(0);
    let path = store.path(&scene.blob).unwrap();
    let metadata = path.metadata().unwrap();
    assert_eq!(u64::try_from(metadata.mtime()).unwrap(), metadata.len(), "its time is its size");
    assert!(usage::read(&path, Mark::Accessed).unwrap() > SystemTime::now() - HOUR);
    // Of an entry that is not there, and where no lock can be.
    usage::write(Path::new("/nowhere/at/all"), Mark::Modified);
    usage::Gate::open(Path::new("/nowhere/at/all")).mark(Path::new("/proc/version"), Mark::Accessed);
}

#[test]
fn a_layer_that_was_removed_is_made_again_and_leaves_no_lock() {
    let scene = Scene::new();
    let store = scene.store(0);
    store.trim().unwrap();
    let locks = scene.directory.path().join("locks");
    assert!(!locks.join("layer-a").exists());
    let layer = store.layer_or_make("layer", "a", |made| Ok(fs::write(made.join("new"), "")?)).unwrap();
    assert!(layer.join("new").exists() && store.has_grown());
}

#[test]
fn a_fetch_that_was_given_up_goes_and_one_that_goes_on_stays() {
    let scene = Scene::new();
    let store = scene.store(u64::MAX);
    let partial = scene.directory.path().join("partial");
    fs::write(partial.join("00"), "half").unwrap();
    set(&partial.join("00"), Mark::Modified, HOUR * 24 * 31);
    let Claim::Partial(claimed) = store.claim(&Sha256::of([0x11; 32])).unwrap() else {
        panic!("it is not there")
    };
    set(&partial.join("1".repeat(64)), Mark::Modified, HOUR * 24 * 31);
    store.trim().unwrap();
    let left: Vec<_> = fs::read_dir(&partial).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["1".repeat(64).as_str()]);
    claimed.discard();
}

#[test]
fn files_with_many_names_take_their_room_once() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), vec![1; 1 << 16]).unwrap();
    let alone = size(directory.path(), &mut BTreeSet::new());
    std::fs::hard_link(directory.path().join("a"), directory.path().join("b")).unwrap();
    assert_eq!(size(directory.path(), &mut BTreeSet::new()), alone);
}
