//! What is left out of the packages, and what is done to the finished tree.

use serde::Serialize;

use super::{FilePlan, Plan};
use crate::image::Image;
use crate::location::{At, SourceLocation};
use crate::page::Page;
use crate::value::PathPattern;

/// What becomes of the packages' files, beside what is laid over them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ContentsPlan {
    /// dpkg's `path-exclude` and `path-include`, in order: the last that fits decides.
    pub filters: Vec<FilterPlan>,
    /// The programs of the project that run in the tree, in order.
    pub scripts: Vec<ScriptPlan>,
    /// What is removed from the finished tree.
    pub removed: Vec<RemovedPlan>,
}

/// One `path-exclude` or `path-include`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterPlan {
    /// The pattern, as fnmatch(3) understands it; wildcards stand for slashes, too.
    pub path: PathPattern,
    /// True when it takes in what another leaves out.
    pub include: bool,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// A program that runs in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScriptPlan {
    /// The file it is in, as the description names it.
    pub name: String,
    /// All of it.
    pub text: String,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// What is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedPlan {
    /// The path, in which wildcards stand for names.
    pub path: PathPattern,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// Where the filters are in the image.
const FILTERS: &str = "/etc/dpkg/dpkg.cfg.d/60-bedplate-paths";

pub(super) fn plan(image: &Image) -> ContentsPlan {
    let contents = &image.contents;
    let filter = |filter: &crate::image::contents::Filter| FilterPlan {
        path: filter.pattern.value.clone(),
        include: filter.include,
        at: Some(filter.pattern.at.clone()),
    };
    let script = |script: &crate::image::script::Script| ScriptPlan {
        name: script.name.clone(),
        text: script.text.clone(),
        at: Some(script.at.clone()),
    };
    let removed =
        |path: &At<PathPattern>| RemovedPlan { path: path.value.clone(), at: Some(path.at.clone()) };
    ContentsPlan {
        filters: contents.filters.iter().map(filter).collect(),
        scripts: contents.scripts.iter().map(script).collect(),
        removed: contents.removed.iter().map(removed).collect(),
    }
}

pub(super) fn files(contents: &ContentsPlan) -> Vec<FilePlan> {
    let Some(first) = contents.filters.first() else { return Vec::new() };
    let line = |filter: &FilterPlan| format!("{}={}\n", kind(filter), filter.path);
    let text: String = contents.filters.iter().map(line).collect();
    vec![FilePlan::text(FILTERS, text, "what dpkg leaves out of packages").at(first.at.as_ref())]
}

fn kind(filter: &FilterPlan) -> &'static str {
    if filter.include { "path-include" } else { "path-exclude" }
}

impl Plan {
    pub(super) fn contents_page(&self, page: &mut Page) {
        let asked = |at: &Option<SourceLocation>| {
            at.as_ref().map(|at| format!("{}:{}", at.file, at.line)).unwrap_or_default()
        };
        let contents = &self.contents;
        if !contents.filters.is_empty() || !contents.removed.is_empty() {
            page.heading("left out of the packages");
            let filters = contents
                .filters
                .iter()
                .map(|filter| vec![filter.path.to_string(), kind(filter).to_string(), asked(&filter.at)]);
            let removed = contents.removed.iter().map(|removed| {
                vec![removed.path.to_string(), "removed in the end".to_string(), asked(&removed.at)]
            });
            page.table(&["path", "by", "asked by"], filters.chain(removed));
        }
        if !contents.scripts.is_empty() {
            page.heading("scripts, run in the image's tree when it is built");
            let rows = contents.scripts.iter().map(|script| vec![script.name.clone(), asked(&script.at)]);
            page.table(&["script", "asked by"], rows);
        }
    }
}
