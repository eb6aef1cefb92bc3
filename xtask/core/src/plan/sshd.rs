//! The secure shell's daemon, where an image has one: keys let in, and nothing
//! else; and the device is known by keys of its own.

use super::template::{Unfit, template, words};
use super::units::UNITS;
use super::{FilePlan, UnitPlan};
use crate::image::Image;
use crate::image::user::User;
use crate::value::UnitName;

/// Where the host keys lie; kept.
pub(super) const KEYS: &str = "/var/lib/bedplate/ssh";
/// Where the description's keys lie: outside of homes, which a bind or a data partition may hide.
pub(super) const GIVEN: &str = "/usr/lib/bedplate/authorized_keys";
/// The package, and why it is there when nobody asked for it.
pub(super) const PACKAGE: &str = "openssh-server";

/// True when somebody may come in by it, or the description names it.
pub(super) fn is_there(image: &Image) -> bool {
    let named = image.packages.iter().any(|package| package.value.as_str() == PACKAGE);
    named || image.users.iter().any(User::comes_in)
}

/// The daemon itself; it listens, and nobody listens for it.
pub(super) fn units(image: &Image) -> (Vec<UnitPlan>, Vec<UnitPlan>) {
    if !is_there(image) {
        return (Vec::new(), Vec::new());
    }
    let unit = |name: &str, why: &str| {
        vec![UnitPlan { name: UnitName::known(name), why: Some(why.to_string()), at: None }]
    };
    let mask = unit("ssh.socket", "the daemon listens itself, with the device's own keys");
    (unit("ssh.service", "lets those in who have a key"), mask)
}

pub(super) fn files(image: &Image) -> Result<Vec<FilePlan>, Unfit> {
    if !is_there(image) {
        return Ok(Vec::new());
    }
    let given = image.users.iter().any(|user| !user.keys.is_empty());
    let why = "the device makes its own host keys";
    let mut files = vec![
        FilePlan::text(
            "/etc/ssh/sshd_config.d/10-bedplate.conf",
            template!("settings/sshd.conf"; if GIVEN = given; if NOT_GIVEN = !given)?,
            "keys let in, and no password does",
        ),
        FilePlan::text("/usr/lib/bedplate/ssh-keys", template!("scripts/ssh-keys.sh")?, why).mode(0o755),
        FilePlan::text(
            format!("{UNITS}/bedplate-ssh-keys.service"),
            template!("units/bedplate-ssh-keys.service")?,
            why,
        ),
        FilePlan::text(
            format!("{UNITS}/ssh.service.d/50-bedplate.conf"),
            template!("units/ssh.service.d/50-bedplate.conf")?,
            why,
        ),
    ];
    files.extend(credentials(image)?);
    Ok(files)
}

/// True when somebody comes in by keys that are handed to the device.
pub(super) fn has_credentials(image: &Image) -> bool {
    image.users.iter().any(|user| user.credential.is_some())
}

/// Keys handed in over the firmware, the ESP or the data partition, copied to
/// where the daemon looks.
fn credentials(image: &Image) -> Result<Vec<FilePlan>, Unfit> {
    if !has_credentials(image) {
        return Ok(Vec::new());
    }
    let why = "lets those in whose keys are handed in as a credential";
    let names = image.users.iter().filter(|user| user.credential.is_some());
    let names = names.filter_map(|user| user.name.as_ref()).map(|name| name.value.as_str());
    let script = template!("scripts/ssh-credentials.sh", NAMES = words(names))?;
    Ok(vec![
        FilePlan::text("/usr/lib/bedplate/ssh-credentials", script, why).mode(0o755),
        FilePlan::text(
            format!("{UNITS}/bedplate-ssh-credentials.service"),
            template!("units/bedplate-ssh-credentials.service")?,
            why,
        ),
        FilePlan::text(
            format!("{UNITS}/ssh.service.d/60-bedplate-credentials.conf"),
            template!("units/ssh.service.d/60-bedplate-credentials.conf")?,
            why,
        ),
        FilePlan::text(
            "/usr/lib/tmpfiles.d/bedplate.conf",
            template!("settings/tmpfiles/bedplate.conf")?,
            "where keys are handed in",
        ),
    ])
}

#[cfg(test)]
mod tests {
    use crate::rule::device;
    use crate::{Login, User};
    use expect_test::expect;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8HIMqRTQJ4mZkQ9yFdYc1lLTpEJoFfCQ7m6JZLkWfT operator@desk";

    #[test]
    fn who_has_a_key_comes_in_and_a_password_lets_nobody_in() {
        let plan = device().user(User::new("alice").login(Login::Key(KEY))).plan().unwrap();
        assert!(plan.package("openssh-server").is_some() && plan.enables("ssh.service"));
        expect![[r#"
            # A key lets in, and nothing else.
            AuthenticationMethods publickey
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            PermitRootLogin no
            AuthorizedKeysFile .ssh/authorized_keys /usr/lib/bedplate/authorized_keys/%u /run/bedplate/authorized_keys/%u
            HostKey /var/lib/bedplate/ssh/ssh_host_ed25519_key
            HostKey /var/lib/bedplate/ssh/ssh_host_ecdsa_key
        "#]]
        .assert_eq(plan.text("/etc/ssh/sshd_config.d/10-bedplate.conf").unwrap());
    }

    /// case 8
    #[test]
    fn a_key_of_the_description_lies_in_no_home() {
        let plan = device().bind("/home").user(User::new("alice").login(Login::Key(KEY))).plan().unwrap();
        let keys = plan.file("/usr/lib/bedplate/authorized_keys/alice").unwrap();
        assert_eq!((keys.mode, keys.uid), (0o644, 0), "sshd reads it as the user");
        assert!(plan.file("/home/alice/.ssh/authorized_keys").is_none());
    }

    #[test]
    fn a_device_keeps_the_keys_it_is_known_by() {
        let plan = device().package("openssh-server").plan().unwrap();
        assert_eq!(plan.backing(super::KEYS), Some("/local/persistent/var/lib/bedplate/ssh"));
        assert_eq!(device().plan().unwrap().backing(super::KEYS), None);
    }

    #[test]
    fn an_administrator_becomes_root_without_a_password_and_nobody_else_does() {
        let plan = device().user(User::new("alice").administrator()).user(User::new("guest")).plan().unwrap();
        assert_eq!(plan.text("/etc/sudoers.d/bedplate-alice"), Some("alice ALL=(ALL:ALL) NOPASSWD: ALL\n"));
        assert_eq!(plan.file("/etc/sudoers.d/bedplate-alice").unwrap().mode, 0o440);
        assert!(plan.package("sudo").is_some());
        assert!(plan.file("/etc/sudoers.d/bedplate-guest").is_none());
    }
}
