// The few system calls and constants that Debian 12's headers lack, and helpers that allocate nothing.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u  // Linux 6.3
#endif

#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467  // Linux 6.15
#endif

/// As linux/sched/types.h has it, which cannot stand beside sched.h in Debian 12.
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/// How far something came that takes several steps: a stage (BH_STAGE_*) and its errno, which is 0 where that one is done.
struct step {
    uint32_t stage;
    int error;
};

static const struct step done = {0};

/// The step `stage` ended so; with 0 it has not failed.
static inline struct step failed(uint32_t stage, int error) { return (struct step){stage, error}; }

static inline long sys_clone3(struct clone_args *args) { return syscall(SYS_clone3, args, sizeof *args); }

static inline int sys_open_tree(int dir, const char *path, unsigned flags) {
    return (int)syscall(SYS_open_tree, dir, path, flags);
}

static inline int sys_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
    return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

static inline int sys_fsopen(const char *type) { return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC); }

static inline int sys_fsconfig(int fs, unsigned command, const char *key, const char *value) {
    return (int)syscall(SYS_fsconfig, fs, command, key, value, 0);
}

static inline int sys_fsmount(int fs, unsigned attributes) {
    return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}

static inline int sys_mount_setattr(int dir, unsigned flags, uint64_t set) {
    struct mount_attr attributes = {.attr_set = set};
    return (int)syscall(SYS_mount_setattr, dir, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes);
}

/// The same for a copy of a mount, which then learns of nothing that is mounted on the original later on.
static inline int sys_seal_copy(int tree, uint64_t set) {
    struct mount_attr attributes = {.attr_set = set, .propagation = MS_PRIVATE};
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
}

static inline int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static inline int sys_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

/// Makes pages that a fork shares its own.
static inline void touch(void *start, size_t size) {
    for (volatile char *byte = start, *end = byte + size; byte < end; byte += 4096) *byte = *byte;
}

static inline uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// Writes a decimal number to `out` (at least 21 bytes) and returns its length.
static inline size_t format_number(char *out, uint64_t number) {
    char digits[20];
    size_t count = 0, length = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count) out[length++] = digits[--count];
    out[length] = 0;
    return length;
}

/// Writes a small file below `dir` in one write. Returns 0, or an errno.
int write_file_at(int dir, const char *path, const char *text);

/// Reads a small file below `dir`. Returns its length (the text is NUL-terminated), or -1 with errno.
long read_file_at(int dir, const char *path, char *buffer, size_t size);

/// The number behind `key` in a "key value" file such as memory.events; false when it is not there.
bool number_after(const char *text, const char *key, uint64_t *value);
