// The worker between fork and exec. It runs on init's memory (CLONE_VM|CLONE_VFORK) and shares init's descriptor table
// until exec gives it its own: so the listener that seccomp returns here is init's too, and needs no passing.
// Everything is a raw system call; nothing allocates; the order is the policy.
#include <linux/capability.h>
#include <linux/securebits.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../abi/packets.h"
#include "report.h"
#include "worker.h"

/// Puts what the plan holds in secret behind BH_SECRETS_FD, whose number was kept free for it. All of a worker's processes share
/// it, forks of a snapshot among them, and so nobody may change it: neither its bytes nor, where it is root's, its mode.
static int hand_secrets(const struct plan *plan) {
    if (!plan->secrets) return 0;
    long file = syscall(SYS_memfd_create, "secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (file < 0 && errno == EINVAL)  // before Linux 6.3
        file = syscall(SYS_memfd_create, "secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return errno;
    for (size_t size = plan->header->secrets_size, done = 0; done < size;) {
        long written = syscall(SYS_write, file, plan->secrets + done, size - done);
        if (written <= 0) return written < 0 ? errno : EIO;
        done += (size_t)written;
    }
    if (syscall(SYS_fchmod, file, 0444) < 0) return errno;
    if (syscall(SYS_fcntl, file, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) return errno;
    if (syscall(SYS_lseek, file, 0, SEEK_SET) < 0) return errno;
    // The one descriptor beside its streams that outlives exec.
    if (syscall(SYS_dup3, file, BH_SECRETS_FD, 0) < 0) return errno;
    return syscall(SYS_close, file) < 0 ? errno : 0;
}

static int set_rlimits(const struct plan *plan, const struct mode *mode) {
    // A poor stand-in for a memory cgroup, per process and blind to shared memory; doctor calls it degraded.
    uint64_t data[2] = {plan->header->memory_max, plan->header->memory_max};
    if (!mode->limits_memory && syscall(SYS_prlimit64, 0, RLIMIT_DATA, data, NULL) < 0) return errno;
    for (unsigned resource = 0; resource < RLIM_NLIMITS; resource++) {
        if (!plan->limited[resource]) continue;
        uint64_t limit[2] = {plan->rlimits[resource], plan->rlimits[resource]};
        if (syscall(SYS_prlimit64, 0, resource, limit, NULL) == 0) continue;
        // Without CAP_SYS_RESOURCE the hard limit cannot be raised: the lower one that we were given stands.
        uint64_t given[2];
        if (errno != EPERM || syscall(SYS_prlimit64, 0, resource, NULL, given) < 0) return errno;
        if (given[1] > plan->rlimits[resource]) return EPERM;
    }
    return 0;
}

/// The host's own processes go first (see `prefer` of init.c); tenants are all equal. Whoever started the host with less than
/// the usual gets that: without privilege there is no way back up.
static int set_priority(void) {
    struct scheduling own = {.size = sizeof own};
    if (syscall(SYS_sched_getattr, 0, &own, sizeof own, 0) < 0) return errno;
    struct scheduling ordinary = {.size = sizeof ordinary, .policy = own.policy, .nice = own.nice < 0 ? 0 : own.nice};
    if (own.policy != SCHED_BATCH && own.policy != SCHED_IDLE) ordinary.policy = SCHED_OTHER;
    return syscall(SYS_sched_setattr, 0, &ordinary, 0) < 0 ? errno : 0;
}

static int set_securebits(void) {
    unsigned long bits = SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_CAP_AMBIENT_RAISE |
                         SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED |
                         SECBIT_KEEP_CAPS_LOCKED;
    return syscall(SYS_prctl, PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 ? errno : 0;
}

static int set_identity(const struct cell_spec *cell) {
    // In a user namespace setgroups is denied by its map and the one id is already ours.
    if (cell->birth->mode->root) {
        if (syscall(SYS_setgroups, 0, NULL) < 0) return errno;
        if (syscall(SYS_setresgid, cell->birth->id, cell->birth->id, cell->birth->id) < 0) return errno;
        if (syscall(SYS_setresuid, cell->birth->id, cell->birth->id, cell->birth->id) < 0) return errno;
    }
    return 0;
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    return syscall(SYS_capset, &header, none) < 0 ? errno : 0;
}

/// Init has made them default, but blocks SIGCHLD for itself.
static int unblock_signals(void) {
    uint64_t empty = 0;
    return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &empty, NULL, sizeof empty) < 0 ? errno : 0;
}

static int install_filter(struct worker_spec *spec) {
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &spec->filter);
    if (listener < 0) return errno;
    spec->listener = (int)listener;
    return 0;
}

/// Waits for the launcher to send the streams, and puts them on 0, 1 and 2. The filter is on by now: it lets every function
/// receive and duplicate descriptors, or else the `pass` does.
static int await_streams(int status, uint64_t pass) {
    struct binding binding;
    struct iovec part = {&binding, sizeof binding};
    int fds[3];
    union bh_packet_control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    long size;
    while ((size = syscall(SYS_recvmsg, status, &message, MSG_CMSG_CLOEXEC, 0, 0, pass)) < 0 && errno == EINTR) {}
    if (size < 0) return errno;
    if (size == 0) syscall(SYS_exit, 0);  // the launcher hung up
    if (bh_packet_take(&message, fds, 3, NULL) != 3 || size != sizeof binding) return EBADMSG;
    for (int i = 0; i < 3; i++) {
        // A filter that answers 0 without doing it would leave the worker the launcher's own.
        long placed = syscall(SYS_dup2, fds[i], i, 0, 0, 0, pass);
        if (placed != i) return placed < 0 ? errno : EBADMSG;
        syscall(SYS_close, fds[i]);
    }
    return 0;
}

#define STEP(name, call)                                                                                             \
    do {                                                                                                             \
        spec->stage = name;                                                                                          \
        if ((spec->error = (call))) syscall(SYS_exit, 127);                                                          \
    } while (0)
#define RESULT(call) ((call) < 0 ? errno : 0)

int worker_main(void *argument) {
    struct worker_spec *spec = argument;
    const struct cell_spec *cell = spec->cell;
    const struct plan *plan = &cell->plan;

    // The launcher sees whose message it is.
    if (spec->reports)
        STEP(BH_STAGE_FORK, RESULT(syscall(SYS_sendto, cell->birth->status, &(struct report){.kind = REPORT_WORKER}, sizeof(struct report),
                                           MSG_NOSIGNAL, NULL, 0)));
    STEP(BH_STAGE_SESSION, RESULT(syscall(SYS_setsid)));  // no terminal to push input into (CVE-2017-5226)
    syscall(SYS_umask, 077);
    // Its memory is the cell's, whose cgroups init has joined. Before the limits, none of which is meant for it, and the identity:
    // as root's own the worker cannot change its mode.
    STEP(BH_STAGE_SECRETS_DESCRIPTOR, hand_secrets(plan));
    STEP(BH_STAGE_RLIMITS, set_rlimits(plan, cell->birth->mode));
    STEP(BH_STAGE_PRIORITY, set_priority());
    STEP(BH_STAGE_SECUREBITS, set_securebits());
    STEP(BH_STAGE_IDENTITY, set_identity(cell));  // groups before gid before uid
    STEP(BH_STAGE_CAPABILITIES, drop_capabilities());
    // After the identity, which clears it (prctl(2)). Init's death ends the pid namespace anyway: a second net.
    STEP(BH_STAGE_PARENT_DEATH, RESULT(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)));
    STEP(BH_STAGE_SIGNALS, unblock_signals());
    STEP(BH_STAGE_WORKING_DIRECTORY, RESULT(syscall(SYS_chdir, "/function")));
    STEP(BH_STAGE_NO_NEW_PRIVS, RESULT(syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)));
    if (spec->landlock >= 0)
        STEP(BH_STAGE_LANDLOCK, RESULT(syscall(SYS_landlock_restrict_self, spec->landlock, 0)));
    STEP(BH_STAGE_SECCOMP, install_filter(spec));
    // Ahead of need, so that only exec is left to be done once somebody needs it.
    if (spec->awaits) STEP(BH_STAGE_STDIO, await_streams(cell->birth->status, cell->pass));
    STEP(BH_STAGE_EXEC, RESULT(syscall(SYS_execveat, spec->executable, "", plan->argv, plan->envp, AT_EMPTY_PATH, cell->pass)));
    return 127;
}
