//! Directory entries: 32 bytes each, long names before the short one they belong to.

/// The length of an entry, in bytes.
pub(super) const ENTRY: usize = 32;
/// The first byte of an entry that was deleted.
pub(super) const DELETED: u8 = 0xe5;
/// How many UTF-16 units of a long name one entry holds.
pub(super) const LONG_UNITS: usize = 13;

const LONG_NAME: u8 = 0x0f;
const VOLUME_LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;

/// A file or directory as its directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name; `None` where it is no Unicode.
    pub name: Option<String>,
    pub directory: bool,
    pub first_cluster: u32,
    pub size: u32,
    /// Seconds since 1970.
    pub modified: i64,
    /// Where the short entry stands in the directory, in bytes.
    pub at: usize,
}

/// What a slot of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing, and nothing after it.
    End,
    Deleted,
    Long,
    Label,
    /// `.` or `..`.
    Dots,
    File,
    Directory,
}

/// What the 32 bytes of a slot are.
pub(super) fn slot(bytes: &[u8]) -> Slot {
    let attributes = bytes[11];
    match bytes[0] {
        0 => Slot::End,
        DELETED => Slot::Deleted,
        _ if attributes & 0x3f == LONG_NAME => Slot::Long,
        _ if attributes & VOLUME_LABEL != 0 => Slot::Label,
        b'.' => Slot::Dots,
        _ if attributes & DIRECTORY != 0 => Slot::Directory,
        _ => Slot::File,
    }
}

/// The cluster a short entry begins at.
pub(super) fn first_cluster(bytes: &[u8]) -> u32 {
    u32::from(u16_at(bytes, 20)) << 16 | u32::from(u16_at(bytes, 26))
}

/// Makes a short entry begin at a cluster.
pub(super) fn set_first_cluster(bytes: &mut [u8], cluster: u32) {
    let [a, b, c, d] = cluster.to_le_bytes();
    bytes[26..28].copy_from_slice(&[a, b]);
    bytes[20..22].copy_from_slice(&[c, d]);
}

/// The files and directories in the bytes of a directory, without `.`, `..`, label
/// and what was deleted. Long names that do not belong to their entry are left out.
pub(super) fn entries(directory: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    // The long name's parts, the last part first, and the checksum they carry.
    let mut long: Vec<(u8, u8, Vec<u16>)> = Vec::new();
    for (number, bytes) in directory.chunks_exact(ENTRY).enumerate() {
        match slot(bytes) {
            Slot::End => break,
            Slot::Long => {
                if bytes[0] & 0x40 != 0 {
                    long.clear();
                }
                long.push((bytes[0] & 0x3f, bytes[13], long_units(bytes)));
                continue;
            }
            kind @ (Slot::File | Slot::Directory) => found.push(Entry {
                name: long_name(&long, checksum(&bytes[..11])).unwrap_or_else(|| Some(short_name(bytes))),
                directory: kind == Slot::Directory,
                first_cluster: first_cluster(bytes),
                size: u32::from(u16_at(bytes, 28)) | u32::from(u16_at(bytes, 30)) << 16,
                modified: seconds(u16_at(bytes, 24), u16_at(bytes, 22)),
                at: number * ENTRY,
            }),
            Slot::Deleted | Slot::Label | Slot::Dots => {}
        }
        long.clear();
    }
    found
}

/// The long name made of parts, if they are whole and belong to the short name of
/// this checksum. The inner `None` is a name that is no UTF-16.
fn long_name(parts: &[(u8, u8, Vec<u16>)], checksum: u8) -> Option<Option<String>> {
    let whole = (1..).zip(parts.iter().rev()).all(|(number, part)| (number, checksum) == (part.0, part.1));
    if parts.is_empty() || !whole {
        return None;
    }
    let units = parts.iter().rev().flat_map(|part| &part.2);
    let units: Vec<u16> = units.copied().take_while(|&unit| unit != 0).collect();
    Some(String::from_utf16(&units).ok())
}

fn long_units(bytes: &[u8]) -> Vec<u16> {
    let places = (1..11).chain(14..26).chain(28..32).step_by(2);
    // The three ranges have even lengths, so every second place begins a unit.
    places.take(LONG_UNITS).map(|at| u16_at(bytes, at)).collect()
}

/// `NAME.EXT`, in lower case where Windows keeps a bit for that.
fn short_name(bytes: &[u8]) -> String {
    let part = |range: std::ops::Range<usize>, lower: bool| {
        let text: String = bytes[range].iter().map(|&byte| char::from(byte)).collect();
        let text = text.trim_end_matches(' ').to_owned();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let (base, extension) = (part(0..8, bytes[12] & 0x08 != 0), part(8..11, bytes[12] & 0x10 != 0));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

fn checksum(short: &[u8]) -> u8 {
    short.iter().fold(0, |sum: u8, &byte| sum.rotate_right(1).wrapping_add(byte))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Sets all three times of a short entry.
pub(super) fn set_times(bytes: &mut [u8], epoch: i64) {
    let (date, time) = date_and_time(epoch);
    let (date, time) = (date.to_le_bytes(), time.to_le_bytes());
    bytes[13] = 0; // hundredths of the creation time
    bytes[14..16].copy_from_slice(&time);
    bytes[16..18].copy_from_slice(&date);
    bytes[18..20].copy_from_slice(&date);
    bytes[22..24].copy_from_slice(&time);
    bytes[24..26].copy_from_slice(&date);
}

/// 1980-01-01 and the last two seconds of 2107.
const FIRST: i64 = 315_532_800;
const LAST: i64 = 4_354_819_198;

/// Date and time in UTC as FAT writes them; times it cannot write become the
/// nearest it can.
fn date_and_time(epoch: i64) -> (u16, u16) {
    let epoch = epoch.clamp(FIRST, LAST);
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    // Days since 1 March of year 0, in eras of 400 years that begin with March:
    // http://howardhinnant.github.io/date_algorithms.html#civil_from_days
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let bits = |value: i64| u16::try_from(value).unwrap_or_default();
    (bits((year - 1980) << 9 | month << 5 | day), bits(hour << 11 | minute << 5 | (second / 2)))
}

/// Seconds since 1970 of a date and time; a date that is none becomes 1980.
fn seconds(date: u16, time: u16) -> i64 {
    let (year, month, day) = (i64::from(date >> 9) + 1980, i64::from(date >> 5 & 15), i64::from(date & 31));
    if !(1..=12).contains(&month) || day == 0 {
        return FIRST;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let (hour, minute, second) = (i64::from(time >> 11), i64::from(time >> 5 & 63), i64::from(time & 31) * 2);
    days * 86_400 + hour * 3600 + minute * 60 + second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // date --utc --date=@N
        for (epoch, date, time) in [
            (0, (1980, 1, 1), (0, 0, 0)),
            (FIRST, (1980, 1, 1), (0, 0, 0)),
            (951_782_399, (2000, 2, 28), (23, 59, 58)),
            (951_782_400, (2000, 2, 29), (0, 0, 0)),
            (1_735_689_599, (2024, 12, 31), (23, 59, 58)),
            (1_735_689_600, (2025, 1, 1), (0, 0, 0)),
            (LAST, (2107, 12, 31), (23, 59, 58)),
            (i64::MAX, (2107, 12, 31), (23, 59, 58)),
        ] {
            let (year, month, day) = date;
            let (hour, minute, second) = time;
            let expected = ((year - 1980) << 9 | month << 5 | day, hour << 11 | minute << 5 | (second / 2));
            assert_eq!(date_and_time(epoch), expected, "{epoch}");
            let (date, time) = date_and_time(epoch);
            assert_eq!(seconds(date, time), epoch.clamp(FIRST, LAST) & !1, "{epoch}");
        }
        assert_eq!(seconds(0, 0), FIRST);
    }
}
