//! Which mirrors are asked for a distribution's archives: what the description says, and the canonical base behind it;
//! else the host's own apt sources when the host runs the same distribution, and the canonical base behind them. A
//! snapshot takes the place of all of them.
//!
//! sources.list(5). Deliberately absent: `mirror+file:`, `cdrom:` and other methods than HTTP(S).

mod sources;

use bedplate_core::Distribution;
use bedplate_core::value::Url;

pub use self::sources::HostSources;
use super::{Archive, Keys};
pub use crate::fetch::mirror::Mirrors;

impl Mirrors {
    /// Chooses for these archives. `explicit` are the pairs of the command line, `described` the description's
    /// mirrors of the distribution's main archive.
    pub fn choose(
        archives: &[Archive],
        explicit: &[(String, String)],
        described: &[Url],
        host: &HostSources,
    ) -> Self {
        let mut mirrors = Self { explicit: explicit.to_vec(), ..Self::default() };
        for archive in archives {
            let Some(distribution) = archive.distribution else { continue };
            let base = archive.base.to_string();
            if mirrors.near.iter().chain(&mirrors.snapshots).any(|(known, _)| *known == base) {
                continue;
            }
            if !archive.snapshots.is_empty() {
                mirrors.snapshots.push((base, texts(&archive.snapshots)));
                continue;
            }
            let role = Role::of(&base, &archive.suite);
            // Ubuntu's mirrors carry the security pocket beside the others; Debian's do not.
            let covered = role == Role::Main || distribution == Distribution::Ubuntu;
            let own_key = matches!(archive.keys, Keys::Pinned { .. });
            let near: Vec<String> = match described {
                [_, ..] if covered => texts(described),
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
}

fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(Url::to_string).collect()
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
            base: base.parse().unwrap(),
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
        let described = ["http://1.example", "http://2.example/"].map(|url| url.parse().unwrap());
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
        let described = ["http://own.example".parse().unwrap()];
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
            let snapshots = ["http://then.example", "http://second.example"]
                .map(|service| format!("{service}/{of}").parse().unwrap());
            Archive { snapshots: snapshots.into(), ..archive }
        });
        let pairs = [
            ("http://example.org/debian".to_owned(), "http://live.example".to_owned()),
            ("http://second.example".to_owned(), "http://mirror.example".to_owned()),
        ];
        let mirrors = Mirrors::choose(&frozen, &pairs, &["http://described.example".parse().unwrap()], &host);
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
