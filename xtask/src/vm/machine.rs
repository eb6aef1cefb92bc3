//! A machine that runs in the background, and QEMU's command line.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::accelerator::{self, Accelerator};
use super::disk::sectors;
use super::tpm::Tpm;
use super::{Kind, Vm, WORK, container};
use crate::sandbox::{Sandbox, failed};

/// The name of the port through which a test talks to the guest.
pub(super) const PORT: &str = "bedplate.test";

/// What a machine of metal says of its firmware (SMBIOS, type 0): UEFI, and not the bit of a virtual machine that QEMU sets.
pub(super) const FIRMWARE: &str = "firmware.bin";
pub(super) const FIRMWARE_TABLE: &[u8] =
    b"\x00\x18\x00\x00\x01\x02\x00\xe8\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x01\x00\xff\xffmaker\x001\x0001/01/2025\x00\x00";

/// Where the guest's serial port goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Console {
    /// This process's terminal, with QEMU's monitor behind Ctrl-A C.
    Terminal,
    /// The file `console.log` of the work directory; and there is a port to talk through, `agent.socket`.
    File,
}

/// A machine that runs in the background. It ends with the value.
#[derive(Debug)]
pub(crate) struct Machine {
    vm: Option<Vm>,
    tpm: Option<Tpm>,
    handle: duct::Handle,
    command: Vec<String>,
}

impl Machine {
    /// Starts a machine whose console goes to a file.
    pub(super) fn start(mut vm: Vm) -> Result<Self> {
        match vm.kind {
            Kind::Whole => vm.prepare_qemu()?,
            Kind::Container if vm.logged => {
                bail!("what a container writes cannot be logged: start the whole device")
            }
            Kind::Container => container::prepare(&mut vm)?,
        }
        for name in ["agent.socket", "console.log"] {
            let path = vm.work()?.join(name);
            if path.exists() {
                fs_err::remove_file(path)?;
            }
        }
        let mut tpm = None;
        let (sandbox, command) = match vm.kind {
            Kind::Whole => {
                let accelerator = accelerator::choose(vm.platform, &vm.bare()?);
                tpm = vm.tpm.then(|| Tpm::start(&vm)).transpose()?;
                (vm.sandbox(accelerator)?, vm.qemu(accelerator, Console::File))
            }
            Kind::Container => (container::sandbox(&vm)?, container::command(&vm)?),
        };
        let started = sandbox.command(&command).stdin_null().stdout_path(vm.work()?.join("stdout"));
        let handle = started
            .stderr_path(vm.work()?.join("stderr"))
            .unchecked()
            .start()
            .with_context(|| format!("could not start `{}`", command[0]))?;
        Ok(Self { vm: Some(vm), tpm, handle, command })
    }

    /// What kind of machine it is.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.vm.as_ref().map(|vm| vm.kind)
    }

    /// The directory of all that the machine writes.
    pub(super) fn work(&self) -> Result<&Path> {
        self.vm.as_ref().context("the machine has ended")?.work()
    }

    /// What the console has said since the machine was started, as bytes.
    pub(super) fn console(&self) -> Vec<u8> {
        let name = if self.kind() == Some(Kind::Container) { "stdout" } else { "console.log" };
        // A console that cannot be read has said nothing; the machine's own error says why.
        self.work().ok().and_then(|work| std::fs::read(work.join(name)).ok()).unwrap_or_default()
    }

    /// An error, if the machine has ended: with its last words.
    pub(super) fn check(&self) -> Result<()> {
        match self.handle.try_wait().context("could not look after the machine")? {
            None => Ok(()),
            Some(output) => {
                let words = fs_err::read(self.work()?.join("stderr"))?;
                Err(failed(&self.command, output.status, &words).context("the machine has ended"))
            }
        }
    }

    /// Waits until the machine has ended by itself. Whether it has, within `patience`.
    pub(super) fn wait(&self, patience: Duration) -> Result<bool> {
        let start = Instant::now();
        while self.handle.try_wait().context("could not look after the machine")?.is_none() {
            if start.elapsed() > patience {
                return Ok(false);
            }
            sleep(Duration::from_millis(50));
        }
        Ok(true)
    }

    /// Ends the machine at once, wherever it is: for the guest, the power is cut.
    pub(super) fn kill(&self) -> Result<()> {
        self.handle.kill().context("could not end the machine")
    }

    /// The machine as it was before it was started, with all it wrote, once it has ended.
    pub(super) fn into_vm(mut self) -> Result<Vm> {
        if let Some(tpm) = self.tpm.take() {
            tpm.end();
        }
        let vm = self.vm.take().context("the machine has ended")?;
        if vm.kind == Kind::Container {
            container::released(&vm)?;
        }
        Ok(vm)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.handle.kill();
        if let Some(vm) = self.vm.as_ref().filter(|vm| vm.is_container()) {
            // What is not gone by now goes with its last process.
            let _ = container::released(vm);
        }
    }
}

impl Vm {
    /// The sandbox QEMU runs in.
    pub(super) fn sandbox(&self, accelerator: Accelerator) -> Result<Sandbox> {
        let sandbox = accelerator.admit(self.sandbox_base()?);
        Ok(if self.network { sandbox.network() } else { sandbox })
    }

    /// QEMU's command line.
    pub(super) fn qemu(&self, accelerator: Accelerator, console: Console) -> Vec<String> {
        let memory = self.memory.to_string();
        let cpus = self.cpus.to_string();
        let secure = self.secure_boot.then_some(&self.platform.secure);
        let machine = format!("{}{}", self.platform.machine, secure.map_or("", |secure| secure.machine));
        let code = secure.map_or(self.platform.code, |secure| secure.code);
        let mut command: Vec<String> =
            [self.platform.emulator, "-nodefaults", "-no-user-config", "-display", "none"]
                .into_iter()
                .chain(["-machine", &machine, "-m", &memory, "-smp", &cpus])
                .chain(secure.iter().flat_map(|secure| secure.options.iter().copied()))
                .chain(accelerator.arguments(self.platform))
                .chain(["-device", "virtio-rng-pci"])
                .map(str::to_owned)
                .collect();
        let mut option = |name: &str, value: String| command.extend([name.to_owned(), value]);

        option("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
        option("-drive", format!("if=pflash,unit=1,format=raw,file={WORK}/variables.fd"));
        // Writeback, as a disk has a cache: what the guest did not flush may be lost when the power is cut.
        let flat = self.flat.then(|| self.name().ok()).flatten().map(|name| format!("{name}.raw"));
        let source = match &flat {
            _ if self.logged => self.logged_drive(),
            Some(file) => format!("format=raw,file={WORK}/{file}"),
            None => format!("format=qcow2,file={WORK}/overlay.qcow2"),
        };
        option("-drive", format!("if=none,id=disk,cache=writeback,discard=unmap,{source}"));
        let (second, index) = self.second_options();
        let sectors = sectors(&self.disk);
        // QEMU merges writes up to as many pieces as one of the host's takes; the log has two more, and then fails.
        let merging = if self.logged { ",request-merging=off" } else { "" };
        option("-device", format!("virtio-blk-pci,drive=disk,bootindex={index}{sectors}{merging}"));
        second.into_iter().for_each(|[name, value]| option(&name, value));
        if self.tpm {
            option("-chardev", format!("socket,id=tpm,path={}", Tpm::SOCKET));
            option("-tpmdev", "emulator,id=tpm,chardev=tpm".to_owned());
            option("-device", format!("{},tpmdev=tpm", self.platform.tpm));
        }
        if self.metal {
            option("-cpu", "max,-hypervisor".to_owned());
            option("-smbios", format!("file={WORK}/{FIRMWARE}"));
        }
        if self.network {
            let lead = |(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
            option("-netdev", format!("user,id=network{}", self.forwarded.map(lead).unwrap_or_default()));
            option("-device", "virtio-net-pci,netdev=network,romfile=".to_owned());
        }
        for credential in &self.credentials {
            option("-smbios", credential.to_argument());
        }
        match console {
            Console::Terminal => option("-serial", "mon:stdio".to_owned()),
            Console::File => {
                option("-serial", format!("file:{WORK}/console.log"));
                option("-device", "virtio-serial-pci".to_owned());
                option("-chardev", format!("socket,id=agent,path={WORK}/agent.socket,server=on,wait=off"));
                option("-device", format!("virtserialport,chardev=agent,name={PORT}"));
            }
        }
        command.extend(self.arguments.iter().cloned());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(vm: &Vm, console: Console) -> String {
        vm.qemu(Accelerator::Tcg, console).join(" ")
    }

    fn vm() -> Vm {
        Vm::new(Path::new("/image.raw"))
    }

    #[test]
    fn the_image_is_only_reached_through_the_overlay() {
        let line = line(&vm(), Console::File);
        assert!(!line.contains(super::super::DISK) && !line.contains("/image.raw"), "{line}");
        assert!(line.contains("file=/run/vm/overlay.qcow2"), "{line}");
    }

    #[test]
    fn a_guest_has_a_network_only_when_asked() {
        assert!(!line(&vm(), Console::File).contains("net"));
        assert!(line(&vm().network(), Console::File).contains("-netdev user,id=network -device"));
        let forwarded = line(&vm().forward(40022, 22), Console::File);
        assert!(
            forwarded.contains("-netdev user,id=network,hostfwd=tcp:127.0.0.1:40022-:22 "),
            "{forwarded}"
        );
    }

    #[test]
    fn a_person_gets_no_port_for_tests() {
        assert!(!line(&vm(), Console::Terminal).contains(PORT));
        assert!(line(&vm(), Console::File).contains(PORT));
    }
}
