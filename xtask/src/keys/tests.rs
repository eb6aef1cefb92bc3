use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bedplate_core::SourceLocation;
use tempfile::TempDir;

use super::*;

/// A set for development, made once: keys take their time.
fn made() -> &'static Utf8Path {
    static MADE: OnceLock<(TempDir, Utf8PathBuf)> = OnceLock::new();
    let (_, directory) = MADE.get_or_init(|| {
        let parent = tempfile::tempdir().unwrap();
        let directory = Utf8PathBuf::try_from(parent.path().join("keys")).unwrap();
        development::make(&directory, SystemTime::now()).unwrap();
        (parent, directory)
    });
    directory
}

/// A copy of the set that a test may change, and what a plan says of it.
fn copy() -> (TempDir, PathBuf, SecureBootPlan) {
    let project = tempfile::tempdir().unwrap();
    let directory = project.path().join("keys");
    fs::create_dir(&directory).unwrap();
    for entry in made().read_dir_utf8().unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
        }
    }
    let at = SourceLocation { file: "image/main.rs".to_owned(), line: 3, column: 5 };
    (project, directory, SecureBootPlan { keys: "keys".to_owned(), replaces_pcr_key: false, at })
}

fn refusal(project: &TempDir, plan: &SecureBootPlan) -> String {
    let error = Keys::read(plan, project.path().try_into().unwrap()).unwrap_err();
    let located = error.downcast_ref::<LocatedError>().unwrap_or_else(|| panic!("no line: {error:#}"));
    assert!(located.at.is_some());
    located.message.clone()
}

fn private(name: &str) -> Signer {
    Signer::key(made().join("private").join(format!("{name}.key")).as_std_path()).unwrap()
}

#[test]
fn a_set_for_development_fits_itself_and_says_what_it_is() {
    let (project, _, plan) = copy();
    let keys = Keys::read(&plan, project.path().try_into().unwrap()).unwrap();
    assert!(keys.development);
    let names: Vec<&str> = keys.variables.files().map(|(name, _)| name).collect();
    assert_eq!(names, ["PK.auth", "KEK.auth", "db.auth"]);
    let signers = Signers { db: private("db"), pcr: private("pcr"), former: None };
    keys.fit(&signers, SystemTime::now()).unwrap();
    let swapped = Signers { db: private("pcr"), pcr: private("db"), former: None };
    assert!(keys.fit(&swapped, SystemTime::now()).is_err());
    let later = SystemTime::now() + Duration::from_secs(30 * 365 * 24 * 3600);
    let error = keys.fit(&signers, later).unwrap_err().to_string();
    assert!(error.contains("it expired at"), "{error}");
}

#[test]
fn a_directory_that_is_there_is_not_written_over() {
    let error = development::make(made(), SystemTime::now()).unwrap_err().to_string();
    assert!(error.ends_with("is there already"), "{error}");
}

#[test]
fn what_is_missing_or_damaged_is_told_at_the_plans_line() {
    for name in ["db.pem", "pcr.pem", "PK.auth", "KEK.auth", "db.auth"] {
        let (project, directory, plan) = copy();
        fs::remove_file(directory.join(name)).unwrap();
        let said = refusal(&project, &plan);
        assert!(said.contains(&format!("cannot read `keys/{name}`")), "{said}");
        let (project, directory, plan) = copy();
        fs::write(directory.join(name), "garbage").unwrap();
        let said = refusal(&project, &plan);
        assert!(said.contains(&format!("`keys/{name}`")), "{said}");
    }
}

#[test]
fn one_key_is_not_for_two_things() {
    let (project, directory, plan) = copy();
    let key = private("db").public_key().unwrap();
    let pem =
        der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, &key.to_der().unwrap()).unwrap();
    fs::write(directory.join("pcr.pem"), pem).unwrap();
    assert_eq!(refusal(&project, &plan), "`keys/db.pem` and `keys/pcr.pem` are one key");
}

#[test]
fn a_key_that_is_replaced_is_another_one_and_somebody_signs_by_it() {
    let (project, directory, plan) = copy();
    let plan = SecureBootPlan { replaces_pcr_key: true, ..plan };
    assert!(refusal(&project, &plan).starts_with("cannot read `keys/pcr-former.pem`"));
    fs::copy(directory.join("pcr.pem"), directory.join("pcr-former.pem")).unwrap();
    assert_eq!(refusal(&project, &plan), "`keys/pcr.pem` and `keys/pcr-former.pem` are one key");
    let pem = |name: &str| {
        let der = private(name).public_key().unwrap().to_der().unwrap();
        der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, &der).unwrap()
    };
    fs::write(directory.join("pcr-former.pem"), pem("update")).unwrap();
    let keys = Keys::read(&plan, project.path().try_into().unwrap()).unwrap();
    let signed = |former: Option<&str>| {
        let signers = Signers { db: private("db"), pcr: private("pcr"), former: former.map(private) };
        keys.fit(&signers, SystemTime::now()).map_err(|error| error.to_string())
    };
    let error = signed(None).unwrap_err();
    assert!(error.starts_with("nobody signs for pcr-former.pem: give --pcr-former-key FILE"), "{error}");
    assert!(signed(Some("PK")).is_err());
    signed(Some("update")).unwrap();
}

#[test]
fn variables_that_firmware_would_refuse_are_refused() {
    // Signed by somebody who may not.
    let (project, directory, plan) = copy();
    fs::copy(directory.join("db.auth"), directory.join("KEK.auth")).unwrap();
    assert!(refusal(&project, &plan).contains("is signed by a certificate that is not in PK"));
    // Signed for another variable.
    let (project, directory, plan) = copy();
    fs::copy(directory.join("db.auth"), directory.join("dbx.auth")).unwrap();
    assert!(refusal(&project, &plan).contains("its signature is wrong"));
    // Without the certificate that signs.
    let (project, directory, plan) = copy();
    fs::copy(directory.join("update.pem"), directory.join("db.pem")).unwrap();
    assert!(
        refusal(&project, &plan).contains("db.auth does not have the certificate of `CN=Development update`")
    );
}

#[test]
fn further_certificates_and_digests_are_enrolled() {
    let (project, directory, plan) = copy();
    fs::copy(directory.join("update.pem"), directory.join("db-card.pem")).unwrap();
    fs::write(directory.join("dbx.txt"), format!("# taken back\n{} 1.0\n", "ab".repeat(32))).unwrap();
    let path = Utf8Path::from_path(&directory).unwrap();
    let made = auth::make(path, &private("PK"), &private("KEK"), SystemTime::now()).unwrap();
    assert_eq!(made, ["PK.auth", "KEK.auth", "db.auth", "dbx.auth"]);
    let keys = Keys::read(&plan, project.path().try_into().unwrap()).unwrap();
    use bedplate_formats::efi_variable::Variable;
    assert_eq!(keys.variables.lists(Variable::Db).len(), 2);
    assert_eq!(keys.variables.lists(Variable::Dbx)[0].entries[0].data, [0xab; 32]);
    fs::write(directory.join("dbx.txt"), "abc\n").unwrap();
    let error = auth::make(path, &private("PK"), &private("KEK"), SystemTime::now()).unwrap_err().to_string();
    assert!(error.contains("invalid digest `abc`"), "{error}");
    fs::remove_file(directory.join("dbx.txt")).unwrap();
    let error = auth::make(path, &private("db"), &private("KEK"), SystemTime::now()).unwrap_err().to_string();
    assert!(error.contains("is the key of no certificate that may sign PK"), "{error}");
}
