// What stands in a cell since programs are to run as they are: /proc of its own processes, files made for it, names for its
// streams. Each misused as far as it goes.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

/// What of procfs is no process's is there only as far as it is made for the cell.
static void proc_whole(void) {
    static const char *const names[] = {
        "acpi",   "buddyinfo",  "bus",      "cmdline",      "config.gz",     "consoles",    "crypto",  "devices",    "diskstats",
        "dma",    "driver",     "fs",       "filesystems",  "interrupts",    "iomem",       "ioports", "irq",        "kallsyms",
        "kcore",  "key-users",  "keys",     "kmsg",         "kpagecount",    "kpageflags",  "locks",   "mdstat",     "misc",
        "modules", "mtrr",      "pagetypeinfo", "partitions", "pressure",    "schedstat",   "slabinfo", "softirqs",  "swaps",
        "sys",    "sysrq-trigger", "sysvipc", "timer_list", "tty",           "version",     "vmallocinfo", "vmstat", "zoneinfo"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s", names[i]);
        judge(path, open(path, O_RDONLY | O_CLOEXEC));
    }
}

/// Nobody is in there but the worker and what it has started; the cell's own two cannot be seen, and have no more to say.
static void proc_others(void) {
    DIR *folder = opendir("/proc");
    if (!folder) {
        judge("opendir /proc", -1);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));)
        if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid()) breach("sees process %s", entry->d_name);
    closedir(folder);
    for (pid_t pid = 1; pid < getpid(); pid++) {
        char path[64];
        static const char *const files[] = {"", "/mem", "/fd", "/environ", "/root", "/ns/mnt", "/maps"};
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            snprintf(path, sizeof path, "/proc/%d%s", pid, files[i]);
            judge(path, open(path, O_RDONLY | O_CLOEXEC));
        }
        judge("SIGSTOP to who watches", kill(pid, SIGSTOP));
        judge("affinity of who watches", sched_setaffinity(pid, sizeof(cpu_set_t), &(cpu_set_t){{1}}));
        judge("priority of who watches", setpriority(PRIO_PROCESS, (id_t)pid, 19));
        struct rlimit none = {0, 0};
        judge("limits of who watches", syscall(SYS_prlimit64, pid, RLIMIT_CPU, &none, NULL));
    }
}

static void change(const char *path) {
    char what[96];
    snprintf(what, sizeof what, "write %s", path);
    judge(what, open(path, O_WRONLY | O_CLOEXEC));
    snprintf(what, sizeof what, "truncate %s", path);
    judge(what, truncate(path, 0));
    snprintf(what, sizeof what, "chmod %s", path);
    judge(what, chmod(path, 0666));
    snprintf(what, sizeof what, "touch %s", path);
    judge(what, utimensat(AT_FDCWD, path, NULL, 0));
    snprintf(what, sizeof what, "remove %s", path);
    judge(what, unlink(path));
}

/// A version's cells share most of them.
static void made_files(void) {
    static const char *const paths[] = {"/etc/passwd",    "/etc/group",    "/etc/hosts",   "/etc/nsswitch.conf", "/etc/localtime",
                                        "/etc/timezone",  "/etc/mtab",     "/proc/cpuinfo", "/proc/meminfo",     "/proc/stat",
                                        "/proc/loadavg",  "/proc/cgroups", "/proc/uptime", "/proc/self/comm",    "/proc/self/oom_score_adj",
                                        "/dev/fd"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) change(paths[i]);
    judge("mkdir /etc/bulkhead/own", mkdir("/etc/bulkhead/own", 0700));
    judge("rename of the folder of names", rename("/etc/bulkhead/passwd", "/tmp/passwd"));
}

/// Each stream can be opened by its name once more, the way it is meant: what is written to stdin, the worker after this one or
/// the template behind it would read.
static void stream_names(void) {
    static const char *const wrong[] = {"/dev/stdin", "/proc/self/fd/0", "/proc/thread-self/fd/0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        judge("write to stdin", open(wrong[i], O_WRONLY | O_CLOEXEC | O_NONBLOCK));
        judge("read and write stdin", open(wrong[i], O_RDWR | O_CLOEXEC | O_NONBLOCK));
    }
    judge("read stdout", open("/dev/stdout", O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    judge("read stderr", open("/dev/stderr", O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    judge("stdout as packets", open("/dev/stdout", O_WRONLY | O_CLOEXEC | O_DIRECT));
    for (int fd = 0; fd < 3; fd++) {
        judge("fchmod of a stream", fchmod(fd, 0666));
        judge("fchown of a stream", fchown(fd, getuid(), getgid()));
    }
    judge("chmod of a stream by name", chmod("/proc/self/fd/0", 0666));
}

/// One room for both, as large as the manifest's scratch, and memory.
static void shm_fill(void) {
    struct statvfs room;
    if (statvfs("/dev/shm/.", &room) < 0) {
        judge("statvfs /dev/shm", -1);
        return;
    }
    unsigned long long bytes = (unsigned long long)room.f_blocks * room.f_frsize;
    if (bytes > (64ull << 20) + (1 << 20)) breach("%llu bytes of /dev/shm", bytes);
    static char block[1 << 16];
    unsigned long long written = 0;
    int files[2] = {open("/dev/shm/fill", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), open("/tmp/fill", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    for (int i = 0; i < 2; i++)
        for (ssize_t part; files[i] >= 0 && (part = write(files[i], block, sizeof block)) > 0;) written += (unsigned long long)part;
    if (written > bytes) breach("%llu bytes in /dev/shm and /tmp", written);
    else say("contained: %s after %llu bytes\n", errno == ENOSPC ? "ENOSPC" : errno == EFBIG ? "EFBIG" : "EOTHER", written);
}

const struct attack view_attacks[] = {
    {.name = "proc-whole", .tries = "read of /proc what tells of the machine", .outcome = OK, .says = "ENOENT", .run = proc_whole},
    {.name = "proc-others", .tries = "see and change the processes beside its own", .outcome = OK,
     .says = "ENOENT EPERM EACCES ENOSYS", .run = proc_others},
    {.name = "made-files", .tries = "change the files that are made for every cell", .outcome = OK,
     .says = "EACCES EROFS EPERM EISDIR EBUSY EXDEV", .run = made_files},
    {.name = "stream-names", .tries = "open its streams the wrong way round", .outcome = OK, .says = "EACCES EPERM EINVAL",
     .run = stream_names},
    {.name = "shm-fill", .tries = "fill /dev/shm and /tmp beyond scratch", .outcome = OK OR MEMORY, .says = "ENOSPC EFBIG", .run = shm_fill},
    {0},
};
