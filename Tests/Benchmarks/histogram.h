// Latencies in nanoseconds, counted in buckets a thousandth of their value wide: any number of them in the same little
// memory, so that a long run does not slow down by remembering itself.
#pragma once

#include <stdint.h>
#include <time.h>

#define HISTOGRAM_BITS 10                            // of precision: 1/1024
#define HISTOGRAM_LONGEST (((uint64_t)1 << 42) - 1)  // over an hour; what took longer counts as that
#define HISTOGRAM_BUCKETS ((42 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
    uint64_t count, longest;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/// Below 2048 every value has its own bucket; from there on each doubling of the value has 1024.
static inline void histogram_add(struct histogram *histogram, uint64_t value) {
    if (value > HISTOGRAM_LONGEST) value = HISTOGRAM_LONGEST;
    unsigned bits = value ? 64 - (unsigned)__builtin_clzll(value) : 0;
    unsigned shift = bits > HISTOGRAM_BITS + 1 ? bits - HISTOGRAM_BITS - 1 : 0;
    histogram->buckets[((uint64_t)shift << HISTOGRAM_BITS) + (value >> shift)]++;
    histogram->count++;
    if (value > histogram->longest) histogram->longest = value;
}

/// The value that `share` (0 to 1) of all do not exceed, in microseconds; 0 when there is none.
static inline double histogram_us(const struct histogram *histogram, double share) {
    uint64_t wanted = (uint64_t)(share * (double)histogram->count + 0.999999), seen = 0;
    if (wanted == 0) wanted = 1;
    for (uint64_t index = 0; index < HISTOGRAM_BUCKETS; index++) {
        seen += histogram->buckets[index];
        if (seen < wanted) continue;
        unsigned shift = index >> HISTOGRAM_BITS ? (unsigned)(index >> HISTOGRAM_BITS) - 1 : 0;
        uint64_t low = (index - ((uint64_t)shift << HISTOGRAM_BITS)) << shift;
        uint64_t middle = low + (((uint64_t)1 << shift) >> 1);
        return (double)(middle < histogram->longest ? middle : histogram->longest) / 1000;
    }
    return 0;
}

static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
