//! What the firmware starts: the Unified Kernel Image, and the EFI system
//! partition with systemd-boot that holds it.
//!
//! <https://uapi-group.org/specifications/specs/boot_loader_specification/>

use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate_core::plan::{ArtifactNames, EspPlan, Plan};
use bedplate_core::{Architecture, Lock};
use bedplate_formats::digest::hex;
use bedplate_formats::tree::{Content, Node, Tree, TreePath};
use bedplate_formats::uki::Uki;
use bedplate_formats::vfat;
use camino::Utf8Path;
use fs_err as fs;

use crate::error::LocatedError;
use crate::keys::Keys;
use crate::step::microcode;

/// Where systemd's packages put their EFI programs.
const EFI_PROGRAMS: &str = "usr/lib/systemd/boot/efi";

/// What the UKI and the ESP have in common.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    architecture: Architecture,
    slots: bool,
    names: &'a ArtifactNames,
    /// The directory of the files that are written and read.
    staging: &'a Utf8Path,
}

/// What lies on the ESP.
pub struct OnEsp<'a> {
    /// The name of the UKI.
    pub uki: &'a str,
    /// systemd-boot.
    pub loader: &'a [u8],
    /// The keys that it gives to firmware in setup mode.
    pub keys: Option<&'a Keys>,
    /// Further files, by their paths.
    pub further: Vec<(String, Content)>,
}

impl<'a> Boot<'a> {
    /// That of a plan.
    #[must_use]
    pub fn of(plan: &'a Plan, staging: &'a Utf8Path) -> Self {
        let Plan { architecture, updates, artifacts, .. } = plan;
        Boot { architecture: *architecture, slots: updates.is_some(), names: artifacts, staging }
    }

    /// Writes the UKI of the `kernel` with this release (`uname -r`). The root hash is on the command line, so that
    /// whoever trusts the UKI trusts the root. One that is to be signed is told whose measurements count, and has another
    /// name until then.
    ///
    /// # Errors
    /// No stub in the tools, or a kernel or stub that cannot be combined.
    pub fn uki(
        &self,
        command_line: &str,
        kernel: &str,
        tree: &Tree,
        stub: &Stub<'_>,
        keys: Option<&Keys>,
    ) -> Result<()> {
        let Boot { architecture, names, staging, .. } = *self;
        let file = format!("linux{}.efi.stub", architecture.efi());
        let program = fs::read(stub.tools.join(EFI_PROGRAMS).join(file))
            .context("reading the EFI stub of the tools")?;
        let release = tree.content(&"etc/os-release".into()).context("the image has no /etc/os-release")?;
        let microcode = match architecture {
            Architecture::X86_64 => {
                microcode::archive(tree).context("collecting the processors' microcode")?
            }
            Architecture::Aarch64 => None,
        };
        let uki = Uki::new(program)
            .osrel(if self.slots { without_versions(release)? } else { release.clone() })
            .cmdline(command_line)
            .uname(kernel)
            .linux(on_disk(&staging.join(&names.kernel))?);
        // The kernel looks for microcode at the start of what it is given as its initrd.
        let uki = match microcode {
            Some(microcode) if stub.loads_microcode() => uki.microcode(microcode),
            Some(microcode) => uki.initrd(microcode),
            None => uki,
        };
        let uki = uki.initrd(on_disk(&staging.join(&names.initrd))?);
        let uki = match keys {
            Some(keys) => uki.pcr_public_key(keys.pcr_pem.clone()),
            None => uki,
        };
        let name = match (keys, &names.unsigned) {
            (Some(_), Some(unsigned)) => &unsigned.uki,
            _ => &names.uki,
        };
        let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(staging.join(name))?);
        uki.write(&mut file).context("writing the unified kernel image")?;
        file.flush()?;
        Ok(())
    }

    /// Writes the EFI system partition. Sectors are `sector_size` bytes, and every file has the time `epoch`, in seconds
    /// after 1970.
    ///
    /// # Errors
    /// What does not fit, at the partition's line.
    pub fn esp(&self, plan: &EspPlan, holds: OnEsp<'_>, sector_size: u64, epoch: i64) -> Result<()> {
        let Boot { architecture, names, staging, .. } = *self;
        let EspPlan { partition, volume_id, volume_label } = plan;
        let OnEsp { uki, loader, keys, further } = holds;
        let arch = architecture.efi();
        let mut tree = Tree::new();
        let mut put =
            |path: String, content: Content| tree.insert(TreePath::new(&path), Node::file(content, 0o644));
        put(format!("EFI/BOOT/BOOT{}.EFI", arch.to_uppercase()), loader.to_vec().into());
        put(format!("EFI/systemd/systemd-boot{arch}.efi"), loader.to_vec().into());
        put(format!("EFI/Linux/{uki}"), on_disk(&staging.join(&names.uki))?);
        further.into_iter().for_each(|(path, content)| put(path, content));
        // Otherwise nothing is enrolled where systemd-boot does not know the machine for a virtual one.
        let enrol = if keys.is_some() { "secure-boot-enroll force\n" } else { "" };
        for (name, bytes) in keys.iter().flat_map(|keys| keys.variables.files()) {
            put(format!("loader/keys/auto/{name}"), Content::from(bytes.to_vec()));
        }
        // No menu: a device in the field has nobody to choose.
        let settings = format!("timeout 0\neditor no\n{enrol}");
        put("loader/loader.conf".into(), Content::from(settings.as_str()));
        if self.slots {
            // A kernel image that cannot be loaded makes systemd-boot before 258 return to the firmware. One whose last
            // resort is the UEFI shell starts again with this, and each start uses up a try.
            put("startup.nsh".into(), Content::from("reset\r\n"));
        }
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(staging.join(&names.esp))?
            .into_parts()
            .0;
        let (size, volume_id, label) = (partition.size, *volume_id, volume_label.clone());
        let options = vfat::Options { size, volume_id, label, epoch, sector_size };
        vfat::write(&tree, &file, &options).map_err(|error| LocatedError {
            message: format!("the EFI system partition cannot be written: {error}"),
            at: partition.at.clone(),
            word: None,
            help: "give the partition more room: `Esp::new(MiB(512))`".into(),
        })?;
        Ok(())
    }
}

/// An os-release without what systemd-boot sorts by before it looks at file names, which decide between slots.
fn without_versions(release: &Content) -> Result<Content> {
    const SORTED_BY: [&str; 5] = ["IMAGE_ID", "IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"];
    let text = release.read().context("reading the image's os-release")?;
    let text = String::from_utf8_lossy(&text);
    let kept = text
        .lines()
        .filter(|line| line.split_once('=').is_none_or(|(name, _)| !SORTED_BY.contains(&name.trim())));
    Ok(Content::from(kept.map(|line| format!("{line}\n")).collect::<String>().as_str()))
}

/// systemd's EFI stub, in the tools.
#[derive(Debug, Clone, Copy)]
pub struct Stub<'a> {
    /// The tree of the tools.
    pub tools: &'a Path,
    /// The version of its package, where it is known.
    pub version: Option<&'a str>,
}

impl<'a> Stub<'a> {
    /// The stub of a lock's tools.
    #[must_use]
    pub fn of(lock: &'a Lock, tools: &'a Path) -> Self {
        let package = lock.tools.iter().find(|package| package.name == "systemd-boot-efi");
        Stub { tools, version: package.map(|package| package.version.as_str()) }
    }

    /// systemd-boot, of the same package.
    ///
    /// # Errors
    /// The tools have none.
    pub fn loader(self, architecture: Architecture) -> Result<Vec<u8>> {
        let file = format!("systemd-boot{}.efi", architecture.efi());
        fs::read(self.tools.join(EFI_PROGRAMS).join(file)).context("reading systemd-boot of the tools")
    }

    /// True since systemd 256, whose stub hands a section `.ucode` to the kernel.
    fn loads_microcode(self) -> bool {
        let version = self.version.map(|version| version.split_once(':').map_or(version, |(_, rest)| rest));
        let number: String =
            version.into_iter().flat_map(str::chars).take_while(char::is_ascii_digit).collect();
        number.parse::<u32>().is_ok_and(|number| number >= 256)
    }
}

/// Returns the command line the UKI carries: the root hash, then the plan's arguments.
pub fn command_line(arguments: &[String], root_hash: Option<&[u8; 32]>) -> String {
    let hash = root_hash.map(|hash| format!("roothash={}", hex(hash)));
    hash.into_iter().chain(arguments.iter().cloned()).collect::<Vec<_>>().join(" ")
}

/// The content of a file that is there.
fn on_disk(path: &Utf8Path) -> Result<Content> {
    Ok(Content::File { len: fs::metadata(path)?.len(), path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_since_256_load_microcode_themselves() {
        let loads = |version| Stub { tools: Path::new("/"), version }.loads_microcode();
        assert!(loads(Some("257.9-1~deb13u1")) && loads(Some("1:256")));
        assert!(!loads(Some("252.39-1~deb12u1")) && !loads(Some("255.4-1ubuntu8")) && !loads(None));
    }
}
