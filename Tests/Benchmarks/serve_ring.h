// What serve_bare sends: each event once for each of the two forms. _GNU_SOURCE is needed.
#ifndef SERVE_RING_H
#define SERVE_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAME_MAX 64  // of what is around a line

enum { SSE, WS, FORMS };

// The same memory twice, one behind the other, so that no range is ever split.
typedef struct {
    char *bytes;
    uint64_t head;
    uint64_t *starts;  // of the newest events, by number
    int clients;
} ring;

static ring rings[FORMS];
static uint64_t ring_size = 8 << 20, events, buffer_events = 1000;

static void die(const char *what) {
    fprintf(stderr, "serve_bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_ring(ring *it) {
    int file = memfd_create("ring", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, ring_size) != 0) die("memfd_create");
    it->bytes = mmap(NULL, 2 * ring_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int half = 0; half < 2; half++)
        if (mmap(it->bytes + half * ring_size, ring_size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) die("mmap");
    close(file);
    it->starts = calloc(buffer_events, sizeof *it->starts);
}

static void frame(const char *line, size_t size) {
    uint64_t number = events + 1;
    char id[24];
    int id_size = snprintf(id, sizeof id, "m5x2k7qa-%llu", (unsigned long long)number);
    for (int form = 0; form < FORMS; form++) {
        ring *into = &rings[form];
        into->starts[events % buffer_events] = into->head;
        if (into->clients == 0) continue;
        char *at = into->bytes + into->head % ring_size, *start = at;
        if (form == SSE) {
            at = mempcpy(at, "id: ", 4);
            at = mempcpy(at, id, id_size);
            at = mempcpy(at, "\ndata: ", 7);
            at = mempcpy(at, line, size);
            at = mempcpy(at, "\n\n", 2);
        } else {
            size_t payload = 7 + id_size + 9 + size + 1;
            *at++ = (char)0x81;
            if (payload < 126) {
                *at++ = payload;
            } else if (payload < 1 << 16) {
                *at++ = 126;
                *at++ = payload >> 8;
                *at++ = payload;
            } else {
                *at++ = 127;
                for (int byte = 7; byte >= 0; byte--) *at++ = (uint64_t)payload >> 8 * byte;
            }
            at = mempcpy(at, "{\"id\":\"", 7);
            at = mempcpy(at, id, id_size);
            at = mempcpy(at, "\",\"data\":", 9);
            at = mempcpy(at, line, size);
            *at++ = '}';
        }
        into->head += at - start;
    }
    events++;
}

#endif
