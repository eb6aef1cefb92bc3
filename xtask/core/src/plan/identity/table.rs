//! The packages that make an id or a key when they are configured, and how a
//! device makes its own.

/// What one package would make once for all devices.
#[derive(Debug)]
pub struct Identity {
    /// The package whose maintainer script makes it.
    pub package: &'static str,
    /// The directory that holds it on the data partition.
    pub set: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Its files.
    pub files: &'static [IdentityFile],
    /// The function `make_SET` of a shell, which makes the files in the working directory.
    pub make: &'static str,
    /// The units that read it and may start before `sysinit.target`; none that local file systems wait for.
    pub before: &'static [&'static str],
}

/// A file that a device makes.
#[derive(Debug)]
pub struct IdentityFile {
    /// Where programs look for it; its last component is its name in the set.
    pub path: &'static str,
    /// Its permissions.
    pub mode: &'static str,
    /// The user and the group it belongs to.
    pub owner: &'static str,
}

impl IdentityFile {
    /// Returns the directory it is in.
    #[must_use]
    pub fn directory(&self) -> &'static str {
        self.path.rsplit_once('/').map_or("/", |(directory, _)| directory)
    }

    /// Returns its name without the directory.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('/').map_or(self.path, |(_, name)| name)
    }
}

const fn file(path: &'static str, mode: &'static str, owner: &'static str) -> IdentityFile {
    IdentityFile { path, mode, owner }
}

/// Every such package that we know, by name. The build refuses what others make.
pub static IDENTITIES: &[Identity] = &[
    Identity {
        package: "bind9",
        set: "bind",
        what: "key by which rndc controls the name server",
        files: &[file("/etc/bind/rndc.key", "0640", "bind:bind")],
        make: include_str!("../scripts/identity/bind.sh"),
        before: &["named.service"],
    },
    Identity {
        package: "dropbear",
        set: "dropbear",
        what: "host keys of the secure shell",
        files: &[
            file("/etc/dropbear/dropbear_rsa_host_key", "0600", "root:root"),
            file("/etc/dropbear/dropbear_ecdsa_host_key", "0600", "root:root"),
            file("/etc/dropbear/dropbear_ed25519_host_key", "0600", "root:root"),
        ],
        make: include_str!("../scripts/identity/dropbear.sh"),
        before: &["dropbear.service"],
    },
    Identity {
        package: "nvme-cli",
        set: "nvme",
        what: "name by which storage servers know the host",
        files: &[
            file("/etc/nvme/hostid", "0644", "root:root"),
            file("/etc/nvme/hostnqn", "0644", "root:root"),
        ],
        make: include_str!("../scripts/identity/nvme.sh"),
        // Not nvmefc-boot-connections.service: local file systems wait for it.
        before: &["nvmf-autoconnect.service", "nvmf-connect-nbft.service"],
    },
    Identity {
        package: "open-iscsi",
        set: "iscsi",
        what: "name by which storage servers know the host",
        files: &[file("/etc/iscsi/initiatorname.iscsi", "0600", "root:root")],
        make: include_str!("../scripts/identity/iscsi.sh"),
        before: &["iscsid.service", "open-iscsi.service"],
    },
    Identity {
        package: "popularity-contest",
        set: "popularity-contest",
        what: "id under which the packages in use are counted",
        files: &[
            file("/etc/popularity-contest.conf", "0644", "root:root"),
            file("/etc/cron.d/popularity-contest", "0644", "root:root"),
        ],
        make: include_str!("../scripts/identity/popularity-contest.sh"),
        before: &[],
    },
    Identity {
        package: "rabbitmq-server",
        set: "rabbitmq",
        what: "cookie by which nodes of Erlang know each other",
        files: &[file("/var/lib/rabbitmq/.erlang.cookie", "0400", "rabbitmq:rabbitmq")],
        // As Erlang makes one: twenty letters.
        make: include_str!("../scripts/identity/rabbitmq.sh"),
        before: &[],
    },
    Identity {
        package: "ssl-cert",
        set: "ssl-cert",
        what: "self-signed certificate and its key",
        files: &[
            file("/etc/ssl/private/ssl-cert-snakeoil.key", "0640", "root:ssl-cert"),
            file("/etc/ssl/certs/ssl-cert-snakeoil.pem", "0644", "root:root"),
        ],
        make: include_str!("../scripts/identity/ssl-cert.sh"),
        before: &[],
    },
];
