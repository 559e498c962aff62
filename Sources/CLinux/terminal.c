#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* What the terminal was like; never read anew, for after a stop that may be our own doing. */
static struct termios original;
static volatile sig_atomic_t is_watched;
static volatile sig_atomic_t is_taken;
static volatile sig_atomic_t is_changed;
static int change_fd = -1;

/* A process in the background must leave the terminal to the shell. When it is not the terminal
   of the session, nobody else has it. */
static int is_in_foreground(void) {
    pid_t group = tcgetpgrp(0);
    return group < 0 || group == getpgrp();
}

void clinux_restore_terminal(void) {
    int saved = errno;
    if (is_watched && is_in_foreground()) {
        tcsetattr(0, TCSANOW, &original);
    }
    is_taken = 0;
    errno = saved;
}

static void watch(int number, void (*handler)(int), int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* The process went on after a stop, or the size of the terminal is another one. */
static void on_change(int number) {
    int saved = errno;
    uint64_t one = 1;
    if (number == SIGCONT) {
        is_taken = 0;
    }
    is_changed = 1;
    ssize_t ignored = write(change_fd, &one, sizeof one);
    (void)ignored;
    errno = saved;
}

static void on_suspend(int number) {
    int saved = errno;
    clinux_restore_terminal();
    watch(number, SIG_DFL, 0);
    raise(number);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    /* Here it stops. */
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    watch(number, on_suspend, SA_RESTART);
    on_change(SIGCONT);
    errno = saved;
}

/* What else would be done: nothing, or the crash is told of by the run-time of Swift. */
static struct sigaction earlier[NSIG];

static void on_end(int number) {
    clinux_restore_terminal();
    sigaction(number, &earlier[number], NULL);
    raise(number);
}

static void watch_unless_ignored(int number, void (*handler)(int), int flags) {
    if (sigaction(number, NULL, &earlier[number]) == 0 && earlier[number].sa_handler != SIG_IGN) {
        watch(number, handler, flags);
    }
}

int clinux_watch_terminal(void) {
    static const int ends[] = {
        SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGPIPE, SIGUSR2,
    };
    if (tcgetattr(0, &original) != 0) {
        return -1;
    }
    change_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (change_fd < 0 || atexit(clinux_restore_terminal) != 0) {
        return -1;
    }
    for (size_t index = 0; index < sizeof ends / sizeof *ends; index++) {
        watch_unless_ignored(ends[index], on_end, 0);
    }
    watch_unless_ignored(SIGTSTP, on_suspend, SA_RESTART);
    watch_unless_ignored(SIGCONT, on_change, SA_RESTART);
    watch_unless_ignored(SIGWINCH, on_change, SA_RESTART);
    is_watched = 1;
    return 0;
}

int clinux_terminal_fd(void) { return change_fd; }

enum clinux_terminal clinux_take_terminal(void) {
    if (is_taken && !is_changed) {
        return CLINUX_TERMINAL_KEPT;
    }
    /* A signal in between makes it readable again, or is seen here. */
    while (is_changed) {
        is_changed = 0;
        uint64_t count;
        ssize_t ignored = read(change_fd, &count, sizeof count);
        (void)ignored;
    }
    if (!is_taken) {
        if (!is_in_foreground()) {
            return CLINUX_TERMINAL_AWAY;
        }
        struct termios ours = original;
        /* Signals, and what becomes of a newline on the screen, stay as they are. */
        ours.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        ours.c_cc[VMIN] = 1;
        ours.c_cc[VTIME] = 0;
        is_taken = 1;
        tcsetattr(0, TCSANOW, &ours);
    }
    return CLINUX_TERMINAL_TAKEN;
}

int clinux_terminal_width(void) {
    struct winsize size;
    return ioctl(1, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
