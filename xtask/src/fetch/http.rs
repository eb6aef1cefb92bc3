//! The HTTP client: what it asks, whom it trusts, how long it waits.

use std::env;
use std::sync::{Arc, OnceLock};

use ureq::config::{ConfigBuilder, RedirectAuthHeaders};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::{AgentScope, WithBody, WithoutBody};
use ureq::{Agent, RequestBuilder};

use super::Patience;
use super::forward::Forward;
use super::names::Names;

/// The client, made when it is first used. Clones share it and its idle connections.
#[derive(Debug, Clone)]
pub(super) struct Client {
    patience: Patience,
    /// Whether no proxy is asked.
    direct: bool,
    // Reading a few hundred certificates takes time that a build with a full store need not spend.
    agent: Arc<OnceLock<Agent>>,
}

impl Client {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, direct: false, agent: Arc::default() }
    }

    /// The same that asks no proxy.
    pub(super) fn direct(patience: Patience) -> Self {
        Self { direct: true, ..Self::new(patience) }
    }

    pub(super) fn get(&self, url: &str) -> RequestBuilder<WithoutBody> {
        self.agent().get(url)
    }

    pub(super) fn put(&self, url: &str) -> RequestBuilder<WithBody> {
        self.agent().put(url)
    }

    fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| agent(self.patience, self.direct))
    }
}

fn agent(patience: Patience, is_direct: bool) -> Agent {
    let tls = TlsConfig::builder().root_certs(host_certificates()).build();
    let direct = config(patience, &tls).proxy(None).build();
    let own = if is_direct { direct.clone() } else { config(patience, &tls).build() };
    Agent::with_parts(own, Forward::new(direct), Names::default())
}

/// With the proxy of the environment.
fn config(patience: Patience, tls: &TlsConfig) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        // What asks for a login and sends on to another server gets none there.
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .user_agent(concat!("bedplate/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_per_read(Some(patience.progress))
        .timeout_per_write(Some(patience.progress))
        .max_idle_connections(32)
        .max_idle_connections_per_host(16)
        .tls_config(tls.clone())
}

/// The certificate authorities of the host where it has a bundle, else Mozilla's as compiled in.
///
/// A company's own authority is in the host's bundle and nowhere else.
fn host_certificates() -> RootCerts {
    let bundles = env::var("SSL_CERT_FILE").into_iter().chain(
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"]
            .map(str::to_owned),
    );
    for bundle in bundles {
        let Ok(pem) = std::fs::read(bundle) else { continue };
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if !certificates.is_empty() {
            return RootCerts::new_with_certs(&certificates);
        }
    }
    RootCerts::WebPki
}
