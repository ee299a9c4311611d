// Odd doors into the kernel: other instruction sets' entries, numbers that are none, calls that hide their arguments.
#include "attack.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/// The i386 entry has its own numbers: 20 is getpid there and writev here, so a filter that looks at numbers only is
/// looking at the wrong table.
static void int80(void) {
#ifdef __x86_64__
    long result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "cc", "memory");
    if (result < 0) errno = (int)-result;
    judge("getpid by int 0x80", result < 0 ? -1 : result);
#else
    say("contained: ENOSYS this is no x86\n");
#endif
}

static void x32(void) {
#ifdef __x86_64__
    judge("getpid by the x32 entry", syscall(0x40000000 | SYS_getpid));
#else
    say("contained: ENOSYS this is no x86\n");
#endif
}

static void unknown_syscall(void) {
    static const long numbers[] = {-1, 10000, 1023, 0x3fffffff};  // from 0x40000000 on it is x32
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char what[64];
        snprintf(what, sizeof what, "system call %ld", numbers[i]);
        judge(what, syscall(numbers[i], 0, 0, 0, 0, 0, 0));
    }
}

/// Newer than the filter's library: libraries probe for these and must be told that they do not exist.
static void new_syscalls(void) {
    for (long number = 451; number < 500; number++)
        if (syscall(number, -1, -1, -1, -1, -1, -1) >= 0 || errno != ENOSYS) {
            // cachestat, fchmodat2, futex_* and the like may be granted; with such arguments they do nothing.
            say("done: system call %ld answered %s\n", number, errno ? strerrorname_np(errno) : "ok");
        }
    static char buffer[256];
    struct {
        uint32_t size, spare;
        uint64_t mount, parameter;
    } request = {.size = 24, .mount = UINT64_MAX};  // LSMT_ROOT: the mounts of this root
    judge("listmount", syscall(458, &request, buffer, sizeof buffer / 8, 0));
}

/// Its arguments are in memory, where no filter can look; libraries fall back to clone when there is none.
static void run_clone3(void) {
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &args, sizeof args);
    if (child == 0) _exit(0);
    judge("clone3(CLONE_NEWUSER)", child);
}

static void clone_with(const char *what, unsigned long flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    judge(what, child);
}

static void clone_newuser(void) { clone_with("clone(CLONE_NEWUSER)", CLONE_NEWUSER); }
static void clone_newns(void) { clone_with("clone(CLONE_NEWNS)", CLONE_NEWNS); }
static void clone_newnet(void) { clone_with("clone(CLONE_NEWNET)", CLONE_NEWNET); }
static void clone_newpid(void) { clone_with("clone(CLONE_NEWPID)", CLONE_NEWPID); }

/// A listener of its own would answer calls in the filter's place: the newest one is asked first.
static void seccomp_listener(void) {
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 1, .filter = code};
    judge("seccomp(NEW_LISTENER)",
          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

const struct attack entry_attacks[] = {
    {.name = "int80", .tries = "call the kernel by the i386 entry", .outcome = DENIED, .run = int80},
    {.name = "x32", .tries = "call the kernel by the x32 entry", .outcome = DENIED, .run = x32},
    {.name = "unknown-syscall", .tries = "call numbers that no kernel knows", .outcome = OK, .says = "ENOSYS",
     .run = unknown_syscall},
    {.name = "new-syscalls", .tries = "call numbers newer than the filter's library", .outcome = OK OR DENIED,
     .says = "ENOSYS EPERM", .run = new_syscalls},
    {.name = "clone3", .tries = "make a user namespace by clone3", .outcome = OK, .says = "ENOSYS",
     .run = run_clone3},
    {.name = "clone-newuser", .tries = "make a user namespace by clone", .outcome = DENIED, .run = clone_newuser},
    {.name = "clone-newns", .tries = "make a mount namespace by clone", .outcome = DENIED, .run = clone_newns},
    {.name = "clone-newnet", .tries = "make a network namespace by clone", .outcome = DENIED, .run = clone_newnet},
    {.name = "clone-newpid", .tries = "make a pid namespace by clone", .outcome = DENIED, .run = clone_newpid},
    {.name = "seccomp-listener", .tries = "answer system calls in the filter's place", .outcome = DENIED,
     .run = seccomp_listener},
    {0},
};
