//! Programs of Python's package index, which judge or play what others have written.

use std::path::PathBuf;
use std::process::Command;

use crate::product::{self, scratch, success, xtask};

/// Debian's interpreter, so that the host needs none, with packages of Python's.
pub struct Python {
    tree: PathBuf,
    packages: PathBuf,
}

impl Python {
    /// With these packages, kept in a directory of this name.
    pub fn with(name: &str, packages: &[&str]) -> Self {
        let tree = success(xtask().args(["tools", "--image", "edge-debian", "python3", "python3-pip"]));
        let python = Self { tree: PathBuf::from(tree.trim_end()), packages: scratch(name).join("python") };
        let installed = python.packages.join("installed");
        if std::fs::read_to_string(&installed).is_ok_and(|text| text == packages.join(" ")) {
            return python;
        }
        let _ = std::fs::remove_dir_all(&python.packages);
        let install = ["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--no-compile", "--target"];
        success(python.command(&install).arg(&python.packages).args(packages));
        std::fs::write(installed, packages.join(" ")).unwrap();
        python
    }

    /// Outside of the sandbox, since packages are fetched; with libraries of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let libraries = self.tree.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(self.tree.join("usr/bin/python3")).args(arguments);
        command.current_dir(product::root()).env("PYTHONHOME", self.tree.join("usr"));
        command.env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A program that a package brings and that needs no interpreter.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.packages.join("bin").join(name));
        command.current_dir(product::root());
        command
    }
}
