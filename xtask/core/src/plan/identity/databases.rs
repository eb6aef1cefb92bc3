//! Data directories of database servers, which hold an id and the times of
//! the build: each device makes its own where there is none.

use super::super::FilePlan;
use super::super::service::SHUT_IN;
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
    /// The user it belongs to, and the last part of our unit's name.
    pub user: &'static str,
    /// The units that need it.
    pub needed_by: &'static [&'static str],
    /// Shell that makes it where it is missing.
    pub script: &'static str,
    /// The unit's description.
    pub title: &'static str,
}

/// Every such database that we know.
pub static DATABASES: &[Database] = &[
    Database {
        package: "mariadb-server",
        named: &["default-mysql-server", "mariadb-server"],
        what: "data of the database server",
        directory: "/var/lib/mysql",
        user: "mysql",
        needed_by: &["mariadb.service"],
        title: "MariaDB Data Setup",
        // As the package's postinst calls mariadb-install-db; the configuration is in the image, in /etc.
        script: r#"#!/bin/sh
# Makes the data directory of the server where it is empty: it holds an id, and
# no two devices share one. It is made in a directory of its own, which is renamed
# when it is on disk, and what is in that moved out of it.
umask 077
data=/var/lib/mysql
new=$data/bedplate.new~
made=$data/bedplate.made~

fail() {
    echo "<3>bedplate: $*"
    exit 1
}

if [ ! -d "$made" ]; then
    rm -rf "$new"
    if [ -d "$data/mysql" ]; then exit 0; fi
    for other in "$data"/* "$data"/.[!.]*; do
        case ${other##*/} in lost+found | '*' | '.[!.]*') ;; *) fail "$data holds $other, and no system tables" ;; esac
    done
    mkdir "$new" && TMPDIR=$new mariadb-install-db --rpm --cross-bootstrap --user=mysql --datadir="$new" \
        --tmpdir="$new" --disable-log-bin --skip-test-db --skip-log-error >&2 &&
        sync -f "$new" && mv -T "$new" "$made" && sync -f "$made" || fail "cannot make the data of the server in $data"
fi
find "$made" -mindepth 1 -maxdepth 1 -exec mv -t "$data" {} + && sync -f "$data" && rmdir "$made" ||
    fail "cannot move the data of the server into $data"
"#,
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
        user: "postgres",
        needed_by: &["postgresql@.service"],
        title: "PostgreSQL Cluster Setup",
        // As pg_createcluster calls initdb; the configuration is in the image, in /etc.
        script: r#"#!/bin/sh
# Makes the data directory of every configured cluster that has none: it holds
# an id, and no two devices share one. It is renamed into place when it is on disk.
umask 077
failed=0
for conf in /etc/postgresql/*/*/postgresql.conf; do
    [ -e "$conf" ] || continue
    cluster=${conf%/*}
    cluster=${cluster#/etc/postgresql/}
    data=/var/lib/postgresql/$cluster
    [ -s "$data/PG_VERSION" ] && continue
    new=$data.new~
    rm -rf "$new"
    if mkdir -p "${data%/*}" &&
        "/usr/lib/postgresql/${cluster%%/*}/bin/initdb" -D "$new" --auth-local=peer --auth-host=scram-sha-256 >&2 &&
        rm -f "$new/postgresql.conf" "$new/pg_hba.conf" "$new/pg_ident.conf" &&
        sync -f "$new" && mv -T "$new" "$data" && sync -f "$data"; then
        continue
    fi
    echo "<3>bedplate: cannot make the database cluster $cluster in $data"
    failed=1
done
exit $failed
"#,
    },
];

/// The service that makes it, and the order in which it is needed.
pub(super) fn files(row: &Database) -> Vec<FilePlan> {
    let name = row.package.split('-').next().unwrap_or(row.package);
    let (service, program) = (format!("bedplate-{name}.service"), format!("/usr/lib/bedplate/{name}"));
    let Database { directory, user, title, .. } = row;
    let unit = format!(
        "[Unit]\nDescription={title}\nRequiresMountsFor={directory}\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nUser={user}\nGroup={user}\nExecStart={program}\nTimeoutSec=0\n{SHUT_IN}\
         ReadWritePaths={directory}\nCapabilityBoundingSet=\n"
    );
    let why = "each device makes its own databases";
    let mut files = vec![
        FilePlan::text(&program, row.script, why).mode(0o755),
        FilePlan::text(format!("{UNITS}/{service}"), unit, why),
    ];
    files.extend(row.needed_by.iter().map(|needs| {
        let text = format!("[Unit]\nRequires={service}\nAfter={service}\n");
        FilePlan::text(format!("{UNITS}/{needs}.d/50-bedplate.conf"), text, why)
    }));
    files
}
