// Taking cgroups away: what a launcher left when it died, what a whole instance left, and at the end one's own.
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cgroup_files.h"

#define DEPTH 3          // "cells", function, cell
#define ATTEMPTS 200     // a killed process takes its time to die, and so does a supervisor that is on its way out
#define ATTEMPT_MS 5

static void pause_briefly(void) { nanosleep(&(struct timespec){.tv_nsec = ATTEMPT_MS * 1000000}, NULL); }

/// Goes once over the directories below `group` and removes what is empty. Kills who is in the others, but for the supervisor.
/// Returns whether something is left to be removed.
static bool sweep_below(struct cgroups *groups, int hierarchy, const char *group, int depth) {
    int copy = openat(groups->base[hierarchy], group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) return false;
    bool left = false;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[96];
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || strcmp(entry->d_name, CGROUP_HOST) == 0) continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", group, entry->d_name) >= sizeof path) continue;
        if (unlinkat(groups->base[hierarchy], path, AT_REMOVEDIR) == 0) continue;
        if (depth < DEPTH) sweep_below(groups, hierarchy, path, depth + 1);
        if (unlinkat(groups->base[hierarchy], path, AT_REMOVEDIR) == 0) continue;
        left = true;
        cgroup_kill(groups, path);
    }
    closedir(dir);
    return left;
}

void cgroups_sweep(struct cgroups *groups) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool left = false;
        for (int i = 0; i < groups->count; i++) left = sweep_below(groups, i, ".", 1) || left;
        if (!left) return;
        pause_briefly();
    }
}

void cgroups_close(struct cgroups *groups) {
    cgroups_sweep(groups);
    for (int attempt = 0; attempt < ATTEMPTS && !cgroup_release_host(groups); attempt++) pause_briefly();
    for (int i = 0; i < groups->count; i++) {
        unlinkat(groups->instance[i], CGROUP_ALL, AT_REMOVEDIR);
        unlinkat(groups->parent[i], groups->name, AT_REMOVEDIR);
        close(groups->base[i]);
        close(groups->instance[i]);
        close(groups->parent[i]);
    }
    *groups = (struct cgroups){.home = -1};
}

unsigned long cgroup_pid_namespace(void) {
    // proc_ns.h: the machine's first one has this number on every kernel.
    static const unsigned long first = 0xEFFFFFFC;
    struct stat info;
    return stat("/proc/self/ns/pid", &info) < 0 || info.st_ino == first ? 0 : info.st_ino;
}

void cgroup_instance_name(char name[CGROUP_NAME], int pid, unsigned long namespace) {
    if (namespace) snprintf(name, CGROUP_NAME, "bulkhead-%d.%lu", pid, namespace);
    else snprintf(name, CGROUP_NAME, "bulkhead-%d", pid);
}

/// Whether a launcher's process, whose pid is in an instance's name, lives.
static bool is_launcher(int pid) {
    char path[64], comm[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    return read_file_at(AT_FDCWD, path, comm, sizeof comm) > 0 && strncmp(comm, "bulkhead-launch", 15) == 0;
}

void cgroups_remove_stale(const struct cgroups *groups, int parent) {
    int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        int pid = 0;
        char name[CGROUP_NAME];
        if (sscanf(entry->d_name, "bulkhead-%d", &pid) != 1 || pid <= 0) continue;
        // Of another namespace nobody here can tell whether its launcher lives: that may be another container's.
        cgroup_instance_name(name, pid, cgroup_pid_namespace());
        if (strcmp(name, entry->d_name) != 0 || is_launcher(pid)) continue;
        // From its own directory down: the ones of older releases have their cells right there.
        struct cgroups stale = {.features = groups->features, .count = 1, .home = -1};
        stale.base[0] = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (stale.base[0] < 0) continue;
        cgroups_sweep(&stale);
        // With a supervisor in it that has lost its keeper it stays; a later start will find it empty.
        unlinkat(stale.base[0], CGROUP_HOST, AT_REMOVEDIR);
        unlinkat(parent, name, AT_REMOVEDIR);
        close(stale.base[0]);
    }
    closedir(dir);
}
