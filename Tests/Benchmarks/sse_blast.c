// An HTTP server on 127.0.0.1 that is faster than its clients: sse_blast FILE
//   GET /PATH?bytes=N   the file, an event stream, again and again up to N bytes and the end of the
//                       block that this is in; then it closes
//   GET /tick?count=N   N events, one each 2 ms, with CLOCK_MONOTONIC, nanoseconds, as data
// The first line on standard output is the port. It ends with its parent.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 18, HEAD_MAX = 8192 };

static void fail(const char *text) {
    perror(text);
    exit(71);
}

static int send_all(int socket, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return 0;
        bytes += sent;
        size -= sent;
    }
    return 1;
}

static int read_request(int socket, char *head) {
    size_t filled = 0;
    while (filled < HEAD_MAX - 1) {
        ssize_t count = recv(socket, head + filled, HEAD_MAX - 1 - filled, 0);
        if (count <= 0) return 0;
        filled += count;
        head[filled] = 0;
        if (strstr(head, "\r\n\r\n")) return 1;
    }
    return 0;
}

static void blast(int socket, const char *text, size_t size, uint64_t wanted) {
    while (wanted > 0) {
        size_t now = size;
        if (wanted < size) {
            const char *end = memmem(text + wanted, size - wanted, "\n\n", 2);
            now = end ? (size_t)(end - text) + 2 : size;
        }
        for (size_t at = 0; at < now; at += PIECE)
            if (!send_all(socket, text + at, now - at < PIECE ? now - at : PIECE)) return;
        wanted -= now < wanted ? now : wanted;
    }
}

static void tick(int socket, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        char event[64];
        int size = snprintf(event, sizeof event, "data: %lld\n\n",
                            now.tv_sec * 1000000000LL + now.tv_nsec);
        if (!send_all(socket, event, size)) return;
    }
}

static void serve(int socket, const char *text, size_t size) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                 "Connection: close\r\n\r\n";
    char head[HEAD_MAX];
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (!read_request(socket, head) || !send_all(socket, answer, sizeof answer - 1)) return;
    const char *bytes = strstr(head, "bytes="), *count = strstr(head, "count=");
    if (bytes) blast(socket, text, size, strtoull(bytes + 6, NULL, 10));
    if (count) tick(socket, strtoull(count + 6, NULL, 10));
    shutdown(socket, SHUT_WR);
    while (recv(socket, head, sizeof head, 0) > 0) continue;
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGCHLD, SIG_IGN);
    int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) fail("sse_blast");
    const char *text = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (text == MAP_FAILED || bind(listener, (struct sockaddr *)&address, size) != 0
        || listen(listener, 64) != 0
        || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        fail("sse_blast");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) continue;
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            serve(socket, text, status.st_size);
            _exit(0);
        }
        close(socket);
    }
}
