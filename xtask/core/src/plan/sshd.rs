//! The secure shell's daemon, where an image has one: keys let in, and nothing
//! else; and the device is known by keys of its own.

use super::service::SHUT_IN;
use super::units::UNITS;
use super::{FilePlan, UnitPlan};
use crate::image::Image;
use crate::image::user::User;

/// Where the host keys lie; kept.
pub(super) const KEYS: &str = "/var/lib/bedplate/ssh";
/// Where the description's keys lie: outside of homes, which a bind or a data partition may hide.
pub(super) const GIVEN: &str = "/usr/lib/bedplate/authorized_keys";
/// Where keys lie that were handed in.
const HANDED: &str = "/run/bedplate/authorized_keys";
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
        vec![UnitPlan { name: name.to_string(), why: Some(why.to_string()), at: None }]
    };
    let mask = unit("ssh.socket", "the daemon listens itself, with the device's own keys");
    (unit("ssh.service", "lets those in who have a key"), mask)
}

pub(super) fn files(image: &Image) -> Vec<FilePlan> {
    if !is_there(image) {
        return Vec::new();
    }
    let types = ["ed25519", "ecdsa"];
    let keys: String = types.iter().map(|kind| format!("HostKey {KEYS}/ssh_host_{kind}_key\n")).collect();
    let given = image.users.iter().any(|user| !user.keys.is_empty());
    let given = if given { format!(" {GIVEN}/%u") } else { String::new() };
    let settings = format!(
        "# A key lets in, and nothing else.\nAuthenticationMethods publickey\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin no\n\
         AuthorizedKeysFile .ssh/authorized_keys{given} {HANDED}/%u\n{keys}"
    );
    let script = format!(
        "#!/bin/sh\n# Makes the keys this device is known by, where one is missing or cannot be read.\n\
         # A power cut leaves all of a key or nothing: it is renamed into place when it is on disk.\n\
         set -eu\numask 077\nmkdir -p {KEYS}\nfor kind in {}; do\n    key={KEYS}/ssh_host_${{kind}}_key\n    \
         if ssh-keygen -y -P '' -f \"$key\" >/dev/null 2>&1; then continue; fi\n    rm -f \"$key.new~\" \"$key.new~.pub\"\n    \
         ssh-keygen -q -t \"$kind\" -N '' -C '' -f \"$key.new~\"\n    sync -f \"$key.new~\"\n    \
         mv \"$key.new~.pub\" \"$key.pub\"\n    mv \"$key.new~\" \"$key\"\n    sync -f \"$key\"\ndone\n",
        types.join(" ")
    );
    let unit = format!(
        "[Unit]\nDescription=The Keys This Device Is Known By\nBefore=ssh.service\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/bedplate/ssh-keys\n{SHUT_IN}\
         ReadWritePaths=/var/lib\nCapabilityBoundingSet=\n"
    );
    let why = "the device makes its own host keys";
    let mut files = vec![
        FilePlan::text(
            "/etc/ssh/sshd_config.d/10-bedplate.conf",
            settings,
            "keys let in, and no password does",
        ),
        FilePlan::text("/usr/lib/bedplate/ssh-keys", script, why).mode(0o755),
        FilePlan::text(format!("{UNITS}/bedplate-ssh-keys.service"), unit, why),
        FilePlan::text(
            format!("{UNITS}/ssh.service.d/50-bedplate.conf"),
            "[Unit]\nRequires=bedplate-ssh-keys.service\nAfter=bedplate-ssh-keys.service\n",
            why,
        ),
    ];
    files.extend(credentials(image));
    files
}

/// True when somebody comes in by keys that are handed to the device.
pub(super) fn has_credentials(image: &Image) -> bool {
    image.users.iter().any(|user| user.credential.is_some())
}

/// Keys handed in over the firmware, the ESP or the data partition, copied to
/// where the daemon looks.
fn credentials(image: &Image) -> Vec<FilePlan> {
    if !has_credentials(image) {
        return Vec::new();
    }
    let why = "lets those in whose keys are handed in as a credential";
    let names = image.users.iter().filter(|user| user.credential.is_some());
    let names: Vec<&str> =
        names.filter_map(|user| user.name.as_ref()).map(|name| name.value.as_str()).collect();
    let unit = format!(
        "[Unit]\nDescription=Keys Handed to This Device\nBefore=ssh.service\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nImportCredential=ssh.authorized_keys.*\n\
         ExecStart=/usr/lib/bedplate/ssh-credentials\n{SHUT_IN}ReadWritePaths=/run/bedplate\nCapabilityBoundingSet=\n"
    );
    let script = format!(
        "#!/bin/sh\n# Copies the keys that were handed in as credentials to where sshd looks for them.\n\
         failed=0\nmkdir -p {HANDED}\nchmod 755 {HANDED}\nfor name in {}; do\n    \
         from=${{CREDENTIALS_DIRECTORY:-/nonexistent}}/ssh.authorized_keys.$name\n    [ -e \"$from\" ] || continue\n    \
         if ssh-keygen -l -f \"$from\" >/dev/null 2>&1; then\n        \
         cp \"$from\" {HANDED}/\"$name\" && chmod 644 {HANDED}/\"$name\"\n    else\n        \
         echo \"<3>bedplate: the credential ssh.authorized_keys.$name holds no public key: it lets nobody in\"\n        \
         failed=1\n    fi\ndone\nexit $failed\n",
        names.join(" ")
    );
    vec![
        FilePlan::text("/usr/lib/bedplate/ssh-credentials", script, why).mode(0o755),
        FilePlan::text(format!("{UNITS}/bedplate-ssh-credentials.service"), unit, why),
        FilePlan::text(
            format!("{UNITS}/ssh.service.d/60-bedplate-credentials.conf"),
            "[Unit]\nWants=bedplate-ssh-credentials.service\nAfter=bedplate-ssh-credentials.service\n",
            why,
        ),
        FilePlan::text(
            "/usr/lib/tmpfiles.d/bedplate.conf",
            "d /run/bedplate 0755 root root -\n",
            "where keys are handed in",
        ),
    ]
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
