//! SHA-256 of several streams at once, for x86-64 processors with instructions for it.
//!
//! Each round waits for the one before, and a stream alone leaves the processor half idle: two together take little longer
//! than one (AMD EPYC: 1.5 GB/s alone, 2.8 together, no more with a third). No crate has that. On other processors, a
//! stream is ring's.
//!
//! FIPS 180-4; <https://www.intel.com/content/www/us/en/developer/articles/technical/intel-sha-extensions.html>

/// The bytes of a block.
const BLOCK: usize = 64;

/// A stream: what was added to it so far.
#[derive(Clone)]
pub struct Lane {
    state: [u32; 8],
    /// How many bytes were added.
    length: u64,
    /// Those behind the last whole block, and how many they are.
    rest: [u8; BLOCK],
    filled: usize,
}

impl Lane {
    /// A stream of nothing, where this processor has the instructions.
    pub fn new() -> Option<Self> {
        x86::available().then_some(Self { state: INITIAL, length: 0, rest: [0; BLOCK], filled: 0 })
    }

    /// Adds to each stream its bytes. All go in step: they have as many bytes behind their last whole block, and get as
    /// many.
    fn update<const N: usize>(mut lanes: [&mut Self; N], mut bytes: [&[u8]; N]) {
        let (filled, more) = (lanes[0].filled, bytes[0].len());
        assert!(
            lanes.iter().all(|lane| lane.filled == filled) && bytes.iter().all(|part| part.len() == more)
        );
        lanes.iter_mut().for_each(|lane| lane.length += more as u64);
        if filled > 0 {
            let taken = more.min(BLOCK - filled);
            for (lane, part) in lanes.iter_mut().zip(&mut bytes) {
                let (first, behind) = part.split_at(taken);
                lane.rest[filled..filled + taken].copy_from_slice(first);
                *part = behind;
            }
            if filled + taken < BLOCK {
                lanes.iter_mut().for_each(|lane| lane.filled += taken);
                return;
            }
            let rests = lanes.each_ref().map(|lane| [lane.rest]);
            Self::compress(&mut lanes, rests.each_ref().map(|rest| &rest[..]));
        }
        let parts = bytes.map(|part| part.as_chunks::<BLOCK>());
        Self::compress(&mut lanes, parts.map(|(blocks, _)| blocks));
        for (lane, (_, rest)) in lanes.iter_mut().zip(parts) {
            lane.rest[..rest.len()].copy_from_slice(rest);
            lane.filled = rest.len();
        }
    }

    fn compress<const N: usize>(lanes: &mut [&mut Self; N], blocks: [&[[u8; BLOCK]]; N]) {
        let mut states = lanes.each_ref().map(|lane| lane.state);
        x86::compress(&mut states, blocks);
        lanes.iter_mut().zip(states).for_each(|(lane, state)| lane.state = state);
    }

    /// The digests of streams that go in step.
    fn finish<const N: usize>(mut lanes: [Self; N]) -> [[u8; 32]; N] {
        // A one, zeros, and the length in bits at the end of a block.
        let (filled, bits) = (lanes[0].filled, lanes[0].length * 8);
        let mut end = [0; 2 * BLOCK];
        end[0] = 0x80;
        let until = if filled < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        let length = until - filled;
        end[length - 8..length].copy_from_slice(&bits.to_be_bytes());
        Self::update(lanes.each_mut(), [&end[..length]; N]);
        lanes.map(|lane| {
            let mut digest = [0; 32];
            digest
                .as_chunks_mut()
                .0
                .iter_mut()
                .zip(lane.state)
                .for_each(|(to, word)| *to = word.to_be_bytes());
            digest
        })
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        Self::update([self], [bytes]);
    }

    /// Adds the same bytes to two.
    pub fn add_to_both(&mut self, other: &mut Self, bytes: &[u8]) {
        if self.filled == other.filled {
            Self::update([self, other], [bytes; 2]);
        } else {
            self.add(bytes);
            other.add(bytes);
        }
    }

    /// The digest.
    pub fn digest(self) -> [u8; 32] {
        let [digest] = Self::finish([self]);
        digest
    }

    /// The digests behind what was added of parts of as many bytes.
    pub fn behind<const N: usize>(&self, parts: [&[u8]; N]) -> [[u8; 32]; N] {
        let mut lanes = parts.map(|_| self.clone());
        Self::update(lanes.each_mut(), parts);
        Self::finish(lanes)
    }
}

const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    use super::BLOCK;

    pub fn available() -> bool {
        false
    }

    pub fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: [&[[u8; BLOCK]]; N]) {
        states.iter_mut().zip(blocks).for_each(|(state, blocks)| sha2::block_api::compress256(state, blocks));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32,
        _mm_set_epi64x, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
        _mm_shuffle_epi8, _mm_shuffle_epi32,
    };

    use super::BLOCK;

    pub fn available() -> bool {
        is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1")
    }

    /// Adds as many blocks to each state.
    pub fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: [&[[u8; BLOCK]]; N]) {
        assert!(available(), "who asks has looked");
        #[expect(unsafe_code, reason = "the processor has what it is compiled for")]
        // SAFETY: it was just looked for.
        unsafe {
            with_instructions(states, blocks);
        }
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn with_instructions<const N: usize>(states: &mut [[u32; 8]; N], blocks: [&[[u8; BLOCK]]; N]) {
        // The instructions want the state as ABEF and CDGH.
        let mut abef = states.map(|[a, b, _, _, e, f, _, _]| words([f, e, b, a]));
        let mut cdgh = states.map(|[_, _, c, d, _, _, g, h]| words([h, g, d, c]));
        for number in 0..blocks[0].len() {
            let before = (abef, cdgh);
            // No closure: it would be compiled without the instructions.
            let mut schedule = [[_mm_setzero_si128(); 4]; N];
            for (w, blocks) in schedule.iter_mut().zip(blocks) {
                *w = message(&blocks[number]);
            }
            macro_rules! rounds {
                ($($four:literal)*) => { $(
                    let constants = words(K[$four]);
                    for ((w, abef), cdgh) in schedule.iter_mut().zip(&mut abef).zip(&mut cdgh) {
                        if $four > 3 {
                            next::<{ $four % 4 }>(w);
                        }
                        let sum = _mm_add_epi32(w[$four % 4], constants);
                        *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
                        *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0e));
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
}
