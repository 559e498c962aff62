// serve_bare [-l PORT] [--port-file FILE] [options] <LINES: the least that a server of event
// streams can do, as the limit for stream-serve. One thread; each line is framed once for each of
// the two forms into a ring, a client is a position in it, and one send takes it to the head.
// GET /events is SSE, GET /ws is WebSocket; there is no history and nothing is ever skipped: when
// the slowest client is --buffer events behind, no more is read.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve_handshake.h"
#include "serve_ring.h"

#define INPUT_MAX (1 << 20)
#define HEAD_MAX 4096
#define LISTENER UINT32_MAX
#define INPUT (UINT32_MAX - 1)

enum state { FREE, HEAD, OPEN };

typedef struct {
    uint64_t position;
    int fd;
    uint8_t state, form;
    bool is_full;  // the socket is, so the kernel will tell
} client;

static client *clients;
static uint32_t room, used, *unused, unused_count;
static int poller, listener;
static int port, send_buffer;
static const char *port_file;
static int64_t flush_ns;
static bool stays;

static char input[2 * INPUT_MAX];
static size_t input_at, input_end;
static bool input_ended, is_watched = true;

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// MARK: Clients

static void drop(uint32_t index) {
    client *it = &clients[index];
    if (it->state == OPEN) rings[it->form].clients--;
    close(it->fd);
    it->state = FREE;
    unused[unused_count++] = index;
}

static void flush(uint32_t index) {
    client *it = &clients[index];
    ring *from = &rings[it->form];
    while (it->position < from->head) {
        size_t size = from->head - it->position;
        ssize_t sent = send(it->fd, from->bytes + it->position % ring_size, size,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) {
            drop(index);
            return;
        }
        if (sent > 0) it->position += sent;
        if (sent < (ssize_t)size) {
            it->is_full = true;
            return;
        }
    }
}

// The head stays in the socket until it is whole, so that clients need no buffer.
static void answer(uint32_t index) {
    client *it = &clients[index];
    char head[HEAD_MAX + 1];
    ssize_t size = recv(it->fd, head, HEAD_MAX, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        drop(index);
        return;
    }
    head[size] = 0;
    char *end = strstr(head, "\r\n\r\n");
    if (end == NULL) {
        if (size == HEAD_MAX) drop(index);
        return;
    }
    if (recv(it->fd, head, end + 4 - head, MSG_DONTWAIT) != end + 4 - head) {
        drop(index);
        return;
    }
    char response[512];
    int length;
    if (strncmp(head, "GET /ws", 7) == 0) {
        char *key = strcasestr(head, "\r\nSec-WebSocket-Key:");
        if (key == NULL) {
            drop(index);
            return;
        }
        key += 20 + strspn(key + 20, " ");
        char text[119], accept[32];
        unsigned char digest[20];
        int text_size = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                                 (int)strcspn(key, "\r "), key);
        sha1(text, text_size < 119 ? text_size : 118, digest);
        base64(digest, sizeof digest, accept);
        it->form = WS;
        length = snprintf(response, sizeof response,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                          "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    } else {
        it->form = SSE;
        length = snprintf(response, sizeof response,
                          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: "
                          "no-cache, no-transform\r\nX-Accel-Buffering: no\r\nConnection: close"
                          "\r\n\r\nretry: 3000\n\n");
    }
    if (send(it->fd, response, length, MSG_NOSIGNAL | MSG_DONTWAIT) != length) {
        drop(index);
        return;
    }
    it->position = rings[it->form].head;
    it->state = OPEN;
    rings[it->form].clients++;
}

// What clients say behind the handshake is not looked at; that they have gone is.
static void discard(uint32_t index) {
    char bytes[4096];
    for (;;) {
        ssize_t size = recv(clients[index].fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size > 0) continue;
        if (size < 0 && errno == EAGAIN) return;
        drop(index);
        return;
    }
}

static void accept_all(void) {
    for (int count = 0; count < 256; count++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        uint32_t index = unused_count > 0 ? unused[--unused_count]
            : used < room ? used++ : LISTENER;
        if (index == LISTENER) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (send_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(int));
        clients[index] = (client){.fd = fd, .state = HEAD};
        struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.u32 = index}};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
        // Mostly the request is there already.
        answer(index);
    }
}

// MARK: Events

// Whether so many more events, of so many bytes, leave the slowest clients within the bounds.
static uint64_t free_events(const uint64_t slowest[FORMS], uint64_t *free_bytes) {
    uint64_t most = buffer_events;
    *free_bytes = ring_size;
    for (int form = 0; form < FORMS; form++) {
        ring *it = &rings[form];
        if (it->clients == 0) continue;
        uint64_t left = ring_size - (it->head - slowest[form]);
        if (left < *free_bytes) *free_bytes = left;
        // The oldest event that the slowest has not in whole.
        uint64_t low = events > buffer_events ? events - buffer_events : 0, high = events;
        while (low < high) {
            uint64_t middle = (low + high) / 2;
            uint64_t end = middle + 1 < events ? it->starts[(middle + 1) % buffer_events]
                : it->head;
            if (end > slowest[form]) high = middle;
            else low = middle + 1;
        }
        uint64_t behind = events - low;
        if (buffer_events - behind < most) most = buffer_events - behind;
    }
    return most;
}

static void find_slowest(uint64_t slowest[FORMS]) {
    for (int form = 0; form < FORMS; form++) slowest[form] = rings[form].head;
    for (uint32_t index = 0; index < used; index++) {
        const client *it = &clients[index];
        if (it->state == OPEN && it->position < slowest[it->form])
            slowest[it->form] = it->position;
    }
}

static double seconds_of(const char *text) {
    char *unit;
    double value = strtod(text, &unit);
    return strcmp(unit, "ms") == 0 ? value / 1e3 : strcmp(unit, "us") == 0 ? value / 1e6 : value;
}

static void parse(int count, char **words) {
    static const struct option names[] = {
        {"listen", 1, 0, 'l'}, {"port-file", 1, 0, 'p'}, {"flush-interval", 1, 0, 'f'},
        {"buffer", 1, 0, 'b'}, {"send-buffer", 1, 0, 's'}, {"stay", 0, 0, 'y'},
        {"max-connections", 1, 0, 'm'}, {0}};
    int option;
    room = 20000;
    while ((option = getopt_long(count, words, "l:", names, NULL)) != -1) {
        switch (option) {
        case 'l': port = atoi(optarg); break;
        case 'p': port_file = optarg; break;
        case 'f': flush_ns = seconds_of(optarg) * 1e9; break;
        case 'b': buffer_events = strtoull(optarg, NULL, 10); break;
        case 's': send_buffer = atoi(optarg); break;
        case 'm': room = atoi(optarg); break;
        case 'y': stays = true; break;
        default: exit(2);
        }
    }
    if (buffer_events < 1) buffer_events = 1;
}

static void allocate(void) {
    struct rlimit files = {room + 100, room + 100}, old;
    getrlimit(RLIMIT_NOFILE, &old);
    if (old.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files) != 0) {
        old.rlim_cur = old.rlim_max;
        setrlimit(RLIMIT_NOFILE, &old);
    }
    // Touched only where clients are.
    clients = mmap(NULL, room * sizeof *clients, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unused = mmap(NULL, room * sizeof *unused, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (clients == MAP_FAILED || unused == MAP_FAILED) die("mmap");
    for (int form = 0; form < FORMS; form++) make_ring(&rings[form]);
}

static void watch(int operation, int fd, uint32_t which) {
    struct epoll_event event = {EPOLLIN, {.u32 = which}};
    if (epoll_ctl(poller, operation, fd, &event) != 0) die("epoll_ctl; the input has to be a pipe");
}

static void start(void) {
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_size = sizeof address;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0
        || listen(listener, 4096) != 0
        || getsockname(listener, (struct sockaddr *)&address, &address_size) != 0) die("listen");
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, LISTENER);
    fcntl(0, F_SETPIPE_SZ, 1 << 20);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    watch(EPOLL_CTL_ADD, 0, INPUT);
    if (port_file == NULL) return;
    FILE *file = fopen(port_file, "w");
    if (!file || fprintf(file, "%d\n", ntohs(address.sin_port)) < 0 || fclose(file))
        die(port_file);
}

static bool has_line(void) {
    return memchr(input + input_at, '\n', input_end - input_at) != NULL;
}

// Frames as many lines as the slowest clients have room for; false when they have none.
static bool take_lines(bool *is_pending) {
    // Positions that no client is behind; looked up again only when they would block.
    static uint64_t slowest[FORMS];
    uint64_t free_bytes, most = free_events(slowest, &free_bytes);
    if (most <= buffer_events / 2 || free_bytes < ring_size / 2) {
        find_slowest(slowest);
        most = free_events(slowest, &free_bytes);
    }
    char *end;
    for (; most > 0 && free_bytes > INPUT_MAX + FRAME_MAX
           && (end = memchr(input + input_at, '\n', input_end - input_at)); most--) {
        size_t size = end - (input + input_at);
        frame(input + input_at, size);
        free_bytes -= size + FRAME_MAX;
        input_at += size + 1;
        *is_pending = true;
    }
    return most > 0 && free_bytes > INPUT_MAX + FRAME_MAX;
}

static bool has_room(void) {
    uint64_t slowest[FORMS], free_bytes;
    find_slowest(slowest);
    return free_events(slowest, &free_bytes) > 0 && free_bytes > INPUT_MAX + FRAME_MAX;
}

static void flush_all(void) {
    for (uint32_t index = 0; index < used; index++) {
        client *it = &clients[index];
        if (it->state == OPEN && !it->is_full && it->position < rings[it->form].head) flush(index);
    }
}

static bool all_have_all(void) {
    uint64_t slowest[FORMS];
    find_slowest(slowest);
    return slowest[SSE] == rings[SSE].head && slowest[WS] == rings[WS].head;
}

static void read_input(void) {
    memmove(input, input + input_at, input_end - input_at);
    input_end -= input_at;
    input_at = 0;
    if (input_end > INPUT_MAX) die("a line is too long");
    ssize_t size = read(0, input + input_end, INPUT_MAX);
    if (size > 0) input_end += size;
    if (size == 0) input_ended = true;
}

static void serve(uint32_t which, uint32_t what) {
    if (which == LISTENER) {
        accept_all();
    } else if (which == INPUT) {
        read_input();
    } else {
        client *it = &clients[which];
        if (it->state == HEAD && what & EPOLLIN) answer(which);
        else if (it->state == OPEN && what & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
            discard(which);
        if (it->state == OPEN && it->is_full && what & EPOLLOUT) {
            it->is_full = false;
            flush(which);
        }
    }
}

int main(int count, char **words) {
    parse(count, words);
    signal(SIGPIPE, SIG_IGN);
    allocate();
    start();
    bool is_pending = false;
    int64_t flushed = 0;
    struct epoll_event ready[512];
    for (;;) {
        bool goes_on = take_lines(&is_pending);
        int64_t now = is_pending ? now_ns() : 0;
        if (is_pending && now >= flushed + flush_ns) {
            flush_all();
            is_pending = false;
            flushed = now;
            // Mostly all have taken all of it.
            if (!goes_on) goes_on = has_room();
        }
        if (input_ended && !stays && !has_line() && !is_pending && all_have_all()) return 0;
        // Input that would only be left where it is must not wake this up; taken out, as its end
        // would be told whatever is asked for.
        bool wants = !input_ended && !has_line();
        if (wants != is_watched) watch(wants ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, 0, INPUT);
        is_watched = wants;
        struct timespec wait = {0, 0}, *until = NULL;
        if (has_line() && goes_on) {
            until = &wait;
        } else if (is_pending) {
            wait.tv_nsec = flushed + flush_ns - now;
            until = &wait;
        }
        int found = epoll_pwait2(poller, ready, 512, until, NULL);
        if (found < 0 && errno != EINTR) die("epoll_wait");
        for (int index = 0; index < found; index++)
            serve(ready[index].data.u32, ready[index].events);
    }
}
