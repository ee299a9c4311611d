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

#include "../../sandbox/abi/packets.h"

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

int bh_send_packet(int socket, const void *bytes, size_t size, const int *fds, int fd_count, bool waits) {
    return bh_packet_send(socket, bytes, size, fds, fd_count, NULL, waits ? 0 : MSG_DONTWAIT);
}

ssize_t bh_receive_packet(int socket, void *bytes, size_t size, int fds[8], int *fd_count) {
    return bh_packet_receive(socket, bytes, size, fds, 8, fd_count, NULL, 0);
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
