// What a cgroup may take: a cell, a function, all cells together, the supervisor.
#include <dirent.h>

#include "cgroup_files.h"

#define IO_WEIGHT "100"  // everybody's, on either scale: what counts is that all functions have the same

// -- Memory and tasks -------------------------------------------------------------------------------------------------

static int limit_memory_v1(int base, const char *group, uint64_t most, bool is_cell) {
    // Each must stay on its side of memsw: to raise the limit, memsw is raised first.
    int error = write_group_number(base, group, "memory.limit_in_bytes", most);
    if (error == EINVAL) {
        error = write_group_number(base, group, "memory.memsw.limit_in_bytes", most);
        if (!error) error = write_group_number(base, group, "memory.limit_in_bytes", most);
    }
    if (error) return error;
    // memsw counts memory and swap together: the same number means no swap.
    if ((error = unless_absent(write_group_number(base, group, "memory.memsw.limit_in_bytes", most)))) return error;
    // Of its own only before it has anything below it (Linux before 5.11).
    return !is_cell ? 0 : unless_absent(write_group_number(base, group, "memory.kmem.limit_in_bytes", most));
}

static int limit_memory(const struct cgroups *groups, int base, const char *group, uint64_t most, bool is_cell) {
    if (!is_v2(groups)) return limit_memory_v1(base, group, most, is_cell);
    int error = write_group_number(base, group, "memory.max", most);
    return error ? error : unless_absent(write_group(base, group, "memory.swap.max", "0"));
}

static int limit(struct cgroups *groups, const char *group, const struct cgroup_limits *limits, bool is_cell) {
    int error = 0;
    for (int i = 0; i < groups->count && !error; i++) {
        if (groups->holds[i] & BH_FEATURE_MEMORY) {
            error = limit_memory(groups, groups->base[i], group, limits->memory_max, is_cell);
            // In a cell only: above it, one kill would take all the others along.
            if (!error && is_cell && is_v2(groups)) error = write_group(groups->base[i], group, "memory.oom.group", "1");
        }
        if (!error && groups->holds[i] & BH_FEATURE_PIDS)
            error = write_group_number(groups->base[i], group, "pids.max", limits->tasks_max);
    }
    return error;
}

int cgroup_limit(struct cgroups *groups, const char *cell, const struct cgroup_limits *limits) {
    return limit(groups, cell, limits, true);
}

int cgroup_limit_function(struct cgroups *groups, const char *function, const struct cgroup_limits *limits) {
    return limit(groups, function, limits, false);
}

int cgroup_limit_host(struct cgroups *groups, uint64_t memory_max) {
    return limit_memory(groups, groups->instance[hierarchy_with(groups, BH_FEATURE_MEMORY)], CGROUP_HOST, memory_max, true);
}

int cgroup_limit_network(struct cgroups *groups, const char *cell, uint64_t memory_max) {
    if (is_v2(groups)) return 0;  // memory.max has them
    int hierarchy = hierarchy_with(groups, BH_FEATURE_MEMORY);
    return hierarchy < 0 ? ENOTSUP : write_group_number(groups->base[hierarchy], cell, "memory.kmem.tcp.limit_in_bytes", memory_max / 4);
}

// -- All cells together -----------------------------------------------------------------------------------------------

/// Whether `name` is a file that limits huge pages of some size, or their reservation.
static bool limits_huge_pages(const char *name, const char *ending) {
    size_t length = strlen(name), tail = strlen(ending);
    return strncmp(name, "hugetlb.", 8) == 0 && length > tail && strcmp(name + length - tail, ending) == 0;
}

/// No manifest can ask for huge pages, and they are the whole machine's.
static int refuse_huge_pages(const struct cgroups *groups, int base) {
    int copy = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) return errno;
    for (struct dirent *entry; !error && (entry = readdir(dir));)
        if (limits_huge_pages(entry->d_name, is_v2(groups) ? ".max" : ".limit_in_bytes"))
            error = write_file_at(base, entry->d_name, "0");
    closedir(dir);
    return error;
}

int cgroup_limit_all(struct cgroups *groups, const struct cgroup_totals *totals) {
    int error = 0;
    for (int i = 0; i < groups->count && !error; i++) {
        int base = groups->base[i];
        if (groups->holds[i] & BH_FEATURE_MEMORY && totals->memory_max)
            error = limit_memory(groups, base, ".", totals->memory_max, true);
        if (!error && groups->holds[i] & BH_FEATURE_PIDS && totals->tasks_max)
            error = write_group_number(base, ".", "pids.max", totals->tasks_max);
        if (!error && groups->holds[i] & BH_FEATURE_HUGETLB) error = refuse_huge_pages(groups, base);
    }
    return error;
}

// -- Shares -----------------------------------------------------------------------------------------------------------

int cgroup_weigh(struct cgroups *groups, const char *group, uint32_t cpu_weight) {
    if (cpu_weight > 10000) cpu_weight = 10000;  // v2's largest
    uint64_t shares = (uint64_t)cpu_weight * 1024 / 100;
    if (shares < 2) shares = 2;  // v1's smallest
    int error = 0;
    for (int i = 0; i < groups->count && !error; i++) {
        if (!(groups->holds[i] & BH_FEATURE_CPU)) continue;
        error = is_v2(groups) ? write_group_number(groups->base[i], group, "cpu.weight", cpu_weight)
                              : unless_absent(write_group_number(groups->base[i], group, "cpu.shares", shares));
    }
    return error;
}

int cgroup_weigh_io(struct cgroups *groups, const char *function) {
    static const char *const files[] = {"io.weight", "io.bfq.weight", "blkio.weight", "blkio.bfq.weight"};
    int error = 0, hierarchy = hierarchy_with(groups, BH_FEATURE_IO);
    // Which of them there are depends on the kernel's I/O schedulers. With none there is no share to be had.
    for (size_t i = 0; i < sizeof files / sizeof *files && !error && hierarchy >= 0; i++)
        error = unless_absent(write_group(groups->base[hierarchy], function, files[i], IO_WEIGHT));
    return error;
}
