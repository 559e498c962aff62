#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

static volatile sig_atomic_t stop_signal;
static volatile sig_atomic_t report_requests;
static volatile sig_atomic_t child_ended;
static volatile sig_atomic_t is_hurried;
static int signal_fd = -1;
static int grace;
/* There is work to bring to an end: a second signal hurries it, the third ends the process. */
static int may_hurry;

static void wake(void) {
    int saved = errno;
    uint64_t one = 1;
    /* An eventfd that is full is readable already, so a refused write loses nothing. */
    ssize_t ignored = write(signal_fd, &one, sizeof one);
    (void)ignored;
    errno = saved;
}

/* A reader that never reads keeps the last flush from ending: no wait without a bound. */
static void give_up(int number) {
    (void)number;
    static const char text[] = "terminated with output unwritten: the reader did not take it\n";
    ssize_t ignored = write(2, text, sizeof text - 1);
    (void)ignored;
    clinux_restore_terminal();
    _exit(128 + stop_signal);
}

/* timeout(1) sends its signal twice, to the process and to its group. That must not pass for a
   second one, above all where that ends work. */
enum { REPEATED_MS = 50, REPEATED_WORK_MS = 500 };

static void on_stop(int number) {
    static uint64_t last;
    uint64_t now = clinux_monotonic_nanoseconds();
    /* The shell and the system each send one when a terminal is closed, at their own pace. */
    if (stop_signal && number == SIGHUP) {
        return;
    }
    if (stop_signal && now - last < (may_hurry ? REPEATED_WORK_MS : REPEATED_MS) * 1000000ull) {
        return;
    }
    last = now;
    if (stop_signal && may_hurry && !is_hurried) {
        is_hurried = 1;
        wake();
        return;
    }
    if (stop_signal) {
        clinux_restore_terminal();
        _exit(128 + number);
    }
    stop_signal = number;
    alarm((unsigned)grace);
    wake();
}

static void on_report(int number) {
    (void)number;
    report_requests = 1;
    wake();
}

static void on_child(int number) {
    (void)number;
    child_ended = 1;
    wake();
}

static void watch(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* A job started in the background of a script has SIGINT ignored, one that nohup(1) starts SIGHUP,
   and keeps it so. */
static void watch_unless_ignored(int number, void (*handler)(int)) {
    struct sigaction old;
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
        watch(number, handler);
    }
}

void clinux_watch_signals(int grace_seconds) {
    grace = grace_seconds;
    signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* A write beyond a limit on the size of files fails, and is told of like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    watch(SIGALRM, give_up);
    watch(SIGTERM, on_stop);
    watch_unless_ignored(SIGINT, on_stop);
    watch_unless_ignored(SIGHUP, on_stop);
    watch(SIGUSR1, on_report);
}

int clinux_stop_signal(void) { return stop_signal; }

int clinux_take_report_request(void) {
    int requested = report_requests;
    report_requests = 0;
    return requested;
}

int clinux_signal_fd(void) { return signal_fd; }

void clinux_clear_signal_fd(void) {
    uint64_t count;
    ssize_t ignored = read(signal_fd, &count, sizeof count);
    (void)ignored;
}

void clinux_set_grace(int grace_seconds) {
    grace = grace_seconds;
    may_hurry = 1;
}

int clinux_is_hurried(void) { return is_hurried; }

int clinux_poll(struct pollfd *descriptors, size_t count, int64_t nanoseconds) {
    struct timespec time = {
        .tv_sec = (time_t)(nanoseconds / 1000000000),
        .tv_nsec = (long)(nanoseconds % 1000000000),
    };
    return ppoll(descriptors, (nfds_t)count, nanoseconds < 0 ? NULL : &time, NULL);
}

int clinux_open(const char *path, int flags, unsigned mode) {
    return open(path, flags | O_CLOEXEC, (mode_t)mode);
}

int clinux_open_input(const char *path) {
    struct stat status;
    int is_fifo = stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
    int fd = open(path, O_RDONLY | O_CLOEXEC | (is_fifo ? O_NONBLOCK : 0));
    if (fd >= 0 && is_fifo) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
    return fd;
}

void clinux_enlarge_pipe(int fd) { fcntl(fd, F_SETPIPE_SZ, 1 << 20); }

int clinux_is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

uint64_t clinux_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clinux_birth_time(int fd) {
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &status) != 0 ||
        !(status.stx_mask & STATX_BTIME)) {
        return 0;
    }
    return (uint64_t)status.stx_btime.tv_sec * 1000000000u + status.stx_btime.tv_nsec;
}

static posix_spawnattr_t spawn_attributes;

void clinux_watch_children(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_child;
    action.sa_flags = SA_NOCLDSTOP | SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &set, NULL);

    posix_spawnattr_init(&spawn_attributes);
    posix_spawnattr_setflags(
        &spawn_attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&spawn_attributes, 0);
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&spawn_attributes, &set);
    /* Not SIGHUP: what nohup(1) says is said for commands, too. */
    static const int defaults[] = {
        SIGALRM, SIGCHLD, SIGINT, SIGPIPE, SIGTERM, SIGUSR1, SIGXFSZ,
    };
    for (size_t index = 0; index < sizeof defaults / sizeof *defaults; index++) {
        sigaddset(&set, defaults[index]);
    }
    posix_spawnattr_setsigdefault(&spawn_attributes, &set);
}

int clinux_child_ended(void) { return child_ended; }

void clinux_clear_child_ended(void) { child_ended = 0; }

/* A file in memory that holds the bytes and stands at its start. */
static int new_input(const char *bytes, size_t size) {
    int fd = memfd_create("batch", MFD_CLOEXEC);
    for (size_t done = 0; fd >= 0 && done < size;) {
        ssize_t written = pwrite(fd, bytes + done, size - done, (off_t)done);
        if (written > 0) {
            done += (size_t)written;
        } else if (errno != EINTR) {
            int saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
    }
    return fd;
}

static int spawn(
    const char *path, char *const *arguments, char *const *environment, const int *fds, int count,
    int *pid) {
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) {
        return error;
    }
    for (int fd = 0; fd < count && !error; fd++) {
        error = posix_spawn_file_actions_adddup2(&actions, fds[fd], fd);
    }
    if (!error) {
        error = posix_spawn(pid, path, &actions, &spawn_attributes, arguments, environment);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int clinux_spawn(
    const char *path, char *const *arguments, char *const *environment, const void *input,
    size_t size, int gives_results, struct clinux_child *child) {
    int output[2] = {-1, -1};
    int errors[2] = {-1, -1};
    int results[2] = {-1, -1};
    int error = 0;
    int input_fd = new_input(input, size);
    if (input_fd < 0 || pipe2(output, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0
        || (gives_results && pipe2(results, O_CLOEXEC) != 0)) {
        error = errno;
    } else {
        int fds[] = {input_fd, output[1], errors[1], results[1]};
        error = spawn(path, arguments, environment, fds, gives_results ? 4 : 3, &child->process);
    }
    child->output = output[0];
    child->errors = errors[0];
    child->results = results[0];
    int spent[] = {
        input_fd, output[1], errors[1], results[1], error ? output[0] : -1, error ? errors[0] : -1,
        error ? results[0] : -1,
    };
    for (size_t index = 0; index < sizeof spent / sizeof *spent; index++) {
        if (spent[index] >= 0) {
            close(spent[index]);
        }
    }
    return error;
}

int clinux_reap(int process, int *status, int *signal) {
    int value = 0;
    int result = waitpid(process, &value, WNOHANG);
    if (result <= 0) {
        return result == 0 || errno == EINTR ? 0 : -1;
    }
    *status = WIFEXITED(value) ? WEXITSTATUS(value) : 0;
    *signal = WIFSIGNALED(value) ? WTERMSIG(value) : 0;
    return 1;
}

int clinux_pending(int fd) {
    int size = 0;
    return ioctl(fd, FIONREAD, &size) == 0 ? size : 0;
}

void clinux_allow_descriptors(uint64_t count) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < count) {
        limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Its size, or 0 when the text is no address. */
static socklen_t parse_address(const char *host, uint16_t port, union address *address) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return sizeof address->v4;
    }
    if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        return sizeof address->v6;
    }
    return 0;
}

int clinux_listen(const char *host, uint16_t port) {
    union address address;
    socklen_t size = parse_address(host, port, &address);
    if (!size) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0
        && bind(fd, &address.any, size) == 0 && listen(fd, SOMAXCONN) == 0) {
        return fd;
    }
    int saved = errno;
    close(fd);
    /* What a port that is taken and an address that is not ours have in common is not EINVAL. */
    errno = saved == EINVAL ? EADDRINUSE : saved;
    return -1;
}

int clinux_accept(int fd) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    /* A socket that systemd passes may wait in accept. */
    if (poll(&ready, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int clinux_local_port(int fd) {
    union address address;
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0) {
        return 0;
    }
    switch (address.any.sa_family) {
    case AF_INET: return ntohs(address.v4.sin_port);
    case AF_INET6: return ntohs(address.v6.sin6_port);
    default: return 0;
    }
}

int clinux_close_on_exec(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC); }

int clinux_unacknowledged(int fd) {
    int size = 0;
    return ioctl(fd, SIOCOUTQ, &size) == 0 ? size : 0;
}

char *const *clinux_environment(void) { return environ; }

static int lock_byte(int fd, int64_t offset, short type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock);
}

int clinux_lock_byte(int fd, int64_t offset) { return lock_byte(fd, offset, F_WRLCK); }

int clinux_unlock_byte(int fd, int64_t offset) { return lock_byte(fd, offset, F_UNLCK); }
