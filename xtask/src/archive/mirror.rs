//! Where files are really taken from: a canonical base replaced by a mirror's.
//!
//! In this order: a snapshot's base, what `--mirror FROM=TO` says, what the description says, the host's own apt sources when the
//! host runs the same distribution, the canonical base. The lock knows nothing of it: a mirror is trusted with
//! nothing, everything is verified by digest.
//!
//! sources.list(5). Deliberately absent: `mirror+file:`, `cdrom:` and other methods than HTTP(S), and credentials.

mod sources;

use anyhow::{Result, bail};

pub use self::sources::HostSources;
use super::{Archive, Keys};

/// Canonical bases and what replaces them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    pairs: Vec<(String, String)>,
}

impl Mirrors {
    /// Chooses for these archives. `explicit` are the pairs of the command line, `described` the description's
    /// mirror of the distribution's main archive.
    pub fn choose(
        archives: &[Archive],
        explicit: &[(String, String)],
        described: Option<&str>,
        host: &HostSources,
    ) -> Self {
        let snapshots =
            archives.iter().filter_map(|archive| Some((archive.base.clone(), archive.snapshot.clone()?)));
        let mut mirrors = Self { pairs: snapshots.chain(explicit.iter().cloned()).collect() };
        for archive in archives {
            let distribution = match archive.keys {
                Keys::Debian => "debian",
                Keys::Ubuntu => "ubuntu",
                Keys::Pinned { .. } => continue,
            };
            if mirrors.replaces(&archive.base) {
                continue;
            }
            let role = Role::of(&archive.base, &archive.suite);
            // Ubuntu's mirrors carry the security pocket beside the others; Debian's do not.
            let covered = role == Role::Main || distribution == "ubuntu";
            let mirror = described
                .filter(|_| covered)
                .map(str::to_owned)
                .or_else(|| host.mirror(distribution, &archive.base, role).map(str::to_owned));
            if let Some(mirror) = mirror {
                mirrors.pairs.push((archive.base.clone(), mirror));
            }
        }
        mirrors
    }

    /// Reads `FROM=TO`, both `http:` or `https:`.
    pub fn parse_pair(text: &str) -> Result<(String, String)> {
        let is_url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        match text.split_once('=') {
            Some((from, to)) if is_url(from) && is_url(to) => {
                Ok((from.trim_end_matches('/').to_owned(), to.trim_end_matches('/').to_owned()))
            }
            _ => bail!("`{text}` is no `FROM=TO` of two `http://` or `https://` addresses"),
        }
    }

    /// The URL to fetch instead of a canonical one: of the pairs that fit, the one with the longest `FROM` wins,
    /// and of equal ones the first.
    pub fn substitute(&self, url: &str) -> String {
        let mut best: Option<(&str, &str, &str)> = None;
        for (from, to) in &self.pairs {
            let from = from.trim_end_matches('/');
            if let Some(rest) = url.strip_prefix(from)
                && (rest.is_empty() || rest.starts_with('/'))
                && best.is_none_or(|(longest, ..)| longest.len() < from.len())
            {
                best = Some((from, to, rest));
            }
        }
        best.map_or_else(|| url.to_owned(), |(_, to, rest)| format!("{}{rest}", to.trim_end_matches('/')))
    }

    fn replaces(&self, base: &str) -> bool {
        self.substitute(base) != base
    }
}

/// Which of a distribution's archives one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    Security,
}

impl Role {
    fn of(base: &str, suite: &str) -> Self {
        let in_path = base.split('/').any(|segment| segment == "debian-security");
        // Debian's security archive was once suite `buster/updates`.
        if in_path || suite.ends_with("-security") || suite.ends_with("/updates") {
            Self::Security
        } else {
            Self::Main
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(base: &str, suite: &str, keys: Keys) -> Archive {
        Archive {
            base: base.to_owned(),
            suite: suite.to_owned(),
            pocket: "release".to_owned(),
            components: vec!["main".to_owned()],
            keys,
            snapshot: None,
        }
    }

    fn trixie() -> [Archive; 3] {
        [
            archive("http://example.org/debian", "trixie", Keys::Debian),
            archive("http://example.org/debian", "trixie-updates", Keys::Debian),
            archive("http://example.org/debian-security", "trixie-security", Keys::Debian),
        ]
    }

    const BOOKWORM: &str = "\
Types: deb
# http://old.example/
URIs: http://near.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://near.example/debian-security
Suites: bookworm-security
Components: main
";

    #[test]
    fn a_mirror_replaces_the_base_and_nothing_beside_it() {
        let mirrors = Mirrors {
            pairs: vec![("http://a.example/debian".to_owned(), "https://b.example/d/".to_owned())],
        };
        assert_eq!(mirrors.substitute("http://a.example/debian/dists/x"), "https://b.example/d/dists/x");
        assert_eq!(
            mirrors.substitute("http://a.example/debian-security/x"),
            "http://a.example/debian-security/x"
        );
    }

    #[test]
    fn the_longest_pair_wins() {
        let pairs = ["http://a.example=http://1.example", "http://a.example/debian=http://2.example"];
        let mirrors =
            Mirrors { pairs: pairs.iter().map(|pair| Mirrors::parse_pair(pair).unwrap()).collect() };
        assert_eq!(mirrors.substitute("http://a.example/debian/x"), "http://2.example/x");
        assert_eq!(mirrors.substitute("http://a.example/ubuntu/x"), "http://1.example/ubuntu/x");
    }

    #[test]
    fn a_pair_of_anything_but_two_addresses_is_refused() {
        for text in ["", "http://a.example", "http://a.example=", "file:///x=http://a.example"] {
            let error = Mirrors::parse_pair(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is no `FROM=TO` of two `http://` or `https://` addresses"));
        }
    }

    #[test]
    fn the_hosts_mirror_serves_another_release_of_its_distribution() {
        let host = HostSources::parse("debian", &[("debian.sources", BOOKWORM)]);
        let mirrors = Mirrors::choose(&trixie(), &[], None, &host);
        let substituted = trixie().map(|archive| mirrors.substitute(&archive.url("x")));
        let expected =
            ["debian/x", "debian/x", "debian-security/x"].map(|path| format!("http://near.example/{path}"));
        assert_eq!(substituted, expected);
    }

    #[test]
    fn the_hosts_mirror_serves_no_other_distribution() {
        let host = HostSources::parse("ubuntu", &[("debian.sources", BOOKWORM)]);
        assert_eq!(Mirrors::choose(&trixie(), &[], None, &host), Mirrors::default());
    }

    #[test]
    fn command_line_then_description_then_host() {
        let host = HostSources::parse("debian", &[("debian.sources", BOOKWORM)]);
        let explicit = [("http://example.org/debian".to_owned(), "http://explicit.example".to_owned())];
        let base = "http://example.org/debian";
        let first = Mirrors::choose(&trixie(), &explicit, Some("http://described.example"), &host);
        assert_eq!(first.substitute(base), "http://explicit.example");
        let second = Mirrors::choose(&trixie(), &[], Some("http://described.example"), &host);
        assert_eq!(second.substitute(base), "http://described.example");
        // The description's mirror is one of the main archive; Debian's security archive is another.
        assert_eq!(
            second.substitute("http://example.org/debian-security"),
            "http://near.example/debian-security"
        );
    }

    #[test]
    fn a_snapshot_is_taken_from_nowhere_else() {
        let host = HostSources::parse("debian", &[("debian.sources", BOOKWORM)]);
        let frozen = trixie().map(|archive| Archive {
            snapshot: Some(format!("http://then.example/{}", archive.suite)),
            ..archive
        });
        let explicit = [("http://example.org/debian".to_owned(), "http://explicit.example".to_owned())];
        let mirrors = Mirrors::choose(&frozen, &explicit, Some("http://described.example"), &host);
        assert_eq!(mirrors.substitute("http://example.org/debian/x"), "http://then.example/trixie/x");
        let security = mirrors.substitute("http://example.org/debian-security/x");
        assert_eq!(security, "http://then.example/trixie-security/x");
    }

    #[test]
    fn third_party_entries_of_the_host_are_no_mirrors() {
        let third = "\
deb http://docker.example/linux/debian bookworm stable
deb [arch=amd64 signed-by=/x.gpg] https://repo.example/zabbix/debian bookworm main
deb-src http://near.example/debian bookworm main
deb cdrom:[x]/debian bookworm main
# deb http://commented.example/debian bookworm main
deb http://security.example bookworm-security main
";
        let host = HostSources::parse("debian", &[("sources.list", third)]);
        let mirrors = Mirrors::choose(&trixie(), &[], None, &host);
        assert_eq!(mirrors.substitute("http://example.org/debian"), "http://example.org/debian");
        assert_eq!(mirrors.substitute("http://example.org/debian-security"), "http://security.example");
    }

    #[test]
    fn ubuntus_ports_are_not_taken_for_its_main_archive() {
        let list = "deb http://ports.example/ubuntu-ports/ noble main\ndeb http://ports.example/ubuntu-ports noble-security main\n";
        let host = HostSources::parse("ubuntu", &[("sources.list", list)]);
        let amd64 = [archive("http://example.org/ubuntu", "noble", Keys::Ubuntu)];
        assert_eq!(Mirrors::choose(&amd64, &[], None, &host), Mirrors::default());
        let arm64 = [archive("http://example.org/ubuntu-ports", "noble-security", Keys::Ubuntu)];
        let mirrors = Mirrors::choose(&arm64, &[], None, &host);
        assert_eq!(
            mirrors.substitute("http://example.org/ubuntu-ports"),
            "http://ports.example/ubuntu-ports"
        );
    }
}
