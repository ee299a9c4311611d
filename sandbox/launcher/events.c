#include "events.h"

#include "../abi/packets.h"

static int supervisor;

void events_to(int socket) { supervisor = socket; }

void send_event(struct bh_event event, const int *fds, int fd_count) {
    event.magic = BH_MAGIC;
    // Blocking: the supervisor reads events on a thread of its own. One that is gone shows as a hang-up.
    bh_packet_send(supervisor, &event, sizeof event, fds, fd_count, NULL, 0);
}

void send_failure(uint64_t id, uint32_t stage, int error) {
    send_event((struct bh_event){.kind = BH_EVENT_FAILED, .cell = id, .stage = stage, .error = error}, NULL, 0);
}
