//! Where the shared cache is, and how it is asked.

use std::ffi::OsString;
use std::net::IpAddr;

use bedplate_core::secret::Secret;

use super::settings::ADDRESS;
use crate::error::UsageError;
use crate::fetch::login::{Logins, VARIABLE};

/// A server that is asked with plain GET and PUT, or a bucket.
#[derive(Debug)]
pub(super) enum Address {
    /// Its base, without a slash at its end.
    Http(String),
    #[cfg(feature = "s3")]
    S3(Box<super::s3::Bucket>),
}

/// What a request is sent to.
pub(super) struct Request {
    /// The signature of a request to S3 is in it.
    pub url: Secret,
    pub authorization: Option<Secret>,
}

impl Address {
    /// Reads `https://…`, `http://…` of an own network, or `s3://BUCKET/PREFIX`.
    pub fn parse(text: &str, variable: &dyn Fn(&str) -> Option<OsString>) -> anyhow::Result<Self> {
        let refuse = |why: &str| UsageError(format!("invalid `{ADDRESS}` `{text}`: {why}"));
        let Some((scheme, rest)) = text.trim_end_matches('/').split_once("://") else {
            return Err(refuse("give `https://HOST/PATH` or `s3://BUCKET/PREFIX`").into());
        };
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            let why = format!(
                "invalid `{ADDRESS}`: the address has a login in it; put it into `{}`, as \
                 `machine HOST login NAME password PASSWORD`",
                VARIABLE
            );
            return Err(UsageError(why).into());
        }
        if authority.is_empty() || rest.contains(['?', '#', ' ']) {
            return Err(refuse("give `https://HOST/PATH` or `s3://BUCKET/PREFIX`").into());
        }
        match scheme {
            "https" => Ok(Self::Http(format!("https://{rest}"))),
            "http" if is_own(authority) => Ok(Self::Http(format!("http://{rest}"))),
            "http" => Err(refuse(
                "on the way there everybody could read along; `http://` is for loopback and private networks, use \
                 `https://`",
            )
            .into()),
            #[cfg(feature = "s3")]
            "s3" => Ok(Self::S3(Box::new(super::s3::Bucket::open(rest, variable)?))),
            #[cfg(not(feature = "s3"))]
            "s3" => {
                let _ = variable;
                Err(refuse(
                    "this program was compiled without S3; compile it with the feature `s3` of `bedplate`, here by \
                     `cargo run --features s3 --bin xtask -- …`",
                )
                .into())
            }
            _ => Err(refuse("give `https://HOST/PATH` or `s3://BUCKET/PREFIX`").into()),
        }
    }

    /// Whether what goes there can be read on the way.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Http(base) => base.starts_with("http://"),
            #[cfg(feature = "s3")]
            Self::S3(bucket) => bucket.is_plain(),
        }
    }

    /// A request for what is under a name.
    pub fn get(&self, name: &str, logins: &Logins) -> Result<Request, String> {
        match self {
            Self::Http(base) => Ok(http(base, name, logins)),
            #[cfg(feature = "s3")]
            Self::S3(bucket) => bucket.get(name),
        }
    }

    /// A request that puts something under a name.
    pub fn put(&self, name: &str, logins: &Logins) -> Result<Request, String> {
        match self {
            Self::Http(base) => Ok(http(base, name, logins)),
            #[cfg(feature = "s3")]
            Self::S3(bucket) => bucket.put(name),
        }
    }

    /// What to do about a server that lets nobody in.
    pub fn advice(&self, logins: &Logins) -> String {
        match self {
            Self::Http(base) => logins.advice(base, logins.of(&format!("{base}/"))),
            #[cfg(feature = "s3")]
            Self::S3(_) => {
                "the role has to be allowed `s3:GetObject` and `s3:ListBucket`, and `s3:PutObject` to put \
                            something there"
                    .to_owned()
            }
        }
    }
}

fn http(base: &str, name: &str, logins: &Logins) -> Request {
    let url = format!("{base}/{name}");
    let authorization = logins.of(&url).map(|login| login.header.clone());
    Request { url: Secret::new(url), authorization }
}

/// Whether a host is this machine, or one of a network that is not public: by its address, or by a name that no public
/// server has.
fn is_own(authority: &str) -> bool {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => {
            let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
            !host.contains('.')
                || ["internal", "local", "localhost", "lan", "test", "home.arpa"].contains(&&*last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_own_networks() {
        for host in
            ["127.0.0.1:8080", "localhost", "10.1.2.3", "192.168.7.1:80", "[::1]:9", "[fd00::1]", "cache"]
        {
            assert!(is_own(host), "{host}");
        }
        for host in ["cache.build.internal", "nas.local:5000"] {
            assert!(is_own(host), "{host}");
        }
        for host in ["cache.example.com", "8.8.8.8", "172.32.0.1", "[2001:db8::1]:80", "internal.example.com"]
        {
            assert!(!is_own(host), "{host}");
        }
    }
}
