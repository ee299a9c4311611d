// Packets with descriptors beside them, on unix sockets: unix(7), cmsg(3). For the launcher, its cells' inits and workers, and the
// supervisor's side of the socket. Nothing here allocates, and a descriptor that came and has no place is closed.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BH_PACKET_FDS 253  // SCM_MAX_FD of linux/include/net/scm.h

union bh_packet_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(BH_PACKET_FDS * sizeof(int))];
};

static inline void bh_packet_add(struct msghdr *message, int type, const void *bytes, size_t size) {
    struct cmsghdr *header = (struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);
    memset(header, 0, CMSG_SPACE(size));
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), bytes, size);
    message->msg_controllen += CMSG_SPACE(size);
}

/// - Parameters:
///   - credentials: NULL for the sender's own, which who asks for them gets anyway.
///   - flags: of sendmsg(2).
/// - Returns: 0, or an errno.
static inline int bh_packet_send(int socket, const void *bytes, size_t size, const int *fds, int count,
                                 const struct ucred *credentials, int flags) {
    struct iovec part = {(void *)(size_t)bytes, size};
    union bh_packet_control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};
    if (count < 0 || count > BH_PACKET_FDS) return EINVAL;
    if (credentials) bh_packet_add(&message, SCM_CREDENTIALS, credentials, sizeof *credentials);
    if (count) bh_packet_add(&message, SCM_RIGHTS, fds, (size_t)count * sizeof(int));
    if (!message.msg_controllen) message.msg_control = NULL;
    ssize_t sent;
    while ((sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL)) < 0 && errno == EINTR) {}
    return sent < 0 ? errno : 0;
}

/// Takes what came beside a packet.
/// - Parameters:
///   - room: for so many descriptors; those beyond are closed.
///   - credentials: left as it is where none came; may be NULL.
/// - Returns: how many descriptors came and have a place.
static inline int bh_packet_take(struct msghdr *message, int *fds, int room, struct ucred *credentials) {
    int count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET) continue;
        if (header->cmsg_type == SCM_CREDENTIALS && credentials)
            memcpy(credentials, CMSG_DATA(header), sizeof *credentials);
        if (header->cmsg_type != SCM_RIGHTS) continue;
        size_t came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < came; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (count < room) fds[count++] = fd;
            else close(fd);
        }
    }
    return count;
}

/// Receives one packet with its descriptors, which are closed on exec.
/// - Parameters:
///   - room: for so many descriptors; `count` says how many came.
///   - flags: of recvmsg(2).
/// - Returns: the packet's bytes; 0: the other side hung up; -1 with errno: EMSGSIZE when bytes or descriptors were cut off, and
///   then none is left.
static inline ssize_t bh_packet_receive(int socket, void *bytes, size_t size, int *fds, int room, int *count,
                                        struct ucred *credentials, int flags) {
    struct iovec part = {bytes, size};
    union bh_packet_control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t received;
    *count = 0;
    while ((received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    if (received <= 0) return received;
    *count = bh_packet_take(&message, fds, room, credentials);
    if (!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) return received;
    while (*count) close(fds[--*count]);
    errno = EMSGSIZE;
    return -1;
}
