//! The page of an image: one HTML file that tells a person what is in a built image, for a look, a review or an archive.
//!
//! It is made of the artifacts ([`Facts`]) and the plan, whose own page is told in its words. It loads
//! nothing, works without a script, and is the same bytes for the same inputs: there is no time in it, and no path of the
//! machine. Names of packages and files are anybody's, so they are escaped (`markup`); beyond that, a policy in the page
//! lets a browser run its one script and fetch nothing.
//!
//! What changed is told against what the description says now. The artifacts of the build before are not there to be
//! compared: a build takes the place of the last one. Who kept an older image names it (`--against`).

mod bar;
mod changes;
mod drawn;
mod facts;
mod markup;
mod sections;
mod svg;
mod table;
#[cfg(test)]
mod tests;
mod treemap;
mod weights;

use base64ct::{Base64, Encoding as _};
use ring::digest::{SHA256, digest};

pub use self::facts::{Facts, Package, Subject};
use self::markup::Markup;

/// The file beside the artifacts.
pub const NAME: &str = "report.html";

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Returns the page.
#[must_use]
pub fn page(facts: &Facts<'_>) -> String {
    let sections = sections::all(facts);
    let mut page = Markup::default();
    page.element("html", &[("lang", "en")], |page| {
        page.element("head", &[], |head| {
            head.void("meta", &[("charset", "utf-8")]);
            head.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy())]);
            head.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            head.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
            // A browser asks a server for one otherwise.
            head.void("link", &[("rel", "icon"), ("href", "data:,")]);
            head.leaf("title", &[], &format!("{}: what is in the image", facts.plan.name));
            head.source("style", STYLE);
        });
        page.element("body", &[], |body| {
            body.leaf("a", &[("class", "skip"), ("href", "#content")], "Skip to the content");
            body.element("header", &[], |header| summary(header, facts));
            body.element("nav", &[("aria-label", "Sections")], |nav| {
                nav.element("ul", &[], |list| {
                    for section in &sections {
                        let link = format!("#{}", section.id);
                        list.element("li", &[], |item| item.leaf("a", &[("href", &link)], section.title));
                    }
                });
            });
            body.element("main", &[("id", "content")], |main| {
                for section in sections {
                    let title = format!("{}-title", section.id);
                    main.element("section", &[("id", section.id), ("aria-labelledby", &title)], |markup| {
                        markup.leaf("h2", &[("id", &title)], section.title);
                        markup.append(section.content);
                    });
                }
            });
            body.element("footer", &[], |footer| {
                let made = format!(
                    "Made by `cargo xtask report {}` from the artifacts beside this page and the description.",
                    facts.plan.name
                );
                footer.element("p", &[], |line| line.prose(&made));
            });
            body.source("script", SCRIPT);
        });
    });
    page.document()
}

/// What a browser may do for the page: apply its style sheet and run its script, whatever else is found in it.
fn policy() -> String {
    let hash = |source: &str| Base64::encode_string(digest(&SHA256, source.as_bytes()).as_ref());
    format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// The head of the page: which image it is, and its numbers.
fn summary(markup: &mut Markup, facts: &Facts<'_>) {
    let plan = facts.plan;
    let version = plan.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    markup.leaf("h1", &[], &format!("{}{version}", plan.name));
    let keys = if facts.development_keys { ", with DEVELOPMENT keys" } else { "" };
    let what = format!("{} {} for {}{keys}", plan.distribution, plan.release, plan.architecture);
    markup.leaf("p", &[("class", "what")], &what);
    if !plan.dangers.is_empty() {
        markup.element("p", &[("class", "warning")], |markup| {
            markup.text("The description weakens this image: ");
            markup.leaf("a", &[("href", "#dangers")], "what, and why it matters");
            markup.text(".");
        });
    }
    if facts.since.is_none() && changes::any(&facts.changes) {
        markup.element("p", &[("class", "warning")], |markup| {
            markup.text(
                "The description says something else than what was built. Disk, root, packages, accounts and units are \
                 read from the image; what is told as planned is what the description says now: ",
            );
            markup.leaf("a", &[("href", "#changes")], "what differs");
            markup.text(".");
        });
    }
    markup.element("dl", &[("class", "numbers")], |list| {
        for (name, value) in sections::numbers(facts) {
            list.element("div", &[], |pair| {
                pair.leaf("dt", &[], name);
                pair.leaf("dd", &[], &value);
            });
        }
    });
}
