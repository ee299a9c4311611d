#include "cell_groups.h"

#include <stdio.h>
#include <string.h>

#define LEAST_MEMORY (4u << 20)

/// Limits the cell's cgroups where what is `set` there differs.
static int limit(struct cgroups *groups, const struct cell *cell, const struct cgroup_limits *set, uint32_t weight) {
    // Building it is the host's work, and others wait for it: no tenant's code is in there yet.
    uint32_t wanted = cell->cpu_weight * BH_HEAD_START;
    int error = weight == wanted ? 0 : cgroup_weigh(groups, cell->group, wanted);
    return error || cgroup_same_limits(set, &cell->limits) ? error : cgroup_limit(groups, cell->group, &cell->limits);
}

/// Takes cgroups that an earlier cell of the function has left. False where there are none that will do.
static bool reuse_group(struct cgroups *groups, struct cell *cell, bool knows_version, struct cgroup_entry *entry) {
    struct cgroup_limits set;
    uint32_t weight;
    if (!function_reuse(cell->function, cell->group, &set, &weight)) return false;
    if (!knows_version) cell->limits = set;  // probably the ones that will be asked for
    if (!cgroup_enter(groups, cell->group, entry)) {
        if (!limit(groups, cell, &set, weight)) return true;
        cgroup_close(entry);
    }
    cgroup_remove(groups, cell->group);
    return false;
}

/// Makes the cell's cgroups with what limits them.
static struct step make_group(struct cgroups *groups, struct cell *cell, struct cgroup_entry *entry) {
    function_path(cell->function, cell->group);
    size_t length = strlen(cell->group);
    snprintf(cell->group + length, sizeof cell->group - length, "/c%u-%u", (unsigned)(cell - cells), cell->generation);
    int error = cgroup_create(groups, cell->group, entry);
    if (error) return failed(BH_STAGE_CGROUP_CREATE, error);
    error = limit(groups, cell, &(struct cgroup_limits){0}, 0);
    if (error) cgroup_close(entry), cgroup_remove(groups, cell->group);
    return failed(BH_STAGE_CGROUP_LIMIT, error);
}

struct step cell_group_open(struct cgroups *groups, struct cell *cell, bool knows_version, struct cgroup_entry *entry) {
    struct cgroup_limits wanted = cell->limits;
    if (reuse_group(groups, cell, knows_version, entry)) return done;
    cell->limits = wanted;
    return make_group(groups, cell, entry);
}

bool cell_group_leave(struct cgroups *groups, const struct cell *cell) {
    if (cell->is_marred || !function_may_keep(cell->function)) return false;
    // Whose limit is smaller than this one's has them next, perhaps.
    uint64_t least = cell->limits.memory_max < LEAST_MEMORY ? cell->limits.memory_max : LEAST_MEMORY;
    if (!cgroup_reset(groups, cell->group, 0, least)) return false;
    function_keep(cell->function, cell->group, &cell->limits, cell->demoted ? cell->cpu_weight : cell->cpu_weight * BH_HEAD_START);
    return true;
}
