/* What a function may use of the processor, beyond what every x86-64 has. */
#ifndef STREAMUTILS_VECTORS_H
#define STREAMUTILS_VECTORS_H

#define SHUFFLE __attribute__((target("ssse3,popcnt")))
/* Bytes that leave or enter a register by a mask: Ice Lake, Zen 4 and later. */
#define COMPRESS __attribute__((target("avx512f,avx512bw,avx512vbmi2,bmi,bmi2,popcnt")))

/* Set before main. */
extern int cb_has_shuffle;

#endif
