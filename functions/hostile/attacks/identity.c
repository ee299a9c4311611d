// Who the process is and what it may take: ids, capabilities, limits, priorities, flags.
#include "attack.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void run_setuid(void) {
    if (geteuid() == 0 || getegid() == 0) breach("root from the start");
    // By number: the library's functions would ask every thread to follow.
    judge("setuid(0)", syscall(SYS_setuid, 0));
    judge("setgid(0)", syscall(SYS_setgid, 0));
    judge("setresuid(0, 0, 0)", syscall(SYS_setresuid, 0, 0, 0));
    judge("setresgid(0, 0, 0)", syscall(SYS_setresgid, 0, 0, 0));
    gid_t root = 0;
    judge("setgroups({0})", syscall(SYS_setgroups, 1, &root));
    if (getuid() > 0) judge("setuid(the next tenant)", syscall(SYS_setuid, getuid() + 1));
}

static void run_capset(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct all[2] = {{~0u, ~0u, 0}, {~0u, ~0u, 0}}, one[2] = {0};
    judge("capset(all)", syscall(SYS_capset, &header, all));
    one[0].effective = one[0].permitted = 1u << CAP_SYS_ADMIN;
    judge("capset(CAP_SYS_ADMIN)", syscall(SYS_capset, &header, one));
    judge("ambient CAP_NET_RAW", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
}

static void raise_rlimit(void) {
    static const struct {
        const char *name;
        int resource;
    } limits[] = {
        {"RLIMIT_NOFILE", RLIMIT_NOFILE}, {"RLIMIT_NPROC", RLIMIT_NPROC},     {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
        {"RLIMIT_CORE", RLIMIT_CORE},     {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
        {"RLIMIT_NICE", RLIMIT_NICE},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit;
        if (getrlimit(limits[i].resource, &limit) < 0) {
            judge(limits[i].name, -1);
        } else if (limit.rlim_max == RLIM_INFINITY) {
            breach("%s has no limit", limits[i].name);
        } else {
            limit.rlim_max++;
            judge(limits[i].name, setrlimit(limits[i].resource, &limit));
        }
    }
    struct rlimit much = {1 << 20, 1 << 20};
    judge("limits of PID 1", prlimit(1, RLIMIT_NOFILE, &much, NULL));
}

static void sched_fifo(void) {
    struct sched_param parameter = {.sched_priority = 50};
    judge("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &parameter));
    judge("SCHED_RR", sched_setscheduler(0, SCHED_RR, &parameter));
    judge("nice -20", setpriority(PRIO_PROCESS, 0, -20));
    judge("real-time I/O", syscall(SYS_ioprio_set, 1, 0, 1 << 13));
}

static void run_personality(void) {
    judge("ADDR_NO_RANDOMIZE", personality(ADDR_NO_RANDOMIZE));
    judge("READ_IMPLIES_EXEC", personality(READ_IMPLIES_EXEC));
    judge("PER_LINUX32", personality(PER_LINUX32));
}

static void prctl_pdeathsig(void) { judge("PR_SET_PDEATHSIG 0", prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)); }

static void prctl_dumpable(void) { judge("PR_SET_DUMPABLE 1", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }

/// Options that no function needs and that reach beyond its own memory.
static void prctl_options(void) {
    judge("PR_SET_SECUREBITS", prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
    judge("PR_SET_KEEPCAPS", prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    judge("PR_SET_CHILD_SUBREAPER", prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    judge("PR_SET_PTRACER", prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0));
    judge("PR_MCE_KILL", prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
    judge("PR_SET_TSC", prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0));
    judge("PR_SET_TIMING", prctl(PR_SET_TIMING, PR_TIMING_STATISTICAL, 0, 0, 0));
    judge("PR_SET_IO_FLUSHER", prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
    judge("PR_SET_MM", prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0));
    // Whether speculation is safe is the host's business.
    judge("PR_SET_SPECULATION_CTRL",
          prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0, 0));
}

const struct attack identity_attacks[] = {
    {.name = "setuid", .tries = "become root, or the next tenant", .outcome = OK OR DENIED, .says = "EPERM EINVAL",
     .run = run_setuid},
    {.name = "capset", .tries = "take capabilities", .outcome = OK OR DENIED, .says = "EPERM", .run = run_capset},
    {.name = "raise-rlimit", .tries = "raise its resource limits", .outcome = OK OR DENIED, .says = "EPERM ENOSYS",
     .run = raise_rlimit},
    {.name = "sched-fifo", .tries = "go before everyone else", .outcome = OK OR DENIED, .says = "EPERM EACCES ENOSYS",
     .run = sched_fifo},
    {.name = "personality", .tries = "turn address randomisation off", .outcome = OK OR DENIED, .says = "EPERM ENOSYS",
     .run = run_personality},
    {.name = "prctl-pdeathsig", .tries = "outlive its parent", .outcome = OK OR DENIED, .says = "EPERM EINVAL",
     .run = prctl_pdeathsig},
    {.name = "prctl-dumpable", .tries = "make its memory readable", .outcome = OK OR DENIED, .says = "EPERM EINVAL",
     .run = prctl_dumpable},
    {.name = "prctl-options", .tries = "set what no function needs", .outcome = OK OR DENIED,
     .says = "EPERM EINVAL ENXIO ENODEV ENOSYS", .run = prctl_options},
    {0},
};
