// The worker between fork and exec.
#pragma once

#include <linux/filter.h>

#include "birth.h"

/// What the worker needs between fork and exec.
struct worker_spec {
    const struct cell_spec *cell;
    int executable;
    int landlock;  // ruleset, -1 when allowed to be missing
    bool awaits;   // its streams: it is started ahead of need
    bool reports;  // that it is there, so that the launcher can tell it from others; else its init does, who may speak for it
    struct sock_fprog filter;  // what the kernel gets of the plan's
    // results, in memory shared with init until exec
    volatile uint32_t stage;
    volatile int error;
    volatile int listener;
};

/// The worker's checklist, ending in execveat. Runs on init's memory: raw system calls only, allocates nothing.
int worker_main(void *spec);
