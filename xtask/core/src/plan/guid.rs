//! Identifiers: the types the Discoverable Partitions Specification names, and
//! ids derived from a seed.
//!
//! <https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>
//!
//! Invariant: every kind of id has a stream of its own under the seed, named
//! by what it identifies and never by its position, so that adding a partition
//! changes no other partition's id.

use uuid::{Uuid, uuid};

use crate::image::target::Architecture;

/// The EFI system partition.
pub const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Data of Linux, of no particular meaning.
pub const LINUX_GENERIC: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

/// A slot's unified kernel image, behind a block that says how long it is. No specification names one: a random UUID,
/// chosen once.
pub const KERNEL_IMAGE: Uuid = uuid!("b7c3f0d4-52d6-4c0b-8d0e-0f5a7c1e6b92");

/// Attribute: the file system grows to the size of its partition.
pub const GROW_FILE_SYSTEM: u64 = 1 << 59;
/// Attribute: mounted read-only.
pub const READ_ONLY: u64 = 1 << 60;
/// Attribute: not mounted by discovery.
pub const NO_AUTO: u64 = 1 << 63;

/// The type of a root partition.
#[must_use]
pub const fn root(architecture: Architecture) -> Uuid {
    match architecture {
        Architecture::X86_64 => uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
        Architecture::Aarch64 => uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
    }
}

/// The type of a root's verity partition.
#[must_use]
pub const fn root_verity(architecture: Architecture) -> Uuid {
    match architecture {
        Architecture::X86_64 => uuid!("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"),
        Architecture::Aarch64 => uuid!("df3300ce-d69f-4c92-978c-9bfb0f38d820"),
    }
}

/// Ids of one image.
#[derive(Debug)]
pub(super) struct Stream(Uuid);

/// The namespace of all seeds: a random UUID, chosen once.
const NAMESPACE: Uuid = uuid!("6f1d0c5e-2b1a-4f0e-9f52-7f1c3a9be7d4");

impl Stream {
    /// The ids of the image called `name`: the same for all its versions, so
    /// that an update finds the data partition the first version made.
    pub(super) fn of(name: &str) -> Stream {
        Stream(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    pub(super) fn seed(&self) -> Uuid {
        self.0
    }

    /// The id of the thing `which` among those of this kind.
    pub(super) fn id(&self, kind: &str, which: &str) -> Uuid {
        let stream = Uuid::new_v5(&self.0, kind.as_bytes());
        Uuid::new_v5(&stream, which.as_bytes())
    }

    pub(super) fn salt(&self, which: &str) -> [u8; 32] {
        let mut salt = [0; 32];
        salt[..16].copy_from_slice(self.id("salt-first", which).as_bytes());
        salt[16..].copy_from_slice(self.id("salt-last", which).as_bytes());
        salt
    }

    /// 32 bits, never 0.
    pub(super) fn word(&self, kind: &str, which: &str) -> u32 {
        let [a, b, c, d, ..] = self.id(kind, which).into_bytes();
        u32::from_be_bytes([a, b, c, d]).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_different_kinds_and_things_differ() {
        let stream = Stream::of("edge");
        assert_ne!(stream.id("partition", "esp"), stream.id("file-system", "esp"));
        assert_ne!(stream.id("partition", "esp"), stream.id("partition", "root"));
        assert_ne!(stream.id("partition", "esp"), Stream::of("other").id("partition", "esp"));
    }

    #[test]
    fn ids_never_change_between_versions_of_this_program() {
        let stream = Stream::of("edge");
        expect_test::expect![
            "3faee1a0-3c26-5979-b358-6c0de77f2870 a21346f6-5668-570c-8180-e6c192b5e6bf 57e0241d"
        ]
        .assert_eq(&format!(
            "{} {} {:08x}",
            stream.seed(),
            stream.id("partition", "persistent"),
            stream.word("volume", "esp")
        ));
    }

    #[test]
    fn both_halves_of_a_salt_are_ids() {
        let stream = Stream::of("edge");
        let halves = [stream.id("salt-first", "root"), stream.id("salt-last", "root")];
        assert_eq!(stream.salt("root"), *halves.map(Uuid::into_bytes).as_flattened());
    }
}
