/* zlib, with the two initialisers that are macros in zlib.h. */
#ifndef STREAMUTILS_ZLIB_SHIM_H
#define STREAMUTILS_ZLIB_SHIM_H

#include <zlib.h>

/* Window bits: 15 is the largest window; +16 reads or writes a gzip wrapper. */
static inline int zlib_inflate_gzip(z_stream *stream) {
    return inflateInit2(stream, 15 + 16);
}

static inline int zlib_deflate_gzip(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

#endif
