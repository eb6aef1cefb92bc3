//! What belongs to one device alone: keys, ids and databases that a package
//! makes when it is configured, and that all devices of an image would share.
//!
//! The build takes them out of the image, and each device makes its own at its
//! first boot. They lie on the data partition, like the machine id, and are
//! copied to where programs look for them at every boot. Packages may come as
//! dependencies, so the build adds the files for those that are in the system.

use std::collections::BTreeSet;

use serde::Serialize;

use super::template::Unfit;
use super::{FilePlan, Plan, UNITS};
use crate::image::volatile::Volatile;
use crate::location::SourceLocation;
use crate::page::Page;

mod databases;
mod script;
mod table;

pub use databases::{DATABASES, Database};
pub use table::{IDENTITIES, Identity, IdentityFile};

use script::{script, unit};

/// Where the device's own files lie on the data partition, below the backing of the binds.
const STORE: &str = "/var/lib/bedplate/identity";
/// Where they lie for programs on a root that cannot be written.
const PUBLIC: &str = "/run/bedplate/identity";

/// What each device makes for a package that the plan installs by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityPlan {
    /// The package.
    pub name: String,
    /// What it is: `host keys of dropbear`.
    pub what: String,
    /// The paths that programs know.
    pub files: Vec<String>,
    /// Where it persists; none when every boot makes it anew.
    pub store: Option<String>,
    /// The line that asked for the package.
    pub at: Option<SourceLocation>,
}

/// The rows of the table for the packages that are installed by name.
pub(super) fn plan(plan: &Plan) -> Vec<IdentityPlan> {
    let of = |name: &str| plan.package(name).map(|package| package.at.clone());
    let files = IDENTITIES.iter().filter_map(|row| {
        Some(IdentityPlan {
            name: row.package.to_string(),
            what: row.what.to_string(),
            files: row.files.iter().map(|file| file.path.to_string()).collect(),
            store: plan.identity_store(),
            at: of(row.package)?,
        })
    });
    let databases = DATABASES.iter().filter_map(|row| {
        let named = row.named.iter().find_map(|name| of(name))?;
        let store = plan.backing(row.directory).map(str::to_string);
        Some(IdentityPlan {
            name: row.package.to_string(),
            what: row.what.to_string(),
            files: vec![row.directory.to_string()],
            store,
            at: named,
        })
    });
    files.chain(databases).collect()
}

impl Plan {
    /// Adds what each device makes to the plan's page.
    pub(super) fn own(&self, page: &mut Page) {
        if self.identities.is_empty() {
            return;
        }
        page.heading("made by each device");
        page.table(
            &["path", "what", "persists in"],
            self.identities.iter().flat_map(|identity| {
                let store = identity.store.as_deref().unwrap_or("nothing: anew at every boot");
                let row = move |path: &String| vec![path.clone(), identity.what.clone(), store.to_string()];
                identity.files.iter().map(row)
            }),
        );
    }

    /// Returns the directory of the data partition in which a device keeps what is its own.
    #[must_use]
    pub fn identity_store(&self) -> Option<String> {
        let backing = self.binds.iter().find_map(|bind| bind.backing.strip_suffix(bind.path.as_str()))?;
        Some(format!("{backing}{STORE}"))
    }

    /// Returns the files by which a device makes what is its own, for the
    /// packages of the system: none where there is nothing to make.
    ///
    /// # Errors
    /// A path that would mean something else in a unit or a script.
    pub fn identity_files(&self, packages: &BTreeSet<&str>) -> Result<Vec<FilePlan>, Unfit> {
        let rows: Vec<&Identity> = IDENTITIES.iter().filter(|row| packages.contains(row.package)).collect();
        let mut files = Vec::new();
        for row in DATABASES.iter().filter(|row| packages.contains(row.package)) {
            files.extend(databases::files(row)?);
        }
        if rows.is_empty() {
            return Ok(files);
        }
        let why = "each device makes its own ids and keys";
        let name = "bedplate-identity.service";
        let linked = self.is_read_only();
        let script = script(self, &rows, linked)?;
        files.push(FilePlan::text("/usr/lib/bedplate/identity", script, why).mode(0o755));
        files.push(FilePlan::text(format!("{UNITS}/{name}"), unit(self, &rows)?, why));
        files.push(FilePlan::link(format!("{UNITS}/sysinit.target.wants/{name}"), format!("../{name}"), why));
        if linked {
            let paths = rows.iter().flat_map(|row| row.files.iter().map(move |file| (row, file)));
            files.extend(paths.map(|(row, file)| {
                let target = format!("{PUBLIC}/{}/{}", row.set, file.name());
                FilePlan::link(file.path, target, why)
            }));
        }
        Ok(files)
    }

    /// True when nothing can be written to the root, not even to memory.
    fn is_read_only(&self) -> bool {
        self.disk.root.filesystem.is_read_only() && self.volatile == Volatile::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{device, disk};
    use crate::{Erofs, Esp, Image, MiB, Root};

    fn files(image: &Image, packages: &[&str]) -> Vec<FilePlan> {
        image.plan().unwrap().identity_files(&packages.iter().copied().collect()).unwrap()
    }

    fn text<'a>(files: &'a [FilePlan], path: &str) -> &'a str {
        match &files.iter().find(|file| file.path == path).unwrap().kind {
            super::super::FileKind::File { text } => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_image_without_such_packages_has_no_such_unit() {
        assert_eq!(files(&device(), &["bash", "openssh-server"]), []);
    }

    #[test]
    fn what_a_package_would_make_for_all_is_made_by_the_device_and_persists() {
        let overlay = device().volatile(Volatile::Overlay);
        let files = files(&overlay, &["nvme-cli", "ssl-cert"]);
        let script = text(&files, "/usr/lib/bedplate/identity");
        assert!(script.contains("store=/local/persistent/var/lib/bedplate/identity\n"), "{script}");
        assert!(script.contains("put nvme hostid 0644 root:root /etc/nvme/hostid\n"), "{script}");
        let key =
            "put ssl-cert ssl-cert-snakeoil.key 0640 root:ssl-cert /etc/ssl/private/ssl-cert-snakeoil.key\n";
        assert!(script.contains(key) && !script.contains("rndc"), "{script}");
        let unit = text(&files, "/usr/lib/systemd/system/bedplate-identity.service");
        assert!(unit.contains("Description=Device Identity\n") && unit.contains("Before=sysinit.target "));
        assert!(unit.contains("ReadWritePaths=/etc /run /local\n"), "{unit}");
    }

    #[test]
    fn what_lies_outside_of_etc_can_be_written() {
        let overlay = device().volatile(Volatile::Overlay);
        let files = files(&overlay, &["rabbitmq-server"]);
        let unit = text(&files, "/usr/lib/systemd/system/bedplate-identity.service");
        assert!(unit.contains("ReadWritePaths=/etc /run /local -/var/lib/rabbitmq\n"), "{unit}");
    }

    #[test]
    fn without_a_data_partition_it_is_made_anew_and_the_plan_tells() {
        let image = Image::debian("trixie").packages(["linux-image-amd64", "nvme-cli"]);
        let image = image.partition(Esp::new(MiB(512))).partition(Root::new(Erofs).verity());
        let plan = image.plan().unwrap();
        assert_eq!(plan.identities[0].store, None);
        assert!(plan.page(120).contains("anew at every boot"), "{}", plan.page(120));
        let files = files(&image, &["nvme-cli"]);
        assert!(text(&files, "/usr/lib/bedplate/identity").contains("store=/run/bedplate/own\n"));
        let persistent = device().package("nvme-cli").plan().unwrap();
        assert!(!persistent.page(120).contains("anew at every boot"));
    }

    #[test]
    fn on_a_root_that_cannot_be_written_programs_are_led_to_memory() {
        let files = files(&device(), &["nvme-cli"]);
        let link = files.iter().find(|file| file.path == "/etc/nvme/hostid").unwrap();
        let target = "/run/bedplate/identity/nvme/hostid".to_string();
        assert_eq!(link.kind, super::super::FileKind::Symlink { target });
        let writable = Image::debian("trixie").package("linux-image-amd64").with(disk);
        let files = self::files(&writable.volatile(Volatile::Overlay), &["nvme-cli"]);
        assert!(!files.iter().any(|file| file.path == "/etc/nvme/hostid"));
    }

    #[test]
    fn a_database_is_made_before_its_server_starts() {
        let files = files(&device(), &["postgresql-common"]);
        let unit = text(&files, "/usr/lib/systemd/system/bedplate-postgresql.service");
        assert!(unit.contains("User=postgres\n") && unit.contains("RequiresMountsFor=/var/lib/postgresql\n"));
        let drop_in = text(&files, "/usr/lib/systemd/system/postgresql@.service.d/50-bedplate.conf");
        assert!(drop_in.contains("Requires=bedplate-postgresql.service\n"), "{drop_in}");
        let plan = device().package("postgresql").plan().unwrap();
        assert_eq!(plan.identities[0].store, None);
        let files = self::files(&device(), &["mariadb-server"]);
        let unit = text(&files, "/usr/lib/systemd/system/bedplate-mariadb.service");
        assert!(unit.contains("User=mysql\n") && unit.contains("ReadWritePaths=/var/lib/mysql\n"), "{unit}");
        text(&files, "/usr/lib/systemd/system/mariadb.service.d/50-bedplate.conf");
        let plan = device().package("postgresql").bind("/var/lib/postgresql").plan().unwrap();
        let store = plan.identities[0].store.as_deref();
        assert_eq!(store, Some("/local/persistent/var/lib/postgresql"));
    }

    #[test]
    fn no_two_rows_share_a_name_or_a_path() {
        let sets: BTreeSet<&str> = IDENTITIES.iter().map(|row| row.set).collect();
        let paths: BTreeSet<&str> =
            IDENTITIES.iter().flat_map(|row| row.files).map(|file| file.path).collect();
        assert_eq!(sets.len(), IDENTITIES.len());
        assert_eq!(paths.len(), IDENTITIES.iter().map(|row| row.files.len()).sum::<usize>());
    }
}
