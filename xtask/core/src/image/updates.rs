//! How a device is updated, and what makes a new version good.

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{Compatible, UnitName, Url};

/// Two slots, of which an update is written into the one that does not run: signed bundles, installed by
/// [RAUC](https://rauc.readthedocs.io). A new version is on trial until it has started well; else the device goes back
/// by itself.
///
/// The image is shipped with one slot; each device makes the second one at its first start.
///
/// ```
/// # use bedplate_core::*;
/// # fn of(image: Image) -> Image {
/// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
/// image
///     .version("1.4.0")
///     .updates(Updates::rauc("edge", certificate!("keys/update.pem")).healthy_when("docker.service"))
/// # }
/// ```
#[must_use = "updates do nothing until they are given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("A/B", "slots", "sysupdate", "SplitArtifacts", "ota", "rollback"))]
pub struct Updates {
    pub(crate) compatible: Option<At<Compatible>>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) tries: At<u32>,
    pub(crate) deadline: At<u32>,
    pub(crate) healthy: Vec<At<UnitName>>,
    pub(crate) asked: Option<At<Url>>,
    pub(crate) at: SourceLocation,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Updates {
    /// Updates by RAUC, for devices that are `compatible`: bundles that say the same word, signed by this certificate
    /// or by one that it issued.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// let updates = Updates::rauc("edge", certificate!("keys/update.pem"));
    /// ```
    #[track_caller]
    #[doc(alias("compatible", "system.conf", "bundle"))]
    pub fn rauc(compatible: impl Given<Compatible>, certificate: Certificate) -> Self {
        let at = SourceLocation::caller();
        let mut mistakes = Vec::new();
        Updates {
            compatible: accept(&mut mistakes, compatible, &at),
            certificates: vec![certificate],
            tries: At { value: 3, at: at.clone() },
            deadline: At { value: 10, at: at.clone() },
            healthy: Vec::new(),
            asked: None,
            at,
            mistakes,
        }
    }

    /// Believes a further certificate: while keys are changed, devices have to believe the old one and the new one.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// let updates = Updates::rauc("edge", certificate!("keys/update-2026.pem"))
    ///     .certificate(certificate!("keys/update-2027.pem"));
    /// ```
    #[doc(alias("keyring", "rotation", "check-purpose"))]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// Starts a new version at most so many times before the device goes back; three times unless said.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// let updates = Updates::rauc("edge", certificate!("keys/update.pem")).tries(2);
    /// ```
    #[track_caller]
    #[doc(alias("boot counting", "attempts", "boot-attempts", "TriesLeft"))]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = At { value: tries, at: SourceLocation::caller() };
        self
    }

    /// Gives each start of a new version so many minutes to become good; ten unless said.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// let updates = Updates::rauc("edge", certificate!("keys/update.pem")).minutes(5);
    /// ```
    #[track_caller]
    #[doc(alias("timeout", "deadline"))]
    pub fn minutes(mut self, minutes: u32) -> Self {
        self.deadline = At { value: minutes, at: SourceLocation::caller() };
        self
    }

    /// Takes a new version for good when this unit has started, too. `multi-user.target` has to be reached in any
    /// case. A check of your own is a service of `Type=oneshot`: see [`Image::unit`](crate::Image::unit).
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// let updates = Updates::rauc("edge", certificate!("keys/update.pem"))
    ///     .healthy_when("docker.service")
    ///     .healthy_when("reaches-the-cloud.service");
    /// ```
    #[track_caller]
    #[doc(alias("boot-complete.target", "bless-boot", "health check", "mark-good"))]
    pub fn healthy_when(mut self, unit: impl Given<UnitName>) -> Self {
        let at = SourceLocation::caller();
        self.healthy.extend(accept(&mut self.mistakes, unit, &at));
        self
    }

    /// Asks for a newer version at this address, four times a day at a moment of its own, installs it and starts it.
    /// Otherwise whoever manages the device calls `rauc install`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// let updates = Updates::rauc("edge", certificate!("keys/update.pem"))
    ///     .asked_at("https://updates.example.com/edge/stable.raucb");
    /// ```
    #[track_caller]
    #[doc(alias("polling", "timer", "hawkbit", "systemd-sysupdate.timer"))]
    pub fn asked_at(mut self, url: impl Given<Url>) -> Self {
        let at = SourceLocation::caller();
        self.asked = accept(&mut self.mistakes, url, &at).or(self.asked);
        self
    }
}

/// A certificate that updates are signed by, in PEM; made by [`certificate!`](crate::certificate!).
#[must_use = "a certificate does nothing until it is given to updates"]
#[derive(Debug, Clone)]
pub struct Certificate {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) at: SourceLocation,
}

impl Certificate {
    /// The certificate in the file `path`, whose text is `text`: PEM, one or several.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let certificate = Certificate::new("keys/update.pem", "-----BEGIN CERTIFICATE-----\n…");
    /// ```
    #[track_caller]
    pub fn new(path: &str, text: &str) -> Self {
        Certificate { name: path.to_string(), text: text.to_string(), at: SourceLocation::caller() }
    }
}

/// A certificate from a file beside the calling one: `certificate!("keys/update.pem")`.
///
/// The text is read by the compiler, so that a missing file does not compile.
#[macro_export]
macro_rules! certificate {
    ($path:literal) => {
        $crate::Certificate::new($path, ::core::include_str!($path))
    };
}
