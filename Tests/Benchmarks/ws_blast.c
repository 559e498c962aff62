// A WebSocket server on 127.0.0.1 that is faster than its clients, and counts.
//   /recv?size=BYTES&count=N[&binary]  sends N messages, then Close, and waits for Close
//   /sink                              reads and discards up to Close, and answers it
//   /echo                              sends every frame back
//   /stall                             never reads after the opening handshake
// The first line on standard output is the port; then there is one for each connection that has
// ended: path, messages, bytes of payload, and 1 when there was a Close of the client.
// It ends with its parent.
#include "ws_wire.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

enum { BLOCK_SIZE = 1 << 19, INPUT_SIZE = 1 << 20, PATIENCE_SECONDS = 20 };

static const uint8_t close_normal[] = {FINAL | CLOSE, 2, 1000 >> 8, 1000 & 255};

static void end_with_parent(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(0);
}

static void report(const char *path, uint64_t messages, uint64_t bytes, int is_closed) {
    char line[256];
    int size = snprintf(line, sizeof line, "%.100s %llu %llu %d\n", path,
                        (unsigned long long)messages, (unsigned long long)bytes, is_closed);
    // Shorter than PIPE_BUF, so lines of several connections stay whole.
    if (write(STDOUT_FILENO, line, size) != size) _exit(1);
}

static uint64_t parameter(const char *target, const char *name, uint64_t otherwise) {
    const char *found = strstr(target, name);
    return found == NULL ? otherwise : strtoull(found + strlen(name), NULL, 10);
}

// A JSON text of `size` bytes; of letters only where it is too short to be an object.
static void put_payload(uint8_t *to, size_t size, unsigned number) {
    static const char *const sides[] = {"buy", "sell"};
    char text[128];
    int start = snprintf(text, sizeof text,
                         "{\"trade\":%u,\"symbol\":\"%c%c%c-USD\",\"price\":%u.%02u,"
                         "\"side\":\"%s\",\"note\":\"",
                         1000000000 + number * 7919, 'A' + number % 26, 'A' + number / 26 % 26,
                         'A' + number / 676 % 26, 10 + number * 31 % 90000, number % 100,
                         sides[number % 2]);
    memset(to, 'x', size);
    for (size_t i = 0; i < size; i += 8) to[i] = "aeiou nr"[i / 8 % 8];
    if (size < (size_t)start + 2) return;
    memcpy(to, text, start);
    memcpy(to + size - 2, "\"}", 2);
}

// Sends a frame back that stands whole in `at`; a ping as a pong. 0 when the peer is gone.
static int send_back(int socket, uint8_t *at, size_t head, const Frame *frame) {
    uint8_t back[HEAD_MAX];
    size_t size = put_head(back, frame->first, 0, frame->length);
    uint8_t *payload = at + head;
    for (size_t i = 0; i < frame->length; i++) payload[i] ^= frame->key[i & 3];
    if (frame->opcode == PING) back[0] = FINAL | PONG;
    // In one piece, over the head that has been read and is never shorter.
    memcpy(payload - size, back, size);
    return send_all(socket, payload - size, size + frame->length);
}

// Reads frames, and counts messages, up to the Close of the client; 0 when it is gone without.
// With `answer` pings and Close are answered, with `echo` every message is sent back.
static int consume(int socket, uint8_t *input, size_t filled, int echo, int answer,
                   uint64_t *messages, uint64_t *bytes) {
    uint64_t skip = 0;
    for (;;) {
        size_t at = 0;
        while (at < filled) {
            if (skip > 0) {
                size_t piece = skip < filled - at ? skip : filled - at;
                skip -= piece;
                at += piece;
                continue;
            }
            Frame frame;
            size_t head = parse_head(input + at, filled - at, &frame);
            if (head == 0) break;
            int is_whole = frame.length <= filled - at - head;
            if (frame.opcode >= CLOSE || echo) {
                if (!is_whole) break;
                if (frame.opcode != PONG && answer && !send_back(socket, input + at, head, &frame))
                    return 0;
                if (frame.opcode == CLOSE) return 1;
            }
            if (frame.opcode < CLOSE) {
                *messages += (frame.first & FINAL) != 0;
                *bytes += frame.length;
            }
            at += head;
            skip = frame.length;
        }
        memmove(input, input + at, filled - at);
        filled -= at;
        if (filled == INPUT_SIZE) return 0;
        ssize_t count = recv(socket, input + filled, INPUT_SIZE - filled, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return 0;
        filled += count;
    }
}

static int blast(int socket, uint64_t size, uint64_t count, int opcode, uint64_t *sent) {
    uint8_t head[HEAD_MAX];
    size_t frame = put_head(head, FINAL | opcode, 0, size) + size;
    uint64_t fits = frame < BLOCK_SIZE ? BLOCK_SIZE / frame : 1;
    uint8_t *block = malloc(fits * frame);
    if (block == NULL) return 0;
    for (uint64_t i = 0; i < fits; i++) {
        memcpy(block + i * frame, head, frame - size);
        put_payload(block + i * frame + frame - size, size, i);
    }
    int is_sent = 1;
    while (is_sent && *sent < count) {
        uint64_t now = count - *sent < fits ? count - *sent : fits;
        is_sent = send_all(socket, block, now * frame);
        *sent += is_sent ? now : 0;
    }
    free(block);
    return is_sent && send_all(socket, close_normal, sizeof close_normal);
}

static int open_connection(int socket, char *target, uint8_t *input, size_t *filled) {
    char head[HANDSHAKE_MAX], accept[ACCEPT_SIZE + 1], answer[256];
    size_t end, size = read_handshake(socket, head, &end);
    const char *key = size ? strcasestr(head, "\r\nSec-WebSocket-Key:") : NULL;
    if (key == NULL || sscanf(head, "GET %255s HTTP/1.1", target) != 1) return 0;
    key += strlen("\r\nSec-WebSocket-Key:");
    accept_value(key + strspn(key, " "), accept);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    *filled = size - end;
    memcpy(input, head + end, *filled);
    return send_all(socket, (uint8_t *)answer, length);
}

static void serve(int socket) {
    char target[256];
    uint8_t *input = malloc(INPUT_SIZE);
    size_t filled;
    uint64_t messages = 0, bytes = 0, ignored = 0;
    int is_closed = 0;
    no_delay(socket);
    if (input == NULL || !open_connection(socket, target, input, &filled)) return;
    if (strncmp(target, "/stall", 6) == 0) {
        for (;;) pause();
    }
    if (strncmp(target, "/recv", 5) == 0) {
        uint64_t size = parameter(target, "size=", 100);
        int opcode = strstr(target, "binary") ? BINARY : TEXT;
        struct timeval patience = {PATIENCE_SECONDS, 0};
        if (blast(socket, size, parameter(target, "count=", 1), opcode, &messages)) {
            setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            is_closed = consume(socket, input, filled, 0, 0, &ignored, &ignored);
        }
        bytes = messages * size;
    } else {
        int echo = strncmp(target, "/echo", 5) == 0;
        is_closed = consume(socket, input, filled, echo, 1, &messages, &bytes);
    }
    report(target, messages, bytes, is_closed);
    // Without the wait a reset could overtake what the client has not read yet.
    shutdown(socket, SHUT_WR);
    struct timeval second = {1, 0};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    while (recv(socket, input, INPUT_SIZE, 0) > 0) continue;
}

int main(void) {
    pid_t parent = getppid();
    end_with_parent(parent);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0
        || listen(listener, 128) < 0
        || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        fail("ws_blast");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    pid_t self = getpid();
    for (;;) {
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) continue;
        pid_t child = fork();
        if (child == 0) {
            end_with_parent(self);
            close(listener);
            serve(socket);
            _exit(0);
        }
        close(socket);
    }
}
