//! The keys of a device's trust, as a directory of the project has them: what everybody may see.
//!
//! ```text
//! keys/db.pem                      the certificate that firmware accepts EFI programs of
//! keys/{PK,KEK,db,dbx}.auth        the firmware's variables, each signed by the one before it
//! keys/pcr.pem                     the public key of who vouches for what a TPM will have measured
//! keys/pcr-former.pem              the one that it replaces, where that is so
//! ```
//!
//! Private keys are never among them ([`Signers`]). Everything is held against everything else when it is read: firmware
//! that is given variables that do not fit refuses in the field, and prints it on a screen that nobody looks at.

use std::env;
use std::iter;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use bedplate_core::plan::SecureBootPlan;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::certificate::Certificate;
use crate::error::{LocatedError, UsageError};
use crate::key::Key;
use crate::sign::{PublicKey, Signer, TIMEOUT};

mod auth;
pub mod development;

#[cfg(test)]
mod tests;

pub use auth::{Variables, enrol};

/// The certificate of who signs EFI programs.
const CERTIFICATE: &str = "db.pem";
/// The public key of who signs what a TPM will have measured.
const PCR: &str = "pcr.pem";
/// The one that it replaces.
const FORMER: &str = "pcr-former.pem";

/// The keys of a description, read and held against each other.
#[derive(Debug)]
pub struct Keys {
    /// The certificate that EFI programs are signed by.
    pub certificate: Certificate,
    /// Its key.
    pub db: PublicKey,
    /// The key that vouches for measurements.
    pub pcr: PublicKey,
    /// The one that it replaces, and that vouches for them, too.
    pub former: Option<PublicKey>,
    /// The same as its file has it, in PEM.
    pub pcr_pem: Vec<u8>,
    /// The firmware's variables.
    pub variables: Variables,
    /// They are for development: whoever has the repository may have the private keys, too.
    pub development: bool,
}

impl Keys {
    /// Reads the keys that a plan names, below the project's directory.
    ///
    /// # Errors
    /// A file that is missing or damaged; keys of another kind; keys that do not go together. All at the plan's line.
    pub fn read(plan: &SecureBootPlan, project: &Utf8Path) -> Result<Self> {
        let directory = project.join(&plan.keys);
        let refuse = |message: String, help: &str| LocatedError {
            message,
            at: Some(plan.at.clone()),
            word: None,
            help: help.to_owned(),
        };
        let name = |file: &str| format!("{}/{file}", plan.keys.trim_end_matches('/'));
        let read = |file: &str| -> Result<Vec<u8>> {
            fs::read(directory.join(file)).map_err(|error| {
                let message = format!("cannot read `{}`: {}", name(file), error.kind());
                let help = "`cargo xtask keys new DIR` makes a set for development; docs/src/how-to/trust.md says what each file is";
                refuse(message, help).into()
            })
        };
        let located = |error: anyhow::Error| -> anyhow::Error {
            refuse(format!("{error:#}"), "docs/src/how-to/trust.md says what each file is").into()
        };

        let text = read(CERTIFICATE)?;
        let mut certificates = Certificate::parse(&text, &name(CERTIFICATE)).map_err(located)?.into_iter();
        let certificate = certificates.next().context("there is no certificate")?;
        if certificates.next().is_some() {
            let message = format!("`{}` has more than one certificate", name(CERTIFICATE));
            return Err(
                refuse(message, "it is the one that this build signs by; firmware's are in db.auth").into()
            );
        }
        let db =
            PublicKey::new(certificate.public_key(), format!("`{}`", name(CERTIFICATE))).map_err(located)?;

        let public = |pem: &[u8], file: &str| -> Result<PublicKey> {
            let mut keys = PublicKey::parse(pem, &name(file)).map_err(located)?.into_iter();
            keys.next().context("there is no public key")
        };
        let pcr_pem = read(PCR)?;
        let pcr = public(&pcr_pem, PCR)?;
        let former = match plan.replaces_pcr_key {
            true => Some(public(&read(FORMER)?, FORMER)?),
            false => None,
        };
        if pcr.is_same(&db) {
            let message = format!("`{}` and `{}` are one key", name(CERTIFICATE), name(PCR));
            let help = "who signs programs may start an older one; who vouches for measurements opens the data: keep them \
                        apart, so that one can be taken back without the other";
            return Err(refuse(message, help).into());
        }
        if former.as_ref().is_some_and(|former| former.is_same(&pcr)) {
            let message = format!("`{}` and `{}` are one key", name(PCR), name(FORMER));
            let help =
                "the former key opens the data as long as the new one is the same: make another `pcr.pem`";
            return Err(refuse(message, help).into());
        }
        let variables = Variables::read(&directory, &name).map_err(located)?;
        variables.accept(&certificate).map_err(located)?;
        let development = development::is_marked(&text);
        Ok(Self { certificate, db, pcr, former, pcr_pem, variables, development })
    }

    /// Whether the keys that a plan names are for development. Keys that are not there yet are not.
    pub fn are_for_development(plan: &SecureBootPlan, project: &Utf8Path) -> bool {
        let text = fs::read(project.join(&plan.keys).join(CERTIFICATE));
        text.is_ok_and(|text| development::is_marked(&text))
    }

    /// Holds who signs against these keys, as far as that can be known before something is signed.
    ///
    /// # Errors
    /// A private key that belongs to another one; a certificate that is not valid at the moment.
    pub fn fit(&self, signers: &Signers, now: SystemTime) -> Result<()> {
        self.certificate.check_time(now)?;
        signers.db.check(&self.db)?;
        signers.pcr.check(&self.pcr)?;
        let Some(key) = &self.former else { return Ok(()) };
        let Some(signer) = &signers.former else {
            let message = format!(
                "nobody signs for {FORMER}: give --pcr-former-key FILE or --pcr-former-sign-command COMMAND, too"
            );
            return Err(UsageError(message).into());
        };
        signer.check(key)
    }

    /// The keys that vouch for measurements.
    pub fn vouching(&self) -> impl Iterator<Item = &PublicKey> {
        iter::once(&self.pcr).chain(&self.former)
    }

    /// Adds them to the key of what they change.
    ///
    /// # Errors
    /// One cannot be encoded.
    pub fn add_to(&self, key: &mut Key) -> Result<()> {
        key.add(self.certificate.der());
        key.add(&self.pcr_pem);
        if let Some(former) = &self.former {
            key.add(former.to_der()?);
        }
        for (name, bytes) in self.variables.files() {
            key.add(name);
            key.add(bytes);
        }
        Ok(())
    }
}

/// Who signs what firmware starts and what a TPM measures.
#[derive(Debug)]
pub struct Signers {
    /// EFI programs.
    pub db: Signer,
    /// Measurements.
    pub pcr: Signer,
    /// Measurements, by the key that is replaced.
    pub former: Option<Signer>,
}

/// Who signs, as the command line says it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SignersArgs {
    /// The directory with the private keys db.key, pcr.key and pcr-former.key; else BEDPLATE_KEYS
    #[arg(long, value_name = "DIR")]
    pub keys: Option<Utf8PathBuf>,
    /// The private key that signs EFI programs, in PEM; else BEDPLATE_DB_KEY
    #[arg(long, value_name = "FILE")]
    pub db_key: Option<Utf8PathBuf>,
    /// A program that signs them; else BEDPLATE_DB_SIGN_COMMAND
    #[arg(long, value_name = "COMMAND")]
    pub db_sign_command: Option<String>,
    /// The private key that vouches for measurements, in PEM; else BEDPLATE_PCR_KEY
    #[arg(long, value_name = "FILE")]
    pub pcr_key: Option<Utf8PathBuf>,
    /// A program that vouches for them; else BEDPLATE_PCR_SIGN_COMMAND
    #[arg(long, value_name = "COMMAND")]
    pub pcr_sign_command: Option<String>,
    /// The private key that is replaced, in PEM; else BEDPLATE_PCR_FORMER_KEY
    #[arg(long, value_name = "FILE")]
    pub pcr_former_key: Option<Utf8PathBuf>,
    /// A program that vouches by it; else BEDPLATE_PCR_FORMER_SIGN_COMMAND
    #[arg(long, value_name = "COMMAND")]
    pub pcr_former_sign_command: Option<String>,
}

impl SignersArgs {
    /// True where the command line says something.
    pub fn are_given(&self) -> bool {
        let paths = [&self.keys, &self.db_key, &self.pcr_key, &self.pcr_former_key];
        let commands = [&self.db_sign_command, &self.pcr_sign_command, &self.pcr_former_sign_command];
        paths.iter().any(|path| path.is_some()) || commands.iter().any(|command| command.is_some())
    }

    /// Who signs; none where nobody is named.
    ///
    /// # Errors
    /// One of two is named, or one in two ways; a key that cannot be read.
    pub fn signers(&self) -> Result<Option<Signers>> {
        let directory = given(self.keys.as_deref(), "BEDPLATE_KEYS");
        let one = |key, command, name: &str| signer(directory.as_deref(), key, command, name);
        let db = one(self.db_key.as_deref(), self.db_sign_command.as_deref(), "db")?;
        let pcr = one(self.pcr_key.as_deref(), self.pcr_sign_command.as_deref(), "pcr")?;
        // Few descriptions replace a key; one that does is told that nobody signs for it.
        let replaced = directory.as_deref().filter(|directory| directory.join("pcr-former.key").exists());
        let (key, command) = (self.pcr_former_key.as_deref(), self.pcr_former_sign_command.as_deref());
        let former = signer(replaced, key, command, "pcr-former")?;
        match (db, pcr) {
            (Some(db), Some(pcr)) => Ok(Some(Signers { db, pcr, former })),
            (None, None) => Ok(None),
            (db, _) => {
                let (there, missing) = if db.is_some() { ("db", "pcr") } else { ("pcr", "db") };
                let message = format!(
                    "somebody signs for {there}, and nobody for {missing}: give --{missing}-key FILE or \
                     --{missing}-sign-command COMMAND, too"
                );
                Err(UsageError(message).into())
            }
        }
    }
}

/// Options of `keys enrol`.
#[derive(Debug, clap::Args)]
pub struct EnrolArgs {
    /// The directory with PK.pem, KEK*.pem, db*.pem and dbx.txt
    #[arg(value_name = "DIR")]
    pub directory: Utf8PathBuf,
    /// The directory with the private keys PK.key and KEK.key; else BEDPLATE_KEYS
    #[arg(long, value_name = "DIR")]
    pub keys: Option<Utf8PathBuf>,
    /// A program that signs what is on its standard input with PK's key; else BEDPLATE_PK_SIGN_COMMAND
    #[arg(long, value_name = "COMMAND")]
    pub pk_sign_command: Option<String>,
    /// The same with KEK's key; else BEDPLATE_KEK_SIGN_COMMAND
    #[arg(long, value_name = "COMMAND")]
    pub kek_sign_command: Option<String>,
}

/// Who signs for the key `name`: a key or a command of the command line, else of the environment, else the key's file in
/// the directory.
fn signer(
    directory: Option<&Utf8Path>,
    key: Option<&Utf8Path>,
    command: Option<&str>,
    name: &str,
) -> Result<Option<Signer>> {
    let variable = |end: &str| format!("BEDPLATE_{}_{end}", name.to_uppercase().replace('-', "_"));
    let (key, command) = match (key, command) {
        (None, None) => (given(None, &variable("KEY")), env::var(variable("SIGN_COMMAND")).ok()),
        (key, command) => (key.map(Utf8Path::to_owned), command.map(str::to_owned)),
    };
    match (key, command) {
        (Some(_), Some(_)) => {
            Err(UsageError(format!("give a key or a command that signs for {name}, not both")).into())
        }
        (Some(key), None) => Ok(Some(Signer::key(key.as_std_path())?)),
        (None, Some(command)) => Ok(Some(Signer::command(&command, TIMEOUT)?)),
        (None, None) => directory
            .map(|directory| Signer::key(directory.join(format!("{name}.key")).as_std_path()))
            .transpose(),
    }
}

/// A path of the command line, or of the environment.
pub fn given(said: Option<&Utf8Path>, variable: &str) -> Option<Utf8PathBuf> {
    said.map(Utf8Path::to_owned).or_else(|| env::var(variable).ok().map(Utf8PathBuf::from))
}
