//! The system's kernel.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use bedplate_formats::tree::{Tree, TreePath};

/// The one kernel of a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its release, as `uname -r` will say.
    pub release: String,
    /// The bootable image, `/boot/vmlinuz-RELEASE`.
    pub image: TreePath,
    /// The directory of its modules.
    pub modules: TreePath,
}

impl Kernel {
    /// Finds the kernel.
    ///
    /// # Errors
    /// None, or more than one: which is meant is for the description to say.
    pub fn of(system: &Tree) -> anyhow::Result<Self> {
        let directory = TreePath::new("/usr/lib/modules");
        let mut found = Vec::new();
        for (path, _) in system.children(&directory) {
            let Some(release) = path.name() else { continue };
            let release = String::from_utf8_lossy(release).into_owned();
            // Older packages put the image beside the modules' backs.
            let image = TreePath::new("/boot").join(format!("vmlinuz-{release}"));
            let images = [image, path.join("vmlinuz")];
            let Some(image) = images.into_iter().find(|image| system.content(image).is_some()) else {
                continue;
            };
            found.push(Self { release, image, modules: path.clone() });
        }
        match found.len() {
            0 => bail!(
                "the system has no kernel: the image needs the package `linux-image-amd64` (Debian) or \
                 `linux-image-generic` (Ubuntu), or one for its own architecture"
            ),
            1 => Ok(found.remove(0)),
            _ => {
                let releases: Vec<String> = found.iter().map(|k| format!("`{}`", k.release)).collect();
                bail!(
                    "the system has {} kernels, and an image boots one: {}",
                    found.len(),
                    releases.join(", ")
                )
            }
        }
    }
}

/// What firmware starts of a kernel's image: arm64 kernels may come compressed, by one who expects a boot loader to
/// unpack them. Those that unpack themselves are EFI programs as they are.
///
/// # Errors
/// The image is broken.
pub fn executable(image: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if !image.starts_with(b"\x1f\x8b") {
        return Ok(image);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&image[..])
        .read_to_end(&mut plain)
        .context("the kernel's image is broken")?;
    Ok(plain)
}

/// A module's bytes, unpacked as its name says.
pub(in crate::step) fn plain_module(path: &TreePath, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let name = path.name().unwrap_or_default();
    let mut plain = Vec::new();
    if name.ends_with(b".xz") {
        let mut decoder = liblzma::read::XzDecoder::new(&bytes[..]);
        decoder.read_to_end(&mut plain).with_context(|| format!("`{path}` is broken"))?;
    } else if name.ends_with(b".zst") {
        plain = zstd::decode_all(&bytes[..]).with_context(|| format!("`{path}` is broken"))?;
    } else if name.ends_with(b".gz") {
        let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
        decoder.read_to_end(&mut plain).with_context(|| format!("`{path}` is broken"))?;
    } else {
        plain = bytes;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_compressed_kernel_is_unpacked_and_another_one_is_taken_as_it_is() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"MZ, and the rest").unwrap();
        let compressed = gzip.finish().unwrap();
        assert_eq!(executable(compressed.clone()).unwrap(), b"MZ, and the rest");
        // An EFI program that unpacks the kernel in it.
        assert_eq!(executable(b"MZ\0\0zimg\x1f\x8b".to_vec()).unwrap(), b"MZ\0\0zimg\x1f\x8b");
        let error = executable(compressed[..20].to_vec()).unwrap_err().to_string();
        assert_eq!(error, "the kernel's image is broken");
    }
}
