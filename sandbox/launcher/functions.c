#include "functions.h"

#include <stdio.h>
#include <string.h>

#define FREE_MAX 32     // directories that are kept for the next cells: making and removing them costs time
#define LEADING_MAX 4u  // cells with a head start of one function, above which it has none itself

struct function functions[FUNCTIONS];
static uint32_t high;  // all entries from here on have never been used
static uint32_t free_count;  // made, without a cell
static uint32_t kept_total;  // directories of cells

void function_path(uint32_t function, char out[16]) { snprintf(out, 16, "f%u", function); }

uint32_t function_named(const char *name) {
    for (uint32_t i = 0; i < high && name[0]; i++)
        if (functions[i].cells && strcmp(functions[i].name, name) == 0) return i;
    return NOBODY;
}

uint32_t function_remembered(const char *name) {
    for (uint32_t i = 0; i < high && name[0]; i++)
        if (!functions[i].cells && functions[i].made && strcmp(functions[i].name, name) == 0) return i;
    return NOBODY;
}

void function_take(uint32_t function, const char *name) {
    uint32_t before = function_remembered(name);
    if (before != NOBODY) functions[before].name[0] = 0;  // what it has kept goes when somebody else takes it
    snprintf(functions[function].name, sizeof functions[function].name, "%s", name);
}

int function_limit(struct cgroups *groups, uint32_t function, const struct cgroup_limits *limits) {
    struct cgroup_limits *set = &functions[function].limits, wanted = *limits;
    // Another version of it may be at work, which was promised more.
    if (wanted.memory_max < set->memory_max && !functions[function].lapsed) wanted.memory_max = set->memory_max;
    if (wanted.tasks_max < set->tasks_max && !functions[function].lapsed) wanted.tasks_max = set->tasks_max;
    if (!functions[function].torn && cgroup_same_limits(&wanted, set)) {
        functions[function].lapsed = false;
        return 0;
    }
    char path[16];
    function_path(function, path);
    int error = cgroup_limit_function(groups, path, &wanted);
    functions[function].torn = error;
    if (error) return error;
    functions[function].lapsed = false;
    *set = wanted;
    return 0;
}

void function_expect(struct cgroups *groups, uint32_t function, const struct cgroup_limits *limits) {
    if (functions[function].name[0]) return;
    // Where that fails, it is tried again, and told, as soon as somebody comes.
    function_limit(groups, function, limits);
    functions[function].lapsed = true;
}

// -- Weight -----------------------------------------------------------------------------------------------------------

/// A function's weight beside others: as much as anybody's, and up to BH_HEAD_START times that while short invocations are to
/// be over before others' long ones slow them down. But not so much that its own long ones get more than one function's share
/// of it, and for a few at once only: a function that is flooded with short invocations takes turns with the others.
static uint32_t weight_of(const struct function *function) {
    uint32_t leading = function->leading, others = function->running - leading;
    if (leading == 0 || leading > LEADING_MAX) return BH_PLAN_WEIGHT;
    if (others == 0) return BH_PLAN_WEIGHT * BH_HEAD_START;
    uint32_t weight = BH_PLAN_WEIGHT + BH_PLAN_WEIGHT * BH_HEAD_START * leading / others;
    return weight < BH_PLAN_WEIGHT * BH_HEAD_START ? weight : BH_PLAN_WEIGHT * BH_HEAD_START;
}

static int weigh(struct cgroups *groups, uint32_t function, uint32_t weight) {
    char path[16];
    if (functions[function].weight == weight) return 0;
    function_path(function, path);
    int error = cgroup_weigh(groups, path, weight);
    if (!error) functions[function].weight = weight;
    return error;
}

int function_started(struct cgroups *groups, uint32_t function) {
    functions[function].running++;
    functions[function].leading++;
    return weigh(groups, function, weight_of(&functions[function]));
}

int function_demoted(struct cgroups *groups, uint32_t function) {
    functions[function].leading--;
    return weigh(groups, function, weight_of(&functions[function]));
}

int function_ended(struct cgroups *groups, uint32_t function, bool was_demoted) {
    functions[function].running--;
    if (!was_demoted) functions[function].leading--;
    // With nothing running it has no use for any weight: the next start sets it, and mostly finds it as it is.
    return functions[function].running ? weigh(groups, function, weight_of(&functions[function])) : 0;
}

// -- Directories ------------------------------------------------------------------------------------------------------

// Nobody's next owner would drop what is kept.
bool function_may_keep(uint32_t function) { return functions[function].name[0] && functions[function].kept_count < KEPT_MAX; }

void function_keep(uint32_t function, const char *group, const struct cgroup_limits *limits, uint32_t weight) {
    struct function *keeper = &functions[function];
    struct kept_group *kept = &keeper->kept[keeper->kept_count++];
    *kept = (struct kept_group){.limits = *limits, .weight = weight, .since = monotonic_ns()};
    snprintf(kept->name, sizeof kept->name, "%s", strchr(group, '/'));
    kept_total++;
}

/// Takes what was kept as number `at` off the list; its path comes to stand in `group`.
static struct kept_group take_kept(uint32_t function, unsigned at, char group[32]) {
    struct function *keeper = &functions[function];
    struct kept_group kept = keeper->kept[at];
    memmove(keeper->kept + at, keeper->kept + at + 1, (--keeper->kept_count - at) * sizeof *keeper->kept);
    kept_total--;
    function_path(function, group);
    strcat(group, kept.name);
    return kept;
}

bool function_reuse(uint32_t function, char group[32], struct cgroup_limits *limits, uint32_t *weight) {
    if (!functions[function].kept_count) return false;
    struct kept_group kept = take_kept(function, functions[function].kept_count - 1, group);
    *limits = kept.limits;
    *weight = kept.weight;
    return true;
}

/// Removes what has been kept for longer than `age` ns: the first was kept first.
static void drop_kept(struct cgroups *groups, uint32_t function, uint64_t age) {
    const struct function *keeper = &functions[function];
    uint64_t now = monotonic_ns();
    while (keeper->kept_count && now - keeper->kept[0].since >= age) {
        char group[32];
        take_kept(function, 0, group);
        cgroup_remove(groups, group);
    }
}

bool functions_expire(struct cgroups *groups, uint64_t age) {
    for (uint32_t i = 0; i < high && kept_total; i++) drop_kept(groups, i, age);
    return kept_total;
}

/// A directory without a cell: one that is there already and nobody's; or one to be made, while there are few that somebody may ask
/// for again; or of those the one that was left longest ago.
static uint32_t find_free(void) {
    uint32_t unmade = NOBODY, remembered = NOBODY;
    for (uint32_t i = 0; i < high; i++) {
        const struct function *function = &functions[i];
        if (function->cells) continue;
        if (function->made && !function->name[0]) return i;
        if (!function->made) unmade = unmade == NOBODY ? i : unmade;
        else if (remembered == NOBODY || function->left < functions[remembered].left) remembered = i;
    }
    if (remembered != NOBODY && free_count >= FREE_MAX) return remembered;
    if (unmade == NOBODY && high < FUNCTIONS) unmade = high++;
    return unmade != NOBODY ? unmade : remembered;
}

int function_add_cell(struct cgroups *groups, uint32_t *function) {
    uint32_t found = *function;
    if (found == NOBODY) {
        if ((found = find_free()) == NOBODY) return EAGAIN;
        functions[found].name[0] = 0;
        functions[found].limits = (struct cgroup_limits){0};  // the next one to have the directory sets its own
        drop_kept(groups, found, 0);  // what one function's cells leave behind is nothing for another's
    }
    char path[16];
    function_path(found, path);
    if (!functions[found].made) {
        int error = cgroup_create_function(groups, path);
        if (error) return error;
        functions[found] = (struct function){.made = true};
        free_count++;
    }
    if (!functions[found].cells) {
        // Building a cell is the host's work, and others wait for it: no tenant's code is in there yet.
        int error = weigh(groups, found, BH_PLAN_WEIGHT * BH_HEAD_START);
        if (error) return error;
        free_count--;
    }
    functions[found].cells++;
    *function = found;
    return 0;
}

void function_lose_cell(struct cgroups *groups, uint32_t function) {
    struct function *lost = &functions[function];
    if (--lost->cells) return;
    lost->lapsed = true;
    lost->left = monotonic_ns();
    free_count++;
    if (free_count <= FREE_MAX) return;
    drop_kept(groups, function, 0);
    char path[16];
    function_path(function, path);
    cgroup_remove(groups, path);
    // Also when one of its directories could not be removed: whoever comes here next makes those that are missing.
    lost->name[0] = 0;
    lost->limits = (struct cgroup_limits){0};
    lost->made = false;
    free_count--;
}
