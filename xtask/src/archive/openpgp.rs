//! Signatures over `InRelease` and over vendors' packages, verified in this process against pinned keys.
//!
//! Specification: RFC 9580, sections 5.2 (signatures), 7 (cleartext signature framework), 10.1 (keys).
//!
//! What OpenPGP's bytes mean is read by the modules below, and `ring` does the arithmetic. What a signature is worth is
//! decided here:
//! * the signed text is the whole file: text outside the armour is refused;
//! * a file that is no text is signed as it is: a signature that lets line ends change is none for it;
//! * a key counts through a self-signature that holds, a subkey through its binding *and* its own signature back;
//! * a revoked or expired key counts for nothing, a subkey as little as its primary key;
//! * MD5, SHA-1 and RIPEMD-160 count for nothing, in a self-signature as little as over the text;
//! * a key pinned by its fingerprint needs no self-signature to vouch for it, so that may be over SHA-1, as the keys of
//!   some archives and vendors are; it still says until when the key is good. The fingerprint of a primary key does not
//!   vouch for its subkeys, whose bindings must be strong; a subkey with a weak one is pinned by its own fingerprint;
//! * one valid signature of one pinned key is enough: Debian signs with the keys of several releases;
//! * RSA with 2048 to 8192 bits, Ed25519, and ECDSA with P-256 over SHA-256 and P-384 over SHA-384 are verified. With
//!   anything else a signature counts for nothing, but a revocation counts, and so does a self-signature that would
//!   replace an older one: what cannot be verified never makes a key better.
//!
//! Deliberately absent: the web of trust, designated revokers, certificates from anywhere but the keyring.

use thiserror::Error;

use self::key::{Certificate, PublicKey, Subkey};
use self::signature::{Signature, kind};
use self::verify::{Flaw, Signed, check, digest_name};

mod armor;
mod cleartext;
mod key;
mod packet;
mod signature;
#[cfg(test)]
mod tests;
mod verify;

/// Public keys whose signature counts.
#[derive(Debug, Clone)]
pub struct Keyring {
    keys: Vec<Certificate>,
    pinned: Pinned,
}

/// What a description names by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pinned {
    /// Nothing: every key of the file counts.
    No,
    /// The primary key, and through it its subkeys.
    Primary,
    /// One subkey: the other keys of its owner do not count.
    Subkey(String),
}

/// A text and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The signed text, with `\n` at the ends of lines.
    pub text: String,
    /// Fingerprint of the primary key, 40 or 64 upper-case hexadecimal digits.
    pub fingerprint: String,
    /// When it was signed, in seconds after 1970.
    pub created: i64,
}

/// Why a signed text is not believed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// The keyring is not one.
    #[error("not an OpenPGP keyring: {0}")]
    Keyring(String),
    /// The keyring lacks the key the description names.
    #[error("the keyring has no key `{fingerprint}`, only {}", list(found))]
    NotInKeyring {
        /// What was asked for.
        fingerprint: String,
        /// What is there.
        found: Vec<String>,
    },
    /// No cleartext signature, or something around it.
    #[error("not a signed text: {0}")]
    Malformed(String),
    /// A file in the place of a detached signature is none.
    #[error("not a detached signature: {0}")]
    NoSignature(String),
    /// None of the signatures is by a pinned key.
    #[error("signed by {}, and by no pinned key ({})", list(signers), list(pinned))]
    Stranger {
        /// Who signed, by key id or fingerprint.
        signers: Vec<String>,
        /// Whose signature would count.
        pinned: Vec<String>,
    },
    /// Signatures by pinned keys are there, and none counts.
    #[error("no signature counts: {}", reasons.join("; "))]
    Refused {
        /// One for every signature by a pinned key.
        reasons: Vec<String>,
    },
}

impl Keyring {
    /// Reads keys: binary, or one or several armoured blocks with anything between them.
    ///
    /// A key of an unknown kind is passed over where there is another one.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let packets = armor::packets(bytes)?;
        let mut failure = None;
        let keys: Vec<_> = key::certificates(&packets)
            .into_iter()
            .filter_map(|key| key.map_err(|reason| failure.get_or_insert(reason).len()).ok())
            .collect();
        if keys.is_empty() {
            let reason = failure.unwrap_or_else(|| "no key in it".to_owned());
            return Err(SignatureError::Keyring(reason));
        }
        Ok(Self { keys, pinned: Pinned::No })
    }

    /// The keyring with this one key of it, named by its fingerprint (spaces and letter case do not matter): of a
    /// subkey, with the primary key that it belongs to, whose own signature then does not count.
    pub fn only(self, fingerprint: &str) -> Result<Self, SignatureError> {
        let wanted: String =
            fingerprint.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
        let found = self.fingerprints();
        let (primary, others): (Vec<_>, Vec<_>) =
            self.keys.into_iter().partition(|key| key.primary.fingerprint == wanted);
        if !primary.is_empty() {
            return Ok(Self { keys: primary, pinned: Pinned::Primary });
        }
        let has_subkey =
            |key: &Certificate| key.subkeys.iter().any(|subkey| subkey.key.fingerprint == wanted);
        let keys: Vec<_> = others.into_iter().filter(has_subkey).collect();
        if keys.is_empty() {
            return Err(SignatureError::NotInKeyring { fingerprint: wanted, found });
        }
        Ok(Self { keys, pinned: Pinned::Subkey(wanted) })
    }

    /// The keys as packets, without armour: what [`Keyring::parse`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.keys.iter().flat_map(|key| &key.bytes).copied().collect()
    }

    /// Fingerprints of the primary keys.
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.primary.fingerprint.clone()).collect()
    }

    /// For messages: the keys with their fingerprints, and whose they are; of many, the first two.
    pub fn named(&self) -> String {
        let named = |key: &Certificate| {
            let user = key.users.first().map(|user| String::from_utf8_lossy(&user.id).into_owned());
            format!(
                "`{}`{}",
                key.primary.fingerprint,
                user.map(|user| format!(" ({user})")).unwrap_or_default()
            )
        };
        match self.keys.as_slice() {
            [one] => format!("the key {}", named(one)),
            keys => {
                let named: Vec<String> = keys.iter().take(2).map(named).collect();
                let more = keys.len().saturating_sub(2);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("one of the keys {}{more}", named.join(", "))
            }
        }
    }

    /// The text of a cleartext-signed message, if a key of this ring signed it.
    ///
    /// The key must be good at `now` (seconds after 1970), or, with `frozen`, when the signature says it was made:
    /// a snapshot outlives the key it was signed with.
    pub fn verify(&self, message: &[u8], now: i64, frozen: bool) -> Result<Verified, SignatureError> {
        let text =
            std::str::from_utf8(message).map_err(|error| SignatureError::Malformed(error.to_string()))?;
        for (fits, does, marker) in
            [(text.starts_with(BEGIN), "begin", BEGIN), (text.trim_ascii_end().ends_with(END), "end", END)]
        {
            if !fits {
                return Err(SignatureError::Malformed(format!("it does not {does} with `{marker}`")));
            }
        }
        let message = cleartext::parse(text).map_err(SignatureError::Malformed)?;
        let content = Content { bytes: message.text.as_bytes(), is_text: true };
        let (key, created) = self.judge(&message.signatures, content, now, frozen)?;
        let text = message.text.replace("\r\n", "\n");
        Ok(Verified { text, fingerprint: key.primary.fingerprint.clone(), created })
    }

    /// The text that a detached signature is over, if a key of this ring made it: `Release` with its `Release.gpg`.
    /// `now` and `frozen` are as for [`Keyring::verify`].
    pub fn verify_apart(
        &self,
        text: &[u8],
        signature: &[u8],
        now: i64,
        frozen: bool,
    ) -> Result<Verified, SignatureError> {
        let content = Content { bytes: text, is_text: true };
        let (key, created) = self.judge(&detached(signature)?, content, now, frozen)?;
        let text = std::str::from_utf8(text).map_err(|error| SignatureError::Malformed(error.to_string()))?;
        let text = text.replace("\r\n", "\n");
        Ok(Verified { text, fingerprint: key.primary.fingerprint.clone(), created })
    }

    /// Whose detached signature, binary or armoured, is over `file`: the fingerprint of a key of this ring that is
    /// good at `now` (seconds after 1970). The ring has been narrowed to a pinned key: see [`Keyring::only`].
    pub fn verify_detached(&self, file: &[u8], signature: &[u8], now: i64) -> Result<String, SignatureError> {
        let content = Content { bytes: file, is_text: false };
        let (key, _) = self.judge(&detached(signature)?, content, now, false)?;
        Ok(key.primary.fingerprint.clone())
    }

    /// The first key of this ring that made one of the signatures, and when.
    fn judge(
        &self,
        signatures: &[Signature],
        content: Content<'_>,
        now: i64,
        frozen: bool,
    ) -> Result<(&Certificate, i64), SignatureError> {
        let mut reasons = Vec::new();
        for signature in signatures {
            for key in &self.keys {
                match verify_by(signature, content, key, &self.pinned, now, frozen) {
                    Outcome::Valid { created } => return Ok((key, created)),
                    Outcome::Refused(reason) => {
                        reasons.push(format!("key `{}` {reason}", key.primary.fingerprint))
                    }
                    Outcome::NotBy => {}
                }
            }
        }
        if !reasons.is_empty() {
            return Err(SignatureError::Refused { reasons });
        }
        let signers = signatures.iter().map(Signature::issuer).collect();
        Err(SignatureError::Stranger { signers, pinned: self.fingerprints() })
    }
}

impl SignatureError {
    /// What a person can do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Keyring(_) => {
                "put the public key into the file, armored or binary, as its owner publishes it"
            }
            Self::NotInKeyring { .. } => {
                "when its owner has a new key, compare its fingerprint with the owner's documentation, and pin that"
            }
            Self::Stranger { .. } => {
                "when its owner has a new key, compare its fingerprint with the owner's documentation"
            }
            Self::NoSignature(_) | Self::Malformed(_) => "check the address",
            Self::Refused { reasons } => {
                let any = |what: &str| reasons.iter().any(|reason| reason.contains(what));
                match () {
                    () if any(BY_ITSELF) && any(OF_A_SUBKEY) => {
                        "pin the subkey that signed by its own fingerprint: then the digest that binds it does not \
                         matter"
                    }
                    () if any(BY_ITSELF) => {
                        "pin the key with `.pinned(\"…\")` and its whole fingerprint: then the digest of its \
                         self-signature does not matter"
                    }
                    () if any("too weak") => {
                        "ask its owner for a signature over SHA-256; SHA-1 can be forged, and is accepted from nobody"
                    }
                    () => "do not use this file; try again later, and ask its owner when it stays so",
                }
            }
        }
    }
}

/// Of a key that a digest like SHA-1 vouches for.
const BY_ITSELF: &str = "signed itself with";
/// Of a subkey that is not bound, or not well enough.
const OF_A_SUBKEY: &str = "for the subkey that signed";

/// The signatures in a file of its own, binary or armoured.
fn detached(file: &[u8]) -> Result<Vec<Signature>, SignatureError> {
    let text = file.trim_ascii_start();
    let read = || {
        if text.starts_with(b"-----BEGIN PGP SIGNATURE-----") {
            let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
            signature::all(&armor::decode(text)?.0)
        } else {
            signature::all(file)
        }
    };
    read().map_err(SignatureError::NoSignature)
}

/// What was signed.
#[derive(Clone, Copy)]
struct Content<'a> {
    bytes: &'a [u8],
    /// In a text, line ends do not count.
    is_text: bool,
}

enum Outcome {
    Valid { created: i64 },
    Refused(String),
    NotBy,
}

/// What a signature is worth when it comes from `key` or one of its subkeys.
fn verify_by(
    signature: &Signature,
    content: Content<'_>,
    key: &Certificate,
    pinned: &Pinned,
    now: i64,
    frozen: bool,
) -> Outcome {
    let Content { bytes, is_text } = content;
    let what = if is_text { "text" } else { "file" };
    let by_primary = signature.is_by(&key.primary);
    let subkey = key.subkeys.iter().find(|subkey| signature.is_by(&subkey.key));
    let counts = match (pinned, subkey) {
        (Pinned::Subkey(wanted), Some(subkey)) => subkey.key.fingerprint == *wanted,
        (Pinned::Subkey(_), None) => false,
        _ => by_primary || subkey.is_some(),
    };
    if !counts {
        return Outcome::NotBy;
    }
    let judge = || -> Result<i64, String> {
        let fits = match signature.kind {
            Some(kind::BINARY) => true,
            Some(kind::TEXT) => is_text,
            _ => false,
        };
        if !fits {
            return Err(format!("signed something that is no {what}"));
        }
        strong(signature, &format!("the {what}"))?;
        let by = subkey.map_or(&key.primary, |subkey| &subkey.key);
        check(signature, by, Signed::Document(bytes)).map_err(|flaw| match flaw {
            Flaw::Wrong => format!("did not make this signature, or the {what} was changed"),
            Flaw::Unsupported(how) => unsupported(&format!("the {what}"), &how),
        })?;

        let created = signature.created.ok_or("does not say when it signed")?;
        if created > now + CLOCK_SKEW {
            return Err(format!("signed in the future, on {}", day(created)));
        }
        let now = if frozen { created } else { now };
        if let Some(lifetime) = signature.expires
            && lifetime > 0
            && created + lifetime < now
        {
            return Err(format!("made a signature that expired on {}", day(created + lifetime)));
        }
        let primary_may_sign = primary_is_good(key, now, *pinned != Pinned::No)?;
        match subkey {
            None if primary_may_sign => {}
            None => return Err("may not sign".to_owned()),
            Some(subkey) => subkey_is_good(key, subkey, pinned, now)?,
        }
        Ok(created)
    };
    match judge() {
        Ok(created) => Outcome::Valid { created },
        Err(reason) => Outcome::Refused(reason),
    }
}

/// Whether a primary key is alive at `now`; says whether it may sign. Of one that is `pinned`, the self-signature is
/// believed over a weak digest, too.
fn primary_is_good(key: &Certificate, now: i64, pinned: bool) -> Result<bool, String> {
    let primary = &key.primary;
    let revoked =
        key.revocations.iter().find(|signature| revokes(check(signature, primary, Signed::Key(primary))));
    if let Some(revocation) = revoked {
        return Err(format!(
            "was revoked on {}",
            revocation.created.map_or_else(|| "an unknown day".to_owned(), day)
        ));
    }
    let certifications = key.users.iter().flat_map(|user| {
        let signed = Signed::UserId { key: primary, id: &user.id };
        // A withdrawn name no longer speaks for the key.
        let withdrawn = user.signatures.iter().any(|signature| {
            signature.kind == Some(kind::CERTIFICATION_REVOCATION)
                && revokes(check(signature, primary, signed))
        });
        let own = user.signatures.iter().filter(move |signature| {
            !withdrawn && signature.kind != Some(kind::CERTIFICATION_REVOCATION) && signature.is_by(primary)
        });
        own.map(move |signature| (signature, check(signature, primary, signed)))
    });
    let direct = key.direct.iter().filter(|signature| signature.kind == Some(kind::DIRECT_KEY));
    let direct = direct.map(|signature| (signature, check(signature, primary, Signed::Key(primary))));
    let newest = newest(certifications.chain(direct), now, pinned)?;
    alive(primary, newest, now)?;
    // A key of before the flags were invented may do everything.
    Ok(!newest.has_flags() || newest.lets_sign())
}

/// Whether a subkey is alive at `now`, bound to its primary key in both directions, and may sign. A fingerprint vouches
/// for what has it: for a pinned subkey its binding may be weak; for a pinned primary key, only the subkey's own
/// signature back, which keeps a key's owner from claiming the subkey of another one.
fn subkey_is_good(key: &Certificate, subkey: &Subkey, pinned: &Pinned, now: i64) -> Result<(), String> {
    let signed = Signed::Subkey { primary: &key.primary, subkey: &subkey.key };
    let of_kind = |kind| {
        let signatures = subkey.signatures.iter().filter(move |signature| signature.kind == Some(kind));
        signatures.map(|signature| (signature, check(signature, &key.primary, signed)))
    };
    if of_kind(kind::SUBKEY_REVOCATION).any(|(_, checked)| revokes(checked)) {
        return Err("has revoked the subkey that signed".to_owned());
    }
    let newest = newest(of_kind(kind::SUBKEY_BINDING), now, matches!(pinned, Pinned::Subkey(_)))
        .map_err(|reason| format!("{reason} {OF_A_SUBKEY}"))?;
    alive(&subkey.key, newest, now).map_err(|reason| format!("has a subkey that {reason}"))?;
    if !newest.lets_sign() {
        return Err("has a subkey that may not sign".to_owned());
    }
    let back = newest.embedded.as_ref().ok_or("has a subkey that does not sign back")?;
    if *pinned == Pinned::No {
        strong(back, "itself")?;
    }
    check(back, &subkey.key, signed).map_err(|_| "has a subkey that does not sign back".to_owned())
}

/// Whether a revocation counts. One that cannot be verified does: the key's owner may have made it.
fn revokes(checked: Result<(), Flaw>) -> bool {
    matches!(checked, Ok(()) | Err(Flaw::Unsupported(_)))
}

/// The newest of these self-signatures that counts. One that cannot be verified may be what its owner said last, and no
/// older one counts then.
fn newest<'a>(
    signatures: impl Iterator<Item = (&'a Signature, Result<(), Flaw>)>,
    now: i64,
    weak_counts: bool,
) -> Result<&'a Signature, String> {
    let mut weak = None;
    let mut found: Option<(&Signature, Result<(), Flaw>)> = None;
    for (signature, checked) in signatures.filter(|(_, checked)| *checked != Err(Flaw::Wrong)) {
        match strong(signature, "itself") {
            Err(reason) if !weak_counts => weak = Some(reason),
            _ if signature.created.is_some_and(|at| at <= now + CLOCK_SKEW)
                && found.as_ref().is_none_or(|(best, _)| best.created < signature.created) =>
            {
                found = Some((signature, checked));
            }
            _ => {}
        }
    }
    match found {
        Some((signature, Ok(()))) => Ok(signature),
        Some((_, Err(Flaw::Unsupported(how)))) => Err(unsupported("itself", &how)),
        _ => Err(weak.unwrap_or_else(|| "has no self-signature".to_owned())),
    }
}

/// Whether `key` exists and has not expired at `now`, as its self-signature says.
fn alive(key: &PublicKey, self_signature: &Signature, now: i64) -> Result<(), String> {
    let born = key.created;
    if born > now + CLOCK_SKEW {
        return Err(format!("was made in the future, on {}", day(born)));
    }
    if let Some(lifetime) = self_signature.key_expires
        && lifetime > 0
        && born + lifetime < now
    {
        return Err(format!("expired on {}", day(born + lifetime)));
    }
    Ok(())
}

fn strong(signature: &Signature, what: &str) -> Result<(), String> {
    match signature.digest {
        // SHA-2 from 256 bits on, and SHA-3.
        Some(8..=10 | 12 | 14) => Ok(()),
        Some(weak) => Err(format!("signed {what} with {}, which is too weak", digest_name(weak))),
        None => Err("made a signature of an unknown kind".to_owned()),
    }
}

fn unsupported(what: &str, how: &str) -> String {
    format!("signed {what} with {how}, which cannot be verified here")
}

fn day(seconds: i64) -> String {
    super::date::format(seconds)
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Seconds a signer's clock may be ahead of ours.
pub(super) const CLOCK_SKEW: i64 = 600;
