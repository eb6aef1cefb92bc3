//! HTTPS before a server of the harness.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bedplate_fixtures::certificate::der;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Passes what comes over TLS on to a port of this host, one answer for each request, until the test ends. Returns its
/// own port.
pub fn before(port: u16, certificate: &str, key: &str) -> u16 {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der(key)));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(der(certificate))], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let config = config.clone();
            // A client that does not believe the certificate goes away, which is what is tested.
            thread::spawn(move || pass(client?, config, port));
        }
    });
    own
}

fn pass(client: TcpStream, config: Arc<ServerConfig>, port: u16) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut client = BufReader::new(StreamOwned::new(connection, client));
    let mut server = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
    loop {
        let request = head(&mut client)?;
        if request.is_empty() {
            return Ok(());
        }
        server.get_mut().write_all(request.as_bytes())?;
        let answer = head(&mut server)?;
        client.get_mut().write_all(answer.as_bytes())?;
        let length = answer.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if request.starts_with("GET ") {
            let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            std::io::copy(&mut (&mut server).take(length), client.get_mut())?;
        }
        client.get_mut().flush()?;
    }
}

/// The lines up to an empty one, or nothing at the end.
fn head(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    while from.read_line(&mut text)? > 0 && !text.ends_with("\r\n\r\n") {}
    Ok(text)
}
