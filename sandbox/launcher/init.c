// PID 1 of a cell: builds it, and then either watches its worker itself or has a child do so (watcher.c), and makes the cell
// ready for the next one.
//
// Why an init at all: a worker that is PID 1 itself ignores its own SIGKILL and SIGABRT and leaves zombies. Why it never
// execs: it holds the cell's namespaces together with the launcher's page-shared memory, at the cost of one small fork.
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../abi/packets.h"
#include "birth.h"
#include "filter.h"
#include "furniture.h"
#include "init.h"
#include "landlock.h"
#include "own.h"
#include "report.h"
#include "root.h"
#include "watcher.h"

// -- Descriptors ------------------------------------------------------------------------------------------------------

/// Closes every descriptor that this cell was not given: another worker's pipe held here would never see its EOF.
/// 0, 1, 2 (the null device and the launcher's log) and BH_SECRETS_FD stay until the worker's own take their numbers.
static int close_others(const struct birth *birth) {
    int kept[CGROUP_HIERARCHIES + CGROUP_VIEWS + 7], list[CGROUP_HIERARCHIES + CGROUP_VIEWS + 8], kept_count = 0, count = 0;
    kept[kept_count++] = birth->status;
    if (birth->mode->last_pid >= 0) kept[kept_count++] = birth->mode->last_pid;
    for (int i = 0; i < birth->procs_count; i++) kept[kept_count++] = birth->procs[i];
    if (birth->version) {
        kept[kept_count++] = birth->version->plan;
        kept[kept_count++] = birth->version->mounts;
        kept[kept_count++] = birth->version->furniture;
        kept[kept_count++] = birth->version->hostname;
        kept[kept_count++] = birth->version->ipc;
        for (int i = 0; i < birth->groups->views && birth->version->shows_cgroups; i++) kept[kept_count++] = birth->views[i];
    }
    else if (birth->mode->root) kept[kept_count++] = blank_table;
    list[count++] = BH_SECRETS_FD;
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

static void require(const struct birth *birth, struct step step) {
    if (step.error) cell_fail(birth, step.stage, step.error);
}

#define STEP(name, call)                                                                                             \
    do {                                                                                                             \
        int error = (call);                                                                                          \
        if (error) cell_fail(birth, name, error);                                                                    \
    } while (0)

/// Takes over what an earlier cell of the version has made, in a copy that can be added to. From here on no path leads to the
/// host, as after the pivot.
static int enter_version(const struct version *version) {
    // The IPC namespace is empty and stays so: no policy lets anybody make something in it, see floor.c.
    if (setns(version->mounts, CLONE_NEWNS) < 0 || setns(version->hostname, CLONE_NEWUTS) < 0 ||
        setns(version->ipc, CLONE_NEWIPC) < 0)
        return errno;
    if (fchdir(version->furniture) < 0 || unshare(CLONE_NEWNS) < 0) return errno;
    close(version->mounts);
    close(version->furniture);
    close(version->hostname);
    close(version->ipc);
    return 0;
}

static int make_rules(const struct birth *birth, const struct own *own) {
    if (!birth->mode->landlock_abi && birth->mode->allow_no_landlock) return -1;
    int rules = landlock_rules(birth->mode->landlock_abi, own->run, birth->has_network);
    if (rules < 0) cell_fail(birth, BH_STAGE_LANDLOCK_RULES, errno);
    return rules;
}

/// What can be done ahead of time in a ready cell.
static void prepare(const struct birth *birth, struct cell_spec *spec, struct own *own, struct worker_spec *worker) {
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
    int root = -1;
    require(birth, own_begin(birth, own));
    if (birth->version) STEP(BH_STAGE_ENTER, enter_version(birth->version));
    else require(birth, furniture_take(birth, &root, &own->pristine.furniture));
    bool keeps_pristine = !birth->version && birth->mode->root && !birth->mode->observes;
    require(birth, own_attach(birth, own, root, keeps_pristine, BH_PLAN_SCRATCH, BH_PLAN_SCRATCH / 4096));
    worker->landlock = make_rules(birth, own);
    // Shared with the launcher until they are written: copied now, not when somebody waits.
    touch(spec, sizeof *spec);
    plan_touch();
    watcher_touch();
}

/// Waits for the launcher to say whose cell this becomes.
static int receive_binding(const struct birth *birth, struct cell_spec *spec, bool *shares) {
    static struct binding binding;
    int fds[BINDING_FDS], count, next = 4;
    ssize_t size = bh_packet_receive(birth->status, &binding, sizeof binding, fds, BINDING_FDS, &count, NULL, 0);
    if (size == 0) _exit(0);  // the launcher hung up
    if (size < 0) return errno;
    if (size != sizeof binding) return EBADMSG;
    if (count < 4) return EBADMSG;
    *shares = binding.shares;
    memcpy(spec->stdio, fds + 1, sizeof spec->stdio);
    spec->observer = birth->mode->observes && next < count ? fds[next++] : -1;
    for (uint32_t i = 0; i < BH_MOUNTS_MAX; i++)
        spec->trees[i] = i < binding.mounts && binding.present[i] && next < count ? fds[next++] : -1;
    for (int i = 0; i < DEVICE_COUNT; i++) spec->devices[i] = !birth->mode->root && next < count ? fds[next++] : -1;
    for (uint32_t i = 0; i < CGROUP_VIEWS; i++) spec->views[i] = i < binding.views && next < count ? fds[next++] : -1;
    int error = plan_read(fds[0], &spec->plan);
    close(fds[0]);
    return error;
}

/// What is left once the root is sealed.
static void finish(const struct birth *birth, struct cell_spec *spec, struct own *own, struct worker_spec *worker) {
    require(birth, own_finish(spec, own));
    // In this mount table: a path of the version's own ends nowhere once the launcher has forgotten that, and Landlock with it.
    STEP(BH_STAGE_EXECUTABLE, open_executable(spec, &worker->executable));
}

/// All is there from an earlier cell, but the streams: for them the worker waits itself.
static void take_over(const struct birth *birth, struct cell_spec *spec, struct own *own, struct worker_spec *worker) {
    spec->observer = -1;
    for (int i = 0; i < CGROUP_VIEWS; i++)
        spec->views[i] = birth->version->shows_cgroups && i < birth->groups->views ? birth->views[i] : -1;
    STEP(BH_STAGE_PLAN, plan_read(birth->version->plan, &spec->plan));
    close(birth->version->plan);
    finish(birth, spec, own, worker);
}

/// The version's part.
static void bind_version(const struct birth *birth, struct cell_spec *spec, struct own *own, struct worker_spec *worker) {
    bool shares;
    STEP(BH_STAGE_PLAN, receive_binding(birth, spec, &shares));
    const struct plan *plan = &spec->plan;
    STEP(BH_STAGE_HOSTNAME, sethostname(plan->hostname, strlen(plan->hostname)) < 0 ? errno : 0);
    STEP(BH_STAGE_PROC, own_write_plan(spec, own));
    if (own->pristine.mounts >= 0) {
        // Appears in this cell's own table, too, whose root is read-only already.
        STEP(BH_STAGE_ENTER, own_enter_pristine(own));
        require(birth, root_fill(spec, own->base));
        require(birth, root_seal(own->base));
        // What the version's next cells do with copies of it stays theirs.
        STEP(BH_STAGE_ENTER, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? errno : 0);
        STEP(BH_STAGE_ENTER, own_leave_pristine(own));
        if (!shares) own_forget_pristine(own);
    } else {
        require(birth, root_fill(spec, own->base));
        require(birth, root_seal(own->base));
    }
    finish(birth, spec, own, worker);
    for (unsigned i = 0; i < plan->header->mount_count; i++)
        if (spec->trees[i] >= 0) close(spec->trees[i]);
    for (int i = 0; i < DEVICE_COUNT; i++)
        if (spec->devices[i] >= 0) close(spec->devices[i]);
}

// -- Again and again --------------------------------------------------------------------------------------------------

#define WATCHER_PID 2

/// Gives up the rights that starting a worker does not need: nothing can be mounted, and no namespace entered, any more.
static int keep_few_rights(bool keeps_locks) {
    static const int needed[] = {CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_SYS_RESOURCE,  // worker.c: its identity, its limits
                                 CAP_KILL,                                                // to end what it leaves
                                 CAP_CHECKPOINT_RESTORE};                                 // own_reset_pids
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[2], kept[2] = {{0}, {0}};
    if (syscall(SYS_capget, &header, has) < 0) return errno;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) kept[needed[i] / 32].permitted |= 1u << needed[i] % 32;
    if (keeps_locks) kept[0].permitted |= 1u << CAP_SYS_PTRACE;  // the watcher's
    // A container may lack one or the other; what cannot be done without it says so itself.
    for (int i = 0; i < 2; i++) kept[i].effective = kept[i].permitted &= has[i].permitted;
    return syscall(SYS_capset, &header, kept) < 0 ? errno : 0;
}

/// Waits for the worker's end, reaping whatever else ends before, reports it, and ends what is left. False when it is the watcher
/// that ended first, or not as it should: it has said why, or nobody is there any more who would hear it.
static bool await_end(const struct birth *birth, pid_t watcher, const struct watched_worker *worker) {
    int how, status = -1, any;
    struct rusage usage;
    for (pid_t ended = 0; ended != worker->pid || !ended;)
        if ((ended = wait4(-1, &how, 0, &usage)) == watcher || (ended < 0 && errno != EINTR)) return false;
    if (!worker->has_started || worker->has_refusals) {
        // It has something to say first.
        kill(watcher, SIGTERM);
        while (waitpid(watcher, &status, 0) < 0 && errno == EINTR) {}
        if (status != 0) return false;
    }
    report_exited(birth->status, how, &usage);
    // All but this process, and their children as they are born.
    while (kill(-1, SIGKILL) == 0)
        while (waitpid(-1, &any, 0) > 0 || errno == EINTR) {}
    return true;
}

_Noreturn void cell_main(const struct birth *birth) {
    static struct cell_spec spec;
    spec.birth = birth;
    struct worker_spec worker = {.cell = &spec, .listener = -1, .awaits = birth->version};
    struct own own;
    prepare(birth, &spec, &own, &worker);
    if (birth->version) take_over(birth, &spec, &own, &worker);
    else bind_version(birth, &spec, &own, &worker);
    if (!birth->keeps) {
        // The worker's number does not tell which it was. Where that cannot be, no cell is kept.
        if (birth->mode->last_pid >= 0) own_reset_pids(birth, WATCHER_PID);
        watch_worker(&spec, &worker, &own.pristine, NULL);
    }
    // Who stays needs no log of the launcher's. The numbers stay taken.
    STEP(BH_STAGE_CLOSE_FDS, dup2(0, 1) < 0 || dup2(0, 2) < 0 ? errno : 0);
    STEP(BH_STAGE_CAPABILITIES, keep_few_rights(spec.plan.header->flags & BH_PLAN_LOCKS));
    struct watched_worker *child = mmap(NULL, sizeof *child, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    STEP(BH_STAGE_FORK, child == MAP_FAILED ? errno : 0);
    for (;;) {
        *child = (struct watched_worker){0};
        STEP(BH_STAGE_FORK, own_reset_pids(birth, WATCHER_PID - 1));
        pid_t watcher = (pid_t)sys_clone3(&(struct clone_args){.exit_signal = SIGCHLD});
        if (watcher == 0) watch_worker(&spec, &worker, NULL, child);
        STEP(BH_STAGE_FORK, watcher < 0 ? errno : 0);
        // Anything else is made anew, from its namespaces up.
        if (!await_end(birth, watcher, child) || !own_is_untouched(&own)) _exit(0);
        send_report(birth->status, &(struct report){.kind = REPORT_EMPTY});
        struct order order = {0};
        if (read(birth->status, &order, sizeof order) != sizeof order || order.kind != ORDER_AGAIN) _exit(0);
    }
}
