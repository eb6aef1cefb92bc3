//! The nearest known names to an unknown one.

/// At most three of `names` that could have been meant by `name`, the nearest first.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = 1 + name.len() / 4;
    let mut near: Vec<(usize, &str)> = names
        .filter(|known| known.len().abs_diff(name.len()) <= limit)
        .filter_map(|known| Some((distance(name.as_bytes(), known.as_bytes(), limit)?, known)))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
}

/// How many letters must be put in, left out, changed or swapped with their neighbour, if not more than `limit`.
fn distance(left: &[u8], right: &[u8], limit: usize) -> Option<usize> {
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
        assert_eq!(nearest("dockre.io", names.into_iter()), ["docker.io"]);
        assert_eq!(nearest("crul", names.into_iter()).first().unwrap(), "curl");
        assert_eq!(nearest("sytemd-boot", names.into_iter()), ["systemd-boot"]);
        assert_eq!(nearest("greengrass", names.into_iter()), Vec::<String>::new());
    }

    #[test]
    fn a_swap_counts_as_one() {
        assert_eq!(distance(b"jq", b"qj", 9), Some(1));
        assert_eq!(distance(b"kitten", b"sitting", 9), Some(3));
        assert_eq!(distance(b"kitten", b"sitting", 2), None);
    }
}
