#include "CBytes.h"
#include "vectors.h"

#if defined(__x86_64__)
#include <immintrin.h>

/*
 * Well-formedness by three table look-ups on neighbouring nibbles, after Keiser and Lemire,
 * "Validating UTF-8 In Less Than One Instruction Per Byte" (2021). Each bit of the tables
 * is one way in which two adjacent bytes can be wrong.
 */
enum {
    TOO_SHORT = 1 << 0,      /* a lead byte, then no continuation */
    TOO_LONG = 1 << 1,       /* ASCII, then a continuation */
    OVERLONG_3 = 1 << 2,     /* E0, then 80..9F */
    TOO_LARGE = 1 << 3,      /* F4, then 90..; F5.. */
    SURROGATE = 1 << 4,      /* ED, then A0..BF */
    OVERLONG_2 = 1 << 5,     /* C0, C1 */
    TOO_LARGE_1000 = 1 << 6, /* F5.., then 80..8F */
    OVERLONG_4 = 1 << 6,     /* F0, then 80..8F */
    TWO_CONTINUATIONS = 1 << 7,
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS
};

SHUFFLE CB_INLINE __m128i utf8_errors(__m128i v, __m128i previous) {
    const __m128i first_high = _mm_setr_epi8(
        TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
        (char)TWO_CONTINUATIONS, (char)TWO_CONTINUATIONS, (char)TWO_CONTINUATIONS,
        (char)TWO_CONTINUATIONS, TOO_SHORT | OVERLONG_2, TOO_SHORT,
        TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4);
    const char large = (char)(ANY_LOW | TOO_LARGE | TOO_LARGE_1000);
    const __m128i first_low = _mm_setr_epi8(
        (char)(ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4), (char)(ANY_LOW | OVERLONG_2),
        (char)ANY_LOW, (char)ANY_LOW, (char)(ANY_LOW | TOO_LARGE), large, large, large, large,
        large, large, large, large, (char)(ANY_LOW | TOO_LARGE | TOO_LARGE_1000 | SURROGATE),
        large, large);
    const char low8 = (char)(TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | OVERLONG_3 |
                             TOO_LARGE_1000 | OVERLONG_4);
    const char low9 = (char)(TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | OVERLONG_3 | TOO_LARGE);
    const char low_ab = (char)(TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | SURROGATE | TOO_LARGE);
    const __m128i second_high = _mm_setr_epi8(
        TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
        low8, low9, low_ab, low_ab, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT);
    const __m128i nibble = _mm_set1_epi8(0x0f);
    __m128i before1 = _mm_alignr_epi8(v, previous, 15);
    __m128i before2 = _mm_alignr_epi8(v, previous, 14);
    __m128i before3 = _mm_alignr_epi8(v, previous, 13);
    __m128i pair = _mm_and_si128(
        _mm_and_si128(
            _mm_shuffle_epi8(first_high, _mm_and_si128(_mm_srli_epi16(before1, 4), nibble)),
            _mm_shuffle_epi8(first_low, _mm_and_si128(before1, nibble))),
        _mm_shuffle_epi8(second_high, _mm_and_si128(_mm_srli_epi16(v, 4), nibble)));
    /* The third byte after E0.., the third and fourth after F0.., are continuations that
       follow a continuation: there, and only there, TWO_CONTINUATIONS is right. */
    __m128i third = _mm_subs_epu8(before2, _mm_set1_epi8((char)(0xe0 - 0x80)));
    __m128i fourth = _mm_subs_epu8(before3, _mm_set1_epi8((char)(0xf0 - 0x80)));
    __m128i must = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)0x80));
    return _mm_xor_si128(must, pair);
}

SHUFFLE static int utf8_valid_ssse3(const uint8_t *p, size_t n) {
    __m128i previous = _mm_setzero_si128();
    __m128i errors = _mm_setzero_si128();
    size_t i = 0;
    while (i + 16 <= n) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        errors = _mm_or_si128(errors, utf8_errors(v, previous));
        previous = v;
        i += 16;
        /* Behind a block of ASCII nothing is unfinished: skip to the next that is not ASCII. */
        if (_mm_movemask_epi8(v) == 0) {
            i += cb_ascii_prefix(p + i, n - i) & ~(size_t)15;
            previous = _mm_setzero_si128();
        }
    }
    /* Zeros after the end show a sequence that was cut short. */
    uint8_t last[16] = {0};
    memcpy(last, p + i, n - i);
    __m128i v = _mm_loadu_si128((const __m128i *)last);
    errors = _mm_or_si128(errors, utf8_errors(v, previous));
    __m128i end = utf8_errors(_mm_setzero_si128(), v);
    errors = _mm_or_si128(errors, end);
    return _mm_movemask_epi8(_mm_cmpeq_epi8(errors, _mm_setzero_si128())) == 0xffff;
}
#endif

static int utf8_valid_scalar(const uint8_t *p, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint8_t lead = p[i++];
        if (lead < 0x80) {
            continue;
        }
        int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (lead < 0xc2 || lead > 0xf4 || n - i < (size_t)more) {
            return 0;
        }
        for (; more > 0; more--, i++, low = 0x80, high = 0xbf) {
            if (p[i] < low || p[i] > high) {
                return 0;
            }
        }
    }
    return 1;
}

int cb_utf8_valid(const uint8_t *p, size_t n) {
    size_t ascii = cb_ascii_prefix(p, n);
#if defined(__x86_64__)
    if (cb_has_shuffle) {
        return ascii == n || utf8_valid_ssse3(p + ascii, n - ascii);
    }
#endif
    return utf8_valid_scalar(p + ascii, n - ascii);
}
