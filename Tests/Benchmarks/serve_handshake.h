// What the WebSocket handshake of serve_bare is made of.
#ifndef SERVE_HANDSHAKE_H
#define SERVE_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t rotate(uint32_t value, int by) { return value << by | value >> (32 - by); }

// Of at most 119 bytes.
static void sha1(const char *text, size_t size, unsigned char digest[20]) {
    unsigned char blocks[128] = {0};
    memcpy(blocks, text, size);
    blocks[size] = 0x80;
    size_t end = size < 56 ? 64 : 128;
    for (int byte = 0; byte < 8; byte++) blocks[end - 1 - byte] = (uint64_t)size * 8 >> 8 * byte;
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t block = 0; block < end; block += 64) {
        uint32_t word[80];
        for (int index = 0; index < 16; index++) {
            const unsigned char *byte = blocks + block + 4 * index;
            word[index] = (uint32_t)byte[0] << 24 | byte[1] << 16 | byte[2] << 8 | byte[3];
        }
        for (int index = 16; index < 80; index++)
            word[index] = rotate(word[index - 3] ^ word[index - 8] ^ word[index - 14]
                                 ^ word[index - 16], 1);
        uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
        for (int index = 0; index < 80; index++) {
            uint32_t mixed = index < 20 ? ((b & c) | (~b & d)) + 0x5a827999
                : index < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                : index < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                : (b ^ c ^ d) + 0xca62c1d6;
            uint32_t next = rotate(a, 5) + mixed + e + word[index];
            e = d;
            d = c;
            c = rotate(b, 30);
            b = a;
            a = next;
        }
        hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d, hash[4] += e;
    }
    for (int index = 0; index < 20; index++)
        digest[index] = hash[index / 4] >> (24 - index % 4 * 8);
}

static void base64(const unsigned char *bytes, size_t size, char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < size; at += 3) {
        uint32_t group = bytes[at] << 16 | (at + 1 < size ? bytes[at + 1] : 0) << 8
            | (at + 2 < size ? bytes[at + 2] : 0);
        *text++ = digits[group >> 18];
        *text++ = digits[group >> 12 & 63];
        *text++ = at + 1 < size ? digits[group >> 6 & 63] : '=';
        *text++ = at + 2 < size ? digits[group & 63] : '=';
    }
    *text = 0;
}

#endif
