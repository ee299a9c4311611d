#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/// Ends the courier, and makes the pair of sockets that errands go over anew. False with errno when there can be none.
bool courier_renew(void);

/// The supervisor's end of it, and the courier's.
int courier_supervisors_end(void);
int courier_own_end(void);

/// What to wait for, and for at most how many milliseconds (-1: any).
void courier_watch(struct pollfd *watched, uint64_t now, int *wait);

/// Starts a courier if an errand waits for one.
void courier_start_if_needed(const struct pollfd *watched, uint64_t now);

/// Takes note of a child's end, if it was the courier's.
void courier_ended(pid_t pid, int status, uint64_t now);

/// Ends the courier, and waits for it.
void courier_end(void);
