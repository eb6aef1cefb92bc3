//! The services that come with every image: units of our own, shut in.

/// What a service of ours may not do, each in systemd.exec(5)'s words; what
/// one of them needs beyond that, it says after this. `systemd-analyze
/// security` gives every one less than 3.
///
/// `PrivateTmp=` is absent: it would order a service that runs before the
/// mounts after them.
pub(super) const SHUT_IN: &str = "\
NoNewPrivileges=yes
PrivateDevices=yes
PrivateNetwork=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=none
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
KeyringMode=private
IPAddressDeny=any
UMask=0077
";
