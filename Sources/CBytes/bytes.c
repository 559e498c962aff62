#include "CBytes.h"
#include "vectors.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* For each set of bits in a byte: the shuffle that opens a gap before each marked byte
   (0x80 makes a zero there), and the one that closes up over the marked bytes. */
static uint8_t spread[256][16] __attribute__((aligned(16)));
static uint8_t squeeze[256][8] __attribute__((aligned(8)));
int cb_has_shuffle;

static int has_compress;

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

static void choose(int bytes) {
    __builtin_cpu_init();
    int shuffle =
        bytes >= 16 && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt");
    int compress = bytes >= 64 && __builtin_cpu_supports("avx512vbmi2") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2");
    if (shuffle && !compress) {
        fill_tables();
    }
    /* Behind the tables: tests choose while other threads escape. */
    __atomic_store_n(&cb_has_shuffle, shuffle, __ATOMIC_RELEASE);
    __atomic_store_n(&has_compress, compress, __ATOMIC_RELEASE);
}

__attribute__((constructor)) static void choose_longest(void) { choose(64); }

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

/* Where unescaping must stop: a control character, the quote that ends the string, the
   backslash of an escape that is not simple. */
CB_INLINE uint64_t unescape_stop(
    uint64_t control, uint64_t quote, uint64_t simple, uint64_t starts, uint64_t within) {
    uint64_t escaped = starts << 1;
    return control | (quote & ~escaped) | (escaped & within & ~simple) >> 1;
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

/* The bits of v for control characters, and of those to escape. */
SHUFFLE CB_INLINE uint32_t control_mask(__m128i v) {
    return (uint32_t)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));
}

SHUFFLE CB_INLINE uint32_t equal_mask(__m128i v, char byte) {
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(byte)));
}

SHUFFLE static size_t escape_ssse3(const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    uint8_t *const start = out;
    size_t i = 0;
    while (i < n) {
        uint32_t size = n - i < 16 ? (uint32_t)(n - i) : 16;
        uint32_t within = (1u << size) - 1;
        __m128i v = size == 16 ? _mm_loadu_si128((const __m128i *)(p + i)) : load_rest(p, n, size);
        if (control_mask(v) & within) {
            break;
        }
        uint32_t mask = (equal_mask(v, '"') | equal_mask(v, '\\')) & within;
        if (mask == 0) {
            _mm_storeu_si128((__m128i *)out, v);
        } else {
            put_spread(_mm_srli_si128(v, 8), mask >> 8, put_spread(v, mask & 0xff, out));
        }
        out += size + (uint32_t)__builtin_popcount(mask);
        i += size;
    }
    *written = (size_t)(out - start);
    return i;
}

/* Sixteen bytes of v to out without the marked ones. */
SHUFFLE CB_INLINE void put_squeezed(__m128i v, uint32_t mask, uint8_t *out) {
    uint32_t low = mask & 0xff, high = mask >> 8;
    __m128i low_text = _mm_shuffle_epi8(v, _mm_loadl_epi64((const __m128i *)squeeze[low]));
    __m128i high_text = _mm_shuffle_epi8(
        _mm_srli_si128(v, 8), _mm_loadl_epi64((const __m128i *)squeeze[high]));
    _mm_storel_epi64((__m128i *)out, low_text);
    _mm_storel_epi64((__m128i *)(out + 8 - __builtin_popcount(low)), high_text);
}

SHUFFLE static size_t unescape_ssse3(const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    uint8_t *const start = out;
    size_t i = 0;
    uint32_t stop = 0;
    while (i + 16 <= n && !stop) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        uint32_t control = control_mask(v);
        uint32_t backslash = equal_mask(v, '\\');
        uint32_t quote = equal_mask(v, '"');
        uint32_t starts =
            backslash & backslash << 1 ? (uint32_t)escape_starts(backslash) : backslash;
        uint32_t simple = quote | backslash | equal_mask(v, '/');
        /* What the last byte escapes is in the next block. */
        uint32_t length = starts & 0x8000 ? 15 : 16;
        stop = (uint32_t)unescape_stop(control, quote, simple, starts, 0xffff);
        if (stop && (uint32_t)__builtin_ctz(stop) < length) {
            length = (uint32_t)__builtin_ctz(stop);
        }
        if (starts) {
            put_squeezed(v, starts, out);
        } else {
            _mm_storeu_si128((__m128i *)out, v);
        }
        out += length - (uint32_t)__builtin_popcount(starts & ((1u << length) - 1));
        i += length;
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

COMPRESS static size_t unescape_avx512(const uint8_t *p, size_t n, uint8_t *out, size_t *written) {
    uint8_t *const start = out;
    size_t i = 0;
    uint64_t stop = 0;
    while (i < n && !stop) {
        uint32_t length = n - i < 64 ? (uint32_t)(n - i) : 64;
        uint64_t within = _bzhi_u64(~(uint64_t)0, length);
        __m512i v = _mm512_maskz_loadu_epi8(within, p + i);
        uint64_t control = _mm512_mask_cmplt_epu8_mask(within, v, _mm512_set1_epi8(0x20));
        uint64_t backslash = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\'));
        uint64_t quote = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"'));
        uint64_t starts = backslash & backslash << 1 ? escape_starts(backslash) : backslash;
        uint64_t simple =
            quote | backslash | _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('/'));
        if (starts >> (length - 1) & 1) {
            length--; /* What it escapes is in the next block, or missing. */
        }
        stop = unescape_stop(control, quote, simple, starts, within);
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
#endif

void cb_limit_vectors(int bytes) {
#if defined(__x86_64__)
    choose(bytes);
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
    if (cb_has_shuffle) {
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
    if (cb_has_shuffle) {
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
