//! The command line: verbs, their options, and nothing else.

use anyhow::Result;
use bedplate_core::Architecture;
use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::UsageError;
use crate::keys::{EnrolArgs, SignersArgs};
use crate::report::OutputArgs;

/// Builds immutable Linux images from the description in image/main.rs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub output: OutputArgs,
}

/// One verb of the program.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a project of your own in a new directory
    New(NewArgs),
    /// Build an image into build/NAME/
    Image(ImageArgs),
    /// Build an image, and the signed bundle that updates devices to it
    Bundle(BundleArgs),
    /// Print what will be built, without building it
    Plan(PlanArgs),
    /// Sign a built image, on this machine or another one
    Sign(SignArgs),
    /// Make the keys that images are signed with
    Keys(KeysArgs),
    /// Pin every package the image is made of in image/NAME.lock
    Lock(LockArgs),
    /// Put the packages of a lock into a directory, for a machine without a network
    Vendor(VendorArgs),
    /// Start a built image in QEMU; the image itself stays as it is
    Boot(BootArgs),
    /// Come in to a machine that `boot --ssh` started
    Ssh(SshArgs),
    /// Write a built image to a disk, and read it back; without a disk, list them
    Flash(FlashArgs),
    /// Report the mistakes in every description
    Check,
    /// Explain a mistake's code
    Explain {
        /// The code, as `bound-twice`; without one, the list of all
        code: Option<String>,
    },
    /// Check a built image against its plan, byte for byte
    Verify(NameArgs),
    /// Print what a disk, an ESP, a root, a kernel image or an update bundle holds
    Inspect(InspectArgs),
    /// Print what differs between two images, or between an image and its description
    Diff(DiffArgs),
    /// Write a page about a built image, to look at: report.html beside its artifacts
    Report(ReportArgs),
    /// Run a command from packages of the image's distribution, in the sandbox
    Tools(ToolsArgs),
    /// Remove what the cache holds: layers, or everything with --all
    Clean {
        /// The downloaded packages, too
        #[arg(long)]
        all: bool,
    },
    /// Print the script by which a shell completes these words
    Completions(CompletionsArgs),
    /// Print the page for man(1)
    Man,
}

impl Verb {
    /// Whether it makes or removes trees, and so needs the rights of root over
    /// the files of many owners.
    pub fn works_on_trees(&self) -> bool {
        matches!(
            self,
            Self::Image(_)
                | Self::Bundle(_)
                | Self::Sign(_)
                | Self::Lock(_)
                | Self::Vendor(_)
                | Self::Boot(_)
                | Self::Tools(_)
                | Self::Clean { .. }
        ) || matches!(self, Self::Flash(args) if !args.credential.is_empty())
    }
}

/// Options of `new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The directory; it is not there yet, or empty
    #[arg(value_name = "DIR")]
    pub directory: Utf8PathBuf,
    /// What the image is made of: noble, resolute or trixie
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<String>,
    /// Describe the images of a project for mkosi
    #[arg(long, value_name = "PROJECT")]
    pub from_mkosi: Option<Utf8PathBuf>,
    /// The name of the project and its image, in place of the directory's
    #[arg(long)]
    pub name: Option<String>,
    /// How Cargo.toml names bedplate, in place of this one: a path, URL#COMMIT or a version
    #[arg(long, value_name = "SOURCE")]
    pub bedplate: Option<String>,
}

/// Which image.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The image's name; the first in main.rs when left out
    pub name: Option<String>,
    /// The architecture to build for: x86-64 or arm64
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<String>,
    /// Where the artifacts lie, in place of build/NAME
    #[arg(long, value_name = "DIR")]
    pub out: Option<Utf8PathBuf>,
}

impl NameArgs {
    /// The architecture asked for; x86-64 when none is.
    ///
    /// # Errors
    /// A name that no architecture has.
    pub fn architecture(&self) -> Result<Architecture> {
        match self.arch.as_deref() {
            None | Some("x86-64" | "x86_64" | "amd64") => Ok(Architecture::X86_64),
            Some("arm64" | "aarch64") => Ok(Architecture::Aarch64),
            Some(other) => {
                let message = format!("no architecture is named `{other}`; there are `x86-64` and `arm64`");
                Err(UsageError(message).into())
            }
        }
    }
}

/// Where packages come from.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Fetch from TO what the lock names below FROM; may be given again
    #[arg(long, value_name = "FROM=TO")]
    pub mirror: Vec<String>,
    /// Use what the cache holds, and no network
    #[arg(long)]
    pub offline: bool,
    /// Take packages from a directory that `vendor` filled
    #[arg(long, value_name = "DIR")]
    pub store: Option<Utf8PathBuf>,
    /// The lock file, in place of image/NAME.lock
    #[arg(long, value_name = "FILE")]
    pub lock: Option<Utf8PathBuf>,
}

/// Options of `image`.
#[derive(Debug, Args)]
pub struct ImageArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub image: NameArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub source: SourceArgs,
    /// Fail where the lock is missing or would have to change
    #[arg(long)]
    pub locked: bool,
    /// Write the disk as image.raw.zst, too, with the block map image.raw.bmap
    #[arg(long)]
    pub compress: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub signers: SignersArgs,
}

/// Options of `sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub image: NameArgs,
    /// The lock file, in place of image/NAME.lock
    #[arg(long, value_name = "FILE")]
    pub lock: Option<Utf8PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub signers: SignersArgs,
}

/// Options of `keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do with keys
    #[command(subcommand)]
    pub verb: KeysVerb,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make a set to develop with, in a new directory
    New {
        /// The directory
        #[arg(value_name = "DIR")]
        directory: Utf8PathBuf,
    },
    /// Make the firmware's variables of the certificates in a directory, and sign them
    Enrol(EnrolArgs),
}

/// Options of `bundle`.
#[derive(Debug, Args)]
pub struct BundleArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub build: ImageArgs,
    /// The private key that signs, in PEM; else BEDPLATE_UPDATE_KEY
    #[arg(long, value_name = "FILE")]
    pub key: Option<Utf8PathBuf>,
    /// A program that signs what is on its standard input; else BEDPLATE_UPDATE_SIGN_COMMAND
    #[arg(long, value_name = "COMMAND")]
    pub sign_command: Option<String>,
    /// The certificate of who signs, and those between it and the devices' own; else BEDPLATE_UPDATE_CERTIFICATE
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<Utf8PathBuf>,
    /// Let devices with a newer version install it
    #[arg(long)]
    pub older: bool,
    /// The bundle of a version that devices have: they fetch what is new in bytes, not in blocks; may be given again
    #[arg(long, value_name = "BUNDLE")]
    pub from: Vec<Utf8PathBuf>,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub image: NameArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub form: FormArgs,
    /// Print what differs from the plan of another image, of a git revision, or that was saved with --json
    #[arg(long, value_name = "IMAGE|REV|FILE")]
    pub against: Option<String>,
    /// End with 3 when something differs
    #[arg(long, requires = "against")]
    pub exit_code: bool,
}

/// Options of `lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub image: NameArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub source: SourceArgs,
    /// Move every package to what the archive has now, and print what changed
    #[arg(long)]
    pub update: bool,
}

/// Options of `vendor`.
#[derive(Debug, Args)]
pub struct VendorArgs {
    /// The directory; it may have the packages of other images
    #[arg(value_name = "DIR")]
    pub directory: Utf8PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub image: NameArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub source: SourceArgs,
}

/// Options of `boot`.
#[derive(Debug, Args)]
pub struct BootArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub image: NameArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub source: SourceArgs,
    /// Memory of the machine, in MiB
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    pub memory: u32,
    /// Size of the disk the image is put on, in GiB: at least the image's, and 4 GiB more than it needs when left out
    #[arg(long, value_name = "GIB")]
    pub disk: Option<u64>,
    /// Make a key for `cargo xtask ssh`, and hand it to those who come in by a credential
    #[arg(long)]
    pub ssh: bool,
    /// Start the root file system alone, in a container of this machine's kernel: seconds, and no firmware, initrd, TPM
    /// or network. Needs root, and lets root in
    #[arg(long, conflicts_with_all = ["memory", "disk", "ssh"])]
    pub quick: bool,
}

/// Options of `ssh`.
#[derive(Debug, Args)]
pub struct SshArgs {
    /// The image's name; the first in main.rs when left out
    pub name: Option<String>,
    /// Who comes in, in place of the first who is handed a key
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Where the artifacts lie, in place of build/NAME
    #[arg(long, value_name = "DIR")]
    pub out: Option<Utf8PathBuf>,
    /// A command to run there, in place of a shell
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: KnownShell,
}

/// The shells that have a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they would be printed beside the names")]
pub enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

/// Options of `flash`.
#[derive(Debug, Args)]
pub struct FlashArgs {
    /// The image: a file, as image.raw or image.raw.zst, or the name of a built one
    #[arg(value_name = "FILE|NAME")]
    pub image: Option<String>,
    /// The disk, as /dev/sdb, or a file that stands for one
    #[arg(value_name = "DEVICE")]
    pub device: Option<Utf8PathBuf>,
    /// Write to a disk that is not removable, or too small for the first start
    #[arg(long)]
    pub force: bool,
    /// Put the credential that is in a file onto the data partition; may be given again
    #[arg(long, value_name = "NAME=FILE")]
    pub credential: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub source: SourceArgs,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The file, as build/NAME/image.raw
    pub file: Utf8PathBuf,
    /// As JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub image: NameArgs,
    /// Tell what changed since another image, in place of what the description says otherwise now: a disk, a root or a
    /// directory of artifacts
    #[arg(long, value_name = "OLD")]
    pub against: Option<Utf8PathBuf>,
    /// The lock file, in place of image/NAME.lock
    #[arg(long, value_name = "FILE")]
    pub lock: Option<Utf8PathBuf>,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A disk, a root, a kernel image, a directory of artifacts, a lock, a bundle, or the name of an image that is built
    #[arg(value_name = "A")]
    pub before: String,
    /// The same; without it, A is the name of an image, and what is built is compared with what is described now
    #[arg(value_name = "B")]
    pub after: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub form: FormArgs,
    /// The architecture of the description: x86-64 or arm64
    #[arg(long, value_name = "ARCH", conflicts_with = "after")]
    pub arch: Option<String>,
    /// Where the artifacts of the image lie, in place of build/NAME
    #[arg(long, value_name = "DIR", conflicts_with = "after")]
    pub out: Option<Utf8PathBuf>,
    /// The lock file, in place of image/NAME.lock
    #[arg(long, value_name = "FILE", conflicts_with = "after")]
    pub lock: Option<Utf8PathBuf>,
    /// End with 3 when something differs
    #[arg(long)]
    pub exit_code: bool,
}

/// How a comparison is printed.
#[derive(Debug, Args)]
pub struct FormArgs {
    /// As JSON, for programs
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// As Markdown, for a pull request
    #[arg(long)]
    pub markdown: bool,
    /// Every file and every line
    #[arg(long)]
    pub full: bool,
}

/// Options of `tools`.
#[derive(Debug, Args)]
pub struct ToolsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on its type")]
    pub source: SourceArgs,
    /// The image whose distribution the packages come from
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// Packages that bring the command, with what they depend on
    #[arg(required = true)]
    pub packages: Vec<String>,
    /// The command; the working directory and what is below it are visible to it
    #[arg(last = true)]
    pub command: Vec<String>,
}
