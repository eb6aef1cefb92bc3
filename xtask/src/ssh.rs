//! The way into a machine that somebody started: a key made for it, and where it listens.
//!
//! `boot --ssh` writes both as a configuration of OpenSSH's, `build/.NAME.ssh/config`, which `cargo xtask ssh` gives to
//! `ssh`, and anybody to `scp` or `rsync`. A lock says how long the machine runs.
//! <https://man.openbsd.org/ssh_config>

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bedplate_core::Plan;
use bedplate_core::plan::UserPlan;
use camino::{Utf8Path, Utf8PathBuf, absolute_utf8};
use rustix::fs::{FlockOperation, flock};

use crate::paths::path;

/// How long a machine may take until it answers. Without virtualisation, a large image takes minutes to come up.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long it may take to say who it is, once it was reached.
const GREETING: Duration = Duration::from_secs(5);

/// A way into a machine, as long as this lives.
#[derive(Debug)]
pub struct Door {
    directory: Utf8PathBuf,
    port: u16,
    public: String,
    _running: File,
}

impl Door {
    /// Makes the key and the configuration, for whoever may come in to the image whose artifacts are at `out`.
    ///
    /// # Errors
    /// Nobody may come in; such a machine runs already; `ssh-keygen` is missing.
    pub fn open(plan: &Plan, out: &Utf8Path) -> Result<Self> {
        let mut people = plan.users.iter().filter(|user| user.credential || !user.authorized_keys.is_empty());
        let Some(user) = people.clone().find(|user| user.credential).or_else(|| people.next()) else {
            bail!(
                "nobody comes in to `{}` by ssh; give somebody a way in: \
                 `.user(User::new(\"alice\").login(Login::Credential))`",
                plan.name
            );
        };
        let directory = directory(out)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let running = fs_err::File::create(directory.join("running"))?.into_parts().0;
        if flock(&running, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("`{}` runs already, with a way in: `cargo xtask ssh {0}`", plan.name);
        }
        // What was left when the power went, or the machine was ended by force.
        for name in ["config", "key", "key.pub", "known_hosts"] {
            let _ = fs::remove_file(directory.join(name));
        }
        let key = directory.join("key");
        keygen(&key, &plan.name)?;
        // Closed again, and QEMU's in a moment: there is no way to hand it over.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("could not find a port")?
            .local_addr()?
            .port();
        let door = Self {
            public: fs_err::read_to_string(key.with_extension("pub"))?,
            directory,
            port,
            _running: running,
        };
        fs_err::write(door.directory.join("config"), door.configuration(plan, user))?;
        Ok(door)
    }

    /// The port of this machine's loopback that leads to the guest's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The line of an `authorized_keys` file.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// What `ssh` is told. A user without a credential has a key of his own.
    fn configuration(&self, plan: &Plan, user: &UserPlan) -> String {
        let file = |name: &str| quoted(&self.directory.join(name));
        let key = match user.credential {
            true => format!("    IdentityFile {}\n    IdentitiesOnly yes\n", file("key")),
            false => String::new(),
        };
        format!(
            "# Written by `cargo xtask boot --ssh`, and gone when the machine is.\n\
             Host {}\n    HostName {}\n    Port {}\n    User {}\n{key}    UserKnownHostsFile {}\n    \
             StrictHostKeyChecking accept-new\n    CheckHostIP no\n    LogLevel ERROR\n",
            plan.name,
            Ipv4Addr::LOCALHOST,
            self.port,
            user.name,
            file("known_hosts"),
        )
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // What stays is taken away before the next.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The configuration for a machine that runs, once it answers.
///
/// # Errors
/// None runs with a way in, it ends, or does not answer.
pub fn reach(name: &str, out: &Utf8Path) -> Result<Utf8PathBuf> {
    let directory = directory(out)?;
    let Ok(running) = File::open(directory.join("running")) else {
        bail!(
            "`{name}` does not run with a way in; start it with `cargo xtask boot --ssh {name}` in another terminal"
        );
    };
    let config = directory.join("config");
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if flock(&running, FlockOperation::NonBlockingLockShared).is_ok() {
            bail!("`{name}` has ended, and did not answer before; the terminal it ran in says why");
        }
        // Between the lock and the configuration, a key is made.
        if let Some(port) = fs::read_to_string(&config).ok().and_then(|text| port(&text))
            && answers(port)
        {
            return Ok(config);
        }
        sleep(Duration::from_millis(250));
    }
    bail!("`{name}` has not answered for {} s: its console says why", PATIENCE.as_secs())
}

fn directory(out: &Utf8Path) -> Result<Utf8PathBuf> {
    let name = out.file_name().context("the output directory has no name")?;
    Ok(absolute_utf8(out)?.with_file_name(format!(".{name}.ssh")))
}

/// The port in a configuration that is whole.
fn port(config: &str) -> Option<u16> {
    config
        .ends_with('\n')
        .then(|| config.lines().find_map(|line| line.trim().strip_prefix("Port ")))??
        .parse()
        .ok()
}

/// Whether a daemon says who it is. QEMU takes every connection, and ends it where nobody listens in the guest.
fn answers(port: u16) -> bool {
    let mut greeting = [0; 4];
    let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut stream| {
        stream.set_read_timeout(Some(GREETING))?;
        stream.read_exact(&mut greeting)
    });
    asked.is_ok() && &greeting == b"SSH-"
}

/// Makes a key pair without a password, by the program that brings the file format with it.
fn keygen(key: &Utf8Path, comment: &str) -> Result<()> {
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(key);
    let made = make.output().map_err(|error| missing("ssh-keygen", error))?;
    let words = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "`ssh-keygen` made no key `{}`: {}", path(key), words.trim());
    Ok(())
}

/// The error for a program of OpenSSH's that did not start.
pub fn missing(program: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() != ErrorKind::NotFound {
        return anyhow::Error::from(error).context(format!("could not start `{program}`"));
    }
    anyhow::anyhow!("`{program}` is not installed; its package is `openssh-client` or `openssh-clients`")
}

/// A path as one word of a configuration, in which `%` begins a token.
fn quoted(path: &Utf8Path) -> String {
    let text = path.as_str().replace('%', "%%");
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
