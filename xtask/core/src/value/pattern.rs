//! A path in which wildcards stand for others.

use super::{Malformed, value};

value! {
    /// An absolute path on the device, in which `*`, `?` and `[a-z]` stand for other paths.
    PathPattern, "malformed-pattern", "a pattern of paths", pattern
}

fn pattern(text: &str) -> Result<(), Malformed> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let normal = format!("/{}", parts.join("/"));
    if !text.starts_with('/') {
        return Err(Malformed::new(text, "it does not start with `/`").help(format!("write `{normal}`")));
    }
    if let Some(wrong) = text.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(Malformed::new(text, format!("`{}` does not belong into it", wrong.escape_debug())));
    }
    if parts.iter().any(|part| *part == "." || *part == "..") {
        return Err(Malformed::new(text, "it is not in its normal form: it holds `.` or `..`"));
    }
    if text != normal {
        return Err(Malformed::new(text, "it is not in its normal form").help(format!("write `{normal}`")));
    }
    Ok(())
}
