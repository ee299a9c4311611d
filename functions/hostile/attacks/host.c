// The host behind the cell: its files, its processes' files, its devices, its cgroups, its secrets.
#include "attack.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static void try_open(const char *path, int flags) {
    judge(path, open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

static void read_etc_shadow(void) {
    static const char *const paths[] = {"/etc/shadow", "/etc/machine-id", "/etc/hostname", "/../etc/shadow",
                                        "/root/.ssh/id_rsa", "/var/run/docker.sock", "/run/systemd/private"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) try_open(paths[i], O_RDONLY);
}

/// Where the way out was found before, in one container runtime or another.
static void proc_root(void) {
    static const char *const read_paths[] = {"/proc/1/root/etc/passwd", "/proc/1/environ",        "/proc/1/mem",
                                             "/proc/1/maps",            "/proc/1/cwd/etc/passwd", "/proc/kcore",
                                             "/proc/kallsyms",          "/proc/keys",             "/proc/sched_debug",
                                             "/proc/timer_list",        "/sys/firmware/acpi"};
    static const char *const write_paths[] = {"/proc/self/mem",
                                              "/proc/self/oom_score_adj",
                                              "/proc/sysrq-trigger",
                                              "/proc/sys/kernel/core_pattern",
                                              "/proc/sys/kernel/modprobe",
                                              "/proc/sys/vm/overcommit_memory",
                                              "/sys/kernel/uevent_helper"};
    for (size_t i = 0; i < sizeof read_paths / sizeof *read_paths; i++) try_open(read_paths[i], O_RDONLY);
    for (size_t i = 0; i < sizeof write_paths / sizeof *write_paths; i++) try_open(write_paths[i], O_WRONLY);
}

/// CVE-2024-21626: a directory of the host that was left open is a way out, whatever the root is.
static void chdir_fds(void) {
    char path[32];
    int reached = 0;
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (fchdir(fd) == 0 || chdir(path) == 0) {
            reached++;
            breach("chdir to descriptor %d", fd);
        }
    }
    if (!reached) say("contained: ENOTDIR no descriptor is a directory\n");
}

static void dot_dot(void) {
    for (int i = 0; i < 64; i++) (void)!chdir("..");
    try_open("etc/shadow", O_RDONLY);
    try_open("work", O_RDONLY | O_DIRECTORY);
    try_open("proc/1/root", O_RDONLY | O_DIRECTORY);
}

static void devices(void) {
    static const char *const paths[] = {"/dev/mem",  "/dev/kmsg",     "/dev/port",         "/dev/sda",
                                        "/dev/vda",  "/dev/nvme0n1",  "/dev/loop-control", "/dev/fuse",
                                        "/dev/kvm",  "/dev/net/tun",  "/dev/tty",          "/dev/console",
                                        "/dev/ptmx", "/dev/vsock",    "/dev/userfaultfd",  "/dev/mapper/control",
                                        "/dev/vhost-net"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) try_open(paths[i], O_RDONLY);
}

static void cgroup_escape(void) {
    static const char *const paths[] = {"/sys/fs/cgroup/cgroup.procs",        "/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/tasks",        "/sys/fs/cgroup/release_agent",
                                        "/sys/fs/cgroup/memory/release_agent"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) try_open(paths[i], O_WRONLY);
    try_open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
}

static void extra_fds(void) {
    int found = 0;
    for (int fd = 3; fd < 65536; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            found++;
            breach("descriptor %d is open", fd);
        }
    if (!found) say("contained: EBADF 3 and above\n");
}

/// The contract names every variable there is; LOG_LEVEL and the like come from the manifest, which has none here.
static void env_secrets(void) {
    static const char *const expected[] = {"PATH=", "HOME=", "LANG=", "TMPDIR=", "BULKHEAD_FUNCTION=",
                                           "BULKHEAD_VERSION=", "BULKHEAD_MEMORY_MIB="};
    int found = 0;
    for (char **entry = environ; *entry; entry++) {
        bool known = false;
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
            known = known || strncmp(*entry, expected[i], strlen(expected[i])) == 0;
        if (known) continue;
        found++;
        breach("the environment has %.*s", (int)strcspn(*entry, "="), *entry);
    }
    if (!found) say("contained: ENOENT nothing of the host's in the environment\n");
}

/// The kernel looks at the low 32 bits of an ioctl's number, a careless filter at all 64 (CVE-2019-10063).
static void tiocsti_high_bits(void) {
    static const unsigned long numbers[] = {TIOCSTI, 0xdeadbeef00000000ul | TIOCSTI, 0x100000000ul | TIOCSTI,
                                            0x100000000ul | TIOCLINUX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char what[64];
        snprintf(what, sizeof what, "ioctl(0, 0x%lx)", numbers[i]);
        judge(what, syscall(SYS_ioctl, 0, numbers[i], "\n"));
    }
}

const struct attack host_attacks[] = {
    {.name = "read-etc-shadow", .tries = "read the host's secrets", .outcome = OK, .says = "ENOENT EACCES ENOTDIR",
     .run = read_etc_shadow},
    {.name = "proc-root", .tries = "reach the host through /proc and /sys", .outcome = OK,
     .says = "ENOENT EACCES EPERM EROFS", .run = proc_root},
    {.name = "chdir-fds", .tries = "leave through an open directory", .outcome = OK, .run = chdir_fds},
    {.name = "dot-dot", .tries = "climb out of the root", .outcome = OK, .says = "ENOENT EACCES", .run = dot_dot},
    {.name = "devices", .tries = "open devices of the host", .outcome = OK, .says = "ENOENT EACCES EPERM",
     .run = devices},
    {.name = "cgroup-escape", .tries = "change its cgroup", .outcome = OK, .says = "ENOENT EACCES EROFS",
     .run = cgroup_escape},
    {.name = "extra-fds", .tries = "find a descriptor beyond 0, 1 and 2", .outcome = OK, .run = extra_fds},
    {.name = "env-secrets", .tries = "find a variable of the host's", .outcome = OK, .run = env_secrets},
    {.name = "tiocsti-high-bits", .tries = "type into a terminal, with garbage in the ioctl's high bits",
     .outcome = OK OR DENIED, .says = "EPERM ENOTTY EACCES", .run = tiocsti_high_bits},
    {0},
};
