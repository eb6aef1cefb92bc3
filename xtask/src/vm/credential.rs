//! Texts that reach the guest through SMBIOS (type 11, OEM strings): systemd's credentials.
//!
//! <https://systemd.io/CREDENTIALS/>, <https://www.freedesktop.org/software/systemd/man/latest/systemd-stub.html>

use base64ct::{Base64, Encoding};

/// One OEM string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential(String);

impl Credential {
    /// A system credential; its value may be any bytes.
    pub(super) fn system(name: &str, value: &[u8]) -> Self {
        Self(format!("io.systemd.credential.binary:{name}={}", Base64::encode_string(value)))
    }

    /// More words for the kernel's command line, which systemd's stub appends.
    pub(super) fn command_line(words: &str) -> Self {
        Self(format!("io.systemd.stub.kernel-cmdline-extra={words}"))
    }

    /// The value of QEMU's option `-smbios`, in which a comma ends the value unless it is doubled.
    pub(super) fn to_argument(&self) -> String {
        format!("type=11,value={}", self.0.replace(',', ",,"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_one_oem_string() {
        assert_eq!(
            Credential::system("a.b", b"x,y\n").to_argument(),
            "type=11,value=io.systemd.credential.binary:a.b=eCx5Cg=="
        );
    }

    #[test]
    fn a_comma_does_not_end_the_option() {
        assert_eq!(
            Credential::command_line("console=ttyS0,115200").to_argument(),
            "type=11,value=io.systemd.stub.kernel-cmdline-extra=console=ttyS0,,115200"
        );
    }
}
