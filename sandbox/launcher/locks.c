#include "locks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "notifications.h"

#define LOCKS_MAX 1024    // record locks; as many files are open at most
#define WAITING_MAX 64    // calls that wait
#define RETRY_MS 2
#define OPEN_MAX 1024     // descriptors of a process, see rlimits.c

/// A record lock: bytes first to last of a file, of one process.
struct lock {
    dev_t device;
    ino_t file;
    int64_t first, last;
    pid_t owner;
    bool is_exclusive;
};

static struct lock locks[LOCKS_MAX];
static unsigned lock_count;

/// A call that waits: `operation` of flock(2) on `fd`, a duplicate of the caller's, or else for `wanted`.
static struct {
    uint64_t id;
    int fd, operation;
    struct lock wanted;
} waiting[WAITING_MAX];
static unsigned waiting_count;

bool locks_are_kept(const struct cell_spec *spec, const struct seccomp_data *call) {
    if (!(spec->plan.header->flags & BH_PLAN_LOCKS)) return false;
    if (call->nr == SYS_flock) return true;
    unsigned command = (unsigned)call->args[1];
    return call->nr == SYS_fcntl && (command == F_GETLK || command == F_SETLK || command == F_SETLKW);
}

// -- Record locks -----------------------------------------------------------------------------------------------------

static bool is_same_file(const struct lock *a, const struct lock *b) { return a->device == b->device && a->file == b->file; }

static bool overlap(const struct lock *a, const struct lock *b) {
    return is_same_file(a, b) && a->first <= b->last && b->first <= a->last;
}

/// Whether the owner has the file open still: the kernel's locks end with that. Looked at only where one is in somebody's way.
static bool is_held(const struct lock *lock) {
    int pidfd = (int)syscall(SYS_pidfd_open, lock->owner, 0);
    bool found = false;
    for (int fd = 0; pidfd >= 0 && fd < OPEN_MAX && !found; fd++) {
        struct stat info;
        int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
        if (copy < 0 && errno == ESRCH) break;  // it has ended
        if (copy < 0) continue;
        found = fstat(copy, &info) == 0 && info.st_dev == lock->device && info.st_ino == lock->file;
        close(copy);
    }
    if (pidfd >= 0) close(pidfd);
    return found;
}

static bool stands_in_the_way(const struct lock *lock, const struct lock *wanted) {
    return lock->owner != wanted->owner && overlap(lock, wanted) && (lock->is_exclusive || wanted->is_exclusive);
}

/// The first lock in the file that is in the way of `wanted`, or NULL.
static const struct lock *conflict(const struct lock *wanted) {
    const struct lock *first = NULL;
    for (unsigned i = 0; i < lock_count; i++) {
        const struct lock *lock = &locks[i];
        if (!stands_in_the_way(lock, wanted)) continue;
        if (first && first->first <= lock->first) continue;
        if (is_held(lock)) {
            first = lock;
            continue;
        }
        // The last one takes its place, which may be the one that was found.
        locks[i] = locks[--lock_count];
        if (first == &locks[lock_count]) first = &locks[i];
        i--;
    }
    return first;
}

/// Takes `range` from what its owner holds. Returns 0, or ENOLCK where one becomes two and there is no room.
static int release(const struct lock *range) {
    for (unsigned i = 0; i < lock_count; i++) {
        struct lock *lock = &locks[i], rest = *lock;
        if (lock->owner != range->owner || !overlap(lock, range)) continue;
        bool before = lock->first < range->first, after = lock->last > range->last;
        rest.first = range->last + 1;
        if (before && after) {
            if (lock_count == LOCKS_MAX) return ENOLCK;
            lock->last = range->first - 1;
            locks[lock_count++] = rest;
        } else if (before) {
            lock->last = range->first - 1;
        } else if (after) {
            *lock = rest;
        } else {
            locks[i--] = locks[--lock_count];
        }
    }
    return 0;
}

/// Whether `lock` ends where `whole` begins, or the other way round, and they are one lock for whoever asks.
static bool is_continued(const struct lock *lock, const struct lock *whole) {
    return lock->owner == whole->owner && is_same_file(lock, whole) && lock->is_exclusive == whole->is_exclusive &&
           ((lock->last < INT64_MAX && lock->last + 1 == whole->first) || (whole->last < INT64_MAX && whole->last + 1 == lock->first));
}

static int acquire(const struct lock *wanted) {
    if (conflict(wanted)) return EAGAIN;
    int error = release(wanted);
    if (error) return error;
    struct lock whole = *wanted;
    for (unsigned i = 0; i < lock_count; i++) {
        if (!is_continued(&locks[i], &whole)) continue;
        if (locks[i].first < whole.first) whole.first = locks[i].first;
        if (locks[i].last > whole.last) whole.last = locks[i].last;
        locks[i--] = locks[--lock_count];
    }
    if (lock_count == LOCKS_MAX) return ENOLCK;
    locks[lock_count++] = whole;
    return 0;
}

// -- The caller -------------------------------------------------------------------------------------------------------

/// Who called last: most callers call again. Known by a number only if that is a process's own: a thread's may come to be
/// another process's while its process lives.
static struct {
    pid_t thread, process;
    int pidfd;
} caller = {.pidfd = -1};

/// The process that a thread belongs to; 0 when it is gone.
static pid_t process_of(const struct cell_spec *spec, pid_t thread) {
    char path[32], text[1024];
    snprintf(path, sizeof path, "%d/status", thread);
    const char *line = read_file_at(spec->proc, path, text, sizeof text) > 0 ? strstr(text, "\nTgid:") : NULL;
    return line ? (pid_t)strtol(line + sizeof "\nTgid:" - 1, NULL, 10) : 0;
}

static bool find_caller(const struct cell_spec *spec, pid_t thread) {
    if (caller.pidfd >= 0) close(caller.pidfd);
    caller.thread = caller.process = thread;
    // Of a process's first thread only, pidfd_open(2).
    caller.pidfd = (int)syscall(SYS_pidfd_open, thread, 0);
    if (caller.pidfd >= 0) return true;
    caller.thread = 0;
    if ((caller.process = process_of(spec, thread))) caller.pidfd = (int)syscall(SYS_pidfd_open, caller.process, 0);
    return caller.pidfd >= 0;
}

/// A duplicate of the caller's descriptor: the same open file. -1 with errno.
static int duplicate(const struct cell_spec *spec, int listener, const struct seccomp_notif *call) {
    int fd = -1, number = (int)call->data.args[0];
    if (caller.pidfd >= 0 && caller.thread == (pid_t)call->pid) {
        fd = (int)syscall(SYS_pidfd_getfd, caller.pidfd, number, 0);
        if (fd < 0 && errno != ESRCH) return -1;  // else another has its number by now
    }
    if (fd < 0) {
        if (!find_caller(spec, (pid_t)call->pid)) return errno = ESRCH, -1;
        if ((fd = (int)syscall(SYS_pidfd_getfd, caller.pidfd, number, 0)) < 0) return -1;
    }
    // The number is the caller's only as long as that waits for us.
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0) return fd;
    close(fd);
    return errno = ESRCH, -1;
}

static bool wait_for(const struct seccomp_notif *call, int fd, int operation, const struct lock *wanted) {
    if (waiting_count == WAITING_MAX) return false;
    waiting[waiting_count].id = call->id;
    waiting[waiting_count].fd = fd;
    waiting[waiting_count].operation = operation;
    if (wanted) waiting[waiting_count].wanted = *wanted;
    waiting_count++;
    return true;
}

/// Whether somebody who holds what `wanted` would wait for waits himself, one for the other, for what its owner holds (fcntl(2),
/// EDEADLK).
static bool would_deadlock(const struct lock *wanted) {
    struct lock chain[WAITING_MAX + 1] = {*wanted};  // calls that would wait for each other, each once
    bool is_in[WAITING_MAX] = {false};
    for (unsigned at = 0, count = 1; at < count; at++)
        for (unsigned i = 0; i < lock_count; i++) {
            if (!stands_in_the_way(&locks[i], &chain[at])) continue;
            if (locks[i].owner == wanted->owner && is_held(&locks[i])) return true;
            for (unsigned k = 0; k < waiting_count; k++) {
                if (is_in[k] || waiting[k].fd >= 0 || waiting[k].wanted.owner != locks[i].owner) continue;
                is_in[k] = true;
                chain[count++] = waiting[k].wanted;
            }
        }
    return false;
}

// -- Calls ------------------------------------------------------------------------------------------------------------

static bool ask_flock(const struct cell_spec *spec, int listener, const struct seccomp_notif *call, int fd) {
    struct stat info;
    int operation = (int)call->data.args[1], error = 0;
    // Of a file that others have too, its processes get no lock: they are told that there was no need to wait.
    if (fstat(fd, &info) < 0) error = errno;
    else if (info.st_dev == spec->own_device && flock(fd, operation | LOCK_NB) < 0) error = errno;
    if (error == EAGAIN && !(operation & LOCK_NB) && wait_for(call, fd, operation, NULL)) return true;
    close(fd);
    notification_answer(listener, call->id, error, 0);
    return true;
}

/// Reads what fcntl(2) is asked for. Returns 0, or an errno. Who only asks (F_GETLK) need not have opened the file for it.
static int read_range(int fd, unsigned command, const struct flock *asked, pid_t owner, struct lock *lock) {
    struct stat info;
    if (fstat(fd, &info) < 0) return errno;
    int64_t base = asked->l_whence == SEEK_SET ? 0 : asked->l_whence == SEEK_END ? info.st_size : lseek(fd, 0, SEEK_CUR);
    if (asked->l_whence < SEEK_SET || asked->l_whence > SEEK_END || base < 0) return EINVAL;
    int64_t first, last;
    if (__builtin_add_overflow(base, asked->l_start, &first)) return EOVERFLOW;
    if (asked->l_len == 0) last = INT64_MAX;
    else if (asked->l_len > 0 ? __builtin_add_overflow(first, asked->l_len - 1, &last) : (last = first - 1, false)) return EOVERFLOW;
    if (asked->l_len < 0 && __builtin_add_overflow(first, asked->l_len, &first)) return EINVAL;
    if (first < 0 || last < first) return EINVAL;
    *lock = (struct lock){.device = info.st_dev, .file = info.st_ino, .first = first, .last = last, .owner = owner,
                          .is_exclusive = asked->l_type == F_WRLCK};
    if (command == F_GETLK) return asked->l_type == F_WRLCK || asked->l_type == F_RDLCK ? 0 : EINVAL;
    int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
    if ((asked->l_type == F_WRLCK && mode == O_RDONLY) || (asked->l_type == F_RDLCK && mode == O_WRONLY)) return EBADF;
    return asked->l_type == F_WRLCK || asked->l_type == F_RDLCK || asked->l_type == F_UNLCK ? 0 : EINVAL;
}

static int tell_conflict(const struct lock *wanted, struct flock *asked) {
    const struct lock *other = conflict(wanted);
    asked->l_type = !other ? F_UNLCK : other->is_exclusive ? F_WRLCK : F_RDLCK;
    if (!other) return 0;
    asked->l_whence = SEEK_SET;
    asked->l_start = other->first;
    asked->l_len = other->last == INT64_MAX ? 0 : other->last - other->first + 1;
    asked->l_pid = other->owner;
    return 0;
}

static bool ask_record(int listener, const struct seccomp_notif *call, int fd, pid_t process) {
    struct flock asked;
    struct lock wanted;
    struct iovec here = {&asked, sizeof asked}, there = {(void *)(uintptr_t)call->data.args[2], sizeof asked};
    unsigned command = (unsigned)call->data.args[1];
    int error = process_vm_readv(process, &here, 1, &there, 1, 0) == sizeof asked ? 0 : EFAULT;
    if (!error) error = read_range(fd, command, &asked, process, &wanted);
    close(fd);
    if (error) {
    } else if (command == F_GETLK) {
        error = tell_conflict(&wanted, &asked);
        if (!error && process_vm_writev(process, &here, 1, &there, 1, 0) != sizeof asked) error = EFAULT;
    } else if (asked.l_type == F_UNLCK) {
        error = release(&wanted);
    } else if ((error = acquire(&wanted)) == EAGAIN && command == F_SETLKW) {
        if (would_deadlock(&wanted)) error = EDEADLK;
        else if (wait_for(call, -1, 0, &wanted)) return true;
    }
    notification_answer(listener, call->id, error, 0);
    return true;
}

bool locks_ask(const struct cell_spec *spec, int listener, const struct seccomp_notif *call) {
    int fd = duplicate(spec, listener, call);
    if (fd < 0 && errno == EBADF) {
        notification_answer(listener, call->id, EBADF, 0);
        return true;
    }
    if (fd < 0) return false;
    return call->data.nr == SYS_flock ? ask_flock(spec, listener, call, fd) : ask_record(listener, call, fd, caller.process);
}

int locks_retry(int listener) {
    for (unsigned i = 0; i < waiting_count; i++) {
        int error = 0;
        bool is_over = ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &waiting[i].id) < 0;
        if (!is_over) {
            if (waiting[i].fd >= 0) error = flock(waiting[i].fd, waiting[i].operation | LOCK_NB) < 0 ? errno : 0;
            else error = acquire(&waiting[i].wanted);
            if (error == EAGAIN) continue;
            notification_answer(listener, waiting[i].id, error, 0);
        }
        if (waiting[i].fd >= 0) close(waiting[i].fd);
        waiting[i--] = waiting[--waiting_count];
    }
    return waiting_count ? RETRY_MS : -1;
}
