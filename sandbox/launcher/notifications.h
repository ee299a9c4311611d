// Answering what the filter asks.
#pragma once

#include "birth.h"

/// Answers a call: with an errno, with 0, or by letting it go on (SECCOMP_USER_NOTIF_FLAG_CONTINUE).
void notification_answer(int listener, uint64_t id, int32_t error, uint32_t flags);

/// Takes one notification off the listener. A refused call is answered and counted, an observed one goes on, and so does one
/// that is allowed until the lock; a denied one is reported and ends the cell.
void on_notification(const struct cell_spec *spec, int listener);

/// Reports the refusals that were counted since their last report.
void report_refusals(int status);

/// Whether there are any.
bool has_refusals(void);
