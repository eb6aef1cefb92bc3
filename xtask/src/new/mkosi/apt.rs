//! apt's sources in a tree of mkosi's: the repositories that packages come from.

use std::path::{Path, PathBuf};

use fs_err as fs;

/// One line `deb` of apt's sources, or one stanza.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub url: String,
    /// The suites; a directory that ends with a slash is a flat archive's.
    pub suites: Vec<String>,
    /// The components.
    pub components: Vec<String>,
    /// The file of its key, as the tree has it.
    pub key: Option<String>,
}

/// All sources below `etc/apt` of a tree.
pub fn sources(tree: &Path) -> Vec<Source> {
    let apt = tree.join("etc/apt");
    let mut files = vec![apt.join("sources.list")];
    let further = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten().flatten();
    let mut further: Vec<PathBuf> = further.map(|entry| entry.path()).collect();
    further.sort();
    files.append(&mut further);
    let read = |path: &PathBuf| Some((path.extension()?.to_owned(), fs::read_to_string(path).ok()?));
    let of_file = |(extension, text): (std::ffi::OsString, String)| match extension.to_str() {
        Some("list") => text.lines().filter_map(line).collect(),
        Some("sources") => stanzas(&text),
        _ => Vec::new(),
    };
    files.iter().filter_map(read).flat_map(of_file).collect()
}

/// `deb [signed-by=FILE] URL SUITE COMPONENT…`
fn line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split('#').next()?.split_whitespace().map(str::to_owned);
    let (url, suite) = (words.next()?, words.next()?);
    Some(Source { url, suites: vec![suite], components: words.collect(), key: key.map(str::to_owned) })
}

/// `URIs: …` and its like, in paragraphs.
fn stanzas(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let lines = stanza.lines().filter_map(|line| line.split_once(':'));
            lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
        };
        let words =
            |name: &str| field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let is_wanted = field("Types")
            .is_some_and(|types| types.split_whitespace().any(|kind| kind == "deb"))
            && field("Enabled") != Some("no");
        let urls: Vec<String> = words("URIs");
        for url in urls.into_iter().filter(|_| is_wanted) {
            // A key that stands in the stanza itself has no file.
            let key = field("Signed-By").filter(|key| key.starts_with('/')).map(str::to_owned);
            found.push(Source { url, suites: words("Suites"), components: words("Components"), key });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_lines_or_stanzas() {
        let one = Source {
            url: "https://example.com/deb".to_owned(),
            suites: vec!["stable".to_owned()],
            components: vec!["main".to_owned(), "extra".to_owned()],
            key: Some("/etc/apt/keyrings/example.asc".to_owned()),
        };
        let text = "deb [arch=amd64 signed-by=/etc/apt/keyrings/example.asc] https://example.com/deb stable main extra";
        assert_eq!(line(text).unwrap(), one);
        let text = "Types: deb deb-src\nURIs: https://example.com/deb\nSuites: stable\nComponents: main extra\n\
            Signed-By: /etc/apt/keyrings/example.asc\n\nTypes: deb-src\nURIs: https://example.com/src\n";
        assert_eq!(stanzas(text), [one]);
        assert_eq!(line("# deb https://example.com stable main"), None);
    }
}
