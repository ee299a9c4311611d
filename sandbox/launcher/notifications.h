// Answering what the filter asks.
#pragma once

#include "cell.h"

/// Answers a call: with an errno, with 0, or by letting it go on (SECCOMP_USER_NOTIF_FLAG_CONTINUE).
void notification_answer(int listener, uint64_t id, int32_t error, uint32_t flags);
