/* zlib, with the initialisers that are macros in zlib.h. */
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

/* Negative: neither header nor checksum, as the messages of WebSocket have it. */
static inline int zlib_inflate_raw(z_stream *stream, int window_bits) {
    return inflateInit2(stream, -window_bits);
}

static inline int zlib_deflate_raw(z_stream *stream, int level, int window_bits) {
    return deflateInit2(stream, level, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY);
}

#endif
