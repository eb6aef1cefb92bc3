//! From a kernel image to a disk: it is signed, measured, and put where firmware looks for it.
//!
//! ```text
//! unsigned kernel image ─► + .pcrsig ─► signed ─┐
//! unsigned systemd-boot ─────────────► signed ─┴─► slot, ESP ─► disk ─► papers, checksums
//! ```
//!
//! Everything follows from the plan, the keys and the files of an unsigned build, and from nothing else: a machine that has
//! these and who signs makes the same bytes as one that did it all ([`sign`]).

use std::iter;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use bedplate_core::Lock;
use bedplate_core::plan::Plan;
use bedplate_formats::digest::hex;
use camino::Utf8Path;
use fs_err as fs;

use super::{description, image_key, joined};
use crate::artifacts::{self, Digests, Output};
use crate::error::LocatedError;
use crate::keys::{Keys, Signers};
use crate::papers::{self, provenance};
use crate::report::{Activity, Report, bytes, path};
use crate::step::root::Hashed;
use crate::step::{boot, budget, disk, measure, seal, slot};
use crate::verify;

/// The keys of a description, and who signs with them.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// What the description names; none without Secure Boot.
    pub keys: Option<&'a Keys>,
    /// Who signs; nobody where that is done later.
    pub signers: Option<&'a Signers>,
}

impl<'a> Trust<'a> {
    /// Keys and signers, where something is signed.
    fn signing(self) -> Option<(&'a Keys, &'a Signers)> {
        Some((self.keys?, self.signers?))
    }

    /// True where a build ends with what has to be signed.
    pub(super) fn is_unsigned(self) -> bool {
        self.keys.is_some() && self.signers.is_none()
    }

    /// The key of an image's artifacts with or without signatures.
    pub(super) fn of(self, image: &str) -> String {
        format!("{image}{}", if self.is_unsigned() { " unsigned" } else { "" })
    }
}

/// What a disk is made of, beside the files in the directory.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) report: &'a Report,
    pub(super) given: provenance::Given<'a>,
    pub(super) bills: &'a papers::Image,
    /// What the root was hashed to as it was written, where it was.
    pub(super) hashed: Option<&'a Hashed>,
    pub(super) trust: Trust<'a>,
    pub(super) staging: &'a Utf8Path,
    /// The directory of the last build.
    pub(super) last: &'a Utf8Path,
}

/// Makes the disk and all that is told of it; where nobody signs, leaves what has to be signed.
pub(super) fn finish(parts: Parts<'_>, loader: Vec<u8>) -> Result<()> {
    let Parts { report, given, bills, hashed, trust, staging, last } = parts;
    let provenance::Given { plan, lock, .. } = given;
    let names = &plan.artifacts;
    if trust.is_unsigned() {
        if let Some(unsigned) = &names.unsigned {
            fs::write(staging.join(&unsigned.loader), loader)?;
            fs::write(staging.join(&unsigned.papers), serde_json::to_vec(bills)?)?;
        }
        budget::check(&plan.budgets, &plan.disk, names, staging, last)?;
        let nothing = || Ok(Digests::new());
        return artifacts::finish(names, staging, Digests::new(), (&[], nothing), |_| Ok(Vec::new()));
    }

    let started = Instant::now();
    let root_length = fs::metadata(staging.join(&names.root))?.len();
    let begun = disk::up_to_root(&plan.disk, hashed, root_length);
    let loader = match (trust.signing(), &names.unsigned) {
        (Some((keys, signers)), Some(unsigned)) => {
            let uki = fs::read(staging.join(&unsigned.uki))?;
            fs::write(staging.join(&names.uki), seal::uki(uki, keys, signers)?)?;
            fs::remove_file(staging.join(&unsigned.uki))?;
            seal::program(loader, keys, &signers.db).context("signing systemd-boot")?
        }
        _ => loader,
    };
    budget::check(&plan.budgets, &plan.disk, names, staging, last)?;
    let version = plan.version.as_deref().unwrap_or_default();
    if let Some(slots) = &plan.disk.slots {
        slot::write(slots, names, version, staging)?;
    }
    let (root_hash, kernel) = verify::of_uki(plan, staging)?;
    let (further, known) = match &plan.updates {
        Some(updates) => slot::known(updates, names, version, hashed, staging)?,
        None => {
            (Vec::new(), hashed.map(|hashed| (names.root.clone(), hex(&hashed.sha256))).into_iter().collect())
        }
    };
    let on_esp = boot::OnEsp { uki: &plan.uki_on_esp(&kernel), loader: &loader, keys: trust.keys, further };
    let boot = boot::Boot::of(plan, staging);
    boot.esp(&plan.disk.esp, on_esp, plan.disk.sector_size, lock.epoch)?;
    let size = bytes(fs::metadata(staging.join(&names.uki))?.len());
    let signed = trust.keys.map(|keys| format!(", signed by `{}`", keys.certificate.subject()));
    report.timed(
        "Boot",
        format_args!("Linux {kernel} in a UKI of {size}{}", signed.unwrap_or_default()),
        started,
    );

    let started = Instant::now();
    let (written, heard) = mpsc::channel();
    thread::scope(|scope| {
        let digests = scope.spawn(|| {
            let begun = begun.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            disk::digests(&names.disk, staging, &known, begun, heard)
        });
        let digests = || joined(digests);
        let papers = |digests: &Digests| papers::all(bills, given, digests);
        let make = || -> Result<(Instant, Activity)> {
            disk::write(&plan.disk, names, root_hash.as_ref(), hashed, staging, written)?;
            fs_err::os::unix::fs::symlink(&names.disk, staging.join(&names.disk_link))?;
            let summary = format!("{} partitions, {}", plan.disk.partitions().count(), bytes(plan.disk.size));
            report.timed("Disk", summary, started);

            let started = Instant::now();
            let activity = report.activity("Verifying", "the disk, and hashing all artifacts");
            verify::disk(plan, trust.keys, staging)
                .context("the disk is not what the plan says: a defect of the builder")?;
            Ok((started, activity))
        };
        let tell = || {
            measure::write(names, trust.keys, &loader, staging)?;
            let on_disk = disk::artifacts(&plan.disk, names).map(|(_, name)| name);
            let on_disk: Vec<&str> = iter::once(names.disk.as_str()).chain(on_disk).collect();
            artifacts::finish(names, staging, known.clone(), (&on_disk, digests), papers)
        };
        let (made, told) = rayon::join(make, tell);
        // A disk that could not be written has no digest, either.
        let (started, activity) = made?;
        told?;
        drop(activity);
        report.timed("Verified", "checksums, and the disk against its plan", started);
        Ok(())
    })
}

/// What a build is of, for who signs it.
#[derive(Clone, Copy)]
pub struct Built<'a> {
    /// What was decided.
    pub plan: &'a Plan,
    /// What was pinned.
    pub lock: &'a Lock,
    /// The directory that paths in the description start from.
    pub project: &'a Utf8Path,
    /// The artifacts.
    pub out: &'a Utf8Path,
}

/// Signs a build that nobody has signed yet: its directory is then the one that a build with these signers makes.
///
/// # Errors
/// It is of another description or lock, or was changed on the way here; who signs fails. It is then as it was.
pub fn sign(report: &Report, built: Built<'_>, trust: Trust<'_>) -> Result<()> {
    let Built { plan, lock, project, out } = built;
    let Some(unsigned) = &plan.artifacts.unsigned else {
        bail!("`{}` has no Secure Boot: there is nothing to sign", plan.name)
    };
    let description = description(plan, project, trust.keys)?;
    let key = image_key(&description, plan, lock);
    let output = Output::open(out, report)?;
    if output.is_of(&trust.of(&key)) {
        report.did("Fresh", path(&out.join(&plan.artifacts.disk)));
        return Ok(());
    }
    if !output.is_of(&Trust { signers: None, ..trust }.of(&key)) {
        let message = format!("`{}` holds no build of this description and lock", path(out));
        let help =
            format!("build it with `cargo xtask image {}`, or check out what it was built of", plan.name);
        return Err(LocatedError::without_line(message, &help).into());
    }
    artifacts::check(&plan.artifacts, out)?;
    let staging = output.staging()?;
    let made = seal_in(report, (plan, lock, &description), trust, (out, &staging), unsigned, project);
    let made = made.and_then(|()| output.publish(&staging, &trust.of(&key), serde_json::to_value(plan)?));
    if made.is_err() {
        // What cannot be removed now, the next build removes.
        let _ = fs::remove_dir_all(&staging);
    }
    made?;
    report.did("Finished", format_args!("{}  {}", path(&out.join(&plan.artifacts.disk)), report.elapsed()));
    Ok(())
}

fn seal_in(
    report: &Report,
    (plan, lock, description): (&Plan, &Lock, &str),
    trust: Trust<'_>,
    (out, staging): (&Utf8Path, &Utf8Path),
    unsigned: &bedplate_core::plan::UnsignedNames,
    project: &Utf8Path,
) -> Result<()> {
    let names = &plan.artifacts;
    let taken = [&unsigned.uki, &names.initrd, &names.kernel, &names.root, &names.manifest, &names.log];
    for name in taken.into_iter().chain(&names.verity).chain(&names.data) {
        // The old directory is about to go: another name for the same file is no copy that could be changed later.
        fs::hard_link(out.join(name), staging.join(name))?;
    }
    let bills = serde_json::from_slice(&fs::read(out.join(&unsigned.papers))?)
        .context("reading what the papers tell")?;
    let commit = papers::commit(project, report);
    let given = provenance::Given { plan, lock, description, commit: commit.as_deref() };
    let loader = fs::read(out.join(&unsigned.loader))?;
    finish(Parts { report, given, bills: &bills, hashed: None, trust, staging, last: out }, loader)
}
