//! Data directories of database servers, which hold an id and the times of
//! the build: each device makes its own where there is none.

use super::super::FilePlan;
use super::super::template::{Unfit, template, units};
use super::super::units::UNITS;

/// A database that a package makes when it is configured.
#[derive(Debug)]
pub struct Database {
    /// The package that is in a system with such a database.
    pub package: &'static str,
    /// The packages by which a description asks for it.
    pub named: &'static [&'static str],
    /// What it is.
    pub what: &'static str,
    /// Where its data is; a bind there lets it persist.
    pub directory: &'static str,
    /// The units that need it.
    pub needed_by: &'static [&'static str],
    /// The last part of the name of the service that makes it where it is missing, and of its script.
    pub service: &'static str,
    /// The texts of the two.
    texts: fn() -> Result<[String; 2], Unfit>,
}

/// Every such database that we know.
pub static DATABASES: &[Database] = &[
    Database {
        package: "mariadb-server",
        named: &["default-mysql-server", "mariadb-server"],
        what: "data of the database server",
        directory: "/var/lib/mysql",
        needed_by: &["mariadb.service"],
        service: "mariadb",
        texts: || Ok([template!("units/bedplate-mariadb.service")?, template!("scripts/mariadb.sh")?]),
    },
    Database {
        package: "postgresql-common",
        named: &[
            "postgresql",
            "postgresql-common",
            "postgresql-15",
            "postgresql-16",
            "postgresql-17",
            "postgresql-18",
        ],
        what: "data of the database clusters",
        directory: "/var/lib/postgresql",
        needed_by: &["postgresql@.service"],
        service: "postgresql",
        texts: || Ok([template!("units/bedplate-postgresql.service")?, template!("scripts/postgresql.sh")?]),
    },
];

/// The service that makes it, and the order in which it is needed.
pub(super) fn files(row: &Database) -> Result<Vec<FilePlan>, Unfit> {
    let name = row.service;
    let [unit, script] = (row.texts)()?;
    let service = format!("bedplate-{name}.service");
    let why = "each device makes its own databases";
    let mut files = vec![
        FilePlan::text(format!("/usr/lib/bedplate/{name}"), script, why).mode(0o755),
        FilePlan::text(format!("{UNITS}/{service}"), unit, why),
    ];
    for needs in row.needed_by {
        let text = template!("units/database.conf", UNIT = units([&service]))?;
        files.push(FilePlan::text(format!("{UNITS}/{needs}.d/50-bedplate.conf"), text, why));
    }
    Ok(files)
}
