//! Any partition, as [`Image::partition`](super::Image::partition) takes it.

use super::data::Data;
use super::esp::Esp;
use super::filesystem::RootFilesystem;
use super::root::{Root, RootSlot};

/// A partition of the disk.
#[derive(Debug, Clone)]
pub enum Partition {
    /// Where the firmware finds what it boots.
    Esp(Esp),
    /// The operating system.
    Root(RootSlot),
    /// What the device keeps.
    Data(Data),
}

impl From<Esp> for Partition {
    fn from(esp: Esp) -> Self {
        Partition::Esp(esp)
    }
}

impl<F: RootFilesystem> From<Root<F>> for Partition {
    fn from(root: Root<F>) -> Self {
        Partition::Root(root.slot)
    }
}

impl From<Data> for Partition {
    fn from(data: Data) -> Self {
        Partition::Data(data)
    }
}
