// A part of serve_load: what a client counts when an event comes.
#ifndef SERVE_EVENTS_H
#define SERVE_EVENTS_H

#include "serve_common.h"

static void fault(worker *self, const char *format, ...) {
    self->errors++;
    if (self->error[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->error, sizeof self->error, format, arguments);
    va_end(arguments);
}

static inline int bucket_of(uint64_t value) {
    if (value < STEPS) return value;
    int power = 63 - __builtin_clzll(value);
    return (power - 5) * STEPS + (int)((value >> (power - 6)) & (STEPS - 1));
}

static double bucket_value(int bucket) {
    if (bucket < STEPS) return bucket;
    int power = bucket / STEPS + 5;
    return (double)(1ull << power) * (1 + (bucket % STEPS + 0.5) / STEPS);
}

static bool has_reached(const client *it) {
    // A gap at the end may be all that is told of the last events.
    uint64_t told = it->has_gap && it->gap_missed != UNKNOWN ? it->gap_missed : 0;
    return options.expect != 0 && it->last + told >= options.expect;
}

static void reach(client *it) {
    if (it->reached || it->slow) return;
    it->reached = true;
    if (it->checked) atomic_fetch_add(&checked_reached, 1);
    atomic_fetch_add(&reached_count, 1);
}

// An n that is not the one behind the last.
__attribute__((noinline)) static void unexpected(worker *self, client *it, uint64_t n) {
    if (it->has_gap) {
        it->has_gap = false;
        bool is_right = it->gap_missed == UNKNOWN ? n > it->last
            : n == it->last + 1 + it->gap_missed;
        if (is_right) {
            it->last = n;
            return;
        }
        self->gap_wrong++;
        if (!self->error[0])
            snprintf(self->error, sizeof self->error, "a gap of %lld behind n=%llu, then n=%llu",
                     (long long)it->gap_missed, (unsigned long long)it->last,
                     (unsigned long long)n);
        it->last = n > it->last ? n : it->last;
        return;
    }
    if (it->last == 0 && options.first == 0) {
        it->last = n;
        return;
    }
    if (it->slow) {
        if (n > it->last) self->slow_untold += n - it->last - 1;
        it->last = n;
        return;
    }
    uint64_t due = it->last == 0 ? options.first : it->last + 1;
    if (n > due) {
        self->lost += n - due;
        it->missing += n - due;
        if (!self->error[0])
            snprintf(self->error, sizeof self->error, "n=%llu behind %llu%s",
                     (unsigned long long)n, (unsigned long long)it->last,
                     it->resumed ? ", resumed" : "");
    } else if (n < due) {
        if (it->missing > 0) {
            it->missing--;
            self->lost--;
            self->disordered++;
        } else {
            self->doubled++;
        }
        if (!self->error[0])
            snprintf(self->error, sizeof self->error, "n=%llu again behind %llu%s",
                     (unsigned long long)n, (unsigned long long)it->last,
                     it->resumed ? ", resumed" : "");
        return;
    }
    it->last = n;
}

// Digits up to what is none; `text` ends with such.
static inline uint64_t number(const char **text) {
    uint64_t value = 0;
    const char *at = *text;
    for (unsigned digit; (digit = (unsigned char)*at - '0') < 10; at++) value = value * 10 + digit;
    *text = at;
    return value;
}

static void latency(worker *self, const char *at, uint64_t n, uint64_t weight) {
    if (n <= options.skip || memcmp(at, ",\"t\":", 5) != 0) return;
    at += 5;
    uint64_t sent = number(&at);
    if (sent > self->now) return;
    uint64_t late = self->now - sent;
    self->histogram[bucket_of(late)] += weight;
    self->samples += weight;
    if (late > self->highest) self->highest = late;
}

// The event whose n is at `digits`, one of a batch of which `few` tells that all are sampled.
static inline void take(worker *self, client *it, const char *digits, bool few) {
    uint64_t n = number(&digits);
    bool is_next = n == it->last + 1 && !it->has_gap && (it->last != 0 || options.first <= 1);
    if (is_next) it->last = n;
    else unexpected(self, it, n);
    it->count++;
    if (it->slow) return;
    if (few) latency(self, digits, n, 1);
    else if (n % STRIDE == 0) latency(self, digits, n, STRIDE);
}

// {"reason":"slow","missed":12}, anywhere in the text.
static void take_gap(worker *self, client *it, const char *text, size_t size) {
    const char *missed = memmem(text, size, "\"missed\":", 9);
    uint64_t value = UNKNOWN;
    if (missed != NULL && missed + 9 < text + size && missed[9] != 'n') {
        const char *digits = missed + 9;
        value = number(&digits);
    }
    if (it->slow) {
        self->slow_gaps++;
        if (value != UNKNOWN) self->slow_missed += value;
    } else {
        self->gaps++;
        if (it->resumed) self->replay_gaps++;
        if (value != UNKNOWN) self->told_missed += value;
    }
    it->gap_missed = it->has_gap && (it->gap_missed == UNKNOWN || value == UNKNOWN) ? UNKNOWN
        : it->has_gap ? it->gap_missed + value : value;
    it->has_gap = true;
}

static void keep_id(client *it, const char *id, size_t size) {
    if (size >= ID_MAX) return;
    memcpy(it->id, id, size);
    it->id_size = size;
}

static void keep_member_id(client *it, const char *record, size_t size) {
    const char *id = memmem(record, size < 200 ? size : 200, "\"id\":\"", 6);
    if (id == NULL) return;
    id += 6;
    const char *end = memchr(id, '"', record + size - id);
    if (end != NULL) keep_id(it, id, end - id);
}

// One record of /ws or /stream, or a bare payload.
static inline const char *take_record(worker *self, client *it, const char *record, size_t size,
                                      bool few) {
    const char *n = record + self->hop_n;
    if (self->hop_n >= 5 && self->hop_n + 8 < size && memcmp(n - 5, "{\"n\":", 5) == 0) {
        take(self, it, n, few);
        return record;
    }
    n = memmem(record, size, "{\"n\":", 5);
    if (n != NULL && n + 5 < record + size) {
        self->hop_n = n + 5 - record;
        take(self, it, n + 5, few);
        return record;
    }
    if (memmem(record, size, "\"event\":\"gap\"", 13)) {
        take_gap(self, it, record, size);
        return record;
    }
    if (memmem(record, size, "\"event\":\"end\"", 13)) self->ends++, it->state = ENDED;
    else self->stray++;
    return NULL;
}

#endif
