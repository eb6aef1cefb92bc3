use super::*;

/// A log as QEMU writes it, of entries of flags, first sector and content.
fn log(entries: &[(u64, u64, &[u8])]) -> File {
    let mut bytes = vec![0; 512];
    let numbers = |numbers: [u64; 4]| numbers.map(u64::to_le_bytes).concat();
    bytes[..32].copy_from_slice(&numbers([MAGIC, 1, entries.len() as u64, 512]));
    for (flags, sector, content) in entries {
        let sectors = content.len() as u64 / 512;
        bytes.extend(numbers([*sector, sectors, *flags, 0]));
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        if flags & DISCARD == 0 {
            bytes.extend_from_slice(content);
        }
    }
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file
}

/// A replay of it on a disk of four sectors of `.`.
fn replay(entries: &[(u64, u64, &[u8])]) -> Replay {
    let (log, base) = (log(entries), tempfile::tempfile().unwrap());
    base.write_all_at(&[b'.'; 2048], 0).unwrap();
    let entries = super::entries(&log).unwrap();
    let _work = Work::new().unwrap();
    let durable = Extents::default();
    Replay {
        base: base.into(),
        log: log.into(),
        size: 2048,
        entries,
        flushed: 0,
        durable,
        unheeded: 0..0,
        _work,
    }
}

/// The first byte of each sector, which is that of all of it.
fn sectors(cut: &mut Cut) -> String {
    let mut all = Vec::new();
    cut.rewind().unwrap();
    cut.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 2048);
    let sector = |bytes: &[u8]| {
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a sector is torn");
        if bytes[0] == 0 { '0' } else { char::from(bytes[0]) }
    };
    all.chunks(512).map(sector).collect()
}

#[test]
fn what_was_flushed_is_there_and_the_rest_is_up_to_chance() {
    let (a, b, c) = ([b'a'; 1024], [b'b'; 1024], [b'c'; 512]);
    let mut replay =
        replay(&[(0, 0, &a), (FLUSH, 0, &[]), (0, 1, &b), (THROUGH, 3, &c), (DISCARD, 0, &[0; 512])]);
    let actions: Vec<Action> = replay.entries().iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [Action::Write, Action::Flush, Action::Write, Action::WriteThrough, Action::Discard]);
    assert_eq!(replay.entries()[2].range, 512..1536);
    let mut seen = |at: usize| {
        let mut number = 0_u32;
        let mut random = || {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            number >> 16
        };
        let mut seen: Vec<String> = (0..200).map(|_| sectors(&mut replay.cut(at, &mut random))).collect();
        seen.sort();
        seen.dedup();
        seen
    };
    // Also backwards.
    assert_eq!(seen(4), ["aa.c", "aabc", "ab.c", "abbc"]);
    assert_eq!(seen(0), ["...."]);
    assert_eq!(seen(1), ["....", ".a..", "a...", "aa.."]);
    assert_eq!(seen(2), ["aa.."]);
    assert!(seen(5).contains(&"0a.c".to_owned()) && seen(5).len() == 8);
}

#[test]
fn a_cut_is_the_same_in_a_file_and_its_origin_tells_it_from_others() {
    let (a, b) = ([b'a'; 1024], [b'b'; 512]);
    let mut replay =
        replay(&[(0, 1, &a), (FLUSH, 0, &[]), (0, 2, &b), (FLUSH, 0, &[]), (DISCARD, 3, &[0; 512])]);
    let [one, two, three] = [2, 4, 4].map(|at| replay.cut(at, || 0));
    assert_eq!(one.origin(0..1024), two.origin(0..1024));
    assert_ne!(one.origin(0..1025), two.origin(0..1025));
    assert_eq!(two.origin(0..2048), three.origin(0..2048));
    let mut replay = replay.without_flushes(0..2);
    assert_eq!(sectors(&mut replay.cut(3, || 0)), "....");
    assert_eq!(sectors(&mut replay.cut(4, || 0)), ".ab.");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.raw");
    let mut last = replay.cut(5, || 2);
    assert_eq!(sectors(&mut last), ".ab0");
    last.write(&path).unwrap();
    let mut whole = Vec::new();
    last.rewind().unwrap();
    last.read_to_end(&mut whole).unwrap();
    assert!(fs_err::read(&path).unwrap() == whole);
}

#[test]
fn what_is_no_log_is_refused() {
    let refused = |bytes: &[u8]| {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        format!("{:#}", entries(&file).unwrap_err())
    };
    assert_eq!(refused(&[0; 512]), "it is no log of writes");
    let whole = log(&[(0, 1, &[1; 512])]);
    let mut bytes = vec![0; 1536];
    whole.read_exact_at(&mut bytes, 0).unwrap();
    assert!(refused(&bytes[..520]).starts_with("it ends in entry 0"), "{}", refused(&bytes[..520]));
    assert_eq!(refused(&bytes[..1024]), "it ends in what was written last");
    bytes[24] = 3;
    assert_eq!(refused(&bytes), "its sectors have 515 bytes");
    bytes[24..26].copy_from_slice(&512_u16.to_le_bytes());
    bytes[512..528].fill(255);
    assert_eq!(refused(&bytes), "entry 0 lies on no disk");
}

#[test]
fn a_write_over_others_leaves_their_ends() {
    let mut extents = Extents::default();
    extents.put(0..4096, Source::Log(10_000));
    extents.put(1024..2048, Source::Zeros);
    let parts: Vec<_> = extents.within(512..3072).collect();
    let middle = (1024..2048, Source::Zeros);
    assert_eq!(parts, [(512..1024, Source::Log(10_512)), middle, (2048..3072, Source::Log(12_048))]);
    extents.put(512..3072, Source::Log(0));
    assert_eq!(extents.0.len(), 3);
}
