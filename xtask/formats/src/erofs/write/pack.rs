//! Where inodes lie: an inode with its file's last bytes lies in one block, and blocks are filled.
//!
//! A stable place costs room and a full block costs stability, so both are sought in groups: a group ends at a path
//! that its own hash chooses, begins a block of its own, and is filled without regard to order. A changed file changes
//! the blocks of its group, and no others.

/// What an inode number counts, in bytes.
pub(super) const SLOT: usize = 32;

use super::BLOCK;

/// An inode to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Its length with everything behind it, in bytes.
    pub(super) length: usize,
    /// The length of the inode alone: 32 or 64.
    pub(super) head: usize,
    /// Whether it must lie in one block.
    pub(super) whole: bool,
    /// A hash of its path.
    pub(super) hash: u64,
}

/// The most items of a group.
const MOST_ITEMS: usize = 256;

/// The offset of each item, from the beginning of a block on, and the length in bytes, which is whole blocks. Groups
/// have `size` items on average, a power of two.
pub(super) fn pack(items: &[Item], size: u64) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; items.len()];
    let (mut begin, mut end) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        let last = at + 1 == items.len();
        if last || item.hash % size == 0 || at + 1 - begin == MOST_ITEMS {
            end = group(&items[begin..=at], &mut offsets[begin..=at], end);
            begin = at + 1;
        }
    }
    (offsets, end)
}

/// Fills blocks from `start` on, the longest items first, each into the first block that has room.
fn group(items: &[Item], offsets: &mut [usize], start: usize) -> usize {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(items[at].length));
    let mut used: Vec<usize> = Vec::new();
    for at in order {
        let length = items[at].length.next_multiple_of(SLOT);
        let block = match used.iter().position(|used| used + length <= BLOCK) {
            Some(block) => block,
            None => {
                used.push(0);
                used.len() - 1
            }
        };
        offsets[at] = start + block * BLOCK + used[block];
        used[block] += length;
    }
    start + used.len() * BLOCK
}

/// Places items one behind the other; an item may go on in the next block, its inode does not.
pub(super) fn line(items: &[Item]) -> (Vec<usize>, usize) {
    let mut end: usize = 0;
    let offsets = items
        .iter()
        .map(|item| {
            let left = BLOCK - end % BLOCK;
            let needed = if item.whole { item.length } else { item.head };
            if left < needed {
                end += left;
            }
            let offset = end;
            end += item.length.next_multiple_of(SLOT);
            offset
        })
        .collect();
    (offsets, end.next_multiple_of(BLOCK))
}

/// FNV-1a: chooses where groups end, and is of no other meaning.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Its low bits are the weakest.
    hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(skip: Option<u64>) -> Vec<Item> {
        let lengths = (0..2000_u64).filter(|&n| Some(n) != skip);
        lengths
            .map(|n| Item {
                length: 64 + usize::try_from(n * n % 3900).unwrap(),
                head: 64,
                whole: true,
                hash: hash(&n.to_le_bytes()),
            })
            .collect()
    }

    #[test]
    fn no_item_crosses_a_block_and_none_lies_on_another() {
        let items = items(None);
        for (offsets, end) in [pack(&items, 64), line(&items)] {
            let mut places: Vec<_> =
                offsets.iter().zip(&items).map(|(&at, item)| (at, at + item.length)).collect();
            places.sort_unstable();
            assert!(places.iter().all(|&(from, to)| from / BLOCK == (to - 1) / BLOCK && from % SLOT == 0));
            assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            assert!(end % BLOCK == 0 && places.last().unwrap().1 <= end);
        }
        let content: usize = items.iter().map(|item| item.length).sum();
        assert!(pack(&items, 64).1 < content * 107 / 100, "groups are not filled");
    }

    #[test]
    fn an_item_that_goes_moves_its_group_alone() {
        let block = |items: &[Item]| -> Vec<Vec<(u64, usize)>> {
            let (offsets, end) = pack(items, 64);
            let mut blocks = vec![Vec::new(); end / BLOCK];
            for (offset, item) in offsets.iter().zip(items) {
                blocks[offset / BLOCK].push((item.hash, offset % BLOCK));
            }
            blocks
        };
        let (old, new) = (block(&items(None)), block(&items(Some(1000))));
        let kept = new.iter().filter(|block| old.contains(block)).count();
        assert!(kept * 100 > new.len() * 90, "{kept} of {}", new.len());
    }
}
