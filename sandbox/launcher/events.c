#include "events.h"

#include <string.h>
#include <sys/socket.h>

#include "sys.h"

static int supervisor;

void events_to(int socket) { supervisor = socket; }

void send_event(struct bh_event event, const int *fds, int fd_count) {
    event.magic = BH_MAGIC;
    struct iovec part = {&event, sizeof event};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)fd_count * sizeof(int));
    }
    // Blocking: the supervisor reads events on a thread of its own. One that is gone shows as a hang-up.
    while (sendmsg(supervisor, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}

void send_failure(uint64_t id, uint32_t stage, int error) {
    send_event((struct bh_event){.kind = BH_EVENT_FAILED, .cell = id, .stage = stage, .error = error}, NULL, 0);
}
