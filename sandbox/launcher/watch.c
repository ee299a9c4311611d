#include "watch.h"

#include <sys/epoll.h>

#define EVENTS_MAX 64

static int epoll_fd;

int watch_open(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? errno : 0;
}

void watch_add(int fd, enum source source, uint32_t slot) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | slot};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void watch_cell(uint32_t slot) {
    watch_add(cells[slot].status, SOURCE_STATUS, slot);
    watch_add(cells[slot].pidfd, SOURCE_PIDFD, slot);
}

void watch_close(int *fd) {
    // Taken off first: an init that is just being born holds a copy, which would keep the watch alive, and its events would be
    // taken for the slot's next cell.
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
}

int watch_wait(struct watched *events, int count, int ms) {
    struct epoll_event found[EVENTS_MAX];
    int number = epoll_wait(epoll_fd, found, count < EVENTS_MAX ? count : EVENTS_MAX, ms);
    for (int i = 0; i < number; i++)
        events[i] = (struct watched){(enum source)(found[i].data.u64 >> 32), (uint32_t)found[i].data.u64};
    return number;
}
