//! Signatures over `InRelease` and over vendors' packages, verified in this process against pinned keys.
//!
//! Specification: RFC 9580, sections 5.2 (signatures), 7 (cleartext signature framework), 10.1 (keys).
//!
//! The `pgp` crate does the arithmetic; what a signature is worth is decided here:
//! * the signed text is the whole file: text outside the armour is refused;
//! * a file that is no text is signed as it is: a signature that lets line ends change is none for it;
//! * a key counts through a self-signature that holds, a subkey through its binding *and* its own signature back;
//! * a revoked or expired key counts for nothing, a subkey as little as its primary key;
//! * MD5, SHA-1 and RIPEMD-160 count for nothing, in a self-signature as little as over the text;
//! * a key pinned by its fingerprint needs no self-signature to vouch for it, so that may be over SHA-1, as the keys of
//!   some archives and vendors are; it still says until when the key is good. The fingerprint of a primary key does not
//!   vouch for its subkeys, whose bindings must be strong; a subkey with a weak one is pinned by its own fingerprint;
//! * one valid signature of one pinned key is enough: Debian signs with the keys of several releases.
//!
//! Deliberately absent: the web of trust, designated revokers, certificates from anywhere but the keyring.

use std::io::Read;

use pgp::armor::Dearmor;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, PacketTrait, Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Tag, VerifyingKey};
use thiserror::Error;

mod blocks;

/// Public keys whose signature counts.
#[derive(Debug, Clone)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
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
        let packets = blocks::packets(bytes)?;
        // Trust packets are notes of one machine's keyring, and Ubuntu's package has them between key and name.
        let packets = PacketParser::new(&packets[..])
            .filter(|packet| !packet.as_ref().is_ok_and(|packet| packet.tag() == Tag::Trust))
            .peekable();
        let mut failure = None;
        let keys: Vec<_> = SignedPublicKey::from_packets(packets)
            .filter_map(|key| key.map_err(|error| failure.get_or_insert(error.to_string()).len()).ok())
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
            self.keys.into_iter().partition(|key| fingerprint_of(key) == wanted);
        if !primary.is_empty() {
            return Ok(Self { keys: primary, pinned: Pinned::Primary });
        }
        let has_subkey = |key: &SignedPublicKey| {
            key.public_subkeys.iter().any(|subkey| format!("{:X}", subkey.key.fingerprint()) == wanted)
        };
        let keys: Vec<_> = others.into_iter().filter(has_subkey).collect();
        if keys.is_empty() {
            return Err(SignatureError::NotInKeyring { fingerprint: wanted, found });
        }
        Ok(Self { keys, pinned: Pinned::Subkey(wanted) })
    }

    /// The keys as packets, without armour: what [`Keyring::parse`] reads.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SignatureError> {
        let mut bytes = Vec::new();
        for key in &self.keys {
            key.to_writer(&mut bytes).map_err(|error| SignatureError::Keyring(error.to_string()))?;
        }
        Ok(bytes)
    }

    /// Fingerprints of the primary keys.
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(fingerprint_of).collect()
    }

    /// For messages: the keys with their fingerprints, and whose they are; of many, the first two.
    pub fn named(&self) -> String {
        let named = |key: &SignedPublicKey| {
            let user =
                key.details.users.first().map(|user| String::from_utf8_lossy(user.id.id()).into_owned());
            format!("`{}`{}", fingerprint_of(key), user.map(|user| format!(" ({user})")).unwrap_or_default())
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
        let (message, _) = CleartextSignedMessage::from_string(text)
            .map_err(|error| SignatureError::Malformed(error.to_string()))?;
        let text = message.signed_text();
        let signatures: Vec<&Signature> = message.signatures().iter().collect();
        let signed = Signed { bytes: text.as_bytes(), is_text: true };
        let (key, created) = self.judge(&signatures, signed, now, frozen)?;
        Ok(Verified { text: text.replace("\r\n", "\n"), fingerprint: fingerprint_of(key), created })
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
        let signatures = detached(signature)?;
        let signatures: Vec<&Signature> = signatures.iter().collect();
        let signed = Signed { bytes: text, is_text: true };
        let (key, created) = self.judge(&signatures, signed, now, frozen)?;
        let text = std::str::from_utf8(text).map_err(|error| SignatureError::Malformed(error.to_string()))?;
        Ok(Verified { text: text.replace("\r\n", "\n"), fingerprint: fingerprint_of(key), created })
    }

    /// Whose detached signature, binary or armoured, is over `file`: the fingerprint of a key of this ring that is
    /// good at `now` (seconds after 1970). The ring has been narrowed to a pinned key: see [`Keyring::only`].
    pub fn verify_detached(&self, file: &[u8], signature: &[u8], now: i64) -> Result<String, SignatureError> {
        let signatures = detached(signature)?;
        let signatures: Vec<&Signature> = signatures.iter().collect();
        let (key, _) = self.judge(&signatures, Signed { bytes: file, is_text: false }, now, false)?;
        Ok(fingerprint_of(key))
    }

    /// The first key of this ring that made one of the signatures, and when.
    fn judge(
        &self,
        signatures: &[&Signature],
        signed: Signed<'_>,
        now: i64,
        frozen: bool,
    ) -> Result<(&SignedPublicKey, i64), SignatureError> {
        let mut reasons = Vec::new();
        for signature in signatures {
            for key in &self.keys {
                match verify_by(signature, signed, key, &self.pinned, now, frozen) {
                    Outcome::Valid { created } => return Ok((key, created)),
                    Outcome::Refused(reason) => {
                        reasons.push(format!("key `{}` {reason}", fingerprint_of(key)))
                    }
                    Outcome::NotBy => {}
                }
            }
        }
        if !reasons.is_empty() {
            return Err(SignatureError::Refused { reasons });
        }
        let signers = signatures.iter().map(|signature| issuer(signature)).collect();
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
fn detached(signature: &[u8]) -> Result<Vec<Signature>, SignatureError> {
    let mut binary = Vec::new();
    let packets = if signature.trim_ascii_start().starts_with(b"-----BEGIN PGP SIGNATURE-----") {
        Dearmor::new(signature.trim_ascii_start())
            .read_to_end(&mut binary)
            .map_err(|error| SignatureError::NoSignature(error.to_string()))?;
        &binary
    } else {
        signature
    };
    let mut signatures = Vec::new();
    for packet in PacketParser::new(packets) {
        match packet {
            Ok(Packet::Signature(signature)) => signatures.push(signature),
            Ok(other) => {
                let reason = format!("there is a packet of the kind {:?} in it", other.tag());
                return Err(SignatureError::NoSignature(reason));
            }
            Err(error) => return Err(SignatureError::NoSignature(error.to_string())),
        }
    }
    if signatures.is_empty() {
        return Err(SignatureError::NoSignature("there is none in it".to_owned()));
    }
    Ok(signatures)
}

/// What was signed.
#[derive(Clone, Copy)]
struct Signed<'a> {
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
    signed: Signed<'_>,
    key: &SignedPublicKey,
    pinned: &Pinned,
    now: i64,
    frozen: bool,
) -> Outcome {
    let Signed { bytes, is_text } = signed;
    let what = if is_text { "text" } else { "file" };
    let by_primary = is_issuer(signature, &key.primary_key);
    let subkey = key.public_subkeys.iter().find(|subkey| is_issuer(signature, &subkey.key));
    let counts = match (pinned, subkey) {
        (Pinned::Subkey(wanted), Some(subkey)) => format!("{:X}", subkey.key.fingerprint()) == *wanted,
        (Pinned::Subkey(_), None) => false,
        _ => by_primary || subkey.is_some(),
    };
    if !counts {
        return Outcome::NotBy;
    }
    let judge = || -> Result<i64, String> {
        let fits = match signature.typ() {
            Some(SignatureType::Binary) => true,
            Some(SignatureType::Text) => is_text,
            _ => false,
        };
        if !fits {
            return Err(format!("signed something that is no {what}"));
        }
        strong(signature, &format!("the {what}"))?;
        match subkey {
            Some(subkey) => signature.verify(&subkey.key, bytes),
            None => signature.verify(&key.primary_key, bytes),
        }
        .map_err(|_| format!("did not make this signature, or the {what} was changed"))?;

        let created = created(signature).ok_or("does not say when it signed")?;
        if created > now + CLOCK_SKEW {
            return Err(format!("signed in the future, on {}", day(created)));
        }
        let now = if frozen { created } else { now };
        if let Some(lifetime) = signature.signature_expiration_time().map(|time| i64::from(time.as_secs()))
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
fn primary_is_good(key: &SignedPublicKey, now: i64, pinned: bool) -> Result<bool, String> {
    let primary = &key.primary_key;
    let revoked = key.details.revocation_signatures.iter().find(|signature| {
        signature.typ() == Some(SignatureType::KeyRevocation) && signature.verify_key(primary).is_ok()
    });
    if let Some(revocation) = revoked {
        return Err(format!(
            "was revoked on {}",
            created(revocation).map_or_else(|| "an unknown day".to_owned(), day)
        ));
    }
    let certifications = key.details.users.iter().flat_map(|user| {
        // A withdrawn name no longer speaks for the key.
        let withdrawn = user.signatures.iter().any(|signature| {
            signature.typ() == Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        });
        user.signatures.iter().filter(move |signature| {
            !withdrawn
                && signature.typ() != Some(SignatureType::CertRevocation)
                && is_issuer(signature, primary)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    let direct = key.details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok()
    });
    let newest = newest(certifications.chain(direct), now, pinned)?;
    alive(primary, newest, now)?;
    // A key of before the flags were invented may do everything.
    Ok(!has_flags(newest) || newest.key_flags().sign())
}

/// Whether a subkey is alive at `now`, bound to its primary key in both directions, and may sign. A fingerprint vouches
/// for what has it: for a pinned subkey its binding may be weak; for a pinned primary key, only the subkey's own
/// signature back, which keeps a key's owner from claiming the subkey of another one.
fn subkey_is_good(
    key: &SignedPublicKey,
    subkey: &pgp::composed::SignedPublicSubKey,
    pinned: &Pinned,
    now: i64,
) -> Result<(), String> {
    let primary = &key.primary_key;
    let bound = |signature: &&Signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok();
    let revoked = subkey
        .signatures
        .iter()
        .filter(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation))
        .any(|signature| bound(&signature));
    if revoked {
        return Err("has revoked the subkey that signed".to_owned());
    }
    let bindings = subkey
        .signatures
        .iter()
        .filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding))
        .filter(bound);
    let newest = newest(bindings, now, matches!(pinned, Pinned::Subkey(_)))
        .map_err(|reason| format!("{reason} {OF_A_SUBKEY}"))?;
    alive(&subkey.key, newest, now).map_err(|reason| format!("has a subkey that {reason}"))?;
    if !newest.key_flags().sign() {
        return Err("has a subkey that may not sign".to_owned());
    }
    let back = newest.embedded_signature().ok_or("has a subkey that does not sign back")?;
    if *pinned == Pinned::No {
        strong(back, "itself")?;
    }
    back.verify_primary_key_binding(&subkey.key, primary)
        .map_err(|_| "has a subkey that does not sign back".to_owned())
}

/// The newest of these self-signatures that counts.
fn newest<'a>(
    signatures: impl Iterator<Item = &'a Signature>,
    now: i64,
    weak_counts: bool,
) -> Result<&'a Signature, String> {
    let mut weak = None;
    let mut found: Option<&Signature> = None;
    for signature in signatures {
        match strong(signature, "itself") {
            Err(reason) if !weak_counts => weak = Some(reason),
            _ if created(signature).is_some_and(|at| at <= now + CLOCK_SKEW)
                && found.is_none_or(|best| created(best) < created(signature)) =>
            {
                found = Some(signature);
            }
            _ => {}
        }
    }
    found.ok_or_else(|| weak.unwrap_or_else(|| "has no self-signature".to_owned()))
}

/// Whether `key` exists and has not expired at `now`, as its self-signature says.
fn alive(key: &impl KeyDetails, self_signature: &Signature, now: i64) -> Result<(), String> {
    let born = i64::from(key.created_at().as_secs());
    if born > now + CLOCK_SKEW {
        return Err(format!("was made in the future, on {}", day(born)));
    }
    if let Some(lifetime) = self_signature.key_expiration_time().map(|time| i64::from(time.as_secs()))
        && lifetime > 0
        && born + lifetime < now
    {
        return Err(format!("expired on {}", day(born + lifetime)));
    }
    Ok(())
}

fn strong(signature: &Signature, what: &str) -> Result<(), String> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => Ok(()),
        Some(weak) => Err(format!("signed {what} with {weak}, which is too weak")),
        None => Err("made a signature of an unknown kind".to_owned()),
    }
}

fn is_issuer(signature: &Signature, key: &(impl VerifyingKey + Serialize)) -> bool {
    signature.issuer_fingerprint().into_iter().any(|fingerprint| *fingerprint == key.fingerprint())
        || (signature.issuer_fingerprint().is_empty()
            && signature.issuer_key_id().into_iter().any(|id| *id == key.legacy_key_id()))
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_ascii_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "an unnamed key".to_owned())
}

fn has_flags(signature: &Signature) -> bool {
    let flags = signature.key_flags();
    flags.certify()
        || flags.sign()
        || flags.encrypt_comms()
        || flags.encrypt_storage()
        || flags.authentication()
}

fn created(signature: &Signature) -> Option<i64> {
    signature.created().map(|time| i64::from(time.as_secs()))
}

fn fingerprint_of(key: &SignedPublicKey) -> String {
    format!("{:X}", key.fingerprint())
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
