// Runs a command several times with empty input, or that of a file, and discarded output, and
// prints for each run:
//   wall nanoseconds, user microseconds, system microseconds, peak resident KiB
//
// Linux counts the memory of the process that calls exec into the new program's peak, so the
// parent has to be smaller than anything it measures: Python or a shell would hide the tools.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long microseconds(struct timeval time) {
    return time.tv_sec * 1000000LL + time.tv_usec;
}

int main(int argc, char **argv) {
    const char *input = "/dev/null";
    if (argc > 2 && strcmp(argv[1], "-i") == 0) {
        input = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc < 3) {
        fprintf(stderr, "usage: spawn [-i FILE] RUNS COMMAND [ARGUMENT]...\n");
        return 64;
    }
    posix_spawn_file_actions_t streams;
    posix_spawn_file_actions_init(&streams);
    posix_spawn_file_actions_addopen(&streams, STDIN_FILENO, input, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&streams, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);

    for (int left = atoi(argv[1]); left > 0; left--) {
        long long start = nanoseconds();
        pid_t child;
        int error = posix_spawnp(&child, argv[2], &streams, NULL, argv + 2, environ);
        if (error != 0) {
            fprintf(stderr, "spawn: %s: %s\n", argv[2], strerror(error));
            return 71;
        }
        int status;
        struct rusage usage;
        while (wait4(child, &status, 0, &usage) < 0) {
            if (errno != EINTR) return 71;
        }
        long long wall = nanoseconds() - start;
        if (status != 0) {
            fprintf(stderr, "spawn: %s: wait status 0x%x\n", argv[2], status);
            return 70;
        }
        printf("%lld %lld %lld %ld\n", wall, microseconds(usage.ru_utime),
               microseconds(usage.ru_stime), usage.ru_maxrss);
    }
    return 0;
}
