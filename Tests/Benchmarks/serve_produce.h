// A part of serve_load: what feeds the server.
#ifndef SERVE_PRODUCE_H
#define SERVE_PRODUCE_H

#include "serve_common.h"

typedef struct {
    uint64_t count, burst;
    double rate;
    size_t size;
    bool are_trades;
    const char *ready_file, *path;
} production;

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t dice(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static char *put_number(char *at, uint64_t value) {
    char digits[20];
    int count = 0;
    do digits[count++] = '0' + value % 10; while (value /= 10);
    while (count > 0) *at++ = digits[--count];
    return at;
}

// What an exchange sends: a few names, prices that wander, amounts, one time, consecutive numbers.
static char *put_trade(char *at, uint64_t number) {
    static const char *names[] = {"BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "XRP-USD", "DOT-USD",
                                  "LTC-USD", "UNI-USD"};
    static uint64_t prices[8] = {6731244, 351210, 14893, 4510, 5230, 6120, 8040, 9377};
    uint64_t random = dice();
    int name = random & 7;
    uint64_t *price = &prices[name];
    int64_t step = (int64_t)(random >> 3 & 63) - 32;
    if ((int64_t)*price + step > 1000) *price += step;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    struct tm parts;
    gmtime_r(&time.tv_sec, &parts);
    return at + sprintf(at, ",\"product\":\"%s\",\"price\":\"%llu.%02llu\","
                        "\"size\":\"%llu.%08llu\","
                        "\"side\":\"%s\",\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ\","
                        "\"trade\":%llu,\"bid\":\"%llu.%02llu\",\"volume\":\"%llu.%04llu\"}",
                        names[name], (unsigned long long)*price / 100,
                        (unsigned long long)*price % 100, (unsigned long long)(random >> 20 & 3),
                        (unsigned long long)(random >> 24) % 100000000,
                        random >> 60 & 1 ? "buy" : "sell", parts.tm_year + 1900, parts.tm_mon + 1,
                        parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                        time.tv_nsec / 1000, 658214330ull + (unsigned long long)number,
                        (unsigned long long)(*price - (random >> 40 & 15)) / 100,
                        (unsigned long long)(*price - (random >> 40 & 15)) % 100,
                        (unsigned long long)(20000 + number / 50),
                        (unsigned long long)(random >> 10) % 10000);
}

static char *put_line(const production *it, char *at, uint64_t number, uint64_t time) {
    char *start = at;
    at = mempcpy(at, "{\"n\":", 5);
    at = put_number(at, number);
    at = mempcpy(at, ",\"t\":", 5);
    at = put_number(at, time);
    if (it->are_trades) return put_trade(at, number);
    at = mempcpy(at, ",\"p\":\"", 6);
    size_t used = at - start + 2;
    if (used < it->size) {
        memset(at, 'x', it->size - used);
        at += it->size - used;
    }
    return mempcpy(at, "\"}", 2);
}

static void write_all(int file, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = write(file, bytes, size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) die("write: %m");
        bytes += count;
        size -= count;
    }
}

static void sleep_until(uint64_t time) {
    struct timespec until = {time / 1000000000, time % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static int publisher(const char *path) {
    int it = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (it < 0 || connect(it, (struct sockaddr *)&server, sizeof server) != 0)
        die("connect: %m");
    setsockopt(it, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    char head[4096];
    int length = snprintf(head, sizeof head,
                          "GET %s HTTP/1.1\r\nHost: publisher\r\nConnection: Upgrade\r\nUpgrade: "
                          "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY
                          "\r\n\r\n", path);
    write_all(it, head, length);
    size_t size = 0;
    do {
        ssize_t count = recv(it, head + size, sizeof head - 1 - size, 0);
        if (count <= 0) die("no answer to the publisher");
        size += count;
        head[size] = 0;
    } while (!strstr(head, "\r\n\r\n") && size < sizeof head - 1);
    if (strncmp(head, "HTTP/1.1 101", 12) != 0) die("%.*s", (int)strcspn(head, "\r"), head);
    return it;
}

// Counts the frames that came; `answers` never has more than one incomplete in it.
static uint64_t answers_of(int connection, bool waits) {
    static char buffer[1 << 16];
    static size_t held;
    struct pollfd ready = {connection, POLLIN, 0};
    if (poll(&ready, 1, waits ? 10000 : 0) == 0) {
        if (waits) die("the publisher gets no answers");
        return 0;
    }
    ssize_t count = recv(connection, buffer + held, sizeof buffer - held, 0);
    if (count <= 0) die("the publisher's connection ended");
    held += count;
    uint64_t frames = 0;
    size_t at = 0;
    while (held - at >= 2) {
        size_t size = buffer[at + 1] & 0x7f, head = 2;
        if (size == 126) {
            if (held - at < 4) break;
            size = (unsigned char)buffer[at + 2] << 8 | (unsigned char)buffer[at + 3];
            head = 4;
        }
        if (held - at < head + size) break;
        at += head + size;
        frames++;
    }
    held -= at;
    memmove(buffer, buffer + at, held);
    return frames;
}

static char *put_frame(const production *it, char *at, uint64_t number, uint64_t time) {
    // The size is known behind the payload, so that is moved; masked with zeros.
    char *payload = at + 8, *end = put_line(it, payload, number, time);
    size_t size = end - payload;
    size_t head = size < 126 ? 6 : 8;
    memmove(at + head, payload, size);
    *at++ = (char)0x81;
    if (size < 126) {
        *at++ = 0x80 | size;
    } else {
        *at++ = (char)0xfe;
        *at++ = size >> 8;
        *at++ = size;
    }
    memset(at, 0, 4);
    return at + 4 + size;
}

static int produce(const production *it) {
    int output = it->path ? publisher(it->path) : 1;
    if (!it->path) fcntl(1, F_SETPIPE_SZ, 1 << 20);
    uint64_t limit = now_ns() + 120000000000ull;
    // Bounded, in case whatever the file waits for never comes.
    while (it->ready_file && access(it->ready_file, F_OK) != 0) {
        if (now_ns() > limit) die("%s does not appear", it->ready_file);
        sleep_until(now_ns() + 1000000);
    }
    size_t line_max = (it->size > 600 ? it->size : 600) + 64;
    size_t batch = it->rate > 0 ? it->burst : (64 << 10) / line_max;
    if (batch < 1) batch = 1;
    char *buffer = room(batch * line_max);
    uint64_t start = now_ns(), sent = 0, answered = 0;
    while (sent < it->count) {
        uint64_t now = now_ns();
        if (it->rate > 0) {
            uint64_t due = start + (uint64_t)(sent / it->rate * 1e9);
            if (due > now) {
                sleep_until(due);
                now = now_ns();
            }
        }
        // Late ones are caught up with together.
        uint64_t size = batch;
        char *end = buffer;
        for (uint64_t index = 0; index < size && sent < it->count; index++) {
            sent++;
            if (it->path) {
                end = put_frame(it, end, sent, now);
            } else {
                end = put_line(it, end, sent, now);
                *end++ = '\n';
            }
        }
        write_all(output, buffer, end - buffer);
        if (it->path) {
            do answered += answers_of(output, sent - answered > 1000);
            while (sent - answered > 1000);
        }
    }
    while (it->path && answered < sent) answered += answers_of(output, true);
    return 0;
}

#endif
