//! What a description asks of the archives, as its lock keeps it.
//!
//! A lock that has all that is asked for can still have more: what was asked for once, and what that depends on.

use bedplate_core::lock::Lock;
use bedplate_core::plan::{PackagePlan, Plan};

/// What the plan asks for, in apt's notation.
pub fn words(plan: &Plan) -> Vec<String> {
    let without = plan.without.iter().map(|name| format!("{name}-"));
    plan.packages.iter().map(word).chain(without).collect()
}

/// Why the lock has more than the plan asks for, if it has. A lock of an older version does not know.
pub fn given_up(plan: &Plan, lock: &Lock) -> Option<String> {
    let words = words(plan);
    let word = lock.asked.iter().flatten().find(|word| !words.contains(word))?;
    Some(match word.strip_suffix('-') {
        Some(name) => format!("package `{name}` is not to be left out any more"),
        None => {
            let name = word.split(['/', '=']).next().unwrap_or(word);
            match plan.packages.iter().any(|package| package.name == *name) {
                true => format!("package `{name}` is asked for in another way"),
                false => format!("package `{name}` is not asked for any more"),
            }
        }
    })
}

fn word(PackagePlan { name, from, version, .. }: &PackagePlan) -> String {
    let from = from.as_ref().map_or(String::new(), |origin| format!("/{}", origin.suite));
    let version = version.as_ref().map_or(String::new(), |version| format!("={version}"));
    format!("{name}{from}{version}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::{Erofs, Esp, Image, MiB, Package, Root};

    fn plan(image: Image) -> Plan {
        image
            .packages(["linux-image-amd64", "systemd-sysv", "systemd-boot", "dbus"])
            .partition(Esp::new(MiB(512)))
            .partition(Root::new(Erofs))
            .plan_named("test")
            .unwrap()
    }

    #[test]
    fn a_lock_knows_what_is_asked_for_no_more() {
        let image = || Image::debian("trixie");
        let locked = image().package("htop").package(Package::new("jq").version("1.7*")).without("nano");
        let lock = Lock { asked: Some(words(&plan(locked.clone()))), ..Lock::default() };
        let said = |image: Image| given_up(&plan(image), &lock);
        assert_eq!(said(locked.clone()), None);
        // It has more than the lock was asked for: what is not in the lock is found elsewhere.
        assert_eq!(said(locked.package("curl")), None);
        let jq = || Package::new("jq").version("1.7*");
        let no_htop = image().package(jq()).without("nano");
        assert_eq!(said(no_htop).unwrap(), "package `htop` is not asked for any more");
        let other_jq = image().package("htop").package("jq").without("nano");
        assert_eq!(said(other_jq).unwrap(), "package `jq` is asked for in another way");
        let with_nano = image().package("htop").package(jq());
        assert_eq!(said(with_nano).unwrap(), "package `nano` is not to be left out any more");
        assert_eq!(given_up(&plan(image()), &Lock::default()), None, "a lock of an older version");
    }
}
