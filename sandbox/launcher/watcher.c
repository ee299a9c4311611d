// Beside the worker: starts it, answers what the filter asks, and ends with it. It is the cell's init itself, which then also
// reaps; or, in cells that serve again and again, a child of that, so that the one who keeps rights sees nothing of a tenant's.
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../abi/packets.h"
#include "filter.h"
#include "init.h"
#include "locks.h"
#include "notifications.h"
#include "report.h"
#include "watcher.h"

// Newer than Debian 12's linux/seccomp.h.
#define NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define NOTIF_SYNC_WAKE_UP 1ul

// -- Reports ----------------------------------------------------------------------------------------------------------

void send_report(int status, const struct report *report) {
    send(status, report, sizeof *report, MSG_NOSIGNAL);  // a launcher that is gone has taken this cell with it
}

_Noreturn void cell_fail(const struct birth *birth, uint32_t stage, int error) {
    send_report(birth->status, &(struct report){.kind = REPORT_FAILED, .stage = stage, .error = error});
    _exit(1);
}

/// Tells that the worker runs, and with it hands over what the version's next cells share.
/// - Parameter worker: by its credentials, if it has not said so itself; else 0.
static int report_started(int status, pid_t worker, const struct shared_table *pristine) {
    struct report report = {.kind = REPORT_STARTED};
    struct ucred credentials = {.pid = worker, .uid = geteuid(), .gid = getegid()};
    bool shares = pristine && pristine->mounts >= 0;
    const int fds[SHARED_FDS] = {shares ? pristine->mounts : -1, shares ? pristine->furniture : -1};
    return bh_packet_send(status, &report, sizeof report, fds, shares ? SHARED_FDS : 0, worker ? &credentials : NULL, 0);
}

// -- Starting ---------------------------------------------------------------------------------------------------------

/// Puts the worker's ends on 0, 1 and 2.
static int place_stdio(const struct cell_spec *spec) {
    for (int i = 0; i < 3; i++) {
        if (dup2(spec->stdio[i], i) < 0) return errno;
        close(spec->stdio[i]);
    }
    return 0;
}

static struct sock_filter installed[BH_FILTER_MAX];
static char stack[64 * 1024] __attribute__((aligned(16)));  // the worker's, until exec

void watcher_touch(void) {
    touch(installed, 4096);
    touch(stack + sizeof stack - 8192, 8192);
}

/// The filter as the kernel gets it.
static int derive_filter(struct cell_spec *spec, struct worker_spec *worker) {
    worker->filter = (struct sock_fprog){.filter = installed};
    while (filter_locks(&spec->plan.filter) && !spec->pass)
        if (getrandom(&spec->pass, sizeof spec->pass, 0) != sizeof spec->pass) return errno;
    return filter_derive(&spec->plan.filter, &worker->filter, spec->pass, spec->observer >= 0);
}

static pid_t start_worker(const struct birth *birth, struct worker_spec *worker, struct watched_worker *child) {
    // Returns once the worker has called exec or ended; in a cell that knows its version, that is when it has its streams.
    int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD | (child ? CLONE_PARENT | CLONE_PARENT_SETTID : 0);
    pid_t pid = clone(worker_main, stack + sizeof stack, flags, worker, child ? &child->pid : NULL);
    if (pid < 0) cell_fail(birth, BH_STAGE_FORK, errno);
    if (worker->error) cell_fail(birth, worker->stage, worker->error);
    // The worker has its own table since exec: these would keep its pipes open for ever, and its secrets in memory.
    for (int i = 0; i <= BH_SECRETS_FD; i++) close(i);
    return pid;
}

// -- Watching ---------------------------------------------------------------------------------------------------------

static uint64_t nanoseconds(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

void report_exited(int status, int how, const struct rusage *usage) {
    send_report(status, &(struct report){
                            .kind = REPORT_EXITED,
                            .status = how,
                            .cpu_ns = nanoseconds(usage->ru_utime) + nanoseconds(usage->ru_stime),
                            .max_rss = (uint64_t)usage->ru_maxrss * 1024,
                        });
}

/// Reaps whatever has ended; when that was the worker itself, reports and ends the cell.
static void on_child(const struct birth *birth, pid_t worker) {
    int status;
    struct rusage usage;
    for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0;) {
        if (pid != worker) continue;
        report_refusals(birth->status);
        report_exited(birth->status, status, &usage);
        _exit(0);
    }
}

/// What the launcher says: the lock, or by hanging up that all is over.
static void on_order(struct cell_spec *spec) {
    struct order order = {0};
    if (read(spec->birth->status, &order, sizeof order) != sizeof order || order.kind != ORDER_LOCK) _exit(0);
    spec->is_locked = true;
    send_report(spec->birth->status, &(struct report){.kind = REPORT_LOCKED});
}

#define STEP(name, call)                                                                                             \
    do {                                                                                                             \
        int error = (call);                                                                                          \
        if (error) cell_fail(birth, name, error);                                                                    \
    } while (0)

_Noreturn void watch_worker(struct cell_spec *spec, struct worker_spec *worker, const struct shared_table *pristine, struct watched_worker *child) {
    const struct birth *birth = spec->birth;
    // By whom it can be told from the worker, and all others.
    if (child) send_report(birth->status, &(struct report){.kind = REPORT_READY});
    worker->reports = child;
    if (!worker->awaits) STEP(BH_STAGE_STDIO, place_stdio(spec));
    STEP(BH_STAGE_SECCOMP, derive_filter(spec, worker));
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, child ? SIGTERM : SIGCHLD);
    sigprocmask(SIG_SETMASK, &ends, NULL);
    int signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) cell_fail(birth, BH_STAGE_SIGNALS, errno);

    pid_t pid = spec->worker = start_worker(birth, worker, child);
    // Who asks for locks asks often: on the caller's own processor there is one switch less. Only faster: since Linux 6.6.
    if (spec->plan.header->flags & BH_PLAN_LOCKS) ioctl(worker->listener, NOTIF_SET_FLAGS, NOTIF_SYNC_WAKE_UP);
    STEP(BH_STAGE_INIT_CONFINE, report_started(birth->status, child ? 0 : pid, pristine));
    if (child) child->has_started = true;
    if (pristine && pristine->mounts >= 0) close(pristine->mounts), close(pristine->furniture);
    close(worker->executable);
    if (worker->landlock >= 0) close(worker->landlock);
    STEP(BH_STAGE_INIT_CONFINE, init_confine(spec->observer >= 0, spec->plan.header->flags & BH_PLAN_LOCKS));

    for (;;) {
        struct pollfd watched[3] = {
            {.fd = signals, .events = POLLIN},
            {.fd = worker->listener, .events = POLLIN},
            {.fd = birth->status, .events = POLLIN},
        };
        if (poll(watched, 3, locks_retry(worker->listener)) < 0) continue;
        // First: a call that was made after it must not be found unlocked.
        if (watched[2].revents) on_order(spec);
        if (watched[1].revents & POLLIN) {
            on_notification(spec, worker->listener);
            if (child) child->has_refusals = has_refusals();
        }
        if (watched[1].revents & POLLHUP) close(worker->listener), worker->listener = -1;
        if (watched[0].revents & POLLIN) {
            struct signalfd_siginfo info;
            while (read(signals, &info, sizeof info) > 0) {}
            if (!child) {
                on_child(birth, pid);
                continue;
            }
            report_refusals(birth->status);
            syscall(SYS_exit_group, 0);  // nothing that a sanitizer adds, which the filter does not know
        }
    }
}
