//! The dates in a `Release` file: RFC 5322 in UTC, `Sat, 21 Nov 2026 00:53:03 UTC`.
//!
//! Proleptic Gregorian days as in Howard Hinnant's `days_from_civil`; no leap seconds.

/// The names of the months, as such dates have them.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds after 1970, or `None` when it is no such date. The name of the day is not looked at.
pub fn parse(text: &str) -> Option<i64> {
    let (_, text) = text.split_once(", ")?;
    let mut words = text.split_ascii_whitespace();
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let in_utc = matches!(words.next()?, "UTC" | "GMT" | "Z" | "+0000");
    let in_range = (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !in_utc || !in_range || clock.next().is_some() || words.next().is_some() {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The moment of a snapshot, `20261121T005303Z`, in seconds after 1970.
pub fn parse_moment(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let day = days(number(0..4)?, number(4..6)?, number(6..8)?);
    Some(day * 86_400 + number(9..11)? * 3600 + number(11..13)? * 60 + number(13..15)?)
}

/// `2026-11-21 00:53:03 UTC`
pub fn format(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let clock = seconds.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", clock / 3600, clock / 60 % 60, clock % 60)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day since 1970.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_date_is_read_to_the_second() {
        // `date -d … +%s` says so.
        assert_eq!(parse("Sat, 21 Nov 2026 00:53:03 UTC"), Some(1_795_222_383));
        assert_eq!(parse("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(parse("Thu,  1 Jan 1970 00:00:00 UTC"), Some(0));
    }

    #[test]
    fn a_moment_is_the_date_it_says() {
        assert_eq!(parse_moment("20261121T005303Z"), parse("Sat, 21 Nov 2026 00:53:03 UTC"));
        assert_eq!(parse_moment("2026"), None);
    }

    #[test]
    fn what_is_no_utc_date_is_refused() {
        for text in ["", "yesterday", "Sat, 21 Nov 2026 00:53:03 +0200", "Sat, 21 Nov 2026 24:53:03 UTC"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn format_is_the_inverse_of_parse_on_every_day_of_a_leap_cycle() {
        assert_eq!(format(1_795_222_383), "2026-11-21 00:53:03 UTC");
        for day in (0..146_097).step_by(7) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
