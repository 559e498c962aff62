// A part of serve_load: events in what was read, of the three forms.
#ifndef SERVE_FORMS_H
#define SERVE_FORMS_H

#include "serve_events.h"

// Each of these takes the whole events and returns where the rest begins.

static const char *sse_block(worker *self, client *it, const char *at, const char *end, bool few,
                             const char **id) {
    const char *block = at, *data = NULL, *data_end = NULL;
    bool is_gap = false, is_end = false, is_comment = true;
    size_t id_size = 0;
    const char *id_at = NULL;
    for (;;) {
        const char *line_end = memchr(at, '\n', end - at);
        if (line_end == NULL) return NULL;
        if (line_end == at) break;
        size_t size = line_end - at;
        if (size > 5 && memcmp(at, "data:", 5) == 0) {
            if (data == NULL) data = at + 5 + (at[5] == ' ');
            data_end = line_end;
            is_comment = false;
        } else if (size > 3 && memcmp(at, "id:", 3) == 0) {
            id_at = at + 3 + (at[3] == ' ');
            id_size = line_end - id_at;
        } else if (size > 6 && memcmp(at, "event:", 6) == 0) {
            const char *name = at + 6 + (at[6] == ' ');
            is_gap = line_end - name == 3 && memcmp(name, "gap", 3) == 0;
            is_end = line_end - name == 3 && memcmp(name, "end", 3) == 0;
            is_comment = false;
        }
        at = line_end + 1;
    }
    at++;
    if (id_at != NULL && options.churn > 0) {
        keep_id(it, id_at, id_size);
        *id = NULL;
    }
    if (is_gap) {
        take_gap(self, it, data ? data : "", data ? data_end - data : 0);
    } else if (is_end) {
        self->ends++;
        it->state = ENDED;
    } else if (data != NULL) {
        const char *n = memmem(data, data_end - data, "{\"n\":", 5);
        if (n == NULL) {
            self->stray++;
        } else {
            self->hop = at - block;
            self->hop_n = n + 5 - block;
            take(self, it, n + 5, few);
        }
    } else if (is_comment) {
        self->heartbeats++;
    }
    return at;
}

static const char *take_sse(worker *self, client *it, const char *at, const char *end) {
    const char *last = NULL;
    bool few = self->hop == 0 || (size_t)(end - at) < 2 * STRIDE * self->hop;
    while (at < end) {
        size_t hop = self->hop;
        // A block as long as the last one, with its n at the same place, ends at the same place.
        if (hop != 0 && (size_t)(end - at) >= hop && memcmp(at + hop - 3, "}\n\n", 3) == 0
            && memcmp(at + self->hop_n - 5, "{\"n\":", 5) == 0
            && memchr(at + self->hop_n, '\n', hop - self->hop_n - 2) == NULL) {
            take(self, it, at + self->hop_n, few);
            last = at;
            at += hop;
            continue;
        }
        const char *next = sse_block(self, it, at, end, few, &last);
        if (next == NULL) break;
        at = next;
    }
    if (last != NULL && options.churn > 0) {
        const char *id = memmem(last, self->hop, "id: ", 4);
        if (id != NULL) keep_id(it, id + 4, strchrnul(id + 4, '\n') - id - 4);
    }
    return at;
}

static const char *take_lines(worker *self, client *it, const char *at, const char *end) {
    const char *last = NULL, *last_end = NULL;
    bool few = end - at < 32 * 256;
    const char *line_end;
    while (at < end && (line_end = memchr(at, '\n', end - at)) != NULL) {
        if (line_end > at && take_record(self, it, at, line_end - at, few)) {
            last = at;
            last_end = line_end;
        }
        at = line_end + 1;
    }
    if (last != NULL && options.churn > 0) keep_member_id(it, last, last_end - last);
    return at;
}

static void answer(client *it, unsigned char opcode, const char *payload, size_t size) {
    unsigned char frame[6 + 125] = {0x80 | opcode, 0x80 | size};
    if (size > 125) return;
    memcpy(frame + 6, payload, size);  // masked with zeros
    if (send(it->fd, frame, 6 + size, MSG_NOSIGNAL) < 0) return;
}

static size_t inflate_message(worker *self, client *it, const char *payload, size_t size) {
    static const unsigned char tail[] = {0, 0, 0xff, 0xff};
    z_stream *inflater = it->inflater;
    inflater->next_out = (unsigned char *)self->message;
    inflater->avail_out = CARRY_MAX;
    inflater->next_in = (unsigned char *)payload;
    inflater->avail_in = size;
    int status = inflate(inflater, Z_SYNC_FLUSH);
    if ((status == Z_OK || status == Z_BUF_ERROR) && inflater->avail_in == 0) {
        inflater->next_in = (unsigned char *)tail;
        inflater->avail_in = sizeof tail;
        status = inflate(inflater, Z_SYNC_FLUSH);
    }
    if (status != Z_OK && status != Z_BUF_ERROR) {
        fault(self, "inflate: %s", inflater->msg ? inflater->msg : "the stream ends");
        return 0;
    }
    size_t made = CARRY_MAX - inflater->avail_out;
    self->message[made] = 0;
    return made;
}

static const char *take_frames(worker *self, client *it, const char *at, const char *end) {
    const char *last = NULL;
    size_t last_size = 0;
    bool few = end - at < 32 * 256;
    while (end - at >= 2) {
        unsigned char first = at[0];
        size_t size = at[1] & 0x7f, head = 2;
        if (size == 126) {
            if (end - at < 4) break;
            size = (unsigned char)at[2] << 8 | (unsigned char)at[3];
            head = 4;
        } else if (size == 127) {
            if (end - at < 10) break;
            size = 0;
            for (int index = 2; index < 10; index++) size = size << 8 | (unsigned char)at[index];
            head = 10;
        }
        if ((size_t)(end - at) < head + size) break;
        const char *payload = at + head;
        at = payload + size;
        if (first == 0x81) {
            if (take_record(self, it, payload, size, few)) last = payload, last_size = size;
        } else if (first == 0xc1 && it->packed) {
            if (!it->checked) {
                it->count++;
                continue;
            }
            size = inflate_message(self, it, payload, size);
            if (take_record(self, it, self->message, size, few)) {
                last = self->message;
                last_size = size;
            }
        } else if (first == 0x89) {
            answer(it, 0xa, payload, size);
        } else if (first == 0x88) {
            answer(it, 0x8, payload, size);
            it->state = ENDED;
        } else if (first != 0x8a) {
            fault(self, "a frame that begins with %02x", first);
            it->state = ENDED;
            break;
        }
    }
    if (last != NULL && options.churn > 0) keep_member_id(it, last, last_size);
    return at;
}

static void delivered(worker *self) {
    if (self->first == 0) {
        self->first = self->now;
        self->cpu_first = cpu_seconds();
    }
    self->newest = self->now;
}

// Takes the events of work, of which the carried part is at the front already.
static void take_all(worker *self, client *it, size_t size) {
    const char *end = self->work + size;
    uint64_t before = it->count;
    // What numbers and searches stop at.
    self->work[size] = 0;
    const char *rest = options.transport == SSE ? take_sse(self, it, self->work, end)
        : options.transport == WS ? take_frames(self, it, self->work, end)
        : take_lines(self, it, self->work, end);
    size_t left = end - rest;
    if (left > 0) {
        if (left > CARRY_MAX - READ_SIZE) {
            fault(self, "an event of more than %zu bytes", left);
            it->state = ENDED;
            left = 0;
        }
        if (it->carry_room < left) {
            it->carry_room = left < 512 ? 512 : left * 2;
            free(it->carry);
            it->carry = room(it->carry_room);
        }
        memcpy(it->carry, rest, left);
    }
    it->carry_size = left;
    uint64_t taken = it->count - before;
    if (it->slow) {
        self->slow_deliveries += taken;
        return;
    }
    if (taken > 0) {
        self->deliveries += taken;
        delivered(self);
    }
    if (it->packed && !it->checked ? options.expect && it->count >= options.expect
        : has_reached(it)) reach(it);
}

#endif
