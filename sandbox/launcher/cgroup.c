#include <stdlib.h>
#include <sys/stat.h>

#include "cgroup_files.h"

// -- A function -------------------------------------------------------------------------------------------------------

int cgroup_create_function(struct cgroups *groups, const char *function) {
    int error = 0;
    for (int i = 0; i < groups->count && !error; i++) {
        if (level_of(groups, i) < LEVEL_FUNCTION) continue;
        if (mkdirat(groups->base[i], function, 0755) < 0 && errno != EEXIST) error = errno;
        // What limits a cell has to be handed down once more.
        if (!error && is_v2(groups)) error = cgroup_hand_down(groups, function, groups->holds[i] & CGROUP_OF_CELLS);
    }
    if (!error) error = cgroup_weigh_io(groups, function);
    if (error) cgroup_remove(groups, function);
    return error;
}

// -- A cell's life ----------------------------------------------------------------------------------------------------

void cgroup_close(struct cgroup_entry *entry) {
    if (entry->directory >= 0) close(entry->directory);
    for (int i = 0; i < entry->procs_count; i++) close(entry->procs[i]);
    *entry = (struct cgroup_entry){.directory = -1};
}

int cgroup_create(struct cgroups *groups, const char *cell, struct cgroup_entry *entry) {
    int error = 0;
    *entry = (struct cgroup_entry){.directory = -1};
    for (int i = 0; i < groups->count && !error; i++)
        if (level_of(groups, i) == LEVEL_CELL && mkdirat(groups->base[i], cell, 0755) < 0) error = errno;
    if (!error) error = cgroup_enter(groups, cell, entry);
    if (error) cgroup_remove(groups, cell);
    return error;
}

/// The path of the file by which a cell's init joins a v1 hierarchy.
static void tasks_path(const struct cgroups *groups, int hierarchy, const char *cell, char out[96]) {
    switch (level_of(groups, hierarchy)) {
    case LEVEL_ALL: snprintf(out, 96, "tasks"); break;
    case LEVEL_FUNCTION: snprintf(out, 96, "%.*s/tasks", (int)strcspn(cell, "/"), cell); break;
    case LEVEL_CELL: cgroup_path(out, cell, "tasks"); break;
    }
}

int cgroup_enter(struct cgroups *groups, const char *cell, struct cgroup_entry *entry) {
    int error = 0;
    *entry = (struct cgroup_entry){.directory = -1};
    for (int i = 0; i < groups->count && !error; i++) {
        if (is_v2(groups)) {
            entry->directory = openat(groups->base[i], cell, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (entry->directory < 0) error = errno;
        } else {
            // Not cgroup.procs: that takes a lock of the whole machine and waits for an RCU grace period, some 10 ms. A lone
            // thread that moves itself through `tasks` needs no lock (Linux 5.7, 9a3284fad42f).
            char path[96];
            tasks_path(groups, i, cell, path);
            int procs = openat(groups->base[i], path, O_WRONLY | O_CLOEXEC);
            if (procs < 0) error = errno;
            else entry->procs[entry->procs_count++] = procs;
        }
    }
    if (error) cgroup_close(entry);
    return error;
}

// Of the memory of those who were there, the kernel frees some later (RCU). What is not free yet is the next one's.
#define RESIDUE_MAX (8u << 20)
#define RESIDUE_SHARE 4  // and no more than this part of the limit

static bool read_number(int base, const char *cell, const char *file, uint64_t *value) {
    char path[96], text[64];
    cgroup_path(path, cell, file);
    if (read_file_at(base, path, text, sizeof text) <= 0) return false;
    *value = strtoull(text, NULL, 10);
    return true;
}

/// How often the OOM killer struck; false where nobody can tell.
static bool read_oom(struct cgroups *groups, const char *cell, uint64_t *number) {
    char path[96], text[2048];
    int memory = hierarchy_with(groups, BH_FEATURE_MEMORY);
    if (memory < 0) return false;
    cgroup_path(path, cell, is_v2(groups) ? "memory.events" : "memory.oom_control");
    return read_file_at(groups->base[memory], path, text, sizeof text) > 0 && number_after(text, "oom_kill", number);
}

bool cgroup_reset(struct cgroups *groups, const char *cell, pid_t init, uint64_t memory_max) {
    int pids = hierarchy_with(groups, BH_FEATURE_PIDS);
    if (is_v2(groups) || pids < 0) return false;
    // Whoever was in there joined all hierarchies alike.
    char path[96], text[32], expected[32] = "";
    if (init) snprintf(expected, sizeof expected, "%d\n", init);
    cgroup_path(path, cell, "tasks");
    if (read_file_at(groups->base[pids], path, text, sizeof text) < 0 || strcmp(text, expected) != 0) return false;
    int memory = hierarchy_with(groups, BH_FEATURE_MEMORY), accounting = hierarchy_of_accounting(groups);
    if (memory >= 0) {
        uint64_t left = 0;
        if (write_group(groups->base[memory], cell, "memory.max_usage_in_bytes", "0")) return false;
        // Pages of files that are still cached would count as the next one's.
        uint64_t most = memory_max / RESIDUE_SHARE < RESIDUE_MAX ? memory_max / RESIDUE_SHARE : RESIDUE_MAX;
        if (!read_number(groups->base[memory], cell, "memory.usage_in_bytes", &left) || left > most) return false;
    }
    if (accounting >= 0 && unless_absent(write_group(groups->base[accounting], cell, "cpuacct.usage", "0"))) return false;
    uint64_t killed;
    return read_oom(groups, cell, &killed) && killed == 0;
}

int cgroup_usage_files(struct cgroups *groups, const char *cell, int out[2]) {
    int cpu = hierarchy_of_accounting(groups), memory = hierarchy_with(groups, BH_FEATURE_MEMORY);
    if (cpu < 0 || memory < 0) return 0;
    char path[96];
    cgroup_path(path, cell, is_v2(groups) ? "cpu.stat" : "cpuacct.usage");
    out[0] = openat(groups->base[cpu], path, O_RDONLY | O_CLOEXEC);
    cgroup_path(path, cell, is_v2(groups) ? "memory.peak" : "memory.max_usage_in_bytes");
    out[1] = openat(groups->base[memory], path, O_RDONLY | O_CLOEXEC);
    if (out[1] < 0 && is_v2(groups)) {
        cgroup_path(path, cell, "memory.current");  // before Linux 5.19 there is no peak
        out[1] = openat(groups->base[memory], path, O_RDONLY | O_CLOEXEC);
    }
    if (out[0] >= 0 && out[1] >= 0) return 2;
    for (int i = 0; i < 2; i++)
        if (out[i] >= 0) close(out[i]);
    return 0;
}

bool cgroup_saw_oom(struct cgroups *groups, const char *cell) {
    uint64_t number;
    return read_oom(groups, cell, &number) && number > 0;
}

void cgroup_read(struct cgroups *groups, const char *cell, uint64_t *cpu_ns, uint64_t *peak) {
    char path[96], text[2048];
    uint64_t number = 0;
    int cpu = hierarchy_of_accounting(groups), memory = hierarchy_with(groups, BH_FEATURE_MEMORY);
    if (memory >= 0)
        read_number(groups->base[memory], cell, is_v2(groups) ? "memory.peak" : "memory.max_usage_in_bytes", peak);
    if (cpu < 0) return;
    cgroup_path(path, cell, "cpu.stat");
    if (!is_v2(groups)) read_number(groups->base[cpu], cell, "cpuacct.usage", cpu_ns);
    else if (read_file_at(groups->base[cpu], path, text, sizeof text) > 0 && number_after(text, "usage_usec", &number))
        *cpu_ns = number * 1000;
}

/// Sends SIGKILL to each process listed; true while the list was not empty.
static bool kill_listed(int base, const char *cell) {
    char path[96];
    cgroup_path(path, cell, "cgroup.procs");
    int fd = openat(base, path, O_RDONLY | O_CLOEXEC);
    FILE *list = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!list) {
        if (fd >= 0) close(fd);
        return false;
    }
    bool any = false;
    for (int pid; fscanf(list, "%d", &pid) == 1;)
        if (pid > 1) any = true, kill(pid, SIGKILL);
    fclose(list);
    return any;
}

void cgroup_kill(struct cgroups *groups, const char *cell) {
    if (is_v2(groups) && write_group(groups->base[0], cell, "cgroup.kill", "1") == 0) return;
    int freezer = hierarchy_with(groups, BH_FEATURE_FREEZER);
    // Frozen processes cannot outrun the list by forking; the kill takes effect when they thaw.
    if (freezer >= 0) write_group(groups->base[freezer], cell, "freezer.state", "FROZEN");
    for (int i = 0; i < groups->count; i++) kill_listed(groups->base[i], cell);
    if (freezer >= 0) write_group(groups->base[freezer], cell, "freezer.state", "THAWED");
}

/// The numbers listed in one of a cell's files, at most `most` of them. -1 when it cannot be read.
static int read_list(int base, const char *cell, const char *file, pid_t *out, int most) {
    char path[96];
    cgroup_path(path, cell, file);
    int fd = openat(base, path, O_RDONLY | O_CLOEXEC), count = 0;
    FILE *list = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!list) {
        if (fd >= 0) close(fd);
        return -1;
    }
    for (int pid; count < most && fscanf(list, "%d", &pid) == 1;) out[count++] = pid;
    fclose(list);
    return count;
}

#define CLEAR_AT_ONCE 64

int cgroup_clear(struct cgroups *groups, const char *cell, pid_t init, pid_t watcher, pid_t worker) {
    pid_t pids[CLEAR_AT_ONCE + 3], again[CLEAR_AT_ONCE + 3];
    int hierarchy = hierarchy_with(groups, BH_FEATURE_PIDS), others = 0;
    int base = hierarchy < 0 ? -1 : groups->base[hierarchy];
    int count = base < 0 ? -1 : read_list(base, cell, "cgroup.procs", pids, CLEAR_AT_ONCE + 3);
    if (count < 0) return -1;
    int held[CLEAR_AT_ONCE + 3];
    for (int i = 0; i < count; i++) {
        bool other = pids[i] > 1 && pids[i] != init && pids[i] != watcher && pids[i] != worker;
        held[i] = other ? (int)syscall(SYS_pidfd_open, pids[i], 0) : -1;
        others += other;
    }
    // A number may have become somebody else's since it was read. Who is listed once more was held by then, and is ours.
    int left = others ? read_list(base, cell, "cgroup.procs", again, CLEAR_AT_ONCE + 3) : 0;
    for (int i = 0; i < count; i++) {
        if (held[i] < 0) continue;
        for (int j = 0; j < left; j++)
            if (again[j] == pids[i]) sys_pidfd_send_signal(held[i], SIGKILL);
        close(held[i]);
    }
    if (others) return 0;
    int threads = read_list(base, cell, is_v2(groups) ? "cgroup.threads" : "tasks", pids, CLEAR_AT_ONCE + 3);
    int own = watcher == init ? 1 : 2;
    return threads > own ? threads - own : 0;
}

bool cgroup_remove(struct cgroups *groups, const char *group) {
    bool gone = true;
    for (int i = 0; i < groups->count; i++)
        if (unlinkat(groups->base[i], group, AT_REMOVEDIR) < 0 && errno != ENOENT) gone = false;
    return gone;
}
