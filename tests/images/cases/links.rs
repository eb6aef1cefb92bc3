//! Overlays and files that meet links, owners and modes, homes and binds.

use bedplate::prelude::*;

use crate::small;

/// An overlay that is no directory.
pub fn links_tar(_: &Target) -> Image {
    small().overlay("links/overlay.tar")
}

/// A directory in which the image has files, and which starts empty.
pub fn links_hidden(_: &Target) -> Image {
    small().bind("/var/lib/systemd")
}

/// A link that an overlay brings, and a bind in its place.
pub fn links_bind(_: &Target) -> Image {
    small().overlay("links/bound").bind("/srv/bound")
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8HIMqRTQJ4mZkQ9yFdYc1lLTpEJoFfCQ7m6JZLkWfT alice@desk";

/// One of everything that is right.
pub fn everything(image: Image) -> Image {
    let overlay = Overlay::new("links/overlay")
        .mode("etc/links/token", 0o640)
        .group("etc/links/*", "mosquitto")
        .mode("bin/links-hello", 0o4755);
    image
        .package("mosquitto")
        .enable("mosquitto.service")
        .bind("/var/lib/mosquitto")
        .bind("/var/spool/mail")
        .bind("/home")
        .bind(Bind::file("/etc/machine-id"))
        .user(User::new("alice").uid(1500).login(Login::Key(KEY)))
        .user(User::new("bob").home("/local/bob"))
        .overlay(overlay)
        .overlay("links/linked")
        .file("/lib/links/x", Text::new("#!/bin/sh\necho said\n").mode(0o755).owner("bob"))
        .file("/home/alice/note", "n\n")
        .host("192.0.2.5", "plc")
}
