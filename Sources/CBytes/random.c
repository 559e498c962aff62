#include "CBytes.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void cb_random(uint8_t *out, size_t n) {
    size_t filled = 0;
    while (filled < n) {
        ssize_t size = getrandom(out + filled, n - filled, 0);
        if (size > 0) {
            filled += (size_t)size;
        } else if (size == 0 || errno != EINTR) {
            /* Only a kernel without the call: every Linux since 3.17 has it. */
            abort();
        }
    }
}
