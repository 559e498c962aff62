#include "CBytes.h"

/* GCC's vector extension: SSE2 or NEON, whatever the target has. */
typedef uint8_t block __attribute__((vector_size(64)));
typedef uint64_t lanes __attribute__((vector_size(64)));

/* So many blocks are counted at once: each of the 64 byte counters holds up to 255. */
enum { BLOCKS = 128, CHUNK = BLOCKS * sizeof(block) };

/* The line feeds of the chunk at p; sets *suspect when one of them stands behind white space
   or another one, so that its line may be blank. Reads p[-1]. */
static size_t count(const uint8_t *p, int *suspect) {
    block counts = {0}, behind = {0};
    for (const uint8_t *end = p + CHUNK; p < end; p += sizeof(block)) {
        block here, before;
        memcpy(&here, p, sizeof here);
        memcpy(&before, p - 1, sizeof before);
        block feeds = (block)(here == '\n');
        counts -= feeds;
        behind |= feeds & (block)(before <= ' ');
    }
    lanes any = (lanes)behind;
    uint64_t found = 0;
    for (int i = 0; i < 8; i++) {
        found |= any[i];
    }
    *suspect = found != 0;
    size_t sum = 0;
    for (int i = 0; i < 64; i++) {
        sum += counts[i];
    }
    return sum;
}

/* True when nothing but white space stands before the line feed at p + lf. */
static int is_blank(const uint8_t *p, size_t lf) {
    while (lf > 0 && (p[lf - 1] == ' ' || p[lf - 1] == '\t' || p[lf - 1] == '\r')) {
        lf--;
    }
    return lf == 0 || p[lf - 1] == '\n';
}

size_t cb_skip_lines(
    const uint8_t *p, size_t n, size_t limit, int keeps_blank, size_t *lines, size_t *blanks) {
    size_t i = 0, skipped = 0, blank = 0;
    while (skipped < limit) {
        int suspect;
        if (i > 0 && n - i >= CHUNK) {
            size_t found = count(p + i, &suspect);
            if ((!suspect || keeps_blank) && skipped + found <= limit) {
                skipped += found;
                i += CHUNK;
                continue;
            }
        }
        /* One line at a time, up to the end of the chunk. */
        size_t end = i + CHUNK < n ? i + CHUNK : n;
        while (i < end && skipped < limit) {
            size_t lf = i + cb_find_lf(p + i, end - i);
            if (lf == end) {
                i = end;
                break;
            }
            if (!keeps_blank && is_blank(p, lf)) {
                blank++;
            } else {
                skipped++;
            }
            i = lf + 1;
        }
        if (i == n) {
            break;
        }
    }
    /* Behind a chunk the last line is not complete. */
    while (i > 0 && p[i - 1] != '\n') {
        i--;
    }
    *lines = skipped;
    *blanks = blank;
    return i;
}

void cb_copy_joining(const uint8_t *p, size_t n, uint8_t *restrict out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = p[i] == '\n' ? ',' : p[i];
    }
}
