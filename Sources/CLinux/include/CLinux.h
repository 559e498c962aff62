/* What Swift cannot say: signal handlers, variadic calls, and names the Glibc module lacks. */
#ifndef STREAMUTILS_CLINUX_H
#define STREAMUTILS_CLINUX_H

#include <stdint.h>

/* The signals that end a tool in order, and the one that asks for its counters. */
void clinux_watch_signals(int grace_seconds);
/* The first of SIGINT and SIGTERM that came, or 0. */
int clinux_stop_signal(void);
/* True once for each SIGUSR1 that came since the last call. */
int clinux_take_report_request(void);
/* Readable once a signal came; -1 before clinux_watch_signals. */
int clinux_signal_fd(void);
/* Makes it unreadable again. */
void clinux_clear_signal_fd(void);

/* Waits so long, or until a signal came. */
void clinux_sleep(uint64_t nanoseconds);

/* open(2) with O_CLOEXEC; its third argument is variadic in C. */
int clinux_open(const char *path, int flags, unsigned mode);
/* Opens a file to read from. Does not wait for the writer of a FIFO: poll(2) does that. */
int clinux_open_input(const char *path);
/* Lets a pipe hold a megabyte, where the system allows that: a reader that is faster than its
   writer is woken less often. */
void clinux_enlarge_pipe(int fd);
/* fcntl(F_GETFD): -1 when fd is closed. */
int clinux_is_open(int fd);
uint64_t clinux_monotonic_nanoseconds(void);

#endif
