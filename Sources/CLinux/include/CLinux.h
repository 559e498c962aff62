/* What Swift cannot say: signal handlers, variadic calls, and names the Glibc module lacks. */
#ifndef STREAMUTILS_CLINUX_H
#define STREAMUTILS_CLINUX_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* The signals that end a tool in order, and the one that asks for its counters. */
void clinux_watch_signals(int grace_seconds);
/* The first of SIGHUP, SIGINT and SIGTERM that came, or 0. */
int clinux_stop_signal(void);
/* True once for each SIGUSR1 that came since the last call. */
int clinux_take_report_request(void);
/* Readable once a signal came; -1 before clinux_watch_signals. */
int clinux_signal_fd(void);
/* Makes it unreadable again. */
void clinux_clear_signal_fd(void);

/* For a tool with work to bring to an end: so many seconds behind the first signal that asks to
   stop, the process ends whatever it does. A second signal does not end it, but hurries it. */
void clinux_set_grace(int grace_seconds);
/* The second signal came. */
int clinux_is_hurried(void);

/* ppoll(2): waits so long, forever when that is negative. */
int clinux_poll(struct pollfd *descriptors, size_t count, int64_t nanoseconds);

/* open(2) with O_CLOEXEC; its third argument is variadic in C. */
int clinux_open(const char *path, int flags, unsigned mode);
/* Opens a file to read from. Does not wait for the writer of a FIFO: poll(2) does that. */
int clinux_open_input(const char *path);
/* Lets a pipe hold a megabyte, where the system allows that: a reader that is faster than its
   writer is woken less often. */
void clinux_enlarge_pipe(int fd);
/* fcntl(F_GETFD): -1 when fd is closed. */
int clinux_is_open(int fd);
/* Locks a byte of a file, which need not be there, as long as the file is open; -1 with errno,
   EAGAIN while it is locked through another open file. The descriptor must be open to write. */
int clinux_lock_byte(int fd, int64_t offset);
int clinux_unlock_byte(int fd, int64_t offset);
uint64_t clinux_monotonic_nanoseconds(void);
/* When the file was made, in nanoseconds since 1970; 0 where the file system does not tell. */
uint64_t clinux_birth_time(int fd);

/* A command that runs, and the ends of the pipes to which it writes. */
struct clinux_child {
    int process;
    int output;
    int errors;
    int results;
};

/* Comes before the other functions here: from now on a child that ends wakes who waits. */
void clinux_watch_children(void);
/* True when a child ended since it was cleared, which is done before children are reaped. */
int clinux_child_ended(void);
void clinux_clear_child_ended(void);
/* Starts a command in a process group of its own, with the bytes as its standard input: a file in
   memory, so that nobody has to feed it. With `gives_results` its descriptor 3 is a pipe, too, else
   `results` is -1. Returns 0 or an error number. */
int clinux_spawn(
    const char *path, char *const *arguments, char *const *environment, const void *input,
    size_t size, int gives_results, struct clinux_child *child);
/* 1 once the process ended, with its exit status or the signal that killed it; 0 before; -1 with
   errno. Does not wait. */
int clinux_reap(int process, int *status, int *signal);
/* How many bytes a pipe holds. */
int clinux_pending(int fd);
/* Raises the soft limit on open descriptors to `count`, or as far as the system allows. */
void clinux_allow_descriptors(uint64_t count);
/* A socket that listens at a numeric address, and does not wait in accept; "::" takes IPv4, too. -1
   with errno, EINVAL when it is no address. */
int clinux_listen(const char *host, uint16_t port);
/* A peer's socket, close-on-exec, or -1 with errno. Does not wait. */
int clinux_accept(int fd);
/* The port of a socket, or 0. */
int clinux_local_port(int fd);
int clinux_close_on_exec(int fd);
/* A Unix socket that listens at a path, where no other may listen; what is left of one that does
   no more is removed. -1 with errno, EINVAL when the path is too long. */
int clinux_listen_unix(const char *path);

/* Where a peer connects from: an IPv6 address, or an IPv4 address as one; nothing for a Unix
   socket. */
struct clinux_address {
    uint64_t high;
    uint64_t low;
};
/* As clinux_accept, for a socket that does not wait in accept. */
int clinux_accept_from(int fd, struct clinux_address *address);
/* Accepting does not wait, and sockets that are accepted from now on send at once, and hold at most
   so much that is not sent. Those whose peer acknowledges nothing for so many milliseconds end with
   ETIMEDOUT, and one that has nothing to acknowledge is asked as often; 0: as the system has it. */
void clinux_tune_listener(int fd, int send_buffer, unsigned int silence);

/* Readable once it was signalled, until it is cleared. */
int clinux_eventfd(void);
void clinux_event_signal(int fd);
void clinux_event_clear(int fd);

/* epoll(7). */
enum {
    CLINUX_READABLE = 1,
    CLINUX_WRITABLE = 2,
    /* The peer has ended, or the connection is broken. */
    CLINUX_HANGUP = 4,
    /* Told once for each change. */
    CLINUX_EDGE = 8,
    /* Of several that wait, not all are woken. */
    CLINUX_EXCLUSIVE = 16,
};
struct clinux_ready {
    uint64_t data;
    uint32_t events;
};
int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int clinux_epoll_remove(int epoll, int fd);
/* How many are ready, 0 when the time is over; -1 with errno. */
int clinux_epoll_wait(int epoll, struct clinux_ready *ready, int count, int64_t nanoseconds);

/* Runs a function on a thread of its own, on which no signal is delivered. 0 or an error number. */
int clinux_start_thread(void (*run)(void *), void *context, uint64_t *thread);
void clinux_join_thread(uint64_t thread);
/* Bytes that a socket's peer has not acknowledged, or 0. */
int clinux_unacknowledged(int fd);
/* What clinux_take_terminal came to. */
enum clinux_terminal {
    /* The process is in the background. */
    CLINUX_TERMINAL_AWAY,
    CLINUX_TERMINAL_KEPT,
    /* It is taken anew, or its size is another one: what the screen shows is not known. */
    CLINUX_TERMINAL_TAKEN,
};
/* Sees to it that the terminal at standard input is as it was when the process ends or stops,
   however that comes. Returns 0, or -1 when there is none. */
int clinux_watch_terminal(void);
/* Readable once clinux_take_terminal has something to do: the process went on after a stop, or the
   size of the terminal changed. */
int clinux_terminal_fd(void);
/* From now on what is typed comes at once, unedited and unseen; keys that send signals still do. */
enum clinux_terminal clinux_take_terminal(void);
/* Undoes it. May be called by a signal handler. */
void clinux_restore_terminal(void);
/* Columns of the terminal at standard output, or 0. */
int clinux_terminal_width(void);
/* environ(7), which Swift takes for unsafe to read. */
char *const *clinux_environment(void);

#endif
