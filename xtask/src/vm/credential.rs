//! Texts that reach the guest from its firmware or its container manager: systemd's credentials.
//!
//! <https://systemd.io/CREDENTIALS/>, <https://www.freedesktop.org/software/systemd/man/latest/systemd-stub.html>

use base64ct::{Base64, Encoding};

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A system credential; its value may be any bytes.
    System {
        /// Its name, which is a file's.
        name: String,
        /// What it says.
        value: Vec<u8>,
    },
    /// More words for the kernel's command line, which systemd's stub appends.
    CommandLine(String),
}

impl Credential {
    pub(super) fn system(name: &str, value: &[u8]) -> Self {
        Self::System { name: name.to_owned(), value: value.to_owned() }
    }

    pub(super) fn command_line(words: &str) -> Self {
        Self::CommandLine(words.to_owned())
    }

    /// The value of QEMU's option `-smbios`: an OEM string (type 11), in which a comma ends the value unless it is
    /// doubled.
    pub(super) fn to_argument(&self) -> String {
        let text = match self {
            Self::System { name, value } => {
                format!("io.systemd.credential.binary:{name}={}", Base64::encode_string(value))
            }
            Self::CommandLine(words) => format!("io.systemd.stub.kernel-cmdline-extra={words}"),
        };
        format!("type=11,value={}", text.replace(',', ",,"))
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
