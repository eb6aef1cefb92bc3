//! The known names that an unknown one was probably meant to be.

/// The candidate nearest to `word`, when it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(word, candidates).into_iter().next()
}

/// All candidates that could have been meant by `word`, the nearest first.
pub fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word: Vec<char> = word.chars().collect();
    let limit = 1 + word.len() / 4;
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|known| known.chars().count().abs_diff(word.len()) <= limit)
        .filter_map(|known| Some((distance(&word, known, limit)?, known)))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, known)| known).collect()
}

/// How many letters must be put in, left out, changed or swapped with their
/// neighbour, if not more than `limit`: the restricted distance of Damerau and
/// Levenshtein.
fn distance(left: &[char], right: &str, limit: usize) -> Option<usize> {
    let right: Vec<char> = right.chars().collect();
    let mut before = vec![0; right.len() + 1];
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut here = vec![row + 1; right.len() + 1];
        for (column, &b) in right.iter().enumerate() {
            let changed = above[column] + usize::from(a != b);
            here[column + 1] = changed.min(above[column + 1] + 1).min(here[column] + 1);
            if row > 0 && column > 0 && a == right[column - 1] && left[row - 1] == b {
                here[column + 1] = here[column + 1].min(before[column - 1] + 1);
            }
        }
        if here.iter().min().is_some_and(|&least| least > limit) {
            return None;
        }
        before = std::mem::replace(&mut above, here);
    }
    above.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_what_was_meant() {
        let names = ["docker.io", "docker-doc", "curl", "cups", "systemd-boot", "systemd-boot-efi"];
        assert_eq!(near("dockre.io", names), ["docker.io"]);
        assert_eq!(nearest("crul", names), Some("curl"));
        assert_eq!(near("sytemd-boot", names), ["systemd-boot"]);
        assert_eq!(nearest("trixi", ["bookworm", "trixie"]), Some("trixie"));
        assert_eq!(nearest("nobel", ["noble", "trixie"]), Some("noble"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("greengrass", ["docker.io", "systemd-boot"]), None);
        assert_eq!(nearest("windows", ["noble", "trixie"]), None);
    }

    #[test]
    fn a_swap_counts_as_one() {
        let distance = |left: &str, right, limit| distance(&left.chars().collect::<Vec<_>>(), right, limit);
        assert_eq!(distance("jq", "qj", 9), Some(1));
        assert_eq!(distance("kitten", "sitting", 9), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
    }
}
