use std::fs;

use zstd::zstd_safe::DCtx;

use super::*;

/// A block that is like no other, and zeros for 0.
fn block(number: u32) -> Vec<u8> {
    let word =
        |at: u32| if number == 0 { 0 } else { number.wrapping_mul(2_654_435_761) ^ at.wrapping_mul(40_503) };
    (0..1024).flat_map(|at| word(at).to_le_bytes()).collect()
}

fn image(directory: &Path, name: &str, blocks: impl IntoIterator<Item = u32>) -> File {
    let path = directory.join(name);
    fs::write(&path, blocks.into_iter().flat_map(block).collect::<Vec<u8>>()).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

fn made(old: &File, new: &File) -> Vec<Chunk> {
    chunks(old, &blocks(old).unwrap(), new, &blocks(new).unwrap()).unwrap()
}

/// What a device makes of the chunks.
fn undone(old: &File, chunks: &[Chunk]) -> Vec<u8> {
    let mut whole = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk.new.start, whole.len() as u64);
        assert!(chunk.old.end - chunk.old.start <= STRETCH);
        let old = read(old, &chunk.old).unwrap();
        let mut bytes = Vec::with_capacity(usize::try_from(CHUNK).unwrap());
        let mut context = DCtx::create();
        context.ref_prefix(&old).unwrap();
        let (mut out, mut frame) =
            (zstd::zstd_safe::OutBuffer::around(&mut bytes), zstd::zstd_safe::InBuffer::around(&chunk.frame));
        while context.decompress_stream(&mut out, &mut frame).unwrap() > 0 {}
        whole.extend(bytes);
    }
    whole
}

#[test]
fn what_moved_and_what_changed_a_little_costs_little() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // 36 MiB; in the new one, a package of 20 blocks comes first, 4000 blocks moved far, and one byte in many changed.
    let old = image(path, "old", (1..9217).map(|number| if number % 7 == 0 { 0 } else { number }));
    let moved = (5000..9000).chain(1..5000).map(|number| if number % 7 == 0 { 0 } else { number });
    let new = image(path, "new", (20_000..20_020).chain(moved));
    for at in (1 << 20..8 << 20).step_by(64 << 10) {
        new.write_all_at(b"!", at).unwrap();
    }
    let chunks = made(&old, &new);
    assert!(undone(&old, &chunks) == fs::read(path.join("new")).unwrap());
    let size: usize = chunks.iter().map(|chunk| chunk.frame.len()).sum();
    // The package is what is new; a chunk across the seam of what moved has half of it in its stretch.
    let package = compress(&[], &fs::read(path.join("new")).unwrap()[..20 * BLOCK]).unwrap().len();
    assert!(size < 9 << 20, "{size}");
    assert!(chunks[0].frame.len() < package + (128 << 10), "{} and {package}", chunks[0].frame.len());
}

#[test]
fn roots_of_any_size_are_made_of_one_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let sizes = [2, 2049];
    for old_size in sizes {
        let old = image(path, "old", 1..old_size + 1);
        for new_size in sizes {
            for first in [1, 3000, 50_000] {
                let new = image(path, "new", first..first + new_size);
                assert!(undone(&old, &made(&old, &new)) == fs::read(path.join("new")).unwrap());
            }
        }
    }
}

#[test]
fn a_stretch_is_where_most_of_a_chunk_lies() {
    let (chunk, size) = (CHUNK..2 * CHUNK, 100 << 20);
    let block = BLOCK as u64;
    let places = |ranges: &[Range<u64>]| {
        ranges.iter().flat_map(|range| range.clone().step_by(BLOCK)).collect::<Vec<u64>>()
    };
    assert_eq!(stretch(Vec::new(), &chunk, size), CHUNK - MARGIN..2 * CHUNK + MARGIN);
    assert_eq!(stretch(vec![0], &chunk, size), 0..block + MARGIN);
    let far = places(&[0..4 * block, 64 << 20..68 << 20]);
    assert_eq!(stretch(far, &chunk, size), 63 << 20..69 << 20);
    // More of the old than fits is cut.
    let wide = stretch(places(&[0..50 << 20, 50 << 20..100 << 20]), &chunk, size);
    assert!(wide.end - wide.start <= STRETCH && wide.end - wide.start > STRETCH - 2 * MARGIN, "{wide:?}");
    assert_eq!(stretch(vec![size - block], &chunk, size).end, size);
    // An old root that is shorter has nothing there.
    assert!(stretch(Vec::new(), &chunk, 1 << 20).is_empty());
}
