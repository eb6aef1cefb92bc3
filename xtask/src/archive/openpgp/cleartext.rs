//! The cleartext signature framework: a text with its signatures below.
//!
//! Specification: RFC 9580, section 7.

use super::armor;
use super::signature::{self, Signature};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
/// Names of digests that a text may announce. They decide nothing: each signature has its own.
const DIGESTS: [&str; 9] =
    ["MD5", "SHA1", "RIPEMD160", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3-256", "SHA3-512"];

/// A text and its signatures, none of which is verified.
#[derive(Debug)]
pub(super) struct Cleartext {
    /// What is signed, with `\r\n` at the ends of lines.
    pub text: String,
    pub signatures: Vec<Signature>,
}

/// Reads a signed text that is a whole file.
pub(super) fn parse(file: &str) -> Result<Cleartext, String> {
    let mut lines = file.split_inclusive('\n');
    let mut next = || lines.next().ok_or_else(|| "it has no end".to_owned());
    let first = next()?;
    if strip_line_end(first).0 != BEGIN {
        return Err("there is something behind its first marker".to_owned());
    }
    let mut at = first.len();
    loop {
        let line = next()?;
        at += line.len();
        let line = strip_line_end(line).0;
        if line.trim_matches([' ', '\t']).is_empty() {
            break;
        }
        let digests = line.strip_prefix("Hash: ").ok_or("there is another header than `Hash` in it")?;
        if let Some(unknown) = digests.split(',').find(|name| !is_digest(name)) {
            return Err(format!("unknown digest `{unknown}`"));
        }
    }
    let mut text = String::with_capacity(file.len());
    // The line end before the signatures is not signed.
    let mut line_end = "";
    let block = loop {
        let line = next()?;
        if line.starts_with("-----") {
            break file.get(at..).unwrap_or_default();
        }
        at += line.len();
        text.push_str(line_end);
        let (line, end) = strip_line_end(line);
        text.push_str(line.strip_prefix("- ").unwrap_or(line).trim_end_matches([' ', '\t']));
        line_end = if end.is_empty() { "" } else { "\r\n" };
    };
    if !block.starts_with("-----BEGIN PGP SIGNATURE-----") {
        return Err("there is no signature below the text".to_owned());
    }
    let (packets, after) = armor::decode(block)?;
    if !after.trim_ascii().is_empty() {
        return Err("there is something below the signature".to_owned());
    }
    let signatures = signature::all(&packets)?;
    Ok(Cleartext { text, signatures })
}

fn is_digest(name: &str) -> bool {
    DIGESTS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns a line and its end.
fn strip_line_end(line: &str) -> (&str, &str) {
    let content = line.strip_suffix("\r\n").or_else(|| line.strip_suffix('\n')).unwrap_or(line);
    line.split_at(content.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----\n\nwgEF\n-----END PGP SIGNATURE-----\n";

    fn text(body: &str) -> Result<String, String> {
        parse(&format!("{BEGIN}\nHash: SHA256,SHA512\nHash: sha1\n \n{body}{SIGNATURE}"))
            .map(|parsed| parsed.text)
    }

    #[test]
    fn the_text_is_what_the_lines_hold() {
        for (body, signed) in [
            ("", ""),
            ("\n", ""),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\r\n"),
            ("- -a \t\n- b\r\n c\r\r\n", "-a\r\nb\r\n c\r"),
            ("- -----BEGIN PGP SIGNATURE-----\n", "-----BEGIN PGP SIGNATURE-----"),
        ] {
            assert_eq!(text(body), Ok(signed.to_owned()), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_signed_text_is_refused() {
        let whole = format!("{BEGIN}\nHash: SHA256\n\ntext\n{SIGNATURE}");
        assert!(parse(&whole).is_ok());
        for (from, to) in [
            ("MESSAGE-----\n", "MESSAGE----- \n"),
            ("Hash: SHA256", "Hash: SHA255"),
            ("Hash: SHA256", "Comment: none"),
            ("text\n", "-----BEGIN PGP MESSAGE-----\n"),
            ("wgEF", "wgEFwgEE\ntext"),
            ("wgEF", "zQFh"),
            ("wgEF\n", ""),
            ("END PGP SIGNATURE-----\n", "END PGP SIGNATURE-----\ntext"),
        ] {
            assert!(parse(&whole.replace(from, to)).is_err(), "{from:?} {to:?}");
        }
    }
}
