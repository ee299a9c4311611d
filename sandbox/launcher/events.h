// What the launcher tells its supervisor.
#pragma once

#include "bulkhead_launcher_abi.h"

/// From now on events go to this socket.
void events_to(int socket);

/// Sends an event, with up to two descriptors.
void send_event(struct bh_event event, const int *fds, int fd_count);

/// Says that a launch was refused, where and why.
void send_failure(uint64_t id, uint32_t stage, int error);
