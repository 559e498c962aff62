// The least that a WebSocket client can do, as the limit for the others. It takes only what
// ws_blast sends: whole messages, not masked, from 127.0.0.1.
//   ws_floor recv URL   received payloads, a line each
//   ws_floor raw URL    received payloads only
//   ws_floor send URL   a message for each line of standard input
//   ws_floor one URL    one line out, one message back
#include "ws_wire.h"

#include <netinet/in.h>
#include <sys/random.h>

enum { BUFFER_SIZE = 1 << 18, COPIED_MAX = 4096, KEY_COUNT = 1024 };

static uint8_t input[BUFFER_SIZE], output[BUFFER_SIZE + HEAD_MAX];
static size_t input_size, output_size;

static const uint8_t *next_key(void) {
    static uint8_t keys[KEY_COUNT][4];
    static size_t used = KEY_COUNT;
    if (used == KEY_COUNT) {
        for (size_t i = 0; i < sizeof keys; i += 256) {
            if (getrandom((uint8_t *)keys + i, 256, 0) != 256) fail("getrandom");
        }
        used = 0;
    }
    return keys[used++];
}

static int connect_to(const char *url) {
    int port, at = 0;
    if (sscanf(url, "ws://127.0.0.1:%d%n", &port, &at) != 1 || url[at] != '/') {
        fprintf(stderr, "ws_floor: not ws://127.0.0.1:PORT/PATH: %s\n", url);
        exit(64);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (socket_ < 0 || connect(socket_, (struct sockaddr *)&address, sizeof address) < 0)
        fail(url);
    no_delay(socket_);

    uint8_t nonce[16];
    char key[25], accept[ACCEPT_SIZE + 1], head[HANDSHAKE_MAX];
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) fail("getrandom");
    base64(nonce, sizeof nonce, key);
    accept_value(key, accept);
    int size = snprintf(head, sizeof head,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                        "Sec-WebSocket-Version: 13\r\n\r\n",
                        url + at, port, key);
    if (!send_all(socket_, (uint8_t *)head, size)) fail("send");
    size_t end, count = read_handshake(socket_, head, &end);
    const char *field = count ? strcasestr(head, "\r\nSec-WebSocket-Accept: ") : NULL;
    if (field == NULL || strncmp(head, "HTTP/1.1 101 ", 13) != 0
        || strncmp(field + 24, accept, ACCEPT_SIZE) != 0) {
        fprintf(stderr, "ws_floor: %s: no WebSocket\n", url);
        exit(76);
    }
    input_size = count - end;
    memcpy(input, head + end, input_size);
    return socket_;
}

static void write_all(struct iovec *pieces, int count) {
    while (count > 0) {
        ssize_t written = writev(STDOUT_FILENO, pieces, count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("standard output");
        for (; count > 0 && (size_t)written >= pieces->iov_len; count--, pieces++)
            written -= pieces->iov_len;
        if (count > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + written;
            pieces->iov_len -= written;
        }
    }
}

// Short pieces are gathered; a long one goes out from where it was received.
static void put(const uint8_t *bytes, size_t size) {
    if (size < COPIED_MAX && output_size + size <= BUFFER_SIZE) {
        memcpy(output + output_size, bytes, size);
        output_size += size;
        return;
    }
    struct iovec pieces[] = {{output, output_size}, {(void *)bytes, size}};
    write_all(pieces, 2);
    output_size = 0;
}

static void flush_output(void) {
    write_all(&(struct iovec){output, output_size}, 1);
    output_size = 0;
}

static int fill(int socket_) {
    for (;;) {
        ssize_t count = recv(socket_, input + input_size, BUFFER_SIZE - input_size, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return 0;
        input_size += count;
        return 1;
    }
}

// Payloads up to the Close of the server or, when `most` is not 0, that many. Exits with 69 when
// the connection is lost.
static void receive(int socket_, int is_line, uint64_t most) {
    uint64_t left = 0, messages = 0;
    for (;;) {
        size_t at = 0;
        while (at < input_size) {
            if (left == 0) {
                Frame frame;
                size_t head = parse_head(input + at, input_size - at, &frame);
                if (head == 0) break;
                if (frame.opcode == CLOSE) {
                    flush_output();
                    return;
                }
                at += head;
                left = frame.length;
            }
            size_t piece = left < input_size - at ? left : input_size - at;
            put(input + at, piece);
            at += piece;
            left -= piece;
            if (left > 0) continue;
            if (is_line) put((const uint8_t *)"\n", 1);
            if (++messages == most) {
                flush_output();
                return;
            }
        }
        memmove(input, input + at, input_size - at);
        input_size -= at;
        // Nothing waits while the next read may block.
        if (output_size > 0) flush_output();
        if (!fill(socket_)) {
            fprintf(stderr, "ws_floor: connection lost\n");
            exit(69);
        }
    }
}

static size_t put_message(uint8_t *to, int opcode, const uint8_t *bytes, size_t size) {
    size_t head = put_head(to, FINAL | opcode, 0x80, size);
    const uint8_t *key = next_key();
    memcpy(to + head, key, 4);
    mask(to + head + 4, bytes, size, key);
    return head + 4 + size;
}

static void close_and_wait(int socket_) {
    uint8_t frame[HEAD_MAX];
    size_t size = put_message(frame, CLOSE, (const uint8_t *)"\x03\xe8", 2);
    if (!send_all(socket_, frame, size)) return;
    do {
        input_size = 0;
    } while (fill(socket_));
}

static void send_lines(int socket_) {
    static uint8_t lines[BUFFER_SIZE], frames[2 * BUFFER_SIZE];
    size_t filled = 0, used = 0;
    ssize_t count;
    while ((count = read(STDIN_FILENO, lines + filled, BUFFER_SIZE - filled)) > 0) {
        filled += count;
        uint8_t *start = lines, *end;
        while ((end = memchr(start, '\n', lines + filled - start)) != NULL) {
            size_t size = end - start;
            if (used + HEAD_MAX + size > sizeof frames) {
                if (!send_all(socket_, frames, used)) fail("send");
                used = 0;
            }
            used += put_message(frames + used, TEXT, start, size);
            start = end + 1;
        }
        filled -= start - lines;
        memmove(lines, start, filled);
        if (!send_all(socket_, frames, used)) fail("send");
        used = 0;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: ws_floor recv|raw|send|one URL\n");
        return 64;
    }
    int socket_ = connect_to(argv[2]);
    if (strcmp(argv[1], "send") == 0) {
        send_lines(socket_);
    } else if (strcmp(argv[1], "one") == 0) {
        uint8_t line[4096], frame[sizeof line + HEAD_MAX];
        ssize_t size = read(STDIN_FILENO, line, sizeof line);
        uint8_t *end = size > 0 ? memchr(line, '\n', size) : NULL;
        if (end == NULL) fail("no line");
        if (!send_all(socket_, frame, put_message(frame, TEXT, line, end - line))) fail("send");
        receive(socket_, 1, 1);
    } else {
        receive(socket_, strcmp(argv[1], "recv") == 0, 0);
    }
    close_and_wait(socket_);
    return 0;
}
