//! Keys made for one test, in every state a key can be in.

use std::time::{SystemTime, UNIX_EPOCH};

use bedplate::archive::{Keys, date};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData,
};
use pgp::ser::Serialize;
use pgp::types::{Duration, KeyDetails, Password, SigningKey, Tag, Timestamp};
use rand::thread_rng;

pub const DAY: u32 = 86_400;

/// A key and what is published of it.
pub struct Signer {
    secret: SignedSecretKey,
    pub public: SignedPublicKey,
}

impl Signer {
    /// A key made ten days ago.
    pub fn new() -> Self {
        Self::of(KeyType::Ed25519Legacy)
    }

    /// A key of a kind that still signs over SHA-1.
    pub fn old() -> Self {
        Self::of(KeyType::Rsa(2048))
    }

    fn of(kind: KeyType) -> Self {
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(kind.clone()).can_sign(true).created_at(days_ago(10));
        let mut key = SecretKeyParamsBuilder::default();
        key.key_type(kind)
            .can_sign(true)
            .can_certify(true)
            .created_at(days_ago(10))
            .primary_user_id("Archive <archive@example.org>".to_owned())
            .subkey(subkey.build().unwrap());
        let secret = key.build().unwrap().generate(thread_rng()).unwrap();
        Self { public: SignedPublicKey::from(secret.clone()), secret }
    }

    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.public.fingerprint())
    }

    pub fn keys(&self) -> Keys {
        Keys::Pinned { content: self.public.to_bytes().unwrap(), fingerprint: Some(self.fingerprint()) }
    }

    /// The text signed by the primary key.
    pub fn sign(&self, text: &str) -> Vec<u8> {
        armoured(
            CleartextSignedMessage::sign(thread_rng(), text, &self.secret.primary_key, &Password::empty())
                .unwrap(),
        )
    }

    /// The text signed by the subkey.
    pub fn sign_by_subkey(&self, text: &str) -> Vec<u8> {
        let subkey = &self.secret.secret_subkeys[0].key;
        armoured(CleartextSignedMessage::sign(thread_rng(), text, subkey, &Password::empty()).unwrap())
    }

    /// A signature over a file, apart from it, binary.
    pub fn detached(&self, bytes: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        self.signature(bytes, HashAlgorithm::Sha256).signature.to_writer_with_header(&mut packet).unwrap();
        packet
    }

    /// The same as text.
    pub fn detached_armoured(&self, bytes: &[u8]) -> Vec<u8> {
        self.signature(bytes, HashAlgorithm::Sha256).to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// A signature over a file over a digest nobody should believe any more, armoured.
    pub fn detached_weakly(&self, bytes: &[u8]) -> Vec<u8> {
        self.signature(bytes, HashAlgorithm::Sha1).to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    fn signature(&self, bytes: &[u8], hash: HashAlgorithm) -> DetachedSignature {
        let key = &self.secret.primary_key;
        DetachedSignature::sign_binary_data(thread_rng(), key, &Password::empty(), hash, bytes).unwrap()
    }

    /// The public key as text.
    pub fn armoured_key(&self) -> Vec<u8> {
        self.public.to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// The text signed over a digest nobody should believe any more.
    pub fn sign_weakly(&self, text: &str) -> Vec<u8> {
        self.sign_nine_days_ago_over(HashAlgorithm::Sha1, text)
    }

    /// The text signed when the key was a day old.
    pub fn sign_nine_days_ago(&self, text: &str) -> Vec<u8> {
        self.sign_nine_days_ago_over(HashAlgorithm::Sha256, text)
    }

    fn sign_nine_days_ago_over(&self, hash: HashAlgorithm, text: &str) -> Vec<u8> {
        let key = &self.secret.primary_key;
        let config = config(SignatureType::Text, hash, key, []);
        armoured(CleartextSignedMessage::new(text, config, key, &Password::empty()).unwrap())
    }

    /// The key says that it lives this long from its making.
    pub fn expiring_after(mut self, days: u32) -> Self {
        let lifetime = SubpacketData::KeyExpirationTime(Duration::from_secs(days * DAY));
        self.certify(HashAlgorithm::Sha256, [lifetime]);
        self
    }

    /// The key's only self-signature is over SHA-1.
    pub fn weakly_certified(mut self) -> Self {
        self.certify(HashAlgorithm::Sha1, []);
        self
    }

    /// The key is revoked.
    pub fn revoked(mut self) -> Self {
        let key = &self.secret.primary_key;
        let config = config(SignatureType::KeyRevocation, HashAlgorithm::Sha256, key, []);
        let revocation = config.sign_key(key, &Password::empty(), &self.public.primary_key).unwrap();
        self.public.details.revocation_signatures.push(revocation);
        self
    }

    /// Nothing binds the key to its name.
    pub fn without_self_signature(mut self) -> Self {
        self.public.details.users.clear();
        self
    }

    /// The subkey of another key is taken for our own, as an attacker would do who has a key that signs.
    pub fn with_the_subkey_of(mut self, other: &Self) -> Self {
        self.public.public_subkeys = other.public.public_subkeys.clone();
        self.secret.secret_subkeys = other.secret.secret_subkeys.clone();
        self
    }

    /// The binding of the subkey lacks the subkey's own signature.
    pub fn without_signature_back(mut self) -> Self {
        let key = &self.secret.primary_key;
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let config = config(
            SignatureType::SubkeyBinding,
            HashAlgorithm::Sha256,
            key,
            [SubpacketData::KeyFlags(flags)],
        );
        let subkey = &mut self.public.public_subkeys[0];
        let binding = config
            .sign_subkey_binding(key, &self.public.primary_key, &Password::empty(), &subkey.key)
            .unwrap();
        subkey.signatures = vec![binding];
        self
    }

    /// The subkey is bound over SHA-1, in both directions.
    pub fn weakly_bound(mut self) -> Self {
        let key = &self.secret.primary_key;
        let subkey = &self.secret.secret_subkeys[0].key;
        let back = config(SignatureType::KeyBinding, HashAlgorithm::Sha1, subkey, []);
        let back = back
            .sign_primary_key_binding(
                subkey,
                &self.public.public_subkeys[0].key,
                &Password::empty(),
                &self.public.primary_key,
            )
            .unwrap();
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let more = [SubpacketData::KeyFlags(flags), SubpacketData::EmbeddedSignature(Box::new(back))];
        let config = config(SignatureType::SubkeyBinding, HashAlgorithm::Sha1, key, more);
        let subkey = &mut self.public.public_subkeys[0];
        let binding = config
            .sign_subkey_binding(key, &self.public.primary_key, &Password::empty(), &subkey.key)
            .unwrap();
        subkey.signatures = vec![binding];
        self
    }

    pub fn subkey_fingerprint(&self) -> String {
        format!("{:X}", self.public.public_subkeys[0].key.fingerprint())
    }

    fn certify<const N: usize>(&mut self, hash: HashAlgorithm, more: [SubpacketData; N]) {
        let key = &self.secret.primary_key;
        let config = config(SignatureType::CertPositive, hash, key, more);
        let user = &mut self.public.details.users[0];
        let certification: Signature = config
            .sign_certification(key, &self.public.primary_key, &Password::empty(), Tag::UserId, &user.id)
            .unwrap();
        user.signatures = vec![certification];
    }
}

fn config<const N: usize>(
    kind: SignatureType,
    hash: HashAlgorithm,
    key: &impl SigningKey,
    more: [SubpacketData; N],
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), hash);
    config.hashed_subpackets = more
        .into_iter()
        .chain([
            SubpacketData::SignatureCreationTime(days_ago(9)),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ])
        .map(|data| Subpacket::regular(data).unwrap())
        .collect();
    config
}

fn armoured(message: CleartextSignedMessage) -> Vec<u8> {
    message.to_armored_bytes(ArmorOptions::default()).unwrap()
}

fn days_ago(days: u32) -> Timestamp {
    Timestamp::from_secs(Timestamp::now().as_secs() - days * DAY)
}

/// Seconds after 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// `Sat, 21 Nov 2026 00:53:03 UTC`; the name of the day is not looked at.
pub fn rfc5322(seconds: i64) -> String {
    let text = date::format(seconds);
    let (day, clock) = text.split_once(' ').unwrap();
    let mut parts = day.split('-');
    let (year, month, day) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        [month.parse::<usize>().unwrap() - 1];
    format!("Sat, {day} {month} {year} {clock}")
}
