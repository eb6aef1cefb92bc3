//! Where files are really taken from: for a canonical address, those to ask, one after the other.
//!
//! A snapshot takes the place of the canonical base, and nothing else is asked beside it. Then, of these, the first
//! that says anything: `--mirror FROM=TO`, given once or several times; what the description says, and the canonical
//! base behind it; the host's own apt sources when the host runs the same distribution, and the canonical base behind
//! them. The lock knows nothing of it: a mirror is trusted with nothing, everything is verified by digest.
//!
//! sources.list(5). Deliberately absent: `mirror+file:`, `cdrom:` and other methods than HTTP(S). A login in an address
//! of the command line or of the host's sources is taken out of it: see [`Mirrors::keep_logins`].

mod sources;

use anyhow::{Result, bail};
use bedplate_core::Distribution;

pub use self::sources::HostSources;
use super::{Archive, Keys};
use crate::fetch::login::Logins;

/// Canonical bases and what stands for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// A canonical base, and the snapshots of it.
    snapshots: Vec<(String, Vec<String>)>,
    /// Pairs of the command line: they hold for the address of a snapshot, too.
    explicit: Vec<(String, String)>,
    /// A canonical base, and all that is asked for it.
    near: Vec<(String, Vec<String>)>,
}

/// An address to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Of the file.
    pub url: String,
    /// What it has in the place of the canonical base: one mirror, or one server.
    pub base: String,
}

impl Mirrors {
    /// Chooses for these archives. `explicit` are the pairs of the command line, `described` the description's
    /// mirrors of the distribution's main archive.
    pub fn choose(
        archives: &[Archive],
        explicit: &[(String, String)],
        described: &[String],
        host: &HostSources,
    ) -> Self {
        let mut mirrors = Self { explicit: explicit.to_vec(), ..Self::default() };
        for archive in archives {
            let Some(distribution) = archive.distribution else { continue };
            let base = archive.base.clone();
            if mirrors.near.iter().chain(&mirrors.snapshots).any(|(known, _)| *known == base) {
                continue;
            }
            if !archive.snapshots.is_empty() {
                mirrors.snapshots.push((base, archive.snapshots.clone()));
                continue;
            }
            let role = Role::of(&base, &archive.suite);
            // Ubuntu's mirrors carry the security pocket beside the others; Debian's do not.
            let covered = role == Role::Main || distribution == Distribution::Ubuntu;
            let own_key = matches!(archive.keys, Keys::Pinned { .. });
            let near: Vec<String> = match described {
                [_, ..] if covered => described.to_vec(),
                _ if own_key => Vec::new(),
                _ => host.mirror(distribution, &base, role).map(str::to_owned).into_iter().collect(),
            };
            if !near.is_empty() {
                // What is signed with another key than the distribution's is not to be had from it.
                let canonical = (!own_key).then(|| base.clone());
                mirrors.near.push((base, near.into_iter().chain(canonical).collect()));
            }
        }
        mirrors
    }

    /// Takes the logins out of all addresses, and keeps them for their hosts alone.
    pub fn keep_logins(&mut self, logins: &mut Logins) {
        for (_, to) in &mut self.explicit {
            *to = logins.take_from(to, "--mirror");
        }
        for base in self.near.iter_mut().flat_map(|(_, bases)| bases) {
            *base = logins.take_from(base, "the host's sources of apt");
        }
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

    /// The addresses to ask for what is at a canonical one, at least one, the first to be asked first.
    pub fn candidates(&self, url: &str) -> Vec<Candidate> {
        let frozen = longest(self.snapshots.iter(), url).next();
        let addresses: Vec<Candidate> = match frozen {
            Some(((_, bases), rest)) => bases.iter().map(|base| below(base, rest)).collect(),
            None => match longest(self.near.iter(), url).next() {
                Some(((_, bases), rest)) => bases.iter().map(|base| below(base, rest)).collect(),
                None => vec![Candidate { url: url.to_owned(), base: server(url).to_owned() }],
            },
        };
        // A pair is for what it names: the canonical address, or, where that is not asked, the snapshot's.
        let named = |address: &str| -> Vec<Candidate> {
            longest(self.explicit.iter(), address).map(|((_, to), rest)| below(to, rest)).collect()
        };
        if frozen.is_none() {
            let explicit = named(url);
            return if explicit.is_empty() { addresses } else { explicit };
        }
        let replaced = addresses.into_iter().map(|address| match named(&address.url) {
            explicit if explicit.is_empty() => vec![address],
            explicit => explicit,
        });
        replaced.flatten().collect()
    }
}

/// Of the pairs whose first half is above `url`, those with the longest, in order, with what follows it in `url`.
fn longest<'a, T>(
    pairs: impl Iterator<Item = &'a (String, T)> + Clone,
    url: &'a str,
) -> impl Iterator<Item = (&'a (String, T), &'a str)>
where
    T: 'a,
{
    let rest =
        move |from: &str| url.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let length = pairs.clone().filter(|(from, _)| rest(from).is_some()).map(|(from, _)| from.len()).max();
    let fits = pairs.filter(move |(from, _)| Some(from.len()) == length);
    fits.filter_map(move |pair| Some((pair, rest(&pair.0)?)))
}

fn below(base: &str, rest: &str) -> Candidate {
    let base = base.trim_end_matches('/');
    Candidate { url: format!("{base}{rest}"), base: base.to_owned() }
}

/// `http://archive.example` of `http://archive.example/debian/x`
fn server(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |at| &url[..host + at])
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
            distribution: match keys {
                Keys::Debian => Some(Distribution::Debian),
                Keys::Ubuntu => Some(Distribution::Ubuntu),
                Keys::Pinned { .. } => None,
            },
            keys,
            snapshots: Vec::new(),
            not_before: None,
            key_at: None,
            at: None,
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

    /// The addresses that are asked for the canonical one.
    fn asked(mirrors: &Mirrors, url: &str) -> Vec<String> {
        mirrors.candidates(url).into_iter().map(|candidate| candidate.url).collect()
    }

    fn explicit(pairs: &[&str]) -> Mirrors {
        let explicit = pairs.iter().map(|pair| Mirrors::parse_pair(pair).unwrap()).collect();
        Mirrors { explicit, ..Mirrors::default() }
    }

    #[test]
    fn a_mirror_replaces_the_base_and_nothing_beside_it() {
        let mirrors = explicit(&["http://a.example/debian/=https://b.example/d/"]);
        assert_eq!(asked(&mirrors, "http://a.example/debian/dists/x"), ["https://b.example/d/dists/x"]);
        let beside = "http://a.example/debian-security/x";
        assert_eq!(asked(&mirrors, beside), [beside]);
        assert_eq!(mirrors.candidates(beside)[0].base, "http://a.example");
    }

    #[test]
    fn the_longest_pair_wins() {
        let mirrors =
            explicit(&["http://a.example=http://1.example", "http://a.example/debian=http://2.example"]);
        assert_eq!(asked(&mirrors, "http://a.example/debian/x"), ["http://2.example/x"]);
        assert_eq!(asked(&mirrors, "http://a.example/ubuntu/x"), ["http://1.example/ubuntu/x"]);
    }

    #[test]
    fn a_pair_that_is_given_again_is_asked_when_the_first_does_not_answer() {
        let mirrors = explicit(&["http://a.example=http://1.example", "http://a.example=http://2.example"]);
        assert_eq!(asked(&mirrors, "http://a.example/x"), ["http://1.example/x", "http://2.example/x"]);
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
        let mirrors = Mirrors::choose(&trixie(), &[], &[], &host);
        for archive in trixie() {
            let canonical = archive.url("x");
            let near = canonical.replace("example.org", "near.example");
            assert_eq!(asked(&mirrors, &canonical), [near, canonical]);
        }
    }

    #[test]
    fn the_hosts_mirror_serves_no_other_distribution() {
        let host = HostSources::parse("ubuntu", &[("debian.sources", BOOKWORM)]);
        assert_eq!(Mirrors::choose(&trixie(), &[], &[], &host), Mirrors::default());
    }

    #[test]
    fn command_line_then_description_then_host() {
        let host = HostSources::parse("debian", &[("debian.sources", BOOKWORM)]);
        let explicit = [("http://example.org/debian".to_owned(), "http://explicit.example".to_owned())];
        let described = ["http://1.example".to_owned(), "http://2.example/".to_owned()];
        let base = "http://example.org/debian";
        let first = Mirrors::choose(&trixie(), &explicit, &described, &host);
        assert_eq!(asked(&first, base), ["http://explicit.example"]);
        let second = Mirrors::choose(&trixie(), &[], &described, &host);
        assert_eq!(asked(&second, base), ["http://1.example", "http://2.example", base]);
        // The description's mirror is one of the main archive; Debian's security archive is another.
        let security = "http://example.org/debian-security";
        assert_eq!(asked(&second, security), ["http://near.example/debian-security", security]);
    }

    #[test]
    fn what_another_key_signs_is_asked_of_nobody_who_has_the_distributions() {
        let host =
            HostSources::parse("ubuntu", &[("sources.list", "deb http://near.example/ubuntu noble main\n")]);
        let keys = Keys::Pinned { content: Vec::new(), fingerprint: None };
        let own = Archive {
            distribution: Some(Distribution::Ubuntu),
            ..archive("http://example.org/ubuntu", "noble", keys)
        };
        let described = ["http://own.example".to_owned()];
        let mirrors = Mirrors::choose(std::slice::from_ref(&own), &[], &described, &host);
        assert_eq!(asked(&mirrors, "http://example.org/ubuntu/x"), ["http://own.example/x"]);
        let mirrors = Mirrors::choose(&[own], &[], &[], &host);
        assert_eq!(asked(&mirrors, "http://example.org/ubuntu/x"), ["http://example.org/ubuntu/x"]);

        // Nor the security archive, which the description's mirror does not carry.
        let host = HostSources::parse("debian", &[("debian.sources", BOOKWORM)]);
        let keys = || Keys::Pinned { content: Vec::new(), fingerprint: None };
        let own = trixie().map(|archive| Archive { keys: keys(), ..archive });
        let mirrors = Mirrors::choose(&own, &[], &described, &host);
        let security = "http://example.org/debian-security/x";
        assert_eq!(asked(&mirrors, security), [security]);
    }

    #[test]
    fn a_snapshot_is_taken_from_nowhere_else() {
        let host = HostSources::parse("debian", &[("debian.sources", BOOKWORM)]);
        let frozen = trixie().map(|archive| {
            let of = if archive.suite.ends_with("-security") { "security" } else { "main" };
            let snapshots = vec![format!("http://then.example/{of}"), format!("http://second.example/{of}")];
            Archive { snapshots, ..archive }
        });
        let pairs = [
            ("http://example.org/debian".to_owned(), "http://live.example".to_owned()),
            ("http://second.example".to_owned(), "http://mirror.example".to_owned()),
        ];
        let mirrors = Mirrors::choose(&frozen, &pairs, &["http://described.example".to_owned()], &host);
        assert_eq!(
            asked(&mirrors, "http://example.org/debian/x"),
            ["http://then.example/main/x", "http://mirror.example/main/x"]
        );
        assert_eq!(
            asked(&mirrors, "http://example.org/debian-security/x"),
            ["http://then.example/security/x", "http://mirror.example/security/x"]
        );
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
        let mirrors = Mirrors::choose(&trixie(), &[], &[], &host);
        assert_eq!(asked(&mirrors, "http://example.org/debian"), ["http://example.org/debian"]);
        assert_eq!(asked(&mirrors, "http://example.org/debian-security")[0], "http://security.example");
    }

    #[test]
    fn ubuntus_ports_are_not_taken_for_its_main_archive() {
        let list = "deb http://ports.example/ubuntu-ports/ noble main\ndeb http://ports.example/ubuntu-ports noble-security main\n";
        let host = HostSources::parse("ubuntu", &[("sources.list", list)]);
        let amd64 = [archive("http://example.org/ubuntu", "noble", Keys::Ubuntu)];
        assert_eq!(Mirrors::choose(&amd64, &[], &[], &host), Mirrors::default());
        let arm64 = [archive("http://example.org/ubuntu-ports", "noble-security", Keys::Ubuntu)];
        let mirrors = Mirrors::choose(&arm64, &[], &[], &host);
        assert_eq!(
            asked(&mirrors, "http://example.org/ubuntu-ports")[0],
            "http://ports.example/ubuntu-ports"
        );
    }
}
