#include "CBytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define SHUFFLE __attribute__((target("ssse3,popcnt")))

/* For each set of bits in a byte: the shuffle that opens a gap before each marked byte
   (0x80 makes a zero there), and the one that closes up over the marked bytes. */
static uint8_t spread[256][16] __attribute__((aligned(16)));
static uint8_t squeeze[256][8] __attribute__((aligned(8)));
static int has_shuffle;

/* Bytes that leave or enter a register by a mask: Ice Lake, Zen 4 and later. */
#define COMPRESS __attribute__((target("avx512f,avx512bw,avx512vbmi2,bmi,bmi2,popcnt")))
static int has_compress;

static void fill_tables(void);

__attribute__((constructor)) static void choose(void) {
    __builtin_cpu_init();
    has_shuffle = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt");
    has_compress = __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("bmi2");
    if (has_shuffle && !has_compress) {
        fill_tables();
    }
}

static void fill_tables(void) {
    for (int mask = 0; mask < 256; mask++) {
        int wide = 0, narrow = 0;
        for (int i = 0; i < 8; i++) {
            if (mask >> i & 1) {
                spread[mask][wide++] = 0x80;
            } else {
                squeeze[mask][narrow++] = (uint8_t)i;
            }
            spread[mask][wide++] = (uint8_t)i;
        }
    }
}

/* Of the backslashes, those that are not escaped themselves. */
CB_INLINE uint64_t escape_starts(uint64_t backslashes) {
    uint64_t starts = 0;
    while (backslashes) {
        uint64_t first = backslashes & -backslashes;
        starts |= first;
        backslashes &= ~(first | first << 1);
    }
    return starts;
}

/* Eight bytes of v to out, a backslash before each marked one. */
SHUFFLE CB_INLINE uint8_t *put_spread(__m128i v, uint32_t mask, uint8_t *out) {
    __m128i shuffle = _mm_load_si128((const __m128i *)spread[mask]);
    __m128i gaps = _mm_cmpgt_epi8(_mm_setzero_si128(), shuffle);
    __m128i text = _mm_shuffle_epi8(v, shuffle);
    text = _mm_or_si128(text, _mm_and_si128(gaps, _mm_set1_epi8('\\')));
    _mm_storeu_si128((__m128i *)out, text);
    return out + 8 + __builtin_popcount(mask);
}

/* The last `rest` < 16 of n bytes, moved to the front of a block. */
SHUFFLE CB_INLINE __m128i load_rest(const uint8_t *p, size_t n, uint32_t rest) {
    static const uint8_t slide[32] = {
        0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,
        11,   12,   13,   14,   15,   0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    if (n >= 16) {
        __m128i last = _mm_loadu_si128((const __m128i *)(p + n - 16));
        return _mm_shuffle_epi8(last, _mm_loadu_si128((const __m128i *)(slide + 16 - rest)));
    }
    uint8_t block[16] = {0};
    memcpy(block, p + n - rest, rest);
    return _mm_loadu_si128((const __m128i *)block);
}

SHUFFLE static size_t escape_ssse3(const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    uint8_t *const start = out;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        __m128i special = _mm_or_si128(
            _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        if (_mm_movemask_epi8(control)) {
            break;
        }
        uint32_t mask = (uint32_t)_mm_movemask_epi8(special);
        if (mask == 0) {
            _mm_storeu_si128((__m128i *)out, v);
            out += 16;
        } else {
            out = put_spread(v, mask & 0xff, out);
            out = put_spread(_mm_srli_si128(v, 8), mask >> 8, out);
        }
    }
    if (i < n && i + 16 > n) {
        /* The rest, less than a block. */
        uint32_t rest = (uint32_t)(n - i);
        __m128i v = load_rest(p, n, rest);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        __m128i special = _mm_or_si128(
            _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        uint32_t within = (1u << rest) - 1;
        if (((uint32_t)_mm_movemask_epi8(control) & within) == 0) {
            uint32_t mask = (uint32_t)_mm_movemask_epi8(special) & within;
            put_spread(_mm_srli_si128(v, 8), mask >> 8, put_spread(v, mask & 0xff, out));
            out += rest + (uint32_t)__builtin_popcount(mask);
            i = n;
        }
    }
    *written = (size_t)(out - start);
    return i;
}

SHUFFLE static size_t unescape_ssse3(
    const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    uint8_t *const start = out;
    size_t i = 0;
    while (i + 16 <= n) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i backslashes = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
        __m128i quotes = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
        __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        uint32_t backslash = (uint32_t)_mm_movemask_epi8(backslashes);
        uint32_t stop = (uint32_t)_mm_movemask_epi8(controls);
        uint32_t quote = (uint32_t)_mm_movemask_epi8(quotes);
        uint32_t length = 16;
        if (backslash == 0) {
            stop |= quote;
            if (stop) {
                length = (uint32_t)__builtin_ctz(stop);
            }
            _mm_storeu_si128((__m128i *)out, v);
            out += length;
        } else {
            uint32_t starts = backslash;
            if (backslash & backslash << 1) {
                /* A backslash that is itself escaped starts nothing. */
                starts = (uint32_t)escape_starts(backslash);
            }
            uint32_t slash = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('/')));
            uint32_t escaped = starts << 1;
            if (starts & 0x8000) {
                length = 15; /* What it escapes is in the next block. */
            }
            uint32_t other = escaped & 0xffff & ~(quote | backslash | slash);
            stop |= (quote & ~escaped) | other >> 1;
            if (stop) {
                uint32_t first = (uint32_t)__builtin_ctz(stop);
                length = first < length ? first : length;
            }
            uint32_t low = starts & 0xff, high = starts >> 8;
            __m128i low_text =
                _mm_shuffle_epi8(v, _mm_loadl_epi64((const __m128i *)squeeze[low]));
            __m128i high_text = _mm_shuffle_epi8(
                _mm_srli_si128(v, 8), _mm_loadl_epi64((const __m128i *)squeeze[high]));
            _mm_storel_epi64((__m128i *)out, low_text);
            _mm_storel_epi64((__m128i *)(out + 8 - __builtin_popcount(low)), high_text);
            out += length - (uint32_t)__builtin_popcount(starts & ((1u << length) - 1));
        }
        i += length;
        if (stop) {
            break;
        }
    }
    *written = (size_t)(out - start);
    return i;
}

COMPRESS static size_t escape_avx512(const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    uint8_t *const start = out;
    size_t i = 0;
    while (i < n) {
        uint32_t size = n - i < 32 ? (uint32_t)(n - i) : 32;
        uint32_t within = _bzhi_u32(~0u, size);
        __m256i v = _mm512_castsi512_si256(_mm512_maskz_loadu_epi8(within, p + i));
        uint32_t control = (uint32_t)_mm256_movemask_epi8(
                               _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v)) &
                           within;
        if (control) {
            size = _tzcnt_u32(control);
            within = _bzhi_u32(~0u, size);
        }
        uint32_t special = (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(
                               _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')),
                               _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')))) &
                           within;
        /* Each byte behind a backslash; the backslash stays where the byte is special. */
        __m512i pairs = _mm512_or_si512(
            _mm512_slli_epi16(_mm512_cvtepu8_epi16(v), 8), _mm512_set1_epi16('\\'));
        uint64_t keep =
            _pdep_u64(within, 0xaaaaaaaaaaaaaaaa) | _pdep_u64(special, 0x5555555555555555);
        _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(keep, pairs));
        out += size + (uint32_t)__builtin_popcount(special);
        i += size;
        if (control) {
            break;
        }
    }
    *written = (size_t)(out - start);
    return i;
}

COMPRESS static size_t unescape_avx512(
    const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    uint8_t *const start = out;
    size_t i = 0;
    uint64_t stop = 0;
    while (i < n && !stop) {
        uint32_t length = n - i < 64 ? (uint32_t)(n - i) : 64;
        uint64_t within = _bzhi_u64(~(uint64_t)0, length);
        __m512i v = _mm512_maskz_loadu_epi8(within, p + i);
        uint64_t backslash = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\'));
        uint64_t quote = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"'));
        uint64_t slash = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('/'));
        uint64_t starts = backslash & backslash << 1 ? escape_starts(backslash) : backslash;
        uint64_t escaped = starts << 1;
        if (starts >> (length - 1) & 1) {
            length--; /* What it escapes is in the next block, or missing. */
        }
        stop = _mm512_mask_cmplt_epu8_mask(within, v, _mm512_set1_epi8(0x20)) |
               (quote & ~escaped) | (escaped & within & ~(quote | backslash | slash)) >> 1;
        if (stop && _tzcnt_u64(stop) < length) {
            length = (uint32_t)_tzcnt_u64(stop);
        }
        uint64_t keep = _bzhi_u64(~starts, length);
        _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(keep, v));
        out += __builtin_popcountll(keep);
        i += length;
        if (length == 0) {
            break;
        }
    }
    *written = (size_t)(out - start);
    return i;
}

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
    if (has_shuffle) {
        return ascii == n || utf8_valid_ssse3(p + ascii, n - ascii);
    }
#endif
    return utf8_valid_scalar(p + ascii, n - ascii);
}

void cb_limit_vectors(int bytes) {
#if defined(__x86_64__)
    has_compress = has_compress && bytes >= 64;
    has_shuffle = has_shuffle && bytes >= 16;
    fill_tables();
#else
    (void)bytes;
#endif
}

size_t cb_json_escape(const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    size_t i = 0, o = 0;
#if defined(__x86_64__)
    if (has_compress) {
        return escape_avx512(p, n, out, written);
    }
    if (has_shuffle) {
        i = escape_ssse3(p, n, out, &o);
    }
#endif
    for (; i < n && p[i] >= 0x20; i++) {
        if (p[i] == '"' || p[i] == '\\') {
            out[o++] = '\\';
        }
        out[o++] = p[i];
    }
    *written = o;
    return i;
}

size_t cb_json_unescape(const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    size_t i = 0, o = 0;
#if defined(__x86_64__)
    if (has_compress) {
        return unescape_avx512(p, n, out, written);
    }
    if (has_shuffle) {
        i = unescape_ssse3(p, n, out, &o);
    }
#endif
    while (i < n && p[i] >= 0x20 && p[i] != '"') {
        if (p[i] == '\\') {
            if (i + 1 == n || (p[i + 1] != '"' && p[i + 1] != '\\' && p[i + 1] != '/')) {
                break;
            }
            i++;
        }
        out[o++] = p[i++];
    }
    *written = o;
    return i;
}
