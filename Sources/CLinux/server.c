/* What a server with many connections needs of the system. */
#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* True when nobody listens at the path, and a socket was left there. */
static int is_stale(const struct sockaddr_un *address) {
    struct stat status;
    if (lstat(address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return 0;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int is_refused = fd >= 0
        && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0
        && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return is_refused;
}

int clinux_listen_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address.sun_path) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path, path, size);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (is_stale(&address)) {
        unlink(path);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, SOMAXCONN) == 0) {
        return fd;
    }
    int saved = errno;
    close(fd);
    errno = saved == EINVAL ? EADDRINUSE : saved;
    return -1;
}

int clinux_accept_from(int fd, struct clinux_address *address) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } peer;
    socklen_t size = sizeof peer;
    int accepted = accept4(fd, &peer.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    memset(address, 0, sizeof *address);
    if (accepted >= 0 && peer.any.sa_family == AF_INET) {
        address->low = 0xFFFF00000000u | ntohl(peer.v4.sin_addr.s_addr);
    } else if (accepted >= 0 && peer.any.sa_family == AF_INET6) {
        memcpy(&address->high, peer.v6.sin6_addr.s6_addr, 8);
        memcpy(&address->low, peer.v6.sin6_addr.s6_addr + 8, 8);
        if (IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr)) {
            uint32_t v4;
            memcpy(&v4, peer.v6.sin6_addr.s6_addr + 12, 4);
            address->high = 0;
            address->low = 0xFFFF00000000u | ntohl(v4);
        }
    }
    return accepted;
}

void clinux_tune_listener(int fd, int send_buffer, unsigned int silence) {
    int yes = 1;
    /* One that systemd passes may wait in accept. */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    /* A Unix socket has no TCP_NODELAY, and needs none. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    /* The kernel doubles it, for what it keeps beside the bytes: socket(7). */
    int half = send_buffer / 2;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof half);
    if (silence == 0) return;
    /* What is sent and not acknowledged ends a connection by itself only after a quarter of an
       hour, and nothing does where nothing is sent: tcp(7). */
    int seconds = silence < 1000 ? 1 : silence < 32767000 ? (int)(silence / 1000) : 32767;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
}

int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void clinux_event_signal(int fd) {
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
}

void clinux_event_clear(int fd) {
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
}

int clinux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.data.u64 = data};
    event.events = (events & CLINUX_READABLE ? EPOLLIN : 0u)
        | (events & CLINUX_WRITABLE ? EPOLLOUT : 0u) | (events & CLINUX_HANGUP ? EPOLLRDHUP : 0u)
        | (events & CLINUX_EDGE ? EPOLLET : 0u) | (events & CLINUX_EXCLUSIVE ? EPOLLEXCLUSIVE : 0u);
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int clinux_epoll_remove(int epoll, int fd) {
    return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

int clinux_epoll_wait(int epoll, struct clinux_ready *ready, int count, int64_t nanoseconds) {
    enum { MOST = 256 };
    struct epoll_event events[MOST];
    /* Rounded up: waking before something is due would only mean waiting again. */
    int64_t timeout = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
    int found = epoll_wait(
        epoll, events, count < MOST ? count : MOST, timeout > 60000 ? 60000 : (int)timeout);
    for (int index = 0; index < found; index++) {
        uint32_t what = events[index].events;
        ready[index].data = events[index].data.u64;
        ready[index].events = (what & EPOLLIN ? CLINUX_READABLE : 0u)
            | (what & EPOLLOUT ? CLINUX_WRITABLE : 0u)
            | (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? CLINUX_HANGUP : 0u);
    }
    return found;
}

struct start {
    void (*run)(void *);
    void *context;
};

static void *begin(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.run(start.context);
    return NULL;
}

int clinux_start_thread(void (*run)(void *), void *context, uint64_t *thread) {
    struct start *start = malloc(sizeof *start);
    if (!start) {
        return ENOMEM;
    }
    *start = (struct start){.run = run, .context = context};
    /* Signals are for the thread that watches them. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t id;
    int error = pthread_create(&id, NULL, begin, start);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) {
        free(start);
    } else {
        *thread = (uint64_t)id;
    }
    return error;
}

void clinux_join_thread(uint64_t thread) { pthread_join((pthread_t)thread, NULL); }
