//! Points findings at the line of the description that brought a file.

use bedplate_core::{Diagnostic, SourceLocation};
use bedplate_formats::tree::{Kind, TreePath};

use super::Subject;

impl Subject<'_> {
    /// Points `mistake` at what brought the file at `path`, and shows one of its
    /// lines, counted from 1.
    pub(super) fn blame(&self, mistake: Diagnostic, path: &TreePath, line: u32) -> Diagnostic {
        let Some(origin) = self.origins.of(path) else { return mistake };
        let mistake = mistake.at(&origin.at);
        let is_link = self.tree.get(path).is_some_and(|node| matches!(node.kind, Kind::Symlink(_)));
        match &origin.file {
            Some(_) if is_link => mistake,
            Some(file) => {
                let place = SourceLocation { file: file.clone(), line, column: 1 };
                mistake.related(&place, "here")
            }
            None => match self.text(path).lines().nth(line as usize - 1).map(str::trim) {
                Some(text) if !text.is_empty() => mistake.label(format!("line {line}: `{text}`")),
                _ => mistake,
            },
        }
    }

    /// The text of a file of the tree; empty where there is none.
    pub(super) fn text(&self, path: &TreePath) -> String {
        let bytes = self.tree.content(path).and_then(|content| content.read().ok());
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}
