/*
 * The vector instructions that Swift cannot say: masks of a block, and the three
 * loops that need a shuffle or a compression (JSON escaping, unescaping, UTF-8 validation).
 *
 * And what a masked frame needs: exclusive-or with a key, and random keys.
 *
 * No function reads outside [p, p + n). SSE2 is part of every x86-64 and NEON of every
 * arm64, so the inline functions are always there; the loops choose SSSE3 or AVX-512 at run time.
 */
#ifndef STREAMUTILS_CBYTES_H
#define STREAMUTILS_CBYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CB_INLINE static inline __attribute__((always_inline))

/* Sixteen bytes at p, a bit for each of some kind. lf and crlf: what ends a line. string:
   what ends a run of plain JSON string text, '"', '\\' and the control characters below
   0x20. high: what is not ASCII. digit: 0 to 9. */
#if defined(__SSE2__)

CB_INLINE uint32_t cb_mask16_lf(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')));
}

CB_INLINE uint32_t cb_mask16_crlf(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(
        _mm_cmpeq_epi8(v, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'))));
}

CB_INLINE uint32_t cb_mask16_string(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}

CB_INLINE uint32_t cb_mask16_high(const uint8_t *p) {
    return (uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)p));
}

CB_INLINE uint32_t cb_mask16_digit(const uint8_t *p) {
    __m128i v = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8('0'));
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(9)), v));
}

#elif defined(__ARM_NEON) && defined(__aarch64__)

/* A vector of 0x00 and 0xff bytes as sixteen bits, as movemask gives them. */
CB_INLINE uint32_t cb_neon_bits(uint8x16_t v) {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bits = vandq_u8(v, vld1q_u8(weights));
    return (uint32_t)vaddv_u8(vget_low_u8(bits)) | (uint32_t)vaddv_u8(vget_high_u8(bits)) << 8;
}

CB_INLINE uint32_t cb_mask16_lf(const uint8_t *p) {
    return cb_neon_bits(vceqq_u8(vld1q_u8(p), vdupq_n_u8('\n')));
}

CB_INLINE uint32_t cb_mask16_crlf(const uint8_t *p) {
    uint8x16_t v = vld1q_u8(p);
    return cb_neon_bits(
        vorrq_u8(vceqq_u8(v, vdupq_n_u8('\n')), vceqq_u8(v, vdupq_n_u8('\r'))));
}

CB_INLINE uint32_t cb_mask16_string(const uint8_t *p) {
    uint8x16_t v = vld1q_u8(p);
    return cb_neon_bits(vorrq_u8(
        vcltq_u8(v, vdupq_n_u8(0x20)),
        vorrq_u8(vceqq_u8(v, vdupq_n_u8('"')), vceqq_u8(v, vdupq_n_u8('\\')))));
}

CB_INLINE uint32_t cb_mask16_high(const uint8_t *p) {
    return cb_neon_bits(vcgeq_u8(vld1q_u8(p), vdupq_n_u8(0x80)));
}

CB_INLINE uint32_t cb_mask16_digit(const uint8_t *p) {
    return cb_neon_bits(vcleq_u8(vsubq_u8(vld1q_u8(p), vdupq_n_u8('0')), vdupq_n_u8(9)));
}

#else

#define CB_SCALAR_MASK(name, test)                 \
    CB_INLINE uint32_t name(const uint8_t *p) {    \
        uint32_t mask = 0;                         \
        for (int i = 0; i < 16; i++) {             \
            uint8_t c = p[i];                      \
            mask |= (uint32_t)(test) << i;         \
        }                                          \
        return mask;                               \
    }

CB_SCALAR_MASK(cb_mask16_lf, c == '\n')
CB_SCALAR_MASK(cb_mask16_crlf, c == '\n' || c == '\r')
CB_SCALAR_MASK(cb_mask16_string, c < 0x20 || c == '"' || c == '\\')
CB_SCALAR_MASK(cb_mask16_high, c >= 0x80)
CB_SCALAR_MASK(cb_mask16_digit, c >= '0' && c <= '9')

#endif

/* Sixty-four bytes as one mask: one branch for four blocks. */
#define CB_MASK64(name, mask16)                                                       \
    CB_INLINE uint64_t name(const uint8_t *p) {                                        \
        return (uint64_t)mask16(p) | (uint64_t)mask16(p + 16) << 16 |                  \
               (uint64_t)mask16(p + 32) << 32 | (uint64_t)mask16(p + 48) << 48;        \
    }

CB_MASK64(cb_mask64_lf, cb_mask16_lf)
CB_MASK64(cb_mask64_crlf, cb_mask16_crlf)
CB_MASK64(cb_mask64_string, cb_mask16_string)
CB_MASK64(cb_mask64_high, cb_mask16_high)

/* The offset of the first marked byte of [p, p + n), or n. The last blocks overlap the ones
   before them, whose bytes are known to be unmarked. */
#define CB_FIND(name, mask64, mask16, test)                                            \
    CB_INLINE size_t name(const uint8_t *p, size_t n) {                                \
        size_t i = 0;                                                                  \
        for (; i + 64 <= n; i += 64) {                                                 \
            uint64_t mask = mask64(p + i);                                             \
            if (mask) {                                                                \
                return i + (size_t)__builtin_ctzll(mask);                              \
            }                                                                          \
        }                                                                              \
        for (; i + 16 <= n; i += 16) {                                                 \
            uint32_t mask = mask16(p + i);                                             \
            if (mask) {                                                                \
                return i + (size_t)__builtin_ctz(mask);                                \
            }                                                                          \
        }                                                                              \
        if (n >= 16 && i < n) {                                                        \
            uint32_t mask = mask16(p + n - 16);                                        \
            return mask ? n - 16 + (size_t)__builtin_ctz(mask) : n;                    \
        }                                                                              \
        for (; i < n; i++) {                                                           \
            uint8_t c = p[i];                                                          \
            if (test) {                                                                \
                return i;                                                              \
            }                                                                          \
        }                                                                              \
        return n;                                                                      \
    }

CB_FIND(cb_find_lf, cb_mask64_lf, cb_mask16_lf, c == '\n')
CB_FIND(cb_find_crlf, cb_mask64_crlf, cb_mask16_crlf, c == '\n' || c == '\r')
CB_FIND(cb_ascii_prefix, cb_mask64_high, cb_mask16_high, c >= 0x80)

/* The mask of the n < 64 bytes at p. */
CB_INLINE uint64_t cb_mask_string(const uint8_t *p, size_t n) {
    uint8_t block[64] = {0};
    memcpy(block, p, n);
    return cb_mask64_string(block) & (((uint64_t)1 << n) - 1);
}

/* The four bytes of `key`, as they lie in memory, turned by n: what masks byte n and on. */
CB_INLINE uint32_t cb_mask_turn(uint32_t key, size_t n) {
    uint32_t twice[2] = {key, key};
    uint32_t turned;
    memcpy(&turned, (const uint8_t *)twice + (n & 3), 4);
    return turned;
}

CB_INLINE void cb_mask4(uint8_t *out, const uint8_t *p, uint32_t key) {
    uint32_t word;
    memcpy(&word, p, 4);
    word ^= key;
    memcpy(out, &word, 4);
}

CB_INLINE void cb_mask8(uint8_t *out, const uint8_t *p, uint32_t key) {
    uint64_t word;
    memcpy(&word, p, 8);
    word ^= (uint64_t)key << 32 | key;
    memcpy(out, &word, 8);
}

/* Sixteen bytes in one register, whatever the machine calls it. */
typedef uint32_t cb_words __attribute__((vector_size(16)));

CB_INLINE void cb_mask16(uint8_t *out, const uint8_t *p, uint32_t key) {
    cb_words words;
    cb_words keys = {key, key, key, key};
    memcpy(&words, p, 16);
    words ^= keys;
    memcpy(out, &words, 16);
}

/* The blocks of sixteen: returns how many bytes they are. */
CB_INLINE size_t cb_mask_blocks(uint8_t *out, const uint8_t *p, size_t n, uint32_t key) {
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        cb_mask16(out + i, p + i, key);
        cb_mask16(out + i + 16, p + i + 16, key);
        cb_mask16(out + i + 32, p + i + 32, key);
        cb_mask16(out + i + 48, p + i + 48, key);
    }
    for (; i + 16 <= n; i += 16) {
        cb_mask16(out + i, p + i, key);
    }
    return i;
}

/* RFC 6455, section 5.3: byte i of [p, p + n) exclusive-or byte i mod 4 of the key, to out, which
   is somewhere else. The last block overlaps the one before it. */
CB_INLINE void cb_mask_copy(uint8_t *out, const uint8_t *p, size_t n, uint32_t key) {
    if (n >= 16) {
        if (cb_mask_blocks(out, p, n, key) < n) {
            cb_mask16(out + n - 16, p + n - 16, cb_mask_turn(key, n));
        }
    } else if (n >= 8) {
        cb_mask8(out, p, key);
        cb_mask8(out + n - 8, p + n - 8, cb_mask_turn(key, n));
    } else if (n >= 4) {
        cb_mask4(out, p, key);
        cb_mask4(out + n - 4, p + n - 4, cb_mask_turn(key, n));
    } else {
        for (size_t i = 0; i < n; i++) {
            out[i] = p[i] ^ ((const uint8_t *)&key)[i];
        }
    }
}

/* The same in place: nothing may be masked twice. */
CB_INLINE void cb_mask(uint8_t *p, size_t n, uint32_t key) {
    size_t i = cb_mask_blocks(p, p, n, key);
    if (n & 8) {
        cb_mask8(p + i, p + i, key);
        i += 8;
    }
    if (n & 4) {
        cb_mask4(p + i, p + i, key);
        i += 4;
    }
    for (; i < n; i++) {
        p[i] ^= ((const uint8_t *)&key)[i & 3];
    }
}

/* Fills [out, out + n) with bytes that nobody can foretell: getrandom(2). */
void cb_random(uint8_t *out, size_t n);

/* True when [p, p + n) is well-formed UTF-8 (Unicode 15, table 3-7). */
int cb_utf8_valid(const uint8_t *p, size_t n);

/*
 * Copies [p, p + n) to out with '"' and '\\' escaped by a backslash, until the end or the
 * first control character below 0x20. Returns the bytes read and sets *written.
 * out has room for 2 n + 64 bytes.
 */
size_t cb_json_escape(const uint8_t *p, size_t n, uint8_t *out, size_t *written);

/*
 * Copies JSON string text to out and takes away the backslash of the escapes \" \\ \/,
 * until the end, an unescaped '"', a control character, or any other escape.
 * Returns the bytes read and sets *written. out has room for n + 64 bytes.
 */
size_t cb_json_unescape(const uint8_t *p, size_t n, uint8_t *out, size_t *written);

/*
 * Passes over complete lines of [p, p + n), where p begins a line, until `limit` of them were
 * passed that are not blank, or that are, when keeps_blank. Returns the bytes passed and sets
 * *lines to how many of those lines they are and *blanks to the blank ones between them.
 */
size_t cb_skip_lines(
    const uint8_t *p, size_t n, size_t limit, int keeps_blank, size_t *lines, size_t *blanks);

/* Copies [p, p + n) to out with each line feed replaced by a comma. */
void cb_copy_joining(const uint8_t *p, size_t n, uint8_t *out);

/* For tests, on a machine that has all of them: from now on, no vectors longer than so many
   bytes in the three loops above (64: AVX-512, 16: SSSE3, 0: none). */
void cb_limit_vectors(int bytes);

#endif
