//! The harness itself: what it says when something is wrong, and that nothing of it is left behind.

use std::sync::{Mutex, PoisonError};

use crate::product::{built, machine};
use bedplate::vm::Vm;

fn small() -> Vm {
    machine(&built("small", "small")).quick()
}

/// One looks at what this process has in use, so no two run at once.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_unit_that_fails_is_explained() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut guest = small().start().unwrap();
    guest.settle().unwrap();
    guest.wait_unit("needs-kept.service").unwrap();
    assert!(guest.journal("needs-kept").unwrap().contains("as packaged"));

    let missing = guest.wait_unit("absent.service").unwrap_err().to_string();
    assert!(missing.starts_with("`absent.service` is no unit of this system"), "{missing}");
    let idle = guest.wait_unit("bedplate-factory-reset.service").unwrap_err().to_string();
    assert!(idle.contains("is inactive, and nothing starts it"), "{idle}");

    let fail = "systemd-run --unit=doomed --quiet sh -c 'echo why it failed; exit 7'; \
                echo what the console said >/dev/console; sleep 1";
    guest.check(fail).unwrap();
    for error in [guest.wait_unit("doomed.service").unwrap_err(), guest.settle().unwrap_err()] {
        let error = error.to_string();
        for part in ["doomed.service", "status=7", "why it failed", "what the console said"] {
            assert!(error.contains(part), "`{part}` is not in:\n{error}");
        }
    }
    let state = guest.state().unwrap();
    assert_eq!(state.to_string(), "degraded: doomed.service");
    let error = guest.check("echo said >&2; exit 3").unwrap_err().to_string();
    assert!(error.contains("exit code 3: said"), "{error}");
}

/// What of the host's is in use for containers of this process: mounts, loop devices, control groups.
fn in_use() -> Vec<String> {
    let ours = format!("bedplate-vm-{}-", std::process::id());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut used: Vec<String> =
        mounts.lines().filter(|line| line.contains(&ours)).map(str::to_owned).collect();
    for device in std::fs::read_dir("/sys/block").unwrap().flatten() {
        let file = std::fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        used.extend(file.contains(&ours).then_some(file));
    }
    let groups =
        std::fs::read_dir("/sys/fs/cgroup").into_iter().chain(std::fs::read_dir("/sys/fs/cgroup/unified"));
    let groups = groups.flatten().flatten().map(|entry| entry.path().display().to_string());
    used.extend(groups.filter(|path| path.contains(&ours)));
    used
}

#[test]
fn a_machine_is_stopped_started_and_changed_and_leaves_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut guest = small().start().unwrap();
    let contained = guest.is_container();
    let id = guest.check("cat /etc/machine-id").unwrap();
    guest.check("echo kept >/local/kept; echo gone >/etc/gone; sync").unwrap();
    assert!(in_use().is_empty() != contained, "{:?}", in_use());
    guest.reboot().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("cat /local/kept; ls /etc/gone 2>/dev/null || true").unwrap(), "kept\n");
    assert_eq!(guest.check("cat /etc/machine-id").unwrap(), id);

    let vm = guest.power_off().unwrap();
    let mut guest = vm.start().unwrap();
    assert_eq!(guest.check("cat /etc/machine-id /local/kept").unwrap(), format!("{id}kept\n"));
    let vm = guest.kill().unwrap().edit(|disk| disk.zero("persistent")).unwrap();
    let mut guest = vm.start().unwrap();
    let state = guest.state().unwrap();
    assert!(state.failed.contains(&"bedplate-data.service".to_owned()), "{state}");

    // However it ends.
    drop(guest);
    assert_eq!(in_use(), [""; 0]);
    let panicked = std::panic::catch_unwind(|| {
        let _guest = small().start().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.is_err());
    assert_eq!(in_use(), [""; 0]);
}

#[test]
fn a_machine_is_changed_before_its_first_start() {
    let vm = machine(&built("small", "small")).size(5 << 30);
    vm.edit(|disk| {
        disk.write("persistent", 0, b"foreign")?;
        assert_eq!(disk.read("persistent", 0, 7)?, b"foreign");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_stands_in_the_way_is_said() {
    let no_disk = Vm::boot("/nowhere/image.raw").unwrap_err();
    assert!(format!("{no_disk:#}").contains("/nowhere/image.raw"), "{no_disk:#}");
    let no_image = machine(&built("small", "small")).image("absent").start().unwrap_err();
    assert!(format!("{no_image:#}").contains("`.image(…)` names another"), "{no_image:#}");
    assert!(format!("{no_image:#}").contains("absent"), "{no_image:#}");
}
