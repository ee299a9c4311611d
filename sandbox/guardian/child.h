#pragma once

#include <sys/types.h>

/// Remembers the signals' state as it is now, and makes the supervisor's environment. Called once, before anything is changed.
void child_prepare(char *const *arguments);

/// Starts a supervisor that has been started again `restarts` times and says on `notify` that it serves.
/// -1 with errno when there can be no process.
pid_t child_start(int notify, unsigned restarts);

/// Starts a courier. -1 with errno when there can be no process.
pid_t child_start_courier(void);
