//! How large the store may be: `BEDPLATE_CACHE_SIZE`.

use crate::error::UsageError;

/// The variable that says it.
const VARIABLE: &str = "BEDPLATE_CACHE_SIZE";

/// Bytes, when nothing else is said: 20 GiB.
pub(super) const DEFAULT: u64 = 20 << 30;

/// The limit that the environment asks for, in bytes.
pub(super) fn of_environment() -> Result<u64, UsageError> {
    match std::env::var_os(VARIABLE) {
        None => Ok(DEFAULT),
        Some(text) => parse(&text.to_string_lossy()),
    }
}

/// A number of bytes, or of KiB, MiB, GiB or TiB with the letter behind it.
fn parse(text: &str) -> Result<u64, UsageError> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        Some((at, 't' | 'T')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok());
    number.flatten().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(|| {
        UsageError(format!(
            "invalid `{VARIABLE}` `{text}`: give a number of bytes, or one with `K`, `M`, `G` or `T` behind it, as \
             `{VARIABLE}=20G`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_bytes_or_has_a_letter() {
        let size = |text| parse(text).unwrap();
        assert_eq!([size("0"), size("1500"), size("3K"), size("500m")], [0, 1500, 3 << 10, 500 << 20]);
        assert_eq!([size("20G"), size("2T")], [DEFAULT, 2 << 40]);
    }

    #[test]
    fn a_size_that_is_none_is_told() {
        for text in ["", "G", "20 G", "20GB", "-1", "+1", "1.5G", "99999999999T", "all", "5é"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid `BEDPLATE_CACHE_SIZE` `{text}`: give")), "{error}");
        }
    }
}
