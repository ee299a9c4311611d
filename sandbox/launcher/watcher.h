// Who starts a worker, answers for it and reports its end: init itself, or a child of it without its rights.
#pragma once

#include <sys/resource.h>

#include "worker.h"

/// What a watcher tells init, whose child both are, in memory that they share.
struct watched_worker {
    volatile pid_t pid;              // before it runs
    volatile uint32_t has_started;   // its exec has been seen
    volatile uint32_t has_refusals;  // that are still to be reported
};

/// Touches what starting a worker writes to.
void watcher_touch(void);

/// Starts the worker and watches it. `pristine`: to report along, or NULL. `child` is NULL for the init that does so
/// itself: it reaps, and ends with the worker. Otherwise init reaps, and this process ends on SIGTERM.
_Noreturn void watch_worker(struct cell_spec *spec, struct worker_spec *worker, const struct shared_table *pristine, struct watched_worker *child);

/// Reports the worker's end.
void report_exited(int status, int how, const struct rusage *usage);
