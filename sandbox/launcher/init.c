// PID 1 of a cell: builds it, starts the worker, then only watches: reaps, reports, and ends the cell.
//
// Why an init at all: a worker that is PID 1 itself ignores its own SIGKILL and SIGABRT and leaves zombies. Why it never
// execs: it holds the cell's namespaces together with the launcher's page-shared memory, at the cost of one small fork.
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cell.h"
#include "filter.h"

// -- Reports ----------------------------------------------------------------------------------------------------------

void send_report(int status, const struct report *report) {
    send(status, report, sizeof *report, MSG_NOSIGNAL);  // a launcher that is gone has taken this cell with it
}

static _Noreturn void fail(const struct birth *birth, uint32_t stage, int error) {
    send_report(birth->status, &(struct report){.kind = REPORT_FAILED, .stage = stage, .error = error});
    _exit(1);
}

/// Tells that the worker runs. Its pid travels as credentials, which the kernel translates to the launcher's view; with it
/// what the version's next cells need not make again, if that is wanted.
static int report_started(int status, pid_t worker, const struct worker_spec *shared) {
    struct report report = {.kind = REPORT_STARTED};
    struct iovec part = {&report, sizeof report};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (!shared) message.msg_controllen = CMSG_SPACE(sizeof(struct ucred));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    header->cmsg_len = CMSG_LEN(sizeof(struct ucred));
    struct ucred credentials = {.pid = worker, .uid = geteuid(), .gid = getegid()};
    memcpy(CMSG_DATA(header), &credentials, sizeof credentials);
    if (shared) {
        // With a scratch the ruleset knows this cell's.
        bool has_rules = shared->landlock >= 0 && !shared->cell->plan.header->scratch_bytes;
        int fds[2] = {shared->executable, shared->landlock}, count = has_rules ? 2 : 1;
        header = CMSG_NXTHDR(&message, header);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
        message.msg_controllen = CMSG_SPACE(sizeof credentials) + CMSG_SPACE((size_t)count * sizeof(int));
    }
    return sendmsg(status, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

// -- Descriptors ------------------------------------------------------------------------------------------------------

/// Closes every descriptor that this cell was not given: another worker's pipe held here would never see its EOF.
/// 0, 1 and 2 (the null device and the launcher's log) stay until the worker's own take their numbers.
static int close_others(const struct birth *birth) {
    int kept[CGROUP_HIERARCHIES + 7], list[CGROUP_HIERARCHIES + 8], kept_count = 0, count = 0;
    kept[kept_count++] = birth->status;
    for (int i = 0; i < birth->procs_count; i++) kept[kept_count++] = birth->procs[i];
    if (birth->version) {
        kept[kept_count++] = birth->version->plan;
        kept[kept_count++] = birth->version->mounts;
        kept[kept_count++] = birth->version->hostname;
        kept[kept_count++] = birth->version->ipc;
        kept[kept_count++] = birth->version->executable;
        if (birth->version->landlock >= 0) kept[kept_count++] = birth->version->landlock;
    }
    list[count++] = 2;
    for (int i = 0; i < kept_count; i++) {
        int fd = kept[i], at = count++;
        for (; at > 0 && list[at - 1] > fd; at--) list[at] = list[at - 1];
        list[at] = fd;
    }
    for (int i = 0; i < count; i++) {
        unsigned from = (unsigned)list[i] + 1, to = i + 1 < count ? (unsigned)list[i + 1] - 1 : ~0u;
        if (from <= to && syscall(SYS_close_range, from, to, 0) < 0) return errno;
    }
    return 0;
}

/// Puts the worker's ends on 0, 1 and 2.
static int place_stdio(const struct cell_spec *spec) {
    for (int i = 0; i < 3; i++) {
        if (dup2(spec->stdio[i], i) < 0) return errno;
        close(spec->stdio[i]);
    }
    return 0;
}

// -- The cell, step by step -------------------------------------------------------------------------------------------

static int die_with_launcher(const struct birth *birth) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
    // It may have died before that line: then its end of the socket is closed.
    struct pollfd launcher = {.fd = birth->status, .events = 0};
    return poll(&launcher, 1, 0) > 0 && launcher.revents & POLLHUP ? ESRCH : 0;
}

static int map_user(const struct birth *birth) {
    if (birth->mode->root) return 0;
    char map[64];
    size_t length = format_number(map, birth->id);
    memcpy(map + length, " 0 1", 5);  // the launcher's own namespace knows us as 0
    int error = 0;
    if (!(error = write_file_at(AT_FDCWD, "/proc/self/setgroups", "deny")) &&
        !(error = write_file_at(AT_FDCWD, "/proc/self/uid_map", map)))
        error = write_file_at(AT_FDCWD, "/proc/self/gid_map", map);
    return error;
}

/// Init's few instructions go before a tenant's many: it has the launcher's nice value, and asks for short time slices,
/// which kernels before 6.12 overlook. https://docs.kernel.org/scheduler/sched-eevdf.html
static void prefer(void) {
    struct scheduling attributes = {.size = sizeof attributes};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return;
    attributes.runtime = 100 * 1000;  // ns; the shortest there is
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static int join_cgroups(const struct birth *birth) {
    for (int i = 0; i < birth->procs_count; i++) {
        if (write(birth->procs[i], "0", 1) != 1) return errno;
        close(birth->procs[i]);
    }
    return 0;
}

int drop_bounding_set(void) {
    for (int capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_READ, capability) < 0) break;  // past the kernel's last one
        if (prctl(PR_CAPBSET_DROP, capability) < 0) return errno;
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? errno : 0;
}

/// Opens the worker's program inside the cell and checks what it is; exec then uses this very descriptor.
static int open_executable(const struct cell_spec *spec, int *executable) {
    struct stat info;
    *executable = open(spec->plan.executable, O_PATH | O_CLOEXEC);
    if (*executable < 0) return errno;
    if (fstat(*executable, &info) < 0) return errno;
    if (!S_ISREG(info.st_mode)) return EACCES;
    return 0;
}

int default_signal(int signal) {
    struct {
        void (*handler)(int);
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } standard = {0};  // as the kernel has it: libc keeps two signals to itself
    return syscall(SYS_rt_sigaction, signal, &standard, NULL, sizeof standard.mask) < 0 ? errno : 0;
}

/// For the worker, which inherits it: handlers fall at exec by themselves, ignored signals do not. The launcher ignores these
/// three, and has made all others default.
static int default_signals(void) {
    int error = default_signal(SIGINT);
    if (!error) error = default_signal(SIGPIPE);
    return error ? error : default_signal(SIGTERM);
}

#define STEP(name, call)                                                                                             \
    do {                                                                                                             \
        int error = (call);                                                                                          \
        if (error) fail(birth, name, error);                                                                         \
    } while (0)

/// Takes over what an earlier cell of the version has made. From here on no path leads to the host, as after the pivot.
static int enter_version(const struct version *version) {
    // The IPC namespace is empty and stays so: no policy lets anybody make something in it, see floor.c.
    if (setns(version->mounts, CLONE_NEWNS) < 0 || setns(version->hostname, CLONE_NEWUTS) < 0 ||
        setns(version->ipc, CLONE_NEWIPC) < 0)
        return errno;
    close(version->mounts);
    close(version->hostname);
    close(version->ipc);
    return 0;
}

/// What can be done ahead of time in a ready cell. Returns the root, empty and still to be filled; -1 where an earlier cell
/// of the version has filled it.
static int prepare(const struct birth *birth) {
    STEP(BH_STAGE_CLOSE_FDS, close_others(birth));
    STEP(BH_STAGE_PARENT_DEATH, die_with_launcher(birth));
    // Files of a non-dumpable process in /proc belong to root (proc(5)): in a user namespace we could not write our own.
    // No tenant is here yet.
    if (!birth->mode->root) prctl(PR_SET_DUMPABLE, 1);
    STEP(BH_STAGE_USER_MAP, map_user(birth));
    STEP(BH_STAGE_CGROUP_JOIN, join_cgroups(birth));
    prefer();
    STEP(BH_STAGE_CGROUP_NAMESPACE, unshare(CLONE_NEWCGROUP) < 0 ? errno : 0);
    // The cell dies before anything else of the host does. Only a raise: needs no privilege.
    STEP(BH_STAGE_OOM_SCORE, write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", "1000"));
    prctl(PR_SET_DUMPABLE, 0);
    // As root the launcher has done it for all. A new user namespace begins with the full set. What init holds itself, it
    // holds until the worker runs.
    if (!birth->mode->root) STEP(BH_STAGE_BOUNDING_SET, drop_bounding_set());
    STEP(BH_STAGE_SIGNALS, default_signals());
    uint32_t stage;
    int root = -1;
    if (birth->version) STEP(BH_STAGE_ENTER, enter_version(birth->version));
    else if ((root = root_prepare(birth, &stage)) < 0) fail(birth, stage, errno);
    send_report(birth->status, &(struct report){.kind = REPORT_READY});
    return root;
}

/// Waits for the launcher to say whose cell this becomes.
static int receive_binding(const struct birth *birth, struct cell_spec *spec, bool *shares) {
    static struct binding binding;
    struct iovec part = {&binding, sizeof binding};
    static union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(BINDING_FDS * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size;
    while ((size = recvmsg(birth->status, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    if (size <= 0) _exit(0);  // the launcher hung up
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (size != sizeof binding || !header || header->cmsg_type != SCM_RIGHTS) return EBADMSG;
    int fds[BINDING_FDS], count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)), next = 4;
    memcpy(fds, CMSG_DATA(header), (size_t)count * sizeof(int));
    if (count < 4) return EBADMSG;
    *shares = binding.shares;
    memcpy(spec->stdio, fds + 1, sizeof spec->stdio);
    spec->observer = birth->mode->observes && next < count ? fds[next++] : -1;
    for (uint32_t i = 0; i < BH_MOUNTS_MAX; i++)
        spec->trees[i] = i < binding.mounts && binding.present[i] && next < count ? fds[next++] : -1;
    for (int i = 0; i < DEVICE_COUNT; i++) spec->devices[i] = next < count ? fds[next++] : -1;
    int error = plan_read(fds[0], &spec->plan);
    close(fds[0]);
    return error;
}

/// The filter as the kernel gets it.
static int derive_filter(struct cell_spec *spec, struct worker_spec *worker) {
    static struct sock_filter installed[BH_FILTER_MAX];
    worker->filter = (struct sock_fprog){.filter = installed};
    while (filter_locks(&spec->plan.filter) && !spec->pass)
        if (getrandom(&spec->pass, sizeof spec->pass, 0) != sizeof spec->pass) return errno;
    return filter_derive(&spec->plan.filter, &worker->filter, spec->pass, spec->observer >= 0);
}

static int make_rules(const struct birth *birth, const struct cell_spec *spec) {
    if (!birth->mode->landlock_abi && birth->mode->allow_no_landlock) return -1;
    int rules = landlock_rules(spec);
    if (rules < 0) fail(birth, BH_STAGE_LANDLOCK_RULES, errno);
    return rules;
}

/// All is there from an earlier cell, but the streams: for them the worker waits itself.
static void take_over(const struct birth *birth, struct cell_spec *spec, struct worker_spec *worker) {
    spec->observer = -1;
    STEP(BH_STAGE_PLAN, plan_read(birth->version->plan, &spec->plan));
    close(birth->version->plan);
    STEP(BH_STAGE_SECCOMP, derive_filter(spec, worker));
    worker->landlock = birth->version->landlock;
    worker->executable = birth->version->executable;
    if (!spec->plan.header->scratch_bytes) return;
    uint32_t stage;
    int error = root_add_scratch(spec, true, &stage);
    if (error) fail(birth, stage, error);
    worker->landlock = make_rules(birth, spec);
    // In this mount table: a path of the version's own ends nowhere once the launcher has forgotten that, and Landlock with it.
    close(worker->executable);
    STEP(BH_STAGE_EXECUTABLE, open_executable(spec, &worker->executable));
}

/// The version's part.
static void bind_version(const struct birth *birth, struct cell_spec *spec, int root, struct worker_spec *worker) {
    STEP(BH_STAGE_PLAN, receive_binding(birth, spec, &worker->shares));
    const struct plan *plan = &spec->plan;
    STEP(BH_STAGE_STDIO, place_stdio(spec));
    if (plan->header->flags & BH_PLAN_OWN_NETWORK) STEP(BH_STAGE_NETWORK, unshare(CLONE_NEWNET) < 0 ? errno : 0);
    uint32_t stage;
    int error = root_fill(spec, root, &stage);
    if (!error) error = root_add_scratch(spec, worker->shares, &stage);
    if (error) fail(birth, stage, error);
    STEP(BH_STAGE_HOSTNAME, sethostname(plan->hostname, strlen(plan->hostname)) < 0 ? errno : 0);
    worker->landlock = make_rules(birth, spec);
    STEP(BH_STAGE_SECCOMP, derive_filter(spec, worker));
    STEP(BH_STAGE_EXECUTABLE, open_executable(spec, &worker->executable));
    for (unsigned i = 0; i < plan->header->mount_count; i++)
        if (spec->trees[i] >= 0) close(spec->trees[i]);
    for (int i = 0; i < DEVICE_COUNT; i++)
        if (spec->devices[i] >= 0) close(spec->devices[i]);
}

static pid_t start_worker(const struct birth *birth, struct worker_spec *worker) {
    static char stack[64 * 1024] __attribute__((aligned(16)));
    // Returns once the worker has called exec or ended; in a cell that knows its version, that is when it has its streams.
    pid_t pid = clone(worker_main, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, worker);
    if (pid < 0) fail(birth, BH_STAGE_FORK, errno);
    if (worker->error) fail(birth, worker->stage, worker->error);
    // The worker has its own table since exec: these would keep its pipes open for ever.
    for (int i = 0; i < 3; i++) close(i);
    return pid;
}

// -- Watching ---------------------------------------------------------------------------------------------------------

static uint64_t nanoseconds(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

/// Reaps whatever has ended; when that was the worker itself, reports and ends the cell.
static void on_child(const struct birth *birth, pid_t worker) {
    int status;
    struct rusage usage;
    for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0;) {
        if (pid != worker) continue;
        report_refusals(birth->status);
        send_report(birth->status, &(struct report){
                                      .kind = REPORT_EXITED,
                                      .status = status,
                                      .cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
                                      .max_rss = (uint64_t)usage.ru_maxrss * 1024,
                                  });
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

_Noreturn void cell_main(const struct birth *birth) {
    static struct cell_spec spec;
    spec.birth = birth;
    struct worker_spec worker = {.cell = &spec, .listener = -1};
    int root = prepare(birth);
    if (birth->version) take_over(birth, &spec, &worker);
    else bind_version(birth, &spec, root, &worker);

    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) fail(birth, BH_STAGE_SIGNALS, errno);

    pid_t pid = spec.worker = start_worker(birth, &worker);
    STEP(BH_STAGE_INIT_CONFINE, report_started(birth->status, pid, worker.shares ? &worker : NULL));
    close(worker.executable);
    if (worker.landlock >= 0) close(worker.landlock);
    STEP(BH_STAGE_INIT_CONFINE, init_confine(spec.observer >= 0));

    for (;;) {
        struct pollfd watched[3] = {
            {.fd = signals, .events = POLLIN},
            {.fd = worker.listener, .events = POLLIN},
            {.fd = birth->status, .events = POLLIN},
        };
        if (poll(watched, 3, -1) < 0) continue;
        // First: a call that was made after it must not be found unlocked.
        if (watched[2].revents) on_order(&spec);
        if (watched[1].revents & POLLIN) on_notification(&spec, worker.listener);
        if (watched[1].revents & POLLHUP) close(worker.listener), worker.listener = -1;
        if (watched[0].revents & POLLIN) {
            struct signalfd_siginfo info;
            while (read(signals, &info, sizeof info) > 0) {}
            on_child(birth, pid);
        }
    }
}
