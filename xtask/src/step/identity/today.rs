//! The day of the build in a file: both configurations happen on it, so
//! comparing them does not show it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::archive::date::{MONTHS, civil};

/// The ways in which programs write the day.
pub(super) struct Today {
    texts: Vec<String>,
}

impl Today {
    /// Searches for nothing on the day of the epoch, which programs write that
    /// respect `SOURCE_DATE_EPOCH`.
    pub fn new(epoch: i64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let day = i64::try_from(now / 86400).unwrap_or_default();
        Self { texts: if day == epoch.div_euclid(86400) { Vec::new() } else { texts(day) } }
    }

    /// Whether a file of text has the day in it.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        !bytes.contains(&0)
            && self.texts.iter().any(|text| memchr::memmem::find(bytes, text.as_bytes()).is_some())
    }
}

/// `2026-11-26`, `20261126`, `26 Nov 2026`, `Thu Nov 26`.
fn texts(day: i64) -> Vec<String> {
    let (year, month, day_of_month) = civil(day);
    let name = MONTHS[usize::try_from(month - 1).unwrap_or_default() % 12];
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        [usize::try_from(day.rem_euclid(7)).unwrap_or_default()];
    vec![
        format!("{year}-{month:02}-{day_of_month:02}"),
        format!("{year}{month:02}{day_of_month:02}"),
        format!("{year}/{month:02}/{day_of_month:02}"),
        format!("{day_of_month:02} {name} {year}"),
        format!("{weekday} {name} {day_of_month:>2}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_found_in_the_ways_programs_write_it() {
        let today = Today { texts: texts(20_783) };
        for text in
            ["installed 2026-11-26T10:00", "Thu Nov 26 10:00:00 UTC 2026", "26 Nov 2026", "serial 2026112601"]
        {
            assert!(today.is_in(text.as_bytes()), "{text}: {:?}", today.texts);
        }
        assert!(!today.is_in(b"2026-11-25") && !today.is_in(b"\x00 2026-11-26"));
        assert!(
            !Today::new(
                i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
            )
            .is_in(b"2026")
        );
    }

    #[test]
    fn leap_days_are_counted() {
        assert_eq!((civil(0), civil(11_016), civil(20_783)), ((1970, 1, 1), (2000, 2, 29), (2026, 11, 26)));
    }
}
