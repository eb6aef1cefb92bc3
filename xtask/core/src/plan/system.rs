//! Files of the system's own set-up: names, language, time, identity.

use super::template::Unfit;
use super::{FilePlan, hostname};
use crate::image::Image;

/// Tells `ConditionNeedsUpdate=` that `/etc` and `/var` are as new as `/usr`.
/// Without it every boot of a root that forgets runs ldconfig, sysusers and
/// the catalogs again. All files of an image have one time at the most, so
/// systemd looks into the file, and finds the last moment there is.
///
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd-update-done.service.html>
const UPDATED: &str = "TIMESTAMP_NSEC=9223372036854775807\n";

pub(super) fn locale(image: &Image) -> String {
    image.locale.as_ref().map_or("C.UTF-8".to_string(), |locale| locale.value.to_string())
}

pub(super) fn files(image: &Image) -> Result<Vec<FilePlan>, Unfit> {
    let mut files = vec![
        // Empty, not absent and not `uninitialized`: every device makes its own
        // at boot, and no boot is taken for the first one.
        FilePlan::text("/etc/machine-id", "", "each device makes its own").mode(0o444),
        FilePlan::text("/etc/.updated", UPDATED, "nothing is brought up to date at boot"),
        FilePlan::text("/var/.updated", UPDATED, "nothing is brought up to date at boot"),
    ];
    files.extend(hostname::files(image)?);

    let at = image.locale.as_ref().map(|locale| &locale.at);
    let text = format!("LANG={}\n", locale(image));
    files.push(FilePlan::text("/etc/locale.conf", text, "the locale, for systemd").at(at));
    files.push(FilePlan::link("/etc/default/locale", "../locale.conf", "the locale, for PAM").at(at));

    if let Some(zone) = &image.timezone {
        let (name, at) = (zone.value.as_str(), Some(&zone.at));
        let target = format!("../usr/share/zoneinfo/{name}");
        files.push(FilePlan::link("/etc/localtime", target, "the time zone").at(at));
        files.push(
            FilePlan::text("/etc/timezone", format!("{name}\n"), "the time zone, for Debian's tools").at(at),
        );
    }

    // Unless it is told otherwise, systemd-resolved answers everybody on the network.
    let (answers, why) = match &image.local_names {
        Some(_) => ("yes", "the device answers to its name on the local network"),
        None => ("no", "nothing listens for names on the local network"),
    };
    let text = format!("[Resolve]\nLLMNR={answers}\nMulticastDNS={answers}\n");
    files.push(
        FilePlan::text("/usr/lib/systemd/resolved.conf.d/60-bedplate.conf", text, why)
            .at(image.local_names.as_ref()),
    );

    let resolved = image.packages.iter().find(|package| package.value.as_str() == "systemd-resolved");
    if let Some(package) = resolved {
        let target = "../run/systemd/resolve/stub-resolv.conf";
        let why = "names are resolved by systemd-resolved";
        files.push(FilePlan::link("/etc/resolv.conf", target, why).at(Some(&package.at)));
    }
    Ok(files)
}
