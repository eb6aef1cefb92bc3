//! The packages of a tools tree that mmdebstrap runs in.

/// What mmdebstrap starts, beside what it depends on: no package has to say that
/// it needs an essential one. Without `mount` and `unshare` it leaves /proc out, and systemd's
/// scripts do half of their work.
pub const PACKAGES: [&str; 12] = [
    "mmdebstrap",
    "mount",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "mawk",
    "sed",
    "tar",
    "util-linux",
];
