#define _GNU_SOURCE
#include "CHostSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int bh_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) < 0 ? errno : 0; }

int bh_packet_pair(int ends[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? errno : 0;
}

int bh_readable_bytes(int pipe) {
    int count = 0;
    return ioctl(pipe, FIONREAD, &count) < 0 ? 0 : count;
}

int bh_sync_all(int folder) { return syncfs(folder); }

void bh_bound_heap(void) {
    // Set, they no longer grow with what is freed (mallopt(3)): a block of a megabyte goes back to the kernel at once, and is
    // not what small ones are cut from ever after.
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    mallopt(M_ARENA_MAX, 4);
}

int bh_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int bh_seal(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? errno : 0;
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(8 * sizeof(int))];
};

int bh_send_packet(int socket, const void *bytes, size_t size, const int *fds, int fd_count, bool waits) {
    struct iovec part = {(void *)bytes, size};
    union control control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 8) return EINVAL;
    if (fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)fd_count * sizeof(int));
    }
    ssize_t sent;
    while ((sent = sendmsg(socket, &message, MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT))) < 0 && errno == EINTR) {}
    return sent < 0 ? errno : 0;
}

ssize_t bh_receive_packet(int socket, void *bytes, size_t size, int fds[8], int *fd_count) {
    struct iovec part = {bytes, size};
    union control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t received;
    *fd_count = 0;
    while ((received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    if (received <= 0) return received;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count && *fd_count < 8; i++)
            memcpy(&fds[(*fd_count)++], CMSG_DATA(header) + (size_t)i * sizeof(int), sizeof(int));
    }
    return received;
}

int bh_become(uid_t uid, gid_t gid) {
    // glibc applies these to every thread (nptl(7)); leaving uid 0 clears all capabilities.
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) return errno;
    if (setuid(0) == 0) return EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : 0;
}

int bh_bind_privately(const char *folder, const char *place) {
    if (unshare(CLONE_NEWNS) < 0) return errno;
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) return errno;
    return mount(folder, place, NULL, MS_BIND, NULL) < 0 ? errno : 0;
}

int bh_rename_new(int from_folder, const char *from, int to_folder, const char *to) {
    return renameat2(from_folder, from, to_folder, to, RENAME_NOREPLACE) < 0 ? errno : 0;
}

int bh_open_beneath(int folder, const char *path, int flags, unsigned mode) {
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

int bh_open_inside(int folder, const char *path) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

const char *bh_errno_name(int number) { return strerrorname_np(number); }

int bh_spawn(pid_t *pid, const char *program, char *const *argv, char *const *envp, const int *fds, int fd_count) {
    int high[8];
    if (fd_count > 8) return EINVAL;
    // Out of the way first: a target number may be another's source.
    for (int i = 0; i < fd_count; i++)
        if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100)) < 0) return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < fd_count; i++) posix_spawn_file_actions_adddup2(&actions, high[i], 3 + i);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3 + fd_count);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(pid, program, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < fd_count; i++) close(high[i]);
    return error;
}

int bh_die_with_parent(pid_t parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
    return getppid() == parent ? 0 : ESRCH;  // it may have died before that line
}

int bh_give_away(const char *path, uid_t uid) {
    int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return errno == ENOENT ? 0 : errno;
    struct stat info;
    int error = 0;
    if (fstat(file, &info) < 0) error = errno;
    else if (!S_ISDIR(info.st_mode) && !(S_ISREG(info.st_mode) && info.st_nlink == 1)) error = EPERM;
    else if (fchownat(file, "", uid, uid, AT_EMPTY_PATH) < 0) error = errno;
    close(file);
    return error;
}
