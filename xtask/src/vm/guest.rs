//! A guest a test talks to, without a back door in its image.
//!
//! The machine hands the guest's systemd (256 or newer) a unit as a credential, over SMBIOS; only who controls
//! the hardware can. The unit reads commands from a virtio port and answers there; in a container, from a pipe.
//! The protocol, a line each way: `NUMBER BASE64-OF-A-SHELL-SCRIPT`, answered by `NUMBER EXIT-CODE
//! BASE64-OF-ITS-OUTPUT`; and, whenever the agent starts, `ready BOOT-ID`.
//!
//! Deliberately absent: an agent for systemd before 256, which knows no units as credentials.

mod port;
mod unit;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64ct::{Base64, Encoding};

use self::port::Port;
pub use self::unit::State;
use super::serve::Server;
use super::{Kind, Machine, Vm, replay};

/// How long a guest may take to come up, and to go down: an emulated one on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long its console may be silent meanwhile.
const SILENCE: Duration = Duration::from_secs(180);
/// How long a command may take unless told.
const COMMAND: Duration = Duration::from_secs(120);
/// How much of the console an error shows.
const LINES: usize = 40;
/// What the console says when there is nothing left to wait for.
const HOPELESS: [&str; 4] = [
    "Kernel panic - not syncing",
    "You are in emergency mode",
    "Cannot open access to console, the root account is locked",
    "No bootable option or device was found",
];

/// The shell loop that runs inside.
const AGENT: &str = include_str!("guest/agent.sh");

/// How a command in the guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// What it wrote, standard error included.
    pub stdout: String,
}

/// What an installation of an update took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What `rauc install` wrote.
    pub said: String,
    /// How many bytes of the bundle were fetched.
    pub fetched: u64,
    /// With how many requests.
    pub requests: u64,
}

/// A running guest. It is killed when the value is dropped.
#[derive(Debug)]
pub struct Guest {
    machine: Machine,
    port: Port,
    boot: String,
    last: u64,
    /// How much of the console was waited for, so that a panic in it is no reason to give up.
    awaited: usize,
}

impl Guest {
    /// Starts the machine and does not wait.
    pub(super) fn begin(mut vm: Vm) -> Result<Self> {
        if !vm.asked {
            vm.asked = true;
            vm = vm
                .credential("systemd.extra-unit.bedplate-test.service", unit().as_bytes())
                .credential("systemd.unit-dropin.multi-user.target~bedplate-test", DROP_IN.as_bytes());
        }
        let machine = Machine::start(vm)?;
        let port = Port::connect(&machine)?;
        Ok(Self { machine, port, boot: String::new(), last: 0, awaited: 0 })
    }

    /// Whether it is a container, on the kernel of this host.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.machine.kind() == Some(Kind::Container)
    }

    /// Waits until commands can be run.
    ///
    /// # Errors
    ///
    /// When that takes more than ten minutes, three of them without a word, or the console says that it will not
    /// happen.
    pub fn wait_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        let (mut said, mut heard) = (0, start);
        loop {
            if let Some(line) = self.next_line()?
                && let Some(boot) = line.strip_prefix("ready ")
                && boot != self.boot
            {
                boot.clone_into(&mut self.boot);
                return Ok(());
            }
            let console = self.console();
            let unexpected = console.get(self.awaited..).unwrap_or_default();
            let hopeless = HOPELESS.iter().find(|text| unexpected.contains(**text));
            if let Some(text) = hopeless {
                bail!("the guest did not come up (`{text}`):\n{}", tail(&console));
            }
            if console.len() > said {
                (said, heard) = (console.len(), Instant::now());
            }
            ensure!(
                start.elapsed() < PATIENCE && heard.elapsed() < SILENCE,
                "the guest did not come up within {} s:\n{}",
                start.elapsed().as_secs(),
                tail(&console)
            );
        }
    }

    /// Runs a shell script as root and waits for its end, for at most two minutes.
    ///
    /// # Errors
    ///
    /// When the guest does not answer. A script that fails is no error here.
    pub fn run(&mut self, script: &str) -> Result<Output> {
        self.run_within(script, COMMAND)
    }

    /// As [`Guest::run`], with another limit.
    ///
    /// # Errors
    ///
    /// As [`Guest::run`].
    pub fn run_within(&mut self, script: &str, patience: Duration) -> Result<Output> {
        let number = self.send(script)?.to_string();
        let start = Instant::now();
        loop {
            if let Some(line) = self.next_line()?
                && let Some(answer) = line.strip_prefix(&number).and_then(|rest| rest.strip_prefix(' '))
            {
                return parse(answer).with_context(|| format!("the guest answered `{line}` to `{script}`"));
            }
            ensure!(
                start.elapsed() < patience,
                "the guest did not answer `{script}` within {} s:\n{}",
                patience.as_secs(),
                tail(&self.console())
            );
        }
    }

    /// Runs a shell script that is to succeed, and returns what it wrote.
    ///
    /// # Errors
    ///
    /// As [`Guest::run`], and when its exit code is not 0.
    pub fn check(&mut self, script: &str) -> Result<String> {
        let output = self.run(script)?;
        ensure!(
            output.code == 0,
            "`{script}` failed in the guest with exit code {}: {}",
            output.code,
            output.stdout.trim_end()
        );
        Ok(output.stdout)
    }

    /// Waits until the console has said `text`. A panic before it was expected: [`Guest::wait_ready`] waits for the
    /// start after it.
    ///
    /// # Errors
    ///
    /// When it has not within `patience`, or the machine ends.
    pub fn wait_console(&mut self, text: &str, patience: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(at) = self.console().find(text) {
                self.awaited = at + text.len();
                return Ok(());
            }
            let _ = self.next_line()?;
            ensure!(
                start.elapsed() < patience,
                "the console did not say `{text}` within {} s:\n{}",
                patience.as_secs(),
                tail(&self.console())
            );
        }
    }

    /// Installs an update as a device does: the bundle is served over HTTP, and RAUC fetches what it needs. The new
    /// version is started by [`Guest::reboot`]. A [`Server`] is for bundles that may be refused.
    ///
    /// The guest needs a [network](Vm::network), up and configured.
    ///
    /// # Errors
    ///
    /// When RAUC refuses: with what it said, and what the kernel said meanwhile.
    pub fn install(&mut self, bundle: &Path) -> Result<Installed> {
        let server = Server::start(bundle, None)?;
        let output = self.run_within(&install(&server), PATIENCE)?;
        let said = output.stdout;
        if output.code != 0 {
            let journal =
                self.run("journalctl -b --no-pager -o cat -n 40 -u rauc; journalctl -k --no-pager -n 20")?;
            bail!("the guest did not install `{}`:\n{said}\n{}", bundle.display(), journal.stdout);
        }
        let (requests, fetched) = server.counted();
        Ok(Installed { said, fetched, requests })
    }

    /// Begins to install an update as [`Guest::install`] does, and cuts the power after a while.
    ///
    /// # Errors
    ///
    /// As [`Guest::kill`], and when the bundle cannot be served.
    pub fn install_until(mut self, bundle: &Path, after: Duration) -> Result<Vm> {
        let server = Server::start(bundle, None)?;
        self.send(&install(&server))?;
        sleep(after);
        self.kill()
    }

    /// How many writes and flushes are in the [log](Vm::log_writes) by now. A `sync` in the guest brings in what it wrote
    /// before.
    ///
    /// # Errors
    ///
    /// When there is no log.
    pub fn logged(&self) -> Result<usize> {
        replay::count(&self.machine.work()?.join(replay::LOG))
    }

    /// Restarts the guest from inside, and waits until commands can be run again.
    ///
    /// # Errors
    ///
    /// As [`Vm::start`].
    pub fn reboot(&mut self) -> Result<()> {
        self.send("systemctl reboot")?;
        self.wait_ready().context("the guest did not come back")
    }

    /// Shuts the guest down from inside, and returns the machine, to be started again with all that was written.
    ///
    /// # Errors
    ///
    /// When it does not end within ten minutes.
    pub fn power_off(mut self) -> Result<Vm> {
        self.send("systemctl poweroff")?;
        ensure!(
            self.machine.wait(PATIENCE)?,
            "the guest did not shut down within {} s:\n{}",
            PATIENCE.as_secs(),
            tail(&self.console())
        );
        self.machine.into_vm()
    }

    /// Cuts the power, and returns the machine, to be started again with all that had been flushed.
    ///
    /// A container ends as suddenly, but the kernel is the host's, and loses nothing of what was written: ask QEMU
    /// what becomes of that.
    ///
    /// # Errors
    ///
    /// When the machine cannot be ended.
    pub fn kill(mut self) -> Result<Vm> {
        self.machine.kill()?;
        if !self.is_container() {
            self.port.wait_end()?;
        }
        self.machine.into_vm()
    }

    /// What the console has said since the machine was started.
    #[must_use]
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.machine.console()).into_owned()
    }

    fn send(&mut self, script: &str) -> Result<u64> {
        self.last += 1;
        let line = format!("{} {}\n", self.last, Base64::encode_string(script.as_bytes()));
        self.port.write(&line)?;
        Ok(self.last)
    }

    /// A line from the guest, if there is one within a moment.
    fn next_line(&mut self) -> Result<Option<String>> {
        let line = self.port.read()?;
        if line.is_none() {
            self.machine.check()?;
        }
        Ok(line)
    }
}

/// The script that installs what a server has.
fn install(server: &Server) -> String {
    format!("rauc install {} 2>&1", server.address_in_guest("update.raucb"))
}

/// Pulls the agent in, whatever the image's default target is reached through.
const DROP_IN: &str = include_str!("guest/multi-user.target.conf");

/// The unit of the agent. Its script travels in base64, which needs none of systemd's quoting.
fn unit() -> String {
    include_str!("guest/bedplate-test.service").replace("@AGENT@", &Base64::encode_string(AGENT.as_bytes()))
}

fn parse(answer: &str) -> Result<Output> {
    let (code, output) = answer.split_once(' ').context("it has no output")?;
    let output =
        Base64::decode_vec(output).map_err(|error| anyhow::anyhow!("its output is not base64: {error}"))?;
    Ok(Output {
        code: code.parse().context("its exit code is no number")?,
        stdout: String::from_utf8_lossy(&output).into_owned(),
    })
}

/// The last lines of a console, without the sequences that steer a terminal.
fn tail(console: &str) -> String {
    let clean: String =
        console.chars().filter(|character| *character == '\n' || !character.is_control()).collect();
    let lines: Vec<&str> = clean.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_code_and_output() {
        let expected = Output { code: 3, stdout: "a\n".to_owned() };
        assert_eq!(parse("3 YQo=").ok(), Some(expected));
        assert_eq!(parse("0 ").ok(), Some(Output { code: 0, stdout: String::new() }));
        assert!(parse("0 ?").is_err() && parse("0").is_err() && parse("x YQo=").is_err());
    }

    #[test]
    fn the_unit_holds_nothing_systemd_would_expand() {
        let unit = unit();
        assert!(!unit.contains('%') && unit.matches('$').count() == 2, "{unit}");
    }

    #[test]
    fn the_tail_of_a_console_is_plain_text() {
        assert_eq!(tail("\u{1b}[2Ja\r\n\n\u{1b}b\n"), "  [2Ja\n  b\n");
    }
}
