//! The service that makes a device's ids and keys, and what it runs.

use std::collections::BTreeSet;

use super::super::Plan;
use super::super::service::SHUT_IN;
use super::{Identity, IdentityFile, PUBLIC, STORE};

/// Where they lie when there is no data partition, or it is lost.
const VOLATILE: &str = "/run/bedplate/own";

/// Before anything else of the system: a service of any kind may read it.
pub(super) fn unit(plan: &Plan, rows: &[&Identity]) -> String {
    let before = rows.iter().flat_map(|row| row.before).fold(String::new(), |all, unit| all + " " + unit);
    let elsewhere = rows.iter().flat_map(|row| row.files).filter(|file| !file.path.starts_with("/etc/"));
    let written: BTreeSet<&str> = elsewhere.map(IdentityFile::directory).collect();
    let written = written.iter().fold(String::new(), |all, directory| format!("{all} -{directory}"));
    let mount = mount(plan).map_or(String::new(), |mount| format!(" {mount}"));
    format!(
        "[Unit]\nDescription=Device Identity\nDefaultDependencies=no\n\
         After=local-fs.target bedplate-hostname.service\nConflicts=shutdown.target\n\
         Before=sysinit.target shutdown.target{before}\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/bedplate/identity\nTimeoutSec=0\n{SHUT_IN}\
         ReadWritePaths=/etc /run{mount}{written}\nCapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID\n"
    )
}

/// Where the data partition is mounted.
fn mount(plan: &Plan) -> Option<String> {
    let store = plan.identity_store()?;
    let mount = store.strip_suffix(STORE)?.strip_suffix(super::super::BACKING)?;
    Some(mount.trim_end_matches('/').to_string())
}

/// `linked` when programs are led to [`PUBLIC`], since the root cannot be written.
pub(super) fn script(plan: &Plan, rows: &[&Identity], linked: bool) -> String {
    let store = match (plan.identity_store(), mount(plan)) {
        (Some(store), Some(mount)) => {
            format!("store={store}\nif ! mountpoint -q {mount}; then store={VOLATILE}; fi\n")
        }
        _ => format!("store={VOLATILE}\n"),
    };
    let mut script = format!("{HEAD}{store}{FUNCTIONS}");
    for row in rows {
        script.push_str(&format!(
            "# {}.\nmake_{}() {{\n    {}\n}}\n",
            row.what,
            function(row.set),
            row.make.replace("\n        ", "\n    ")
        ));
    }
    for row in rows {
        let (set, function) = (row.set, function(row.set));
        script.push_str(&format!("\nown {set} make_{function}\n"));
        for file in row.files {
            let path = if linked { format!("{PUBLIC}/{set}/{}", file.name()) } else { file.path.to_string() };
            script.push_str(&format!("put {set} {} {} {} {path}\n", file.name(), file.mode, file.owner));
        }
    }
    script.push_str("\nexit $failed\n");
    script
}

fn function(set: &str) -> String {
    set.replace('-', "_")
}

const HEAD: &str = r"#!/bin/sh
# Makes the ids and keys that belong to this device alone, where they are missing,
# and puts them where programs look for them. What is there is left as it is.
umask 077
failed=0
";

const FUNCTIONS: &str = r#"
# So many random bytes, in hexadecimal.
hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# A random UUID.
uuid() { hex 16 | sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\)$/\1-\2-4\3-a\4-\5/'; }

complain() {
    echo "<3>bedplate: $*"
    failed=1
}

# SET FUNCTION: a set is made whole or not at all, also when the power goes.
own() {
    new=$store/$1.new~
    if [ -d "$store/$1" ]; then return; fi
    rm -rf "$new"
    (umask 022 && mkdir -p "$store") && chmod 700 "$store" && mkdir "$new" && (cd "$new" && "$2") &&
        sync -f "$new" && mv -T "$new" "$store/$1" && sync -f "$store/$1" && return
    complain "cannot make $1 of this device in $store"
    rm -rf "$new"
}

# SET FILE MODE OWNER PATH
put() {
    if [ -s "$5" ]; then return; fi
    (umask 022 && mkdir -p "${5%/*}") && cp "$store/$1/$2" "$5.new~" && chown "$4" "$5.new~" &&
        chmod "$3" "$5.new~" && mv -T "$5.new~" "$5" && return
    complain "cannot write $5"
    rm -f "$5.new~"
}

"#;
