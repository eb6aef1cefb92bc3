//! Where files are really taken from: for a canonical address, those to ask, one after the other.
//!
//! A snapshot takes the place of the canonical base, and nothing else is asked beside it. Then, of these, the first
//! that says anything: `--mirror FROM=TO`, given once or several times; what was chosen for an archive
//! ([`Mirrors::choose`]). The lock knows nothing of it: a mirror is trusted with nothing, everything is verified by
//! digest.
//!
//! A login in an address is taken out of it: see [`Mirrors::keep_logins`].

use anyhow::{Result, bail};

use super::login::Logins;

/// Canonical bases and what stands for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// A canonical base, and the snapshots of it.
    pub(crate) snapshots: Vec<(String, Vec<String>)>,
    /// Pairs of the command line: they hold for the address of a snapshot, too.
    pub(crate) explicit: Vec<(String, String)>,
    /// A canonical base, and all that is asked for it.
    pub(crate) near: Vec<(String, Vec<String>)>,
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
