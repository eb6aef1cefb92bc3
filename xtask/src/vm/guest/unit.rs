//! Questions about units, and the answers when one is not well: what it says itself, and the console's last lines.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Guest, PATIENCE, tail};

/// How many lines of a unit's journal an error shows.
const LINES: usize = 20;
/// How often a unit is looked at.
const PAUSE: Duration = Duration::from_millis(250);

/// How a system that has settled is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `running`, `degraded` or another word of `systemctl is-system-running`.
    pub word: String,
    /// The units that failed.
    pub failed: Vec<String>,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        if self.failed.is_empty() { Ok(()) } else { write!(f, ": {}", self.failed.join(" ")) }
    }
}

impl Guest {
    /// Waits until all that starts by itself has started, and wants all of it to be well.
    ///
    /// # Errors
    ///
    /// When a unit has failed: the error shows each with its last words, and the console's last lines.
    pub fn settle(&mut self) -> Result<()> {
        let state = self.state()?;
        if state.word == "running" && state.failed.is_empty() {
            return Ok(());
        }
        let failed = state.failed.clone();
        bail!("the system is {state}{}", self.explain(&failed))
    }

    /// Waits until all that starts by itself has started, and says how it is.
    ///
    /// # Errors
    ///
    /// When the guest does not answer, or takes more than ten minutes.
    pub fn state(&mut self) -> Result<State> {
        let word = self.run_within("systemctl is-system-running --wait", PATIENCE)?.stdout;
        let failed = self.check("systemctl list-units --failed --no-legend --plain | cut -d ' ' -f 1")?;
        let failed = failed.lines().map(str::to_owned).collect();
        Ok(State { word: word.trim().to_owned(), failed })
    }

    /// Waits until a unit is active.
    ///
    /// # Errors
    ///
    /// When there is no such unit, when it has failed, and when the system has settled without starting it: the
    /// error shows what the unit says, and the console's last lines.
    pub fn wait_unit(&mut self, unit: &str) -> Result<()> {
        let name = quoted(unit);
        let ask = format!(
            "systemctl show --value -p LoadState {name}; systemctl show --value -p ActiveState {name}; \
             systemctl is-system-running; systemctl show --value -p Job {name}"
        );
        let start = Instant::now();
        loop {
            let answer = self.run(&ask)?.stdout;
            let mut words = answer.lines();
            let mut word = || words.next().unwrap_or_default();
            let (load, active, system, job) = (word(), word(), word(), word());
            let why = match (load, active) {
                (_, "active") => return Ok(()),
                ("not-found", _) => "is no unit of this system".to_owned(),
                (_, "failed") => "has failed".to_owned(),
                (_, "inactive") if job.is_empty() && ["running", "degraded"].contains(&system) => {
                    "is inactive, and nothing starts it".to_owned()
                }
                _ if start.elapsed() > PATIENCE => {
                    format!("is {active} after {} s", start.elapsed().as_secs())
                }
                _ => {
                    sleep(PAUSE);
                    continue;
                }
            };
            bail!("`{unit}` {why}{}", self.explain(&[unit.to_owned()]));
        }
    }

    /// What a unit has written to the journal since the system was started, and what systemd has about it.
    ///
    /// # Errors
    ///
    /// When the guest does not answer.
    pub fn journal(&mut self, unit: &str) -> Result<String> {
        self.check(&format!("journalctl -b --no-pager -o short-monotonic -u {}", quoted(unit)))
    }

    /// Everything that may tell why these units are not well, from a guest that may not be either.
    fn explain(&mut self, units: &[String]) -> String {
        let mut text = String::new();
        for unit in units {
            let name = quoted(unit);
            let ask = format!(
                "systemctl status --no-pager -l -n 0 {name}; \
                 journalctl -b --no-pager -o short-monotonic -n {LINES} -u {name}"
            );
            let said = self.run(&ask).map_or_else(|error| format!("{error:#}"), |output| output.stdout);
            text.push_str(&format!("\n{unit}:\n"));
            said.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
        format!("{text}\nthe console:\n{}", tail(&self.console()))
    }
}

/// A word of a shell's.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_names_what_failed() {
        let state = |failed: &[&str]| State {
            word: "degraded".to_owned(),
            failed: failed.iter().map(|unit| (*unit).to_owned()).collect(),
        };
        assert_eq!(state(&[]).to_string(), "degraded");
        assert_eq!(state(&["a.service", "b.mount"]).to_string(), "degraded: a.service b.mount");
    }
}
