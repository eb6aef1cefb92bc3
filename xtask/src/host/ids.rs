//! Subordinate ids: what `/etc/subuid` and `/etc/subgid` grant, and the map made of it.
//!
//! <https://man7.org/linux/man-pages/man5/subuid.5.html>

use std::fmt;

/// How many subordinate ids the engine needs: those from 1 up to 65535, which is what a 16-bit id can say and all
/// that packages use.
pub const WANTED: u32 = 65535;
/// What is granted at once when an administrator is asked: useradd's own unit.
const GRANT: u32 = 65536;
/// The lowest subordinate id useradd gives away.
const FIRST: u32 = 100_000;

/// Subordinate ids of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first id.
    pub start: u32,
    /// How many there are.
    pub count: u32,
}

/// A line of `uid_map`: `count` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapped {
    inside: u32,
    outside: u32,
    count: u32,
}

impl fmt::Display for Mapped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.inside, self.outside, self.count)
    }
}

/// The ranges `file` (the text of `/etc/subuid` or `/etc/subgid`) grants to a user, by name or by number.
///
/// Lines it cannot read are passed over, as newuidmap does.
#[must_use]
pub fn ranges(file: &str, user: &str, uid: u32) -> Vec<IdRange> {
    lines(file)
        .filter(|&(owner, _)| owner == user || owner.parse() == Ok(uid))
        .map(|(_, range)| range)
        .collect()
}

/// The first range of 65536 ids that nobody has in either of the `files`, for advice.
#[must_use]
pub fn free_range(files: &[&str]) -> IdRange {
    let mut taken: Vec<IdRange> = files.iter().flat_map(|file| lines(file)).map(|(_, range)| range).collect();
    taken.sort_by_key(|range| range.start);
    let mut start = FIRST;
    for range in taken {
        let end = range.start.saturating_add(range.count);
        if range.start < start.saturating_add(GRANT) && end > start {
            start = end;
        }
    }
    IdRange { start, count: GRANT }
}

/// Root is `own`, and the ids from 1 on are the granted ones, in their order.
pub(super) fn map(own: u32, granted: &[IdRange]) -> Vec<Mapped> {
    let mut map = vec![Mapped { inside: 0, outside: own, count: 1 }];
    let mut inside = 1;
    for range in granted {
        let count = range.count.min(WANTED + 1 - inside);
        if count > 0 {
            map.push(Mapped { inside, outside: range.start, count });
            inside += count;
        }
    }
    map
}

/// How many ids, from 0 on without a gap, there are by the text of `/proc/self/uid_map`.
pub(super) fn mapped(map: &str) -> u32 {
    let mut lines: Vec<(u32, u32)> = map
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.nth(1)?.parse().ok()?))
        })
        .collect();
    lines.sort_unstable();
    lines
        .iter()
        .fold(0, |end, &(start, count)| if start <= end { end.max(start.saturating_add(count)) } else { end })
}

/// The map of a namespace in which all ids are those of the one around it, whose own map is `map`; line feeds are
/// escaped.
pub(super) fn same(map: &str) -> String {
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (inside, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some(format!("{inside} {inside} {count}\\n"))
    };
    map.lines().filter_map(line).collect()
}

fn lines(file: &str) -> impl Iterator<Item = (&str, IdRange)> {
    file.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let range = IdRange { start: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
        Some((owner, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\nann:100000:65536\nbob:165536:65536\n1001:231072:1000\nbroken:x:1\n";

    #[test]
    fn ranges_are_granted_by_name_and_by_number() {
        assert_eq!(ranges(FILE, "ann", 1000), [IdRange { start: 100_000, count: 65536 }]);
        assert_eq!(ranges(FILE, "cid", 1001), [IdRange { start: 231_072, count: 1000 }]);
        assert_eq!(ranges(FILE, "broken", 7), []);
    }

    #[test]
    fn the_map_is_complete_and_ends_at_65535() {
        let text: Vec<String> =
            map(1000, &ranges(FILE, "ann", 1000)).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["0 1000 1", "1 100000 65535"]);
    }

    #[test]
    fn ids_count_as_far_as_there_is_no_gap() {
        assert_eq!(mapped("         0          0 4294967295\n"), u32::MAX);
        assert_eq!(mapped("1 100000 65536\n0 1000 1\n"), 65537);
        assert_eq!(mapped("0 1000 1\n"), 1);
        assert_eq!(mapped("0 1000 1\n5 100000 65536\n"), 1);
        assert_eq!(mapped(""), 0);
    }

    #[test]
    fn several_ranges_are_strung_together() {
        let granted = [IdRange { start: 5000, count: 1000 }, IdRange { start: 100_000, count: 65536 }];
        let text: Vec<String> = map(7, &granted).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["0 7 1", "1 5000 1000", "1001 100000 64535"]);
    }

    #[test]
    fn a_namespace_inside_has_the_ids_of_the_one_around_it() {
        assert_eq!(same("         0          0 4294967295\n"), "0 0 4294967295\\n");
        assert_eq!(same("0 1000 1\n1 100000 65535\n"), "0 0 1\\n1 1 65535\\n");
    }

    #[test]
    fn advice_names_a_range_nobody_has() {
        assert_eq!(free_range(&["", ""]).start, 100_000);
        assert_eq!(free_range(&[FILE, ""]).start, 232_072);
        assert_eq!(free_range(&["a:165536:65536\n", "b:100000:10\n"]).start, 231_072);
    }
}
