//! Host names, looked up once.
//!
//! The client asks for a host's addresses before every request, also when it then goes over a connection that is
//! open already. For three hundred packages that is three hundred questions to a name server, and one lost answer
//! costs five seconds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer is good. Archives move their names when a machine behind them is taken out.
const LIFETIME: Duration = Duration::from_secs(60);

/// Asks the system, and remembers.
#[derive(Debug, Default)]
pub(super) struct Names {
    system: DefaultResolver,
    known: Mutex<BTreeMap<String, (Instant, Vec<SocketAddr>)>>,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let host = format!("{host}:{}", uri.port_u16().unwrap_or_default());
        // Held while asking, so that the first of eight connections asks for all of them.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, addresses)) = known.get(&host)
            && asked.elapsed() < LIFETIME
        {
            let mut resolved = self.empty();
            addresses.iter().for_each(|&address| resolved.push(address));
            return Ok(resolved);
        }
        let resolved = self.system.resolve(uri, config, timeout)?;
        known.insert(host, (Instant::now(), resolved.to_vec()));
        Ok(resolved)
    }
}
