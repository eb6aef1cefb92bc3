//! The instructions for SHA-256 of x86-64.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32,
    _mm_set_epi64x, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

pub use self::wide::available as has_sixteen;
use super::BLOCK;

mod wide;

pub fn available() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
}

/// Adds as many blocks to each state, or the same ones to all.
pub fn compress<const N: usize, const M: usize>(states: &mut [[u32; 8]; N], blocks: [&[[u8; BLOCK]]; M]) {
    if let (Ok(states), Ok(blocks)) = ((&mut states[..]).try_into(), blocks[..].try_into()) {
        return wide::compress(states, blocks);
    }
    assert!(available(), "who asks has looked");
    #[expect(unsafe_code, reason = "the processor has what it is compiled for")]
    // SAFETY: it was just looked for.
    unsafe {
        with_instructions(states, blocks);
    }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn with_instructions<const N: usize, const M: usize>(
    states: &mut [[u32; 8]; N],
    blocks: [&[[u8; BLOCK]]; M],
) {
    // The instructions want the state as ABEF and CDGH.
    let mut abef = states.map(|[a, b, _, _, e, f, _, _]| words([f, e, b, a]));
    let mut cdgh = states.map(|[_, _, c, d, _, _, g, h]| words([h, g, d, c]));
    for number in 0..blocks[0].len() {
        let before = (abef, cdgh);
        // No closure: it would be compiled without the instructions.
        let mut schedule = [[_mm_setzero_si128(); 4]; M];
        for (w, blocks) in schedule.iter_mut().zip(blocks) {
            *w = message(&blocks[number]);
        }
        macro_rules! rounds {
            ($($four:literal)*) => { $(
                let constants = words(K[$four]);
                for lane in 0..N {
                    if $four > 3 && lane < M {
                        next::<{ $four % 4 }>(&mut schedule[lane]);
                    }
                    let sum = _mm_add_epi32(schedule[lane % M][$four % 4], constants);
                    cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], sum);
                    let other = _mm_shuffle_epi32(sum, 0x0e);
                    abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], other);
                }
            )* };
        }
        rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for (state, before) in abef.iter_mut().zip(before.0) {
            *state = _mm_add_epi32(*state, before);
        }
        for (state, before) in cdgh.iter_mut().zip(before.1) {
            *state = _mm_add_epi32(*state, before);
        }
    }
    for (state, (abef, cdgh)) in states.iter_mut().zip(abef.into_iter().zip(cdgh)) {
        let ([f, e, b, a], [h, g, d, c]) = (unwords(abef), unwords(cdgh));
        *state = [a, b, c, d, e, f, g, h];
    }
}

/// The next four words of the message, in the place of the oldest.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next<const AT: usize>(w: &mut [__m128i; 4]) {
    let [one, two, three, four] = [w[AT], w[(AT + 1) % 4], w[(AT + 2) % 4], w[(AT + 3) % 4]];
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(one, two), _mm_alignr_epi8(four, three, 4));
    w[AT] = _mm_sha256msg2_epu32(sum, four);
}

/// A block as sixteen words, which are big-endian.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn message(block: &[u8; BLOCK]) -> [__m128i; 4] {
    let swapped = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm_setzero_si128(); 4];
    for (word, quarter) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        #[expect(unsafe_code, reason = "two loads of halves take three instructions")]
        // SAFETY: these are sixteen bytes, and may lie anywhere.
        let loaded = unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) };
        *word = _mm_shuffle_epi8(loaded, swapped);
    }
    words
}

/// Four words, the lowest first.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn words(words: [u32; 4]) -> __m128i {
    let [one, two, three, four] = words.map(u32::cast_signed);
    _mm_set_epi32(four, three, two, one)
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn unwords(words: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(words),
        _mm_extract_epi32::<1>(words),
        _mm_extract_epi32::<2>(words),
        _mm_extract_epi32::<3>(words),
    ]
    .map(i32::cast_unsigned)
}

/// The constants of the rounds, four by four.
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];
