// What the parts of serve_load share. Included by one program only.
#ifndef SERVE_COMMON_H
#define SERVE_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>


#define READ_SIZE (256 << 10)
#define CARRY_MAX (4 << 20)
#define HEAD_MAX (16 << 10)
#define ID_MAX 48
#define TICK_NS 5000000
#define THREADS_MAX 16
// A log histogram: 64 steps for each power of two, so 1.6 % wide.
#define STEPS 64
#define BUCKETS (64 * STEPS)
// Where a batch is longer, only one in so many tells its latency, for all of them.
#define STRIDE 16
// RFC 6455's own example, so that the answer is known.
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define UNKNOWN UINT64_MAX

enum transport { SSE, WS, STREAM };
enum state { CLOSED, CONNECTING, HEAD, OPEN, ENDED };

typedef struct {
    int fd;
    uint8_t state;
    bool slow, chunked, packed, checked, reached, resumed, has_gap, was_up;
    uint8_t id_size;
    uint32_t carry_size, carry_room;
    char *carry;          // what a read left of an event, or of the head
    uint64_t last;        // newest n
    uint64_t missing;     // counted as lost so far
    uint64_t gap_missed;  // told, and not yet seen in n
    uint64_t count, bytes;
    int64_t chunk_left;   // < 0: in a line of the chunked coding
    int64_t allowance;    // of a slow one
    z_stream *inflater;
    char id[ID_MAX];
} client;

typedef struct {
    int index, epoll;
    pthread_t thread;
    client *clients;
    int count, in_flight, next, up;
    int *again, again_count;  // to be connected once more
    char *work, *raw, *message;
    uint64_t now;
    // Where the n of the last event stood and how long that was: the next one mostly is the same.
    size_t hop, hop_n;
    uint64_t deliveries, bytes, lost, doubled, disordered, gaps, gap_wrong, told_missed, errors,
        refused, closed, reconnects, replay_gaps, accepts, ends, heartbeats, stray;
    uint64_t slow_deliveries, slow_untold, slow_gaps, slow_missed;
    uint64_t first, newest;
    uint64_t histogram[BUCKETS], highest, samples;
    double cpu_first;
    char error[160];
    uint64_t random;
    unsigned turn;
} worker;

static struct {
    enum transport transport;
    int connections, addresses, threads, wave, inflate_every;
    const char *path, *ready_file, *host_header, *fields;
    double duration, slow, slow_rate, churn;
    uint64_t expect, first, skip;
    bool accepts, idle, gzip, deflate, reset, first_event, http10, hold;
    int receive_buffer;
} options = {.connections = 1, .addresses = 4, .threads = 1, .wave = 256, .inflate_every = 100,
             .duration = 60};

static struct sockaddr_in server;
static atomic_int up_count, reached_count, checked_reached, ended_count, stop;
static int fast_count, checked_count;
static uint64_t all_up_at, began_at;
static worker workers[THREADS_MAX];

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "serve_load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(2);
}

static void *room(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) die("out of memory");
    return memory;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
        + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void on_signal(int number) {
    (void)number;
    atomic_store(&stop, 1);
}

static void more_files(rlim_t wanted) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted) {
        struct rlimit higher = {wanted, wanted};
        // For root only; without it the hard limit has to do.
        if (setrlimit(RLIMIT_NOFILE, &higher) == 0) return;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

#endif
