// Init outlives the start of the worker only to watch: it keeps no right that watching does not need.
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include "init.h"

#define ALLOW(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

// Large numbers apart: the kernel walks through this once for every call number there is (seccomp_cache_prepare), for each cell.
#define SMALL_CALLS 8
static struct sock_filter watching[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_wait4, 2 * SMALL_CALLS + 1, 0),
    ALLOW(SYS_poll),             // waits for the worker, the listener and the launcher
    ALLOW(SYS_read),             // the signalfd, an order of the launcher's
    ALLOW(SYS_wait4),            // reaps orphans, learns the worker's end
    ALLOW(SYS_ioctl),            // reads and answers a seccomp notification
    ALLOW(SYS_write),            // (observing) tells of a path argument
    ALLOW(SYS_sendto),           // reports
    ALLOW(SYS_close),            // the listener, when the last filtered task is gone
    ALLOW(SYS_exit),             // ends the cell
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_process_vm_readv, 6, 0),
    ALLOW(SYS_exit_group),       // ends the cell
    ALLOW(SYS_restart_syscall),  // poll after a stop and a continue
    ALLOW(SYS_process_vm_readv), // (observing) reads a path argument
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
_Static_assert(SYS_sendto < SYS_wait4 && SYS_ioctl < SYS_wait4 && SYS_exit < SYS_wait4 && SYS_restart_syscall > SYS_wait4 &&
                   SYS_exit_group < SYS_process_vm_readv,
               "each is on its side");

/// For one that keeps locks, besides.
static const int locking[] = {
    SYS_newfstatat, SYS_fstat, SYS_lseek, SYS_fcntl, SYS_flock,  // which file, which part of it, on whose behalf
    SYS_openat,                                                   // /proc/PID/status: whose thread that is
    SYS_pidfd_open, SYS_pidfd_getfd,                              // the caller's descriptor
    SYS_process_vm_readv, SYS_process_vm_writev,                  // struct flock, there and back
};

/// The usual program with more calls in front. Its verdicts stay at its end.
static struct sock_fprog with_locking(void) {
    enum { MORE = sizeof locking / sizeof *locking, USUAL = sizeof watching / sizeof *watching, HEAD = 4 };
    static struct sock_filter program[USUAL + 2 * MORE];
    memcpy(program, watching, HEAD * sizeof *program);
    for (size_t i = 0; i < MORE; i++) {
        const struct sock_filter allow[] = {ALLOW((unsigned)locking[i])};
        memcpy(program + HEAD + 2 * i, allow, sizeof allow);
    }
    memcpy(program + HEAD + 2 * MORE, watching + HEAD, (USUAL - HEAD) * sizeof *program);
    return (struct sock_fprog){USUAL + 2 * MORE, program};
}

int init_confine(bool observes, bool keeps_locks) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct kept[2] = {{0}, {0}};
    if (observes || keeps_locks) kept[0].effective = kept[0].permitted = 1u << CAP_SYS_PTRACE;
    if (syscall(SYS_capset, &header, kept) < 0) return errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
    // Without observing, the two calls for it are numbers that no call has.
    struct sock_fprog program = {sizeof watching / sizeof *watching, watching};
    if (!observes)
        for (unsigned short i = 0; i < program.len; i++)
            if (watching[i].code == (BPF_JMP | BPF_JEQ | BPF_K) &&
                (watching[i].k == SYS_process_vm_readv || watching[i].k == SYS_write))
                watching[i].k = ~0u;
    if (keeps_locks) program = with_locking();
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? errno : 0;
}
