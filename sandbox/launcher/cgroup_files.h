// Inside the cgroup code only: files of a cgroup by its path below the directory above all cells.
#pragma once

#include <stdio.h>
#include <string.h>

#include "cgroup.h"

static inline void cgroup_path(char out[96], const char *group, const char *file) { snprintf(out, 96, "%s/%s", group, file); }

static inline int write_group(int base, const char *group, const char *file, const char *text) {
    char path[96];
    cgroup_path(path, group, file);
    return write_file_at(base, path, text);
}

static inline int write_group_number(int base, const char *group, const char *file, uint64_t number) {
    char text[24];
    format_number(text, number);
    return write_group(base, group, file, text);
}

static inline int hierarchy_with(const struct cgroups *groups, uint32_t controller) {
    for (int i = 0; i < groups->count; i++)
        if (groups->holds[i] & controller) return i;
    return -1;
}

/// v1's accounting of CPU time may be in a hierarchy of its own, which stands after cpu's (see `controllers`).
static inline int hierarchy_of_accounting(const struct cgroups *groups) {
    int i = groups->count - 1;
    while (i >= 0 && !(groups->holds[i] & BH_FEATURE_CPU)) i--;
    return i;
}

static inline bool is_v2(const struct cgroups *groups) { return groups->features & BH_FEATURE_CGROUP_V2; }

/// On which level processes stand in a hierarchy. What one cell more costs there is paid at each start, so that v1's lesser
/// ones have no directories of cells: block I/O is shared between functions, and nobody has huge pages.
enum cgroup_level { LEVEL_ALL, LEVEL_FUNCTION, LEVEL_CELL };

static inline enum cgroup_level level_of(const struct cgroups *groups, int hierarchy) {
    uint32_t holds = groups->holds[hierarchy];
    if (is_v2(groups) || holds & ~(BH_FEATURE_IO | BH_FEATURE_HUGETLB)) return LEVEL_CELL;
    return holds & BH_FEATURE_IO ? LEVEL_FUNCTION : LEVEL_ALL;
}

/// ENOENT: the kernel was built without that accounting. EOPNOTSUPP: it is retired (memory.kmem.limit_in_bytes).
static inline int unless_absent(int error) { return error == ENOENT || error == EOPNOTSUPP ? 0 : error; }
