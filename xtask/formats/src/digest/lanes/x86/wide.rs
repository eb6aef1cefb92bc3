//! Sixteen streams at once, in vectors that have a word of each (AVX-512).

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_ror_epi32, _mm512_set1_epi32, _mm512_set4_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_storeu_si512,
    _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

use super::{BLOCK, K};

/// How many streams go together.
pub const LANES: usize = 16;

/// What a vector has of three others, bit by bit: of each combination of their bits, one.
const EITHER: i32 = 0x96;
const CHOICE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

pub fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Adds as many blocks to each state.
pub fn compress(states: &mut [[u32; 8]; LANES], blocks: &[&[[u8; BLOCK]]; LANES]) {
    assert!(available(), "who asks has looked");
    #[expect(unsafe_code, reason = "the processor has what it is compiled for")]
    // SAFETY: it was just looked for.
    unsafe {
        with_vectors(states, blocks);
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn with_vectors(states: &mut [[u32; 8]; LANES], blocks: &[&[[u8; BLOCK]]; LANES]) {
    let mut state = [_mm512_setzero_si512(); 8];
    for (word, vector) in state.iter_mut().enumerate() {
        *vector = load(&states.map(|state| state[word]));
    }
    for number in 0..blocks[0].len() {
        let mut w = message(blocks, number);
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        // Names change places from round to round, and no word is moved.
        macro_rules! round {
            ($k:expr, $w:expr; $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                let constant = _mm512_set1_epi32($k.cast_signed());
                let choice = _mm512_ternarylogic_epi32::<CHOICE>($e, $f, $g);
                let majority = _mm512_ternarylogic_epi32::<MAJORITY>($a, $b, $c);
                $h = sum([$h, sum([constant, $w]), choice, turned::<6, 11, 25>($e)]);
                $d = sum([$d, $h]);
                $h = sum([$h, majority, turned::<2, 13, 22>($a)]);
            };
        }
        macro_rules! sixteen {
            ($k:expr, $word:ident) => {
                let [[k0, k1, k2, k3], [k4, k5, k6, k7], [k8, k9, k10, k11], [k12, k13, k14, k15]] = *$k;
                round!(k0, $word::<0>(&mut w); a b c d e f g h);
                round!(k1, $word::<1>(&mut w); h a b c d e f g);
                round!(k2, $word::<2>(&mut w); g h a b c d e f);
                round!(k3, $word::<3>(&mut w); f g h a b c d e);
                round!(k4, $word::<4>(&mut w); e f g h a b c d);
                round!(k5, $word::<5>(&mut w); d e f g h a b c);
                round!(k6, $word::<6>(&mut w); c d e f g h a b);
                round!(k7, $word::<7>(&mut w); b c d e f g h a);
                round!(k8, $word::<8>(&mut w); a b c d e f g h);
                round!(k9, $word::<9>(&mut w); h a b c d e f g);
                round!(k10, $word::<10>(&mut w); g h a b c d e f);
                round!(k11, $word::<11>(&mut w); f g h a b c d e);
                round!(k12, $word::<12>(&mut w); e f g h a b c d);
                round!(k13, $word::<13>(&mut w); d e f g h a b c);
                round!(k14, $word::<14>(&mut w); c d e f g h a b);
                round!(k15, $word::<15>(&mut w); b c d e f g h a);
            };
        }
        let [first, others @ ..] = K.as_chunks::<4>().0 else { continue };
        sixteen!(first, given);
        for constants in others {
            sixteen!(constants, next);
        }
        for (before, after) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *before = sum([*before, after]);
        }
    }
    for (word, vector) in state.iter().enumerate() {
        states.iter_mut().zip(stored(*vector)).for_each(|(state, own)| state[word] = own);
    }
}

/// A word of each message.
#[inline]
#[target_feature(enable = "avx512f")]
fn given<const AT: usize>(w: &mut [__m512i; 16]) -> __m512i {
    w[AT]
}

/// The next word of each message, in the place of the oldest.
#[inline]
#[target_feature(enable = "avx512f")]
fn next<const AT: usize>(w: &mut [__m512i; 16]) -> __m512i {
    let (second, last) = (w[(AT + 1) % 16], w[(AT + 14) % 16]);
    let low = [_mm512_ror_epi32::<7>(second), _mm512_ror_epi32::<18>(second), _mm512_srli_epi32::<3>(second)];
    let high = [_mm512_ror_epi32::<17>(last), _mm512_ror_epi32::<19>(last), _mm512_srli_epi32::<10>(last)];
    w[AT] = sum([w[AT], xor(low), w[(AT + 9) % 16], xor(high)]);
    w[AT]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum<const N: usize>(vectors: [__m512i; N]) -> __m512i {
    let mut all = vectors[0];
    for &vector in &vectors[1..] {
        all = _mm512_add_epi32(all, vector);
    }
    all
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor([one, two, three]: [__m512i; 3]) -> __m512i {
    _mm512_ternarylogic_epi32::<EITHER>(one, two, three)
}

/// A vector turned right by three counts of bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn turned<const A: i32, const B: i32, const C: i32>(vector: __m512i) -> __m512i {
    xor([_mm512_ror_epi32::<A>(vector), _mm512_ror_epi32::<B>(vector), _mm512_ror_epi32::<C>(vector)])
}

/// A block of each stream as sixteen words, which are big-endian: a vector for each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn message(blocks: &[&[[u8; BLOCK]]; LANES], number: usize) -> [__m512i; 16] {
    let swapped = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (row, blocks) in rows.iter_mut().zip(blocks) {
        *row = _mm512_shuffle_epi8(load(&blocks[number]), swapped);
    }
    // Rows become columns: in pairs of words, in fours, and then by quarters of a vector.
    let mut pairs = rows;
    for at in (0..16).step_by(2) {
        pairs[at] = _mm512_unpacklo_epi32(rows[at], rows[at + 1]);
        pairs[at + 1] = _mm512_unpackhi_epi32(rows[at], rows[at + 1]);
    }
    let mut fours = rows;
    for at in (0..16).step_by(4) {
        for half in 0..2 {
            let (one, two) = (pairs[at + half], pairs[at + half + 2]);
            fours[at + 2 * half] = _mm512_unpacklo_epi64(one, two);
            fours[at + 2 * half + 1] = _mm512_unpackhi_epi64(one, two);
        }
    }
    let mut words = rows;
    for at in 0..4 {
        let [one, two, three, four] = [fours[at], fours[at + 4], fours[at + 8], fours[at + 12]];
        let even = [_mm512_shuffle_i32x4::<0x88>(one, two), _mm512_shuffle_i32x4::<0x88>(three, four)];
        let odd = [_mm512_shuffle_i32x4::<0xdd>(one, two), _mm512_shuffle_i32x4::<0xdd>(three, four)];
        words[at] = _mm512_shuffle_i32x4::<0x88>(even[0], even[1]);
        words[at + 4] = _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]);
        words[at + 8] = _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]);
        words[at + 12] = _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]);
    }
    words
}

/// Sixty-four bytes, which may lie anywhere.
#[inline]
#[target_feature(enable = "avx512f")]
fn load<T: Words>(bytes: &T) -> __m512i {
    #[expect(unsafe_code, reason = "there is no other load")]
    // SAFETY: these are sixty-four bytes.
    unsafe {
        _mm512_loadu_si512(std::ptr::from_ref(bytes).cast())
    }
}

/// What is as long as a vector.
trait Words {}

impl Words for [u8; BLOCK] {}

impl Words for [u32; LANES] {}

#[inline]
#[target_feature(enable = "avx512f")]
fn stored(vector: __m512i) -> [u32; LANES] {
    let mut words = [0; LANES];
    #[expect(unsafe_code, reason = "there is no other store")]
    // SAFETY: these are sixty-four bytes.
    unsafe {
        _mm512_storeu_si512(words.as_mut_ptr().cast(), vector);
    }
    words
}
