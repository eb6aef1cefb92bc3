//! Revocation data: the lines of stub, kernel and description, merged.
//!
//! <https://github.com/rhboot/shim/blob/main/SBAT.md>

use super::UkiError;
use crate::pe::Image;

/// The header line there is exactly one of, at the front.
const HEADER: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n";
/// What ukify 257 adds where nothing is said.
const UKI: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md
uki,1,UKI,uki,1,https://uapi-group.org/specifications/specs/unified_kernel_image/
";

/// The content of the merged section, its final NUL included.
///
/// # Errors
/// Fails when an executable's section is not UTF-8. One that does not begin with
/// the header line is left out, as ukify does.
pub(super) fn merge(
    executables: &[(&'static str, &[u8], &Image)],
    texts: &[String],
) -> Result<Vec<u8>, UkiError> {
    let mut merged = Vec::new();
    for &(name, bytes, image) in executables {
        for section in image.sections.iter().filter(|section| section.name == ".sbat") {
            let start = section.offset as usize;
            let content = bytes.get(start..).unwrap_or_default();
            let content = &content[..content.len().min(section.raw_size as usize)];
            let end = content.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            let text = std::str::from_utf8(&content[..end]).map_err(|_| UkiError::Sbat(name))?;
            merged.extend(lines(text));
        }
    }
    if texts.is_empty() {
        merged.extend(lines(UKI));
    }
    for text in texts {
        merged.extend(lines(text));
    }
    Ok(format!("{HEADER}{}\n\0", merged.join("\n")).into_bytes())
}

/// The lines after the header line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let known = text.starts_with("sbat,");
    text.lines().skip(1).filter(move |_| known)
}
