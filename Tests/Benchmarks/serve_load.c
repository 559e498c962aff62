// The load on a server of event streams, and what feeds it.
//
// serve_load HOST:PORT [options]: many clients of SSE, WebSocket or JSON Lines that read as fast as
// they can. The payload of an event is {"n":SEQ,"t":NANOSECONDS,...} with SEQ counted from 1 and
// the time of CLOCK_MONOTONIC: n shows what was lost, doubled or out of order, t how late it came.
// Prints one JSON object. Exit status 1 when a client missed something that no gap told it of.
//
// serve_load --produce COUNT --size BYTES: writes such payloads, one a line. With --to HOST:PORT it
// publishes each in a WebSocket message instead and waits for the answers (nchan).
#define _GNU_SOURCE
#include "serve_connect.h"
#include "serve_produce.h"
#include "serve_report.h"

// MARK: The loop

static void churn(worker *self, uint64_t *made, uint64_t since) {
    double due = (self->now - since) / 1e9 * options.churn / options.threads;
    int tries = 0;
    while (*made < due && tries++ < 1000) {
        if (self->in_flight >= options.wave) return;
        self->random ^= self->random << 13;
        self->random ^= self->random >> 7;
        self->random ^= self->random << 17;
        client *it = &self->clients[self->random % self->count];
        if (it->slow || it->state != OPEN || it->id_size == 0 || it->reached) continue;
        shut(self, it);
        it->state = CLOSED;
        it->resumed = true;
        begin(self, it);
        (*made)++;
        self->reconnects++;
    }
}

static void read_slowly(worker *self, double seconds) {
    for (int index = 0; index < self->count; index++) {
        client *it = &self->clients[index];
        if (!it->slow || it->state != OPEN) continue;
        it->allowance += options.slow_rate * seconds;
        if (it->allowance > options.slow_rate) it->allowance = options.slow_rate;
        while (it->allowance >= 1 && it->state == OPEN) {
            size_t size = receive(self, it, it->allowance);
            if (size == 0) break;
            it->allowance -= size;
        }
    }
}

static void ready(void) {
    all_up_at = now_ns();
    if (options.ready_file == NULL) return;
    FILE *file = fopen(options.ready_file, "w");
    if (file == NULL || fprintf(file, "%d\n", options.connections) < 0 || fclose(file) != 0)
        die("%s: %m", options.ready_file);
}

// Whether everything that is to come has come, as far as this can be known.
static bool is_complete(worker *self) {
    if (options.expect == 0 || atomic_load(&up_count) < options.connections) return false;
    if (atomic_load(&reached_count) == fast_count) return true;
    bool is_gzip = options.gzip && options.transport != WS;
    // Clients whose bytes are only counted are done when nothing came for a while.
    if (is_gzip && atomic_load(&checked_reached) == checked_count && checked_count > 0)
        return self->now > self->newest + 300000000;
    return false;
}

static void *work(void *argument) {
    worker *self = argument;
    struct epoll_event events[512];
    uint64_t last_tick = now_ns(), churned = 0, churning_since = 0, limit = 0;
    self->now = last_tick;
    uint64_t connect_limit = last_tick + (uint64_t)(options.duration * 1e9) + 60000000000ull;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        while (self->next < self->count && self->in_flight < options.wave)
            begin(self, &self->clients[self->next++]);
        while (self->again_count > 0 && self->in_flight < options.wave)
            begin(self, &self->clients[self->again[--self->again_count]]);
        int count = epoll_wait(self->epoll, events, 512, TICK_NS / 1000000);
        if (count < 0 && errno != EINTR) die("epoll_wait: %m");
        for (int index = 0; index < count; index++) {
            client *it = &self->clients[events[index].data.u32];
            if (it->state == CONNECTING) connected(self, it);
            else if (it->state == HEAD) read_head(self, it);
            else if (it->state == OPEN) receive(self, it, READ_SIZE);
        }
        uint64_t now = now_ns();
        if (now - last_tick < TICK_NS) continue;
        self->now = now;
        if (options.slow_rate > 0 && options.slow > 0) read_slowly(self, (now - last_tick) / 1e9);
        last_tick = now;
        if (self->index == 0 && all_up_at == 0
            && (options.accepts || atomic_load(&up_count) >= options.connections)) ready();
        if (all_up_at == 0) {
            if (now > connect_limit) break;
            continue;
        }
        if (limit == 0) limit = all_up_at + (uint64_t)(options.duration * 1e9);
        if (options.churn > 0 && self->newest > 0) {
            if (churning_since == 0) churning_since = now;
            churn(self, &churned, churning_since);
        }
        if (self->index == 0) {
            if (is_complete(self) || now > limit
                || (fast_count > 0 && atomic_load(&ended_count) >= fast_count))
                atomic_store(&stop, 1);
        }
    }
    return NULL;
}

/* What is asked for, when nothing else is said. */
static void choose_request(void) {
    if (options.transport == STREAM && !options.path) options.path = "/stream";
    if (!options.path) options.path = options.transport == SSE ? "/events" : "/ws";
    options.fields = options.transport == WS
        ? options.deflate
            ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Extensions: permessage-deflate; "
              "client_max_window_bits\r\n"
            : "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: " KEY "\r\n"
        : options.gzip ? options.transport == SSE
            ? "Accept: text/event-stream\r\nAccept-Encoding: gzip\r\n"
            : "Accept: */*\r\nAccept-Encoding: gzip\r\n"
        : options.transport == SSE ? "Accept: text/event-stream\r\n" : "Accept: */*\r\n";
    if (options.ready_file && options.first == UNKNOWN) options.first = 1;
    if (options.first == UNKNOWN) options.first = 0;
}

static void make_worker(worker *self, int index, int slow_count) {
    self->index = index;
    self->random = 88172645463325252ull + index;
    self->count = (options.connections - index + options.threads - 1) / options.threads;
    self->clients = calloc(self->count ? self->count : 1, sizeof *self->clients);
    self->again = room(sizeof *self->again * (self->count + 1));
    self->work = room(CARRY_MAX + READ_SIZE + 1);
    self->raw = room(HEAD_MAX + READ_SIZE + 1);
    self->message = room(CARRY_MAX + 1);
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int each = 0; each < self->count; each++) {
        client *it = &self->clients[each];
        int number = each * options.threads + index;
        it->fd = -1;
        // Spread evenly, so that they meet every worker of the server.
        it->slow = slow_count > 0
            && (int64_t)(number + 1) * slow_count / options.connections
                != (int64_t)number * slow_count / options.connections;
        it->checked = !it->slow
            && (!(options.gzip || options.deflate) || number % options.inflate_every == 0);
        fast_count += !it->slow;
        checked_count += it->checked;
    }
}

static int load(void) {
    more_files(options.connections + 100);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    choose_request();
    began_at = now_ns();
    int slow_count = options.connections * options.slow + 0.5;
    for (int index = 0; index < options.threads; index++)
        make_worker(&workers[index], index, slow_count);
    for (int index = 1; index < options.threads; index++)
        if (pthread_create(&workers[index].thread, NULL, work, &workers[index]) != 0)
            die("pthread_create");
    work(&workers[0]);
    atomic_store(&stop, 1);
    for (int index = 1; index < options.threads; index++)
        pthread_join(workers[index].thread, NULL);
    int status = report(cpu_seconds());
    fflush(stdout);
    // Whoever started this looks at the server before the clients go.
    struct pollfd input = {0, POLLIN, 0};
    if (options.hold) poll(&input, 1, 10000);
    return status;
}

// MARK: The command line

static void parse_server(const char *text) {
    const char *colon = strrchr(text, ':');
    char host[64] = "127.0.0.1";
    if (colon != NULL && colon > text)
        snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(colon ? colon + 1 : text));
    if (server.sin_port == 0 || inet_pton(AF_INET, host, &server.sin_addr) != 1)
        die("%s is no IPv4 address and port", text);
    options.host_header = text;
}

enum { PRODUCE = 256, SIZE, RATE, BURST, TO, TRADES, TRANSPORT, CONNECTIONS, PATH, DURATION,
       EXPECT, ADDRESSES, THREADS, WAVE, SLOW, SLOW_RATE, CHURN, ACCEPTS, FIRST_EVENT, IDLE,
       GZIP, DEFLATE, INFLATE_EVERY, READY_FILE, FIRST, SKIP, RESET, HTTP10, RECEIVE_BUFFER,
       HOLD, HELP };
static const struct option names[] = {
    {"produce", 1, 0, PRODUCE}, {"size", 1, 0, SIZE}, {"rate", 1, 0, RATE},
    {"burst", 1, 0, BURST}, {"to", 1, 0, TO}, {"trades", 0, 0, TRADES},
    {"transport", 1, 0, TRANSPORT}, {"connections", 1, 0, CONNECTIONS}, {"path", 1, 0, PATH},
    {"duration", 1, 0, DURATION}, {"expect", 1, 0, EXPECT}, {"addresses", 1, 0, ADDRESSES},
    {"threads", 1, 0, THREADS}, {"wave", 1, 0, WAVE}, {"slow", 1, 0, SLOW},
    {"slow-rate", 1, 0, SLOW_RATE}, {"churn", 1, 0, CHURN}, {"accepts", 0, 0, ACCEPTS},
    {"first-event", 0, 0, FIRST_EVENT}, {"idle", 0, 0, IDLE}, {"gzip", 0, 0, GZIP},
    {"deflate", 0, 0, DEFLATE}, {"inflate-every", 1, 0, INFLATE_EVERY},
    {"ready-file", 1, 0, READY_FILE}, {"first", 1, 0, FIRST}, {"skip", 1, 0, SKIP},
    {"reset", 0, 0, RESET}, {"http10", 0, 0, HTTP10},
    {"receive-buffer", 1, 0, RECEIVE_BUFFER}, {"hold", 0, 0, HOLD},
    {"help", 0, 0, HELP}, {0}};

static production made = {.size = 200, .burst = 1};
static bool produces;

static void take_option(int option) {
    switch (option) {
    case PRODUCE: produces = true; made.count = strtoull(optarg, NULL, 10); break;
    case SIZE: made.size = strtoull(optarg, NULL, 10); break;
    case RATE: made.rate = atof(optarg); break;
    case BURST: made.burst = strtoull(optarg, NULL, 10); break;
    case TRADES: made.are_trades = true; break;
    case TO: parse_server(optarg); made.path = "/pub"; break;
    case PATH: options.path = optarg; break;
    case TRANSPORT:
        options.transport = !strcmp(optarg, "sse") ? SSE : !strcmp(optarg, "ws") ? WS
            : !strcmp(optarg, "stream") ? STREAM : (die("no transport %s", optarg), SSE);
        break;
    case CONNECTIONS: options.connections = atoi(optarg); break;
    case DURATION: options.duration = atof(optarg); break;
    case EXPECT: options.expect = strtoull(optarg, NULL, 10); break;
    case ADDRESSES: options.addresses = atoi(optarg); break;
    case THREADS: options.threads = atoi(optarg); break;
    case WAVE: options.wave = atoi(optarg); break;
    case SLOW: options.slow = atof(optarg); break;
    case SLOW_RATE: options.slow_rate = atof(optarg); break;
    case CHURN: options.churn = atof(optarg); break;
    case ACCEPTS: options.accepts = true; break;
    case FIRST_EVENT: options.first_event = true; break;
    case IDLE: options.idle = true; break;
    case GZIP: options.gzip = true; break;
    case DEFLATE: options.deflate = true; break;
    case INFLATE_EVERY: options.inflate_every = atoi(optarg); break;
    case READY_FILE: options.ready_file = made.ready_file = optarg; break;
    case FIRST: options.first = strtoull(optarg, NULL, 10); break;
    case SKIP: options.skip = strtoull(optarg, NULL, 10); break;
    case RESET: options.reset = true; break;
    case HTTP10: options.http10 = true; break;
    case RECEIVE_BUFFER: options.receive_buffer = atoi(optarg); break;
    case HOLD: options.hold = true; break;
    }
}

int main(int count, char **words) {
    options.first = UNKNOWN;
    int option;
    while ((option = getopt_long(count, words, "", names, NULL)) != -1) {
        if (option == '?') return 2;
        if (option == HELP) {
            printf("usage: serve_load HOST:PORT [options], serve_load --produce COUNT [options]\n");
            for (const struct option *it = names; it->name; it++)
                printf("  --%s%s\n", it->name, it->has_arg ? " VALUE" : "");
            return 0;
        }
        take_option(option);
    }
    if (produces) {
        if (made.path && options.path) made.path = options.path;
        if (made.burst < 1) die("--burst must be at least 1");
        return produce(&made);
    }
    if (optind != count - 1) die("one HOST:PORT is needed");
    parse_server(words[optind]);
    if (options.connections < 1 || options.connections > 100000 || options.threads < 1
        || options.threads > THREADS_MAX || options.wave < 1 || options.inflate_every < 1
        || options.slow < 0 || options.slow > 1)
        die("a number is out of its range");
    return load();
}
