#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "json.h"
#include "probe.h"

static bool open_at_start[FDS_MAX];

void remember_descriptors(void) {
    for (int fd = 0; fd < FDS_MAX; fd++) open_at_start[fd] = fcntl(fd, F_GETFD) >= 0;
}

static const char *kind_of(int fd) {
    struct stat info;
    if (fstat(fd, &info) < 0) return "?";
    switch (info.st_mode & S_IFMT) {
    case S_IFIFO: return "pipe";
    case S_IFSOCK: return "socket";
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFCHR: return "character device";
    default: return "other";
    }
}

static void report_descriptors(void) {
    json_open("fds", '[');
    for (int fd = 0; fd < FDS_MAX; fd++)
        if (open_at_start[fd]) json_number(NULL, fd);
    json_close(']');
    json_open("fdKinds", '[');
    for (int fd = 0; fd < FDS_MAX; fd++)
        if (open_at_start[fd]) json_string(NULL, kind_of(fd));
    json_close(']');
}

static void report_ids(void) {
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    json_number("uid", getuid());
    json_number("gid", getgid());
    if (getresuid(&real, &effective, &saved) == 0) {
        json_number("euid", effective);
        json_number("suid", saved);
    }
    if (getresgid(&real_group, &effective_group, &saved_group) == 0) {
        json_number("egid", effective_group);
        json_number("sgid", saved_group);
    }
    gid_t groups[64];
    int count = getgroups(64, groups);
    if (count < 0) {
        json_outcome("groups", false);
    } else {
        json_open("groups", '[');
        for (int i = 0; i < count; i++) json_number(NULL, groups[i]);
        json_close(']');
    }
    json_number("pid", getpid());
    json_number("ppid", getppid());
    json_number("pgid", getpgrp());
    json_result("sid", getsid(0));
}

/// As /proc/self/status writes a set: 16 hex digits.
static void capabilities(const char *key, uint64_t set) {
    char digits[17];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)set);
    json_string(key, digits);
}

/// Asks about one capability after the other until the kernel knows no more.
static void capabilities_by_prctl(const char *key, int option, unsigned long argument) {
    uint64_t set = 0;
    for (unsigned long capability = 0; capability < 64; capability++) {
        int held = option == PR_CAPBSET_READ ? prctl(option, capability, 0, 0, 0) : prctl(option, argument, capability, 0, 0);
        if (held < 0) {
            if (errno == EINVAL && capability > 0) break;  // past the kernel's last one
            json_outcome(key, false);
            return;
        }
        if (held) set |= 1ull << capability;
    }
    capabilities(key, set);
}

static void report_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) == 0) {
        capabilities("CapEff", data[0].effective | (uint64_t)data[1].effective << 32);
        capabilities("CapPrm", data[0].permitted | (uint64_t)data[1].permitted << 32);
        capabilities("CapInh", data[0].inheritable | (uint64_t)data[1].inheritable << 32);
    } else {
        json_outcome("CapEff", false);
        json_outcome("CapPrm", false);
        json_outcome("CapInh", false);
    }
    capabilities_by_prctl("CapBnd", PR_CAPBSET_READ, 0);
    capabilities_by_prctl("CapAmb", PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET);
}

static void report_flags(void) {
    json_result("seccomp", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    json_result("noNewPrivs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    json_result("securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
    json_result("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    int signal = 0;
    if (prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0) < 0) json_outcome("parentDeathSignal", false);
    else json_number("parentDeathSignal", signal);
    mode_t mask = umask(0);  // it can only be read by being set
    umask(mask);
    char octal[8];
    snprintf(octal, sizeof octal, "%04o", mask);
    json_string("umask", octal);
}

static void report_limits(void) {
    static const struct {
        const char *name;
        int resource;
    } limits[] = {
        {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},       {"data", RLIMIT_DATA},
        {"fsize", RLIMIT_FSIZE},     {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
        {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},       {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC},
        {"rss", RLIMIT_RSS},         {"rtprio", RLIMIT_RTPRIO},     {"rttime", RLIMIT_RTTIME},
        {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK},
    };
    json_open("rlimits", '{');
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit;
        if (getrlimit(limits[i].resource, &limit) < 0) {
            json_outcome(limits[i].name, false);
            continue;
        }
        json_open(limits[i].name, '[');  // soft, hard; null: no limit
        rlim_t values[] = {limit.rlim_cur, limit.rlim_max};
        for (int j = 0; j < 2; j++)
            if (values[j] == RLIM_INFINITY) json_null(NULL);
            else json_number(NULL, (long long)values[j]);
        json_close(']');
    }
    json_close('}');
}

static void report_place(void) {
    char text[4096];
    if (gethostname(text, sizeof text) < 0) json_outcome("hostname", false);
    else json_string("hostname", text);
    if (!getcwd(text, sizeof text)) json_outcome("cwd", false);
    else json_string("cwd", text);
    json_open("env", '[');
    for (char **entry = environ; *entry; entry++) json_string(NULL, *entry);
    json_close(']');
}

void report_process(void) {
    report_ids();
    report_capabilities();
    report_flags();
    report_descriptors();
    report_limits();
    report_place();
}
