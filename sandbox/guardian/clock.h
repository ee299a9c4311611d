#pragma once

#include <stdint.h>
#include <time.h>

/// Time since boot, in milliseconds: never 0 in practice, so that 0 can mean "not yet".
static inline uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
