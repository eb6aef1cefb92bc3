//! Docker, with its images, containers and volumes kept.

use bedplate::Image;

/// The daemon and containerd, each with its directory on the data partition.
///
/// `overlay/etc/docker/daemon.json` bounds every container's log to 30 MB, so
/// that a chatty one does not fill what all others keep their data on.
pub fn docker(image: Image) -> Image {
    image
        .package("docker.io")
        .enable("containerd.service")
        .enable("docker.service")
        .bind("/var/lib/containerd")
        .bind("/var/lib/docker")
}
