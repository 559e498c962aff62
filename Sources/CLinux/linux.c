#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;
static volatile sig_atomic_t report_requests;
static int signal_fd = -1;
static int grace;

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
    _exit(128 + stop_signal);
}

static void on_stop(int number) {
    if (stop_signal) {
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

static void watch(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* A job started in the background of a script has SIGINT ignored, and keeps it so. */
static void watch_unless_ignored(int number, void (*handler)(int)) {
    struct sigaction old;
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
        watch(number, handler);
    }
}

void clinux_watch_signals(int grace_seconds) {
    grace = grace_seconds;
    signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch(SIGALRM, give_up);
    watch(SIGTERM, on_stop);
    watch_unless_ignored(SIGINT, on_stop);
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

void clinux_sleep(uint64_t nanoseconds) {
    struct timespec time = {
        .tv_sec = (time_t)(nanoseconds / 1000000000u),
        .tv_nsec = (long)(nanoseconds % 1000000000u),
    };
    struct pollfd ready = {.fd = signal_fd, .events = POLLIN};
    if (ppoll(&ready, 1, &time, NULL) > 0) {
        clinux_clear_signal_fd();
    }
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
