//! What the plan's page is about, part by part.

/// A part of the plan's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// What the description weakens.
    Dangers,
    /// The disk's partitions.
    Disk,
    /// How large parts of the image may become.
    Budgets,
    /// What is verified by what.
    Trust,
    /// The ports that a device opens.
    Listeners,
    /// How a device is updated.
    Updates,
    /// What persists.
    Persistent,
    /// What each device makes for itself.
    Identities,
    /// The kernel's command line.
    CommandLine,
    /// Kernel modules in the initrd.
    Modules,
    /// Settings of the kernel and of systemd.
    Settings,
    /// Where packages come from.
    Archives,
    /// The packages that are asked for.
    Packages,
    /// Answers to questions of packages.
    Answers,
    /// Packages of vendors.
    Vendors,
    /// What is left out of packages, and scripts.
    Contents,
    /// The units that are enabled.
    Enabled,
    /// The users.
    Users,
    /// The units that are masked.
    Masked,
    /// Generated files.
    Files,
    /// Directories that are copied over the root.
    Overlays,
    /// The files that come out.
    Artifacts,
}

impl Topic {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 22] = [
        Self::Dangers,
        Self::Disk,
        Self::Budgets,
        Self::Trust,
        Self::Listeners,
        Self::Updates,
        Self::Persistent,
        Self::Identities,
        Self::CommandLine,
        Self::Modules,
        Self::Settings,
        Self::Archives,
        Self::Packages,
        Self::Answers,
        Self::Vendors,
        Self::Contents,
        Self::Enabled,
        Self::Users,
        Self::Masked,
        Self::Files,
        Self::Overlays,
        Self::Artifacts,
    ];
}
