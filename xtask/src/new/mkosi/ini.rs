//! mkosi's configuration files, read as mkosi reads them: `parse_ini` of its `config.py`.

/// A section, with its settings in their order.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// The name without brackets.
    pub name: String,
    /// Names and values; further lines of a value stand on lines of their own in it.
    pub settings: Vec<(String, String)>,
}

impl Section {
    /// The last value of a setting.
    pub fn last(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the sections of a file.
///
/// # Errors
/// A line that belongs to no section or setting; its number, and why.
pub fn parse(text: &str) -> Result<Vec<Section>, (usize, &'static str)> {
    let mut sections: Vec<Section> = Vec::new();
    let indent = common_indent(text);
    // A section ends the value above it.
    let mut in_value = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.get(indent..).unwrap_or_default();
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        if in_value && line.starts_with(char::is_whitespace) {
            if let Some((_, value)) = sections.last_mut().and_then(|section| section.settings.last_mut()) {
                value.push('\n');
                value.push_str(line.trim());
            }
            continue;
        }
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or((number, "a section ends with `]`"))?.trim().to_owned();
            sections.push(Section { name, settings: Vec::new() });
            in_value = false;
            continue;
        }
        let section = sections.last_mut().ok_or((number, "it stands outside of a section"))?;
        let (name, value) = line.split_once('=').ok_or((number, "it has no `=`"))?;
        section.settings.push((name.trim().to_owned(), value.trim().to_owned()));
        in_value = true;
    }
    Ok(sections)
}

/// How far all lines with text are indented, as Python's `textwrap.dedent` counts it.
fn common_indent(text: &str) -> usize {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let indents = lines.map(|line| line.len() - line.trim_start_matches([' ', '\t']).len());
    indents.min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, settings: &[(&str, &str)]) -> Section {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Section { name: name.to_owned(), settings: settings.collect() }
    }

    #[test]
    fn values_go_on_in_lines_that_are_indented() {
        let text = "[Content]\n# a comment\nPackages=\n    vim  # an editor\n\n\tless\nBootable = yes\n[Match]\nRelease=|noble\n";
        let content = section("Content", &[("Packages", "\nvim\nless"), ("Bootable", "yes")]);
        assert_eq!(parse(text).unwrap(), [content, section("Match", &[("Release", "|noble")])]);
        assert_eq!(parse("  [A]\n  B=c\n").unwrap(), [section("A", &[("B", "c")])], "indented as a whole");
    }

    #[test]
    fn a_line_that_means_nothing_is_told_by_its_number() {
        assert_eq!(parse("\nA=b\n"), Err((2, "it stands outside of a section")));
        assert_eq!(parse("[A]\nb\n"), Err((2, "it has no `=`")));
        assert_eq!(parse("[A\n"), Err((1, "a section ends with `]`")));
    }
}
