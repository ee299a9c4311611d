#pragma once

#include <poll.h>
#include <stddef.h>

#define TAIL 4096     // how much of the supervisor's last words is remembered
#define MESSAGE 8192  // the longest message of our own

/// Makes the pipe that is every supervisor's stderr, or exits with 3.
void relay_open(void);

/// The end of that pipe which becomes a supervisor's stderr.
int relay_input(void);

/// What to wait for, in two entries: bytes to take, room to put them.
void relay_watch(struct pollfd watched[2]);

/// Carries on what can be carried on without waiting.
void relay_pump(const struct pollfd watched[2]);

/// Takes what is in the pipe, as far as there is room.
void relay_take(void);

/// Appends a message of our own, on a line of its own.
void relay_say(const char *text, size_t length);

/// The supervisor's last words (at most TAIL bytes), and the start of a new one's.
const char *relay_tail(size_t *length);
void relay_forget_tail(void);

/// Before the end: carries on what is left, and what those still say who have the pipe, for a second at most.
void relay_finish(void);
