//! A project of mkosi's, described in the words of this crate.
//!
//! What has no word is a comment at its place in the description, and a line of what is printed: nothing is left out
//! silently. Only what mkosi does to do its own work (caches, tools, outputs) is not mentioned.

mod apt;
mod config;
mod ini;
mod partitions;
mod trees;
mod words;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bedplate_core::release::Release;

use super::{File, Settings};
use crate::error::UsageError;
use config::Config;
use words::Words;

/// What is not in a description, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The setting or the file.
    pub what: String,
    /// What is to be known of it.
    pub why: String,
}

/// The settings of mkosi's that are said, left out with a reason, or follow.
pub fn settings() -> impl Iterator<Item = &'static str> {
    let instead = words::INSTEAD.iter().map(|(setting, _)| setting);
    words::FOLLOWS.iter().chain(&words::SAID).chain(instead).copied()
}

fn left(what: impl Into<String>, why: impl Into<String>) -> Left {
    let what: String = what.into().split_whitespace().collect::<Vec<_>>().join(" ");
    let what = match what.char_indices().nth(72) {
        Some((end, _)) => format!("{}…", &what[..end]),
        None => what,
    };
    Left { what, why: why.into() }
}

/// A line of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// A method and its arguments.
    Call(String),
    /// A comment in its place.
    Left(Left),
}

fn call(text: impl Into<String>) -> Line {
    Line::Call(text.into())
}

/// One image as a function, or what several images start from.
struct Function {
    name: String,
    of: String,
    is_image: bool,
    lines: Vec<Line>,
}

/// A project that was read.
#[derive(Debug)]
pub struct Mkosi {
    images: Vec<Config>,
}

impl Mkosi {
    /// Reads a project's configuration.
    ///
    /// # Errors
    /// There is none, or it is no configuration of mkosi's.
    pub fn read(directory: &Path) -> Result<Self> {
        let directory = std::path::absolute(directory)?;
        Ok(Self { images: config::read(&directory)? })
    }

    /// The release that its images are of.
    ///
    /// # Errors
    /// Another distribution than Debian and Ubuntu, or a release that no image is made of.
    pub fn release(&self) -> Result<&'static Release, UsageError> {
        let last = |key| self.images.iter().find_map(|image| image.last(key)).map(str::to_lowercase);
        let Some(distribution) = last("Distribution") else {
            return Err(UsageError(
                "the project has no `Distribution=`; say a release with `--release`".to_owned(),
            ));
        };
        if !["debian", "ubuntu"].contains(&distribution.as_str()) {
            return Err(UsageError(format!(
                "`Distribution={distribution}`: images are made of Debian and Ubuntu"
            )));
        }
        let Some(release) = last("Release") else {
            return Err(UsageError("the project has no `Release=`; say one with `--release`".to_owned()));
        };
        let help = |error: UsageError| UsageError(format!("{error}; say another one with `--release`"));
        super::release(&release).map_err(help)
    }

    /// Returns the files of a project that describes its images, and what they lack.
    ///
    /// # Errors
    /// A file of it cannot be read.
    pub fn describe(&self, settings: &Settings) -> Result<(Vec<File>, Vec<Left>)> {
        let mut files = Vec::new();
        let mut told: Vec<Left> = self.images.iter().flat_map(|image| image.left.clone()).collect();
        let mut functions = Vec::new();
        for image in &self.images {
            if let Some(why) = self.why_not(image) {
                let name = image.name.as_deref().unwrap_or("main");
                told.push(left(format!("the image `{name}`"), why));
                continue;
            }
            let bases = self.bases(image);
            let named = bases.iter().map(|base| self.identifier(base, settings)).collect();
            let mut words = Words::new(settings, image, self.is_base(image), self.inherited(image));
            words.say(named)?;
            files.append(&mut words.files);
            functions.push(Function {
                name: self.identifier(image, settings),
                of: image
                    .name
                    .clone()
                    .map_or("`mkosi.conf`".to_owned(), |name| format!("`mkosi.images/{name}`")),
                is_image: !self.is_base(image),
                lines: words.lines,
            });
        }
        if !functions.iter().any(|function| function.is_image) {
            return Err(UsageError("the project has no image with `Format=disk`".to_owned()).into());
        }
        // Bases below what is made of them.
        functions.sort_by_key(|function| !function.is_image);
        let of_functions = functions.iter().flat_map(|function| &function.lines);
        told.extend(of_functions.filter_map(|line| match line {
            Line::Left(left) => Some(left.clone()),
            Line::Call(_) => None,
        }));
        files.push(File::text("image/main.rs", text(&functions, settings)));
        let images = functions.iter().filter(|function| function.is_image);
        let images: Vec<String> = images.map(|function| format!("image::{}", function.name)).collect();
        let tests = settings.named(include_str!("../../project/tests/mkosi.rs"));
        files.push(File::text("tests/image.rs", tests.replace("image::an_image", &images.join(", "))));
        let first = functions[0].name.replace('_', "-");
        files.extend(settings.frame(&first));
        let readme = include_str!("../../project/readme.md").lines();
        let readme = readme.filter(|line| !line.contains("-development"));
        // In its heading it is the project, and the image below.
        let readme = readme.map(|line| {
            if line.starts_with('#') { settings.named(line) } else { line.replace("example-device", &first) }
        });
        files.push(File::text("README.md", readme.fold(String::new(), |text, line| text + &line + "\n")));
        Ok((files, told))
    }

    /// The images whose trees an image starts from: `BaseTrees=` names their outputs.
    fn bases(&self, image: &Config) -> Vec<&Config> {
        let trees = image.list("BaseTrees");
        let names = trees.iter().filter_map(|(path, _)| Path::new(path).file_name()?.to_str());
        let is = |name: &str, base: &&Config| {
            base.name.as_deref() == Some(name) || base.last("Output") == Some(name)
        };
        names.filter_map(|name| self.images.iter().find(|base| is(name, base))).collect()
    }

    /// The same, and those that these start from: what is in their trees is in the image's.
    fn inherited(&self, image: &Config) -> Vec<&Config> {
        let mut found = self.bases(image);
        let mut next = 0;
        while let Some(base) = found.get(next) {
            let further: Vec<&Config> = self.bases(base);
            found.extend(further.into_iter().filter(|one| one.name != image.name).take(self.images.len()));
            next += 1;
            if next > self.images.len() {
                break;
            }
        }
        found
    }

    fn is_base(&self, image: &Config) -> bool {
        self.images.iter().any(|other| self.bases(other).iter().any(|base| base.name == image.name))
    }

    /// Why an image is not described.
    fn why_not(&self, image: &Config) -> Option<String> {
        let format = image.last("Format").unwrap_or("disk");
        let makes_initrd = image.last("MakeInitrd").is_some_and(words::is_yes);
        if makes_initrd || format == "cpio" {
            return Some("the initrd is made of the image's own packages".to_owned());
        }
        if format == "none" {
            return Some("it only starts the build of others".to_owned());
        }
        let is_alone = self.images.len() == 1;
        let is_described = is_alone || self.is_base(image) || ["disk", "uki", "esp"].contains(&format);
        (!is_described).then(|| format!("Format={format}: an image here is a disk"))
    }

    fn identifier(&self, image: &Config, settings: &Settings) -> String {
        let project = settings.name.replace('-', "_");
        let Some(name) = &image.name else { return project };
        let name: String =
            name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        match name == project
            || super::TAKEN.contains(&name.as_str())
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            true => format!("image_{name}"),
            false => name,
        }
    }
}

/// `image/main.rs`.
fn text(functions: &[Function], settings: &Settings) -> String {
    let mut text = String::from(
        "//! The images of this project, as its configuration for mkosi described them.\n\
         //!\n\
         //! `cargo xtask plan` prints what follows from each line, `cargo xtask check` what is wrong with it. A comment\n\
         //! `mkosi:` stands for what has no word here.\n\
         \n\
         use std::process::ExitCode;\n\
         \n\
         use bedplate::prelude::*;\n\
         \n\
         fn main() -> ExitCode {\n",
    );
    let images = functions.iter().filter(|function| function.is_image);
    let images: Vec<String> = images.map(|function| format!("image!({})", function.name)).collect();
    let _ = writeln!(text, "    bedplate::main(&[{}])\n}}", images.join(", "));
    for Function { name, of, is_image, lines } in functions {
        let distribution = settings.release.distribution.to_string().to_lowercase();
        let _ = match is_image {
            true => write!(
                text,
                "\n/// The image of {of}.\npub fn {name}(_: &Target) -> Image {{\n    Image::{distribution}({:?})\n",
                settings.release.name
            ),
            false => write!(
                text,
                "\n/// What {of} has in common.\nfn {name}(image: Image) -> Image {{\n    image\n"
            ),
        };
        // A comment below the last call would be one of nothing.
        let mut lines: Vec<&Line> = lines.iter().collect();
        if let Some(last) = lines.iter().rposition(|line| matches!(line, Line::Call(_))) {
            lines[last..].rotate_left(1);
        }
        // rustfmt has one call behind its value.
        if let ([Line::Call(call)], false) = (lines.as_slice(), is_image) {
            text.truncate(text.trim_end().len());
            let _ = writeln!(text, ".{call}\n}}");
            continue;
        }
        for line in lines {
            let _ = match line {
                Line::Call(call) => writeln!(text, "        .{call}"),
                Line::Left(Left { what, why }) => {
                    writeln!(text, "{}", comment(&format!("mkosi: {what} has no word here: {why}")))
                }
            };
        }
        text.push_str("}\n");
    }
    text
}

/// A comment among the calls, in lines that fit.
fn comment(text: &str) -> String {
    let mut lines = vec!["        //".to_owned()];
    for word in text.split(' ') {
        let is_full = lines.last().is_some_and(|line| line.chars().count() + word.chars().count() >= 100);
        if is_full {
            lines.push("        //  ".to_owned());
        }
        lines.last_mut().into_iter().for_each(|line| line.extend([" ", word]));
    }
    lines.join("\n")
}

/// Where a path of a configuration lies.
fn resolve(directory: &Path, path: &str) -> PathBuf {
    directory.join(path.trim_start_matches("./"))
}

#[cfg(test)]
mod tests;
