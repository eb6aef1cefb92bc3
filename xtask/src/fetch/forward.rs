//! Plain http by way of a proxy, as every other client does it: the proxy is asked for the whole address.
//!
//! The client on its own asks it for a tunnel (`CONNECT`) to port 80, which squid refuses as it is delivered, and
//! through which no proxy can keep what it has fetched. RFC 9112, section 3.2.2:
//! <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2>. What is encrypted goes through a tunnel, as it must.

use std::io;

use base64ct::{Base64, Encoding};
use ureq::config::Config;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Error, Proxy, ProxyProtocol};

const METHOD: &[u8] = b"GET ";

/// Opens every connection; knows what to do where a proxy is to be asked for plain http.
#[derive(Debug)]
pub(super) struct Forward {
    /// Opens all others, and the one to the proxy.
    inner: DefaultConnector,
    /// The client's configuration without a proxy: nobody asks one for the way to itself.
    direct: Config,
}

impl Forward {
    pub(super) fn new(direct: Config) -> Self {
        Self { inner: DefaultConnector::new(), direct }
    }
}

impl Connector<()> for Forward {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        let proxy = details.config.proxy().filter(|proxy| {
            let speaks_http = matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
            speaks_http && !details.needs_tls() && !proxy.is_no_proxy(details.uri)
        });
        let (Some(proxy), Some(target)) = (proxy, details.uri.authority()) else {
            return self.inner.connect(details, chained);
        };
        // Or it reads as if the server had failed.
        let unreachable = |error| match error {
            Error::Io(error) => {
                let proxy = format!("the proxy `{}:{}`", proxy.host(), proxy.port());
                Error::Io(io::Error::other(format!("{proxy}: {error}")))
            }
            other => other,
        };
        let addrs = details.resolver.resolve(proxy.uri(), &self.direct, details.timeout);
        let to_proxy = ConnectionDetails {
            uri: proxy.uri(),
            addrs: addrs.map_err(unreachable)?,
            config: &self.direct,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let Some(connection) = self.inner.connect(&to_proxy, chained).map_err(unreachable)? else {
            return Ok(None);
        };
        // A name and a password in the address are the server's: they go in a header.
        let server = target.as_str().rsplit('@').next().unwrap_or_default();
        let forwarded = Forwarded {
            connection,
            server: format!("http://{server}").into_bytes(),
            header: authorization(proxy).into_bytes(),
        };
        Ok(Some(Box::new(forwarded)))
    }
}

/// The header line for a proxy that asks for a name and a password.
fn authorization(proxy: &Proxy) -> String {
    if proxy.username().is_none() && proxy.password().is_none() {
        return String::new();
    }
    let (name, password) = (proxy.username().unwrap_or_default(), proxy.password().unwrap_or_default());
    let credentials = Base64::encode_string(format!("{name}:{password}").as_bytes());
    format!("Proxy-Authorization: Basic {credentials}\r\n")
}

/// A connection to a proxy, for requests to one server.
struct Forwarded {
    connection: Box<dyn Transport>,
    /// Stands before the path: `http://archive.example`.
    server: Vec<u8>,
    /// Stands after the request's line: empty, or a header with its line's end.
    header: Vec<u8>,
}

impl std::fmt::Debug for Forwarded {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarded").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Forwarded {
    /// Puts server and header into the request that begins the output, whose length this returns.
    fn readdress(&mut self, length: usize) -> Result<usize, Error> {
        let output = self.connection.buffers().output();
        let request = &output[..length];
        let line = request.windows(2).position(|end| end == b"\r\n").map(|at| at + 2);
        let Some(line) = line.filter(|_| request.starts_with(METHOD)) else { return Ok(length) };
        let (path, headers) = (METHOD.len()..line, line..length);
        let parts = [METHOD, &self.server, &request[path], &self.header, &request[headers]].concat();
        let room = output.get_mut(..parts.len());
        let too_long = || Error::Io(io::Error::other("the request is too long for the proxy"));
        room.ok_or_else(too_long)?.copy_from_slice(&parts);
        Ok(parts.len())
    }
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let amount = self.readdress(amount)?;
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.connection.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use ureq::Agent;
    use ureq::unversioned::resolver::DefaultResolver;

    use super::*;

    fn agent(proxy: &str) -> Agent {
        let config = || Agent::config_builder().user_agent("test").accept("").accept_encoding("");
        let with_proxy = config().proxy(Some(Proxy::new(proxy).unwrap())).build();
        let forward = Forward::new(config().proxy(None).build());
        Agent::with_parts(with_proxy, forward, DefaultResolver::default())
    }

    /// What a proxy is sent over one connection by a client that asks for `urls`.
    fn asked(urls: &[&str]) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://who:let%20me@{}", listener.local_addr().unwrap());
        let requests = urls.len();
        let proxy = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let request = |_| {
                let head: Vec<String> =
                    lines.by_ref().map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
                connection.write_all(b"HTTP/1.1 203 Of A Proxy\r\nContent-Length: 3\r\n\r\nyes").unwrap();
                head.join("\n")
            };
            (0..requests).map(request).collect()
        });
        let agent = agent(&address);
        for url in urls {
            if let Ok(mut response) = agent.get(*url).call() {
                assert_eq!(response.body_mut().read_to_string().unwrap(), "yes");
            }
        }
        proxy.join().unwrap()
    }

    #[test]
    fn the_proxy_is_asked_for_the_whole_address_of_what_is_plain() {
        let found = asked(&["http://archive.example/ubuntu/pool/a_1%3a2.deb?b", "http://archive.example/"]);
        expect_test::expect![[r#"
            GET http://archive.example/ubuntu/pool/a_1%3a2.deb?b HTTP/1.1
            Proxy-Authorization: Basic d2hvOmxldCBtZQ==
            user-agent: test
            host: archive.example

            GET http://archive.example/ HTTP/1.1
            Proxy-Authorization: Basic d2hvOmxldCBtZQ==
            user-agent: test
            host: archive.example"#]]
        .assert_eq(&found.join("\n\n"));
    }

    #[test]
    fn a_proxy_that_cannot_be_reached_is_named() {
        let error =
            agent("http://127.0.0.1:1").get("http://archive.example/").call().unwrap_err().to_string();
        assert!(error.contains("the proxy `127.0.0.1:1`: "), "{error}");
    }

    #[test]
    fn the_proxy_is_asked_for_a_tunnel_to_what_is_encrypted() {
        let found = asked(&["https://archive.example/ubuntu"]);
        assert!(found[0].starts_with("CONNECT archive.example:443 HTTP/1.1\n"), "{found:?}");
    }
}
