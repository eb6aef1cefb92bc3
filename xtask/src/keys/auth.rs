//! The variables that Secure Boot is made of: read, held against one another, and made of certificates.

use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use bedplate_formats::efi_variable::{AuthenticatedVariable, Variable, VariableUpdate};
use bedplate_formats::signature_list::{SignatureList, X509};
use camino::Utf8Path;
use fs_err as fs;
use uuid::{Uuid, uuid};

use super::{EnrolArgs, signer};
use crate::certificate::Certificate;
use crate::error::{LocatedError, UsageError};
use crate::key;
use crate::sign::{PublicKey, Signer};

/// The owner of Microsoft's certificates, by which firmware's menus know them.
const MICROSOFT: Uuid = uuid!("77fa9abd-0359-4d32-bd60-28f4e78f784b");

/// The firmware's variables of a description.
#[derive(Debug)]
pub struct Variables {
    files: Vec<(String, Vec<u8>)>,
    lists: Vec<(Variable, Vec<SignatureList>)>,
}

impl Variables {
    /// Reads `PK.auth`, `KEK.auth`, `db.auth` and, where it is there, `dbx.auth` of a directory; `name` names a file of
    /// it in messages. Each has to be signed as firmware asks for it.
    ///
    /// # Errors
    /// One is missing, damaged, or signed by somebody else.
    pub fn read(directory: &Utf8Path, name: &dyn Fn(&str) -> String) -> Result<Self> {
        let mut read = Self { files: Vec::new(), lists: Vec::new() };
        for variable in Variable::ALL {
            let file = file(variable);
            let path = directory.join(&file);
            if variable == Variable::Dbx && !path.exists() {
                continue;
            }
            let context = || format!("`{}`", name(&file));
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", context()))?;
            let found = AuthenticatedVariable::read(&bytes).with_context(context)?;
            let above = match variable {
                Variable::Pk => &found.lists,
                Variable::Kek => read.lists(Variable::Pk),
                Variable::Db | Variable::Dbx => read.lists(Variable::Kek),
            };
            if !holds(above, &found.certificate) {
                let above = if variable == Variable::Kek { "PK" } else { "KEK" };
                let who = if variable == Variable::Pk { "itself" } else { above };
                bail!("{} is signed by a certificate that is not in {who}", context());
            }
            let signer = key_of(&found.certificate, &format!("the signer of {}", context()))?;
            let fits = |append| signer.verify(&found.message(variable, append), &found.signature);
            if !fits(false) {
                let why = if fits(true) {
                    "it adds to the variable, and a new device has none"
                } else {
                    "its signature is wrong"
                };
                bail!("{} cannot be enrolled: {why}", context());
            }
            read.files.push((file, bytes));
            read.lists.push((variable, found.lists));
        }
        Ok(read)
    }

    /// The files, by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// What a variable has once it is enrolled; nothing where it is not.
    pub fn lists(&self, variable: Variable) -> &[SignatureList] {
        let found = self.lists.iter().find(|(known, _)| *known == variable);
        found.map_or(&[], |(_, lists)| lists)
    }

    /// Checks that firmware with these variables accepts what the certificate signs.
    ///
    /// # Errors
    /// The certificate is not in `db`.
    pub fn accept(&self, certificate: &Certificate) -> Result<()> {
        if !holds(self.lists(Variable::Db), &certificate.der()) {
            bail!(
                "db.auth does not have the certificate of `{}`: firmware would refuse what it signs",
                certificate.subject()
            );
        }
        Ok(())
    }
}

/// The name of a variable's file.
fn file(variable: Variable) -> String {
    format!("{}.auth", variable.name())
}

/// Whether a certificate in DER is in a database.
fn holds(lists: &[SignatureList], certificate: &[u8]) -> bool {
    lists
        .iter()
        .filter(|list| list.kind == X509)
        .flat_map(|list| &list.entries)
        .any(|entry| entry.data == certificate)
}

/// The key of a certificate in DER.
fn key_of(certificate: &[u8], what: &str) -> Result<PublicKey> {
    let certificate = Certificate::from_der(certificate)?;
    PublicKey::new(certificate.public_key(), what.to_owned())
}

/// Makes the variables of the certificates in a directory, and returns the names of the files.
///
/// # Errors
/// A certificate is missing or damaged; nobody signs; what [`make`] fails with.
pub fn enrol(args: &EnrolArgs, now: SystemTime) -> Result<Vec<String>> {
    let keys = super::given(args.keys.as_deref(), "BEDPLATE_KEYS");
    let of = |command: &Option<String>, name: &str| -> Result<Signer> {
        let found = signer(keys.as_deref(), None, command.as_deref(), name)?;
        found.ok_or_else(|| {
            let lower = name.to_lowercase();
            UsageError(format!("nobody signs for {name}: give --keys DIR or --{lower}-sign-command COMMAND"))
                .into()
        })
    };
    make(&args.directory, &of(&args.pk_sign_command, "PK")?, &of(&args.kek_sign_command, "KEK")?, now)
}

/// Makes the variables of the certificates in a directory, as of a moment, and returns the names of the files.
///
/// # Errors
/// A certificate is missing or damaged, or is not who signs.
pub fn make(directory: &Utf8Path, pk: &Signer, kek: &Signer, now: SystemTime) -> Result<Vec<String>> {
    let time = now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let [platform, exchange, programs] = ["PK", "KEK", "db"].map(|name| certificates(directory, name));
    let (platform, exchange, programs) = (platform?, exchange?, programs?);
    let [only] = &platform[..] else {
        bail!("`{directory}` has {} platform keys, and firmware has one", platform.len())
    };
    let owner = Uuid::new_v5(&Uuid::NAMESPACE_OID, &only.der());
    let list = |certificate: &Certificate| {
        let owner = if certificate.subject().contains("Microsoft") { MICROSOFT } else { owner };
        SignatureList::certificate(owner, &certificate.der())
    };
    let lists = |certificates: &[Certificate]| certificates.iter().map(list).collect::<Vec<_>>();
    let mut updates = vec![
        (Variable::Pk, lists(&platform), pk, &platform),
        (Variable::Kek, lists(&exchange), pk, &platform),
        (Variable::Db, lists(&programs), kek, &exchange),
    ];
    if let Some(digests) = refused(directory)? {
        updates.push((Variable::Dbx, vec![SignatureList::sha256(owner, &digests)], kek, &exchange));
    }
    let mut made = Vec::new();
    for (variable, lists, signer, above) in updates {
        let update = VariableUpdate::new(variable, time, &lists)?;
        // Of several, the one whose private key it is.
        let mut found = None;
        for certificate in above {
            let key = key_of(&certificate.der(), &format!("`{}`", certificate.subject()))?;
            if signer.check(&key).is_ok() {
                found = Some((certificate, key));
                break;
            }
        }
        let (certificate, key) = found.with_context(|| {
            format!("`{}` is the key of no certificate that may sign {}", signer.name(), variable.name())
        })?;
        let signature = signer.sign(&update.bytes(), &key)?;
        let name = file(variable);
        fs::write(directory.join(&name), update.auth(&certificate.der(), &signature)?)?;
        made.push(name);
    }
    Ok(made)
}

/// The certificates of a directory whose files begin with `name`, one at least, by file name: `db.pem`, `db-card.der`.
fn certificates(directory: &Utf8Path, name: &str) -> Result<Vec<Certificate>> {
    let mut files = Vec::new();
    for entry in directory.read_dir_utf8().with_context(|| format!("cannot read `{directory}`"))? {
        let entry = entry?;
        let (stem, extension) = (entry.path().file_stem().unwrap_or_default(), entry.path().extension());
        let named = stem == name || stem.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        if named && matches!(extension, Some("pem" | "der" | "crt" | "cer")) {
            files.push(entry.path().to_owned());
        }
    }
    files.sort();
    let mut found = Vec::new();
    for file in &files {
        let bytes = fs::read(file)?;
        match bytes.starts_with(b"\x30") {
            true => found.push(
                Certificate::from_der(&bytes).with_context(|| format!("invalid certificate in `{file}`"))?,
            ),
            false => found.extend(Certificate::parse(&bytes, file.as_str())?),
        }
    }
    if found.is_empty() {
        let message = format!("`{directory}` has no certificate `{name}.pem`");
        let help = "`cargo xtask keys new DIR` makes a set for development; docs/src/how-to/trust.md says what each file is";
        return Err(LocatedError::without_line(message, help).into());
    }
    Ok(found)
}

/// The digests of `dbx.txt`, where it is there: one a line in hexadecimal, then what it is.
fn refused(directory: &Utf8Path) -> Result<Option<Vec<[u8; 32]>>> {
    let path = directory.join("dbx.txt");
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let digest = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        key::digest(word)
            .with_context(|| format!("invalid digest `{word}` in `{path}`: 64 hexadecimal digits"))
    };
    lines.map(digest).collect::<Result<Vec<_>>>().map(Some)
}
