// A part of serve_load: connections, from the request to what is read.
#ifndef SERVE_CONNECT_H
#define SERVE_CONNECT_H

#include "serve_forms.h"

// MARK: Reading

static void put_carry(const client *it, char *place) {
    if (it->carry_size > 0) memcpy(place, it->carry, it->carry_size);
}

static size_t dechunk(worker *self, client *it, char *text, size_t size) {
    size_t kept = 0, at = 0;
    while (at < size) {
        if (it->chunk_left > 0) {
            size_t part = size - at < (size_t)it->chunk_left ? size - at : (size_t)it->chunk_left;
            memmove(text + kept, text + at, part);
            kept += part;
            at += part;
            it->chunk_left -= part;
            if (it->chunk_left == 0) it->chunk_left = -1;
            continue;
        }
        // Hexadecimal digits so far as -(value + 2); -1 before the first one, CR and LF ignored.
        char byte = text[at++];
        int digit = byte >= '0' && byte <= '9' ? byte - '0'
            : (byte | 32) >= 'a' && (byte | 32) <= 'f' ? (byte | 32) - 'a' + 10 : -1;
        if (digit >= 0) {
            int64_t value = it->chunk_left == -1 ? 0 : -it->chunk_left - 2;
            it->chunk_left = -(value * 16 + digit) - 2;
        } else if (byte == '\n' && it->chunk_left != -1) {
            it->chunk_left = -it->chunk_left - 2;
            if (it->chunk_left == 0) {
                it->state = ENDED;
                break;
            }
        } else if (byte != '\r' && byte != '\n') {
            fault(self, "byte %02x where the size of a chunk should be", byte & 0xff);
            it->state = ENDED;
            break;
        }
    }
    return kept;
}

static void inflate_all(worker *self, client *it, char *text, size_t size) {
    z_stream *inflater = it->inflater;
    inflater->next_in = (unsigned char *)text;
    inflater->avail_in = size;
    for (;;) {
        put_carry(it, self->work);
        inflater->next_out = (unsigned char *)self->work + it->carry_size;
        inflater->avail_out = READ_SIZE;
        int status = inflate(inflater, Z_SYNC_FLUSH);
        size_t made = READ_SIZE - inflater->avail_out;
        if (status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END) {
            fault(self, "inflate: %s", inflater->msg ? inflater->msg : "failed");
            it->state = ENDED;
            return;
        }
        if (made > 0) take_all(self, it, it->carry_size + made);
        if (status == Z_STREAM_END) {
            it->state = ENDED;
            return;
        }
        if (inflater->avail_in == 0 && inflater->avail_out > 0) return;
        if (made == 0) return;
    }
}

static void shut(worker *self, client *it) {
    if (it->fd < 0) return;
    if (options.reset) {
        struct linger now = {1, 0};
        setsockopt(it->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(it->fd);
    it->fd = -1;
    if (it->state == CONNECTING || it->state == HEAD) self->in_flight--;
    it->carry_size = 0;
}

// The server ended it, or something is wrong with it.
static void end(worker *self, client *it, const char *why) {
    bool was_expected = it->state == ENDED;
    shut(self, it);
    it->state = ENDED;
    if (it->slow) {
        self->closed++;
    } else {
        if (!was_expected) {
            self->closed++;
            if (!has_reached(it)) fault(self, "%s", why);
        }
        atomic_fetch_add(&ended_count, 1);
    }
}

// Body bytes that are in raw (or at their place in work when nothing has to be taken off).
static void take_body(worker *self, client *it, char *text, size_t size) {
    it->bytes += size;
    if (!it->slow) self->bytes += size;
    if (it->chunked) size = dechunk(self, it, text, size);
    if (it->packed && options.transport != WS) {
        if (it->checked) {
            inflate_all(self, it, text, size);
        } else if (size > 0) {
            delivered(self);
        }
        return;
    }
    if (size == 0) return;
    if (text != self->work + it->carry_size) {
        put_carry(it, self->work);
        memcpy(self->work + it->carry_size, text, size);
    }
    take_all(self, it, it->carry_size + size);
}

static void connect_again(worker *self, client *it) {
    self->again[self->again_count++] = it - self->clients;
}

static void accepted(worker *self, client *it) {
    self->accepts++;
    delivered(self);
    shut(self, it);
    it->state = CLOSED;
    connect_again(self, it);
}

// How much was read; 0 when there was nothing.
static size_t receive(worker *self, client *it, size_t most) {
    bool is_direct = !it->chunked && (!it->packed || options.transport == WS);
    char *place = is_direct ? self->work + it->carry_size : self->raw;
    ssize_t size = recv(it->fd, place, most < READ_SIZE ? most : READ_SIZE, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    self->now = now_ns();
    if (size <= 0) {
        char why[80];
        snprintf(why, sizeof why, "connection ended: %s", size < 0 ? strerror(errno) : "closed");
        end(self, it, why);
        return 0;
    }
    if (is_direct) put_carry(it, self->work);
    take_body(self, it, place, size);
    if (it->state == ENDED) end(self, it, "");
    else if (options.accepts) accepted(self, it);
    return size;
}

// MARK: Connecting

static void watch(worker *self, client *it, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = it - self->clients};
    if (epoll_ctl(self->epoll, operation, it->fd, &event) != 0) die("epoll_ctl: %m");
}

static void unconnected(worker *self, client *it, const char *what, int code) {
    fault(self, "%s: %s", what, strerror(code));
    shut(self, it);
    it->state = CLOSED;
    connect_again(self, it);
}

// Sends the request; false when the connection is not there yet.
static bool request(worker *self, client *it) {
    bool has_id = it->resumed && it->id_size > 0;
    char target[512], head[1024];
    snprintf(target, sizeof target, "%s%s%.*s", options.path,
             !has_id || options.transport == SSE ? ""
                 : strchr(options.path, '?') ? "&last_event_id=" : "?last_event_id=",
             has_id && options.transport != SSE ? it->id_size : 0, it->id);
    int length = snprintf(head, sizeof head, "GET %s HTTP/1.%d\r\nHost: %s\r\n%s", target,
                          !options.http10, options.host_header, options.fields);
    if (has_id && options.transport == SSE)
        length += snprintf(head + length, sizeof head - length, "Last-Event-ID: %.*s\r\n",
                           it->id_size, it->id);
    length += snprintf(head + length, sizeof head - length, "\r\n");
    ssize_t sent = send(it->fd, head, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent != length) {
        unconnected(self, it, "connect", errno);
        return true;
    }
    it->state = HEAD;
    return true;
}

static void begin(worker *self, client *it) {
    it->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (it->fd < 0) die("socket: %m");
    int number = (int)(it - self->clients) * options.threads + self->index;
    if (options.accepts) number = self->turn++;
    if (options.addresses > 0) {
        // Ports are chosen in connect, when the other end is known too.
        setsockopt(it->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
        struct sockaddr_in own = {
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number % options.addresses)};
        if (bind(it->fd, (struct sockaddr *)&own, sizeof own) != 0) die("bind: %m");
    }
    if (options.receive_buffer > 0)
        setsockopt(it->fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof(int));
    self->in_flight++;
    it->state = CONNECTING;
    it->chunked = it->packed = false;
    it->chunk_left = -1;
    if (connect(it->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS) {
        unconnected(self, it, "connect", errno);
        return;
    }
    // On this machine the connection mostly is there when connect returns.
    bool is_sent = request(self, it);
    if (it->fd >= 0) watch(self, it, EPOLL_CTL_ADD, is_sent ? EPOLLIN : EPOLLOUT);
}

static void connected(worker *self, client *it) {
    int code = 0;
    socklen_t size = sizeof code;
    getsockopt(it->fd, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code) unconnected(self, it, "connect", code);
    else if (request(self, it) && it->fd >= 0) watch(self, it, EPOLL_CTL_MOD, EPOLLIN);
}

static void refuse(worker *self, client *it, const char *why) {
    self->refused++;
    fault(self, "%s", why);
    shut(self, it);
    it->state = CLOSED;
    if (!options.accepts && self->refused > 100000) die("refused 100,000 times: %s", self->error);
    connect_again(self, it);
}

/* The response head is there and says what it should: what follows is the stream. */
static void opened(worker *self, client *it, char *body, size_t size) {
    it->state = OPEN;
    self->in_flight--;
    if (it->packed && it->checked) {
        if (it->inflater == NULL) {
            it->inflater = room(sizeof *it->inflater);
            memset(it->inflater, 0, sizeof *it->inflater);
            inflateInit2(it->inflater, options.transport == WS ? -15 : 31);
        } else {
            inflateReset(it->inflater);
        }
    }
    if (!it->was_up) {
        it->was_up = true;
        self->up++;
        atomic_fetch_add(&up_count, 1);
    }
    if (it->slow) epoll_ctl(self->epoll, EPOLL_CTL_DEL, it->fd, NULL);
    if (size > 0) take_body(self, it, body, size);
    if (it->state == ENDED) end(self, it, "");
}

/* Looks at a response head, which ends with a NUL. False when the connection is over. */
static bool check_head(worker *self, client *it) {
    int status = strncmp(self->raw, "HTTP/1.", 7) == 0 ? atoi(self->raw + 9) : 0;
    if (status != (options.transport == WS ? 101 : 200)) {
        char why[60];
        snprintf(why, sizeof why, "%.*s", (int)strcspn(self->raw, "\r"), self->raw);
        refuse(self, it, why);
        return false;
    }
    if (options.transport == WS && !strstr(self->raw, ACCEPT)) {
        refuse(self, it, "another Sec-WebSocket-Accept");
        return false;
    }
    it->chunked = strcasestr(self->raw, "\r\nTransfer-Encoding: chunked") != NULL;
    it->packed = options.transport == WS ? strcasestr(self->raw, "permessage-deflate") != NULL
        : strcasestr(self->raw, "\r\nContent-Encoding: gzip") != NULL;
    if ((options.gzip || options.deflate) && !it->packed) fault(self, "not compressed");
    return true;
}

static void read_head(worker *self, client *it) {
    // Only what belongs to the head is known to be small, so the rest goes the usual way.
    put_carry(it, self->raw);
    ssize_t count = recv(it->fd, self->raw + it->carry_size, READ_SIZE, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    self->now = now_ns();
    if (count <= 0) {
        char why[80];
        snprintf(why, sizeof why, "no response: %s", count < 0 ? strerror(errno) : "closed");
        refuse(self, it, why);
        return;
    }
    size_t size = it->carry_size + count;
    char *blank = memmem(self->raw, size, "\r\n\r\n", 4);
    if (blank == NULL) {
        if (size > HEAD_MAX) {
            refuse(self, it, "a response head without end");
            return;
        }
        if (it->carry_room < size) {
            free(it->carry);
            it->carry_room = size * 2;
            it->carry = room(it->carry_room);
        }
        memcpy(it->carry, self->raw, size);
        it->carry_size = size;
        return;
    }
    *blank = 0;
    char *body = blank + 4;
    size -= body - self->raw;
    if (!check_head(self, it)) return;
    it->carry_size = 0;
    if (options.accepts && !(options.first_event && size == 0)) accepted(self, it);
    else opened(self, it, body, size);
}

#endif
