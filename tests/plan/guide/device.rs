//! What the README and the guide ask of disks and devices: compiled, since there is no disk to ask here.

use bedplate::vm::Vm;

fn docker_keeps_its_images() {
    let mut guest = Vm::boot("build/edge/image.raw").unwrap();
    guest.wait_unit("docker.service").unwrap();
    guest.check("touch /var/lib/docker/kept && sync").unwrap();
    let mut guest = guest.kill().unwrap().start().unwrap(); // the power is cut
    guest.check("test -e /var/lib/docker/kept").unwrap();
}

fn disk() -> anyhow::Result<()> {
    let disk = bedplate::disk::Disk::open("build/edge/image.raw")?;
    assert!(disk.root()?.text("/etc/os-release")?.contains("ID=ubuntu\n"));
    assert!(!disk.root()?.exists("/etc/ssh/ssh_host_ed25519_key")?);
    assert!(disk.uki()?.command_line()?.contains("lockdown=integrity"));
    assert!(disk.partition("persistent")?.grows());
    Ok(())
}

fn shipped() {
    use bedplate::plan::SavedPlan;
    use bedplate::{Image, Target};

    fn edge(_: &Target) -> Image {
        bedplate::rule::device()
    }

    // cargo xtask plan edge --json >tests/shipped.json, when a version ships
    let shipped = SavedPlan::parse(include_str!("shipped.json")).unwrap();
    edge(&Target::default()).plan_named("edge").unwrap().is_compatible_with(&shipped).unwrap();
}
