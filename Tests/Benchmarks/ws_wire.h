// What the WebSocket programs of the benchmark share: RFC 6455, as little as is right.
#ifndef WS_WIRE_H
#define WS_WIRE_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FINAL = 0x80 };
enum { HEAD_MAX = 14, HANDSHAKE_MAX = 8192, ACCEPT_SIZE = 28 };

typedef struct {
    int first;       // FIN, reserved bits and opcode
    int opcode;
    int is_masked;
    uint8_t key[4];
    uint64_t length;
} Frame;

static inline void fail(const char *text) {
    perror(text);
    exit(69);
}

static inline void sha1_block(uint32_t state[5], const uint8_t *block) {
    uint32_t word[80];
    for (int i = 0; i < 16; i++) {
        memcpy(&word[i], block + 4 * i, 4);
        word[i] = be32toh(word[i]);
    }
    for (int i = 16; i < 80; i++) {
        uint32_t mixed = word[i - 3] ^ word[i - 8] ^ word[i - 14] ^ word[i - 16];
        word[i] = mixed << 1 | mixed >> 31;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                              : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t next = (a << 5 | a >> 27) + f + e + word[i];
        e = d;
        d = c;
        c = b << 30 | b >> 2;
        b = a;
        a = next;
    }
    uint32_t sums[5] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++) state[i] += sums[i];
}

static inline void base64(const uint8_t *bytes, size_t size, char *text) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = bytes[i] << 16 | (left > 1 ? bytes[i + 1] << 8 : 0)
                        | (left > 2 ? bytes[i + 2] : 0);
        *text++ = digits[bits >> 18];
        *text++ = digits[bits >> 12 & 63];
        *text++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *text++ = left > 2 ? digits[bits & 63] : '=';
    }
    *text = 0;
}

// The value of Sec-WebSocket-Accept for a key, which has 24 characters (section 4.2.2).
static inline void accept_value(const char *key, char value[ACCEPT_SIZE + 1]) {
    uint8_t padded[128] = {0};
    memcpy(padded, key, 24);
    memcpy(padded + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    padded[60] = 0x80;
    padded[126] = 60 * 8 >> 8;
    padded[127] = 60 * 8 & 255;
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    sha1_block(state, padded);
    sha1_block(state, padded + 64);
    for (int i = 0; i < 5; i++) state[i] = htobe32(state[i]);
    base64((uint8_t *)state, sizeof state, value);
}

// The size of the head at `bytes`, or 0 while part of it is still to come.
static inline size_t parse_head(const uint8_t *bytes, size_t size, Frame *frame) {
    if (size < 2) return 0;
    size_t head = 2;
    frame->first = bytes[0];
    frame->opcode = bytes[0] & 15;
    frame->is_masked = bytes[1] >> 7;
    frame->length = bytes[1] & 127;
    memset(frame->key, 0, sizeof frame->key);
    if (frame->length == 126) {
        if (size < 4) return 0;
        frame->length = bytes[2] << 8 | bytes[3];
        head = 4;
    } else if (frame->length == 127) {
        if (size < 10) return 0;
        memcpy(&frame->length, bytes + 2, 8);
        frame->length = be64toh(frame->length);
        head = 10;
    }
    if (frame->is_masked) {
        if (size < head + 4) return 0;
        memcpy(frame->key, bytes + head, 4);
        head += 4;
    }
    return head;
}

// Writes a head without a key, and returns its size.
static inline size_t put_head(uint8_t *bytes, int first, int mask, uint64_t length) {
    bytes[0] = first;
    if (length < 126) {
        bytes[1] = mask | length;
        return 2;
    }
    if (length < 1 << 16) {
        bytes[1] = mask | 126;
        bytes[2] = length >> 8;
        bytes[3] = length;
        return 4;
    }
    bytes[1] = mask | 127;
    length = htobe64(length);
    memcpy(bytes + 2, &length, 8);
    return 10;
}

static inline void mask(uint8_t *restrict to, const uint8_t *restrict from, size_t size,
                        const uint8_t key[4]) {
    uint32_t half;
    memcpy(&half, key, 4);
    uint64_t whole = (uint64_t)half << 32 | half, word;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= whole;
        memcpy(to + i, &word, 8);
    }
    for (; i < size; i++) to[i] = from[i] ^ key[i & 3];
}

// False when the peer is gone.
static inline int send_all(int socket, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = send(socket, bytes, size, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return 0;
        bytes += count;
        size -= count;
    }
    return 1;
}

// Reads up to the blank line, and returns how many bytes there are in all; frames may follow in
// them. `end` is where the head ends. 0 when there is none.
static inline size_t read_handshake(int socket, char *head, size_t *end) {
    size_t size = 0;
    while (size < HANDSHAKE_MAX - 1) {
        ssize_t count = recv(socket, head + size, HANDSHAKE_MAX - 1 - size, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return 0;
        size += count;
        head[size] = 0;
        char *blank = strstr(head, "\r\n\r\n");
        if (blank != NULL) {
            *end = blank + 4 - head;
            return size;
        }
    }
    return 0;
}

static inline void no_delay(int socket) {
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

#endif
