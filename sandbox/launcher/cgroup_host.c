// The supervisor's own cgroup: what it takes for itself is bounded too, and counted apart from all cells.
#include <stdlib.h>
#include <sys/stat.h>

#include "cgroup_files.h"

/// Moves a process with all its threads. ESRCH: it is gone.
static int move(int group, const char *file, pid_t pid) {
    char text[24];
    format_number(text, (uint64_t)pid);
    return write_file_at(group, file, text);
}

int cgroup_take_host(struct cgroups *groups, uint64_t memory_max) {
    int memory = hierarchy_with(groups, BH_FEATURE_MEMORY);
    uint32_t ignored;
    // It started this process, so that both are in the same place; move_down() may have been at work since.
    int home = cgroup_own_directory(is_v2(groups) ? "" : "memory", &ignored);
    if (home < 0) return errno;
    groups->home = home;
    if (mkdirat(groups->instance[memory], CGROUP_HOST, 0755) < 0) return errno;
    int error = cgroup_limit_host(groups, memory_max);
    // What it has already taken stays charged where it was: so this comes first thing.
    return error ? error : move(groups->instance[memory], CGROUP_HOST "/cgroup.procs", getppid());
}

bool cgroup_release_host(struct cgroups *groups) {
    if (groups->home < 0) return true;
    int instance = groups->instance[hierarchy_with(groups, BH_FEATURE_MEMORY)];
    char text[4096];
    if (read_file_at(instance, CGROUP_HOST "/cgroup.procs", text, sizeof text) > 0)
        for (char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n')
            move(groups->home, "cgroup.procs", (pid_t)strtol(at, NULL, 10));
    // One that is ending is listed no more, and still there for a moment.
    if (unlinkat(instance, CGROUP_HOST, AT_REMOVEDIR) < 0 && errno != ENOENT) return false;
    close(groups->home);
    groups->home = -1;
    return true;
}
