//! Docker, with its images, containers and volumes kept.

use bedplate::{Bind, Image};

/// The daemon and containerd, each with its directory on the data partition.
///
/// `overlay/etc/docker/daemon.json` bounds every container's log to 30 MB, so
/// that a chatty one does not fill what all others keep their data on.
pub fn docker(image: Image) -> Image {
    image
        .package("docker.io")
        .enable("containerd.service")
        .enable("docker.service")
        .bind(Bind::new("/var/lib/containerd").mode(0o711).executable().required_by("containerd.service"))
        .bind(Bind::new("/var/lib/docker").mode(0o710).executable().required_by("docker.service"))
}
