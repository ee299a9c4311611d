// Finding the cgroup hierarchies, and the directories of this instance in them.
#include <stdlib.h>
#include <sys/stat.h>

#include "cgroup_files.h"

static const struct {
    const char *name;
    uint32_t feature;
} controllers[] = {
    {"memory", BH_FEATURE_MEMORY}, {"pids", BH_FEATURE_PIDS},       {"cpu", BH_FEATURE_CPU},
    {"cpuacct", BH_FEATURE_CPU},   {"freezer", BH_FEATURE_FREEZER}, {"blkio", BH_FEATURE_IO},
    {"hugetlb", BH_FEATURE_HUGETLB},
};

// v2's, and each may be missing but the first two.
static const struct {
    const char *name;
    uint32_t feature;
} v2_controllers[] = {
    {"memory", BH_FEATURE_MEMORY}, {"pids", BH_FEATURE_PIDS},       {"cpu", BH_FEATURE_CPU},
    {"io", BH_FEATURE_IO},         {"hugetlb", BH_FEATURE_HUGETLB},
};

static bool list_has(const char *list, const char *word, const char *separators) {
    size_t length = strlen(word);
    for (const char *at = list; *at;) {
        size_t part = strcspn(at, separators);
        if (part == length && memcmp(at, word, length) == 0) return true;
        at += part;
        at += strspn(at, separators);
    }
    return false;
}

int cgroup_own_directory(const char *controller, uint32_t *together) {
    char line[4096], own[2048] = "", root[2048], point[2048], type[64], options[1024];
    bool v2 = !controller[0], found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return -1;
    while (!found && fgets(line, sizeof line, file)) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        if (v2 ? list[1] != 0 : !list_has(list + 1, controller, ",")) continue;
        snprintf(own, sizeof own, "%s", path);
        *together = 0;
        for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++)
            if (list_has(list + 1, controllers[i].name, ",")) *together |= controllers[i].feature;
        found = true;
    }
    fclose(file);
    if (!found || !(file = fopen("/proc/self/mountinfo", "re"))) return -1;
    int dir = -1;
    while (dir < 0 && fgets(line, sizeof line, file)) {
        char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*d %*d %*s %2047s %2047s", root, point) != 2) continue;
        if (sscanf(rest, " - %63s %*s %1023s", type, options) != 2) continue;
        if (strcmp(type, v2 ? "cgroup2" : "cgroup") != 0) continue;
        if (!v2 && !list_has(options, controller, ",\n")) continue;
        size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
        const char *below = strncmp(own, root, skip) == 0 ? own + skip : "";
        char path[4200];
        snprintf(path, sizeof path, "%s%s", point, below);
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0) dir = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    fclose(file);
    return dir;
}

static int make_directory(int parent, const char *name) {
    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST) return -1;
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/// Old v1 kernels count what a memory cgroup's children use against it only where that is asked for, before there are any.
static bool counts_children(int instance) {
    char text[16];
    if (read_file_at(instance, "memory.use_hierarchy", text, sizeof text) <= 0) return true;
    return text[0] == '1' || write_file_at(instance, "memory.use_hierarchy", "1") == 0;
}

static bool add_hierarchy(struct cgroups *groups, int parent, uint32_t holds) {
    cgroups_remove_stale(groups, parent);
    int instance = make_directory(parent, groups->name);
    int base = instance >= 0 && counts_children(instance) ? make_directory(instance, CGROUP_ALL) : -1;
    if (base < 0) {
        if (instance >= 0) close(instance);
        unlinkat(parent, groups->name, AT_REMOVEDIR);
        return false;
    }
    groups->parent[groups->count] = parent;
    groups->instance[groups->count] = instance;
    groups->base[groups->count] = base;
    groups->holds[groups->count++] = holds;
    groups->features |= holds;
    return true;
}

/// Takes back the hierarchy that was added last.
static void drop_hierarchy(struct cgroups *groups) {
    int last = --groups->count;
    unlinkat(groups->instance[last], CGROUP_ALL, AT_REMOVEDIR);
    unlinkat(groups->parent[last], groups->name, AT_REMOVEDIR);
    close(groups->base[last]);
    close(groups->instance[last]);
    close(groups->parent[last]);
    groups->features &= ~groups->holds[last];
}

// -- v2 ---------------------------------------------------------------------------------------------------------------

static uint32_t listed_v2(int dir, const char *file) {
    char text[512];
    uint32_t found = 0;
    if (read_file_at(dir, file, text, sizeof text) <= 0) return 0;
    for (size_t i = 0; i < sizeof v2_controllers / sizeof *v2_controllers; i++)
        if (list_has(text, v2_controllers[i].name, " \n")) found |= v2_controllers[i].feature;
    return found;
}

/// Hands those of the controllers `wanted` that there are to the children of `dir`. Returns which these have.
static uint32_t delegate(int dir, uint32_t wanted) {
    for (size_t i = 0; i < sizeof v2_controllers / sizeof *v2_controllers; i++) {
        if (!(wanted & v2_controllers[i].feature)) continue;
        char text[16];
        snprintf(text, sizeof text, "+%s", v2_controllers[i].name);
        int error = write_file_at(dir, "cgroup.subtree_control", text);
        // Memory comes first, and without it none: cpu and pids can be enabled beside processes, which makes the cgroup
        // threaded and its children unusable.
        if (error && v2_controllers[i].feature == BH_FEATURE_MEMORY) break;
    }
    return listed_v2(dir, "cgroup.subtree_control");
}

int cgroup_hand_down(struct cgroups *groups, const char *group, uint32_t controllers) {
    char text[64] = "";
    size_t length = 0;
    for (size_t i = 0; i < sizeof v2_controllers / sizeof *v2_controllers; i++)
        if (controllers & v2_controllers[i].feature)
            length += (size_t)snprintf(text + length, sizeof text - length, "+%s ", v2_controllers[i].name);
    char path[96];
    cgroup_path(path, group, "cgroup.subtree_control");
    return write_file_at(groups->base[0], path, text);
}

#define WANTED_V2 (CGROUP_OF_CELLS | BH_FEATURE_IO | BH_FEATURE_HUGETLB)

/// 0 when it is gone.
static pid_t parent_of(pid_t pid) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_file_at(AT_FDCWD, path, text, sizeof text) <= 0) return 0;
    const char *after = strrchr(text, ')');  // its name may hold anything
    int parent = 0;
    return after && sscanf(after + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/// A v2 cgroup with processes of its own cannot hand controllers to children: move them one level down. An ordinary user
/// can only do so where the cgroup is delegated to it, and there it may. Root could move anybody: it does so only when
/// every process there is this host's own (guardian, supervisor and us), as in a container.
static bool move_down(int dir) {
    if (mkdirat(dir, "bulkhead-host", 0755) < 0 && errno != EEXIST) return false;
    char text[4096], target[64] = "bulkhead-host/cgroup.procs";
    if (read_file_at(dir, "cgroup.procs", text, sizeof text) < 0) return false;
    pid_t mine = getpid(), supervisor = getppid(), guardian = parent_of(supervisor);
    for (char *at = text; *at && geteuid() == 0; at += strcspn(at, "\n"), at += *at == '\n') {
        long pid = strtol(at, NULL, 10);
        if (pid != mine && pid != supervisor && pid != guardian) return false;
    }
    for (char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        char pid[24];
        format_number(pid, (uint64_t)strtol(at, NULL, 10));
        if (write_file_at(dir, target, pid)) return false;
    }
    return true;
}

/// Where move_down() has put an earlier life of this host, its guardian's children begin: the place to build is one up.
static int step_up(int own) {
    struct stat here, host;
    if (fstat(own, &here) < 0 || fstatat(own, "../bulkhead-host", &host, AT_SYMLINK_NOFOLLOW) < 0) return own;
    if (here.st_dev != host.st_dev || here.st_ino != host.st_ino) return own;
    int up = openat(own, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (up < 0) return own;
    close(own);
    return up;
}

static void open_v2(struct cgroups *groups) {
    uint32_t ignored;
    int own = cgroup_own_directory("", &ignored);
    if (own < 0) return;
    own = step_up(own);
    uint32_t needed = BH_FEATURE_MEMORY | BH_FEATURE_PIDS;
    uint32_t held = delegate(own, WANTED_V2);
    if ((held & needed) != needed && (listed_v2(own, "cgroup.controllers") & needed) == needed && move_down(own))
        held = delegate(own, WANTED_V2);
    if ((held & needed) != needed && geteuid() == 0) {
        // Not a place that can delegate (a login session, say): as root, stand beside it at the top.
        int top = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (top >= 0) {
            close(own);
            own = top;
            held = delegate(own, WANTED_V2);
        }
    }
    groups->features = BH_FEATURE_CGROUP_V2;
    if ((held & needed) != needed || !add_hierarchy(groups, own, held)) {
        close(own);
        groups->features = 0;
        return;
    }
    // Level by level, and at each some may be missing. Functions hand on what limits their cells (cgroup_create_function).
    uint32_t all = delegate(groups->instance[0], held);
    uint32_t functions = (all & needed) == needed ? delegate(groups->base[0], all & ~BH_FEATURE_HUGETLB) : 0;
    if ((functions & needed) != needed) {
        drop_hierarchy(groups);
        groups->features = 0;
        return;
    }
    groups->holds[0] = functions | (all & BH_FEATURE_HUGETLB);
    groups->features = BH_FEATURE_CGROUP_V2 | groups->holds[0];
}

// -- v1 ---------------------------------------------------------------------------------------------------------------

/// Whether some I/O scheduler of this kernel knows shares. Without one, a hierarchy would cost each cell time for nothing.
static bool has_io_weight(int group) {
    return faccessat(group, "blkio.weight", F_OK, 0) == 0 || faccessat(group, "blkio.bfq.weight", F_OK, 0) == 0;
}

static void open_v1(struct cgroups *groups) {
    uint32_t seen = 0;
    groups->features = BH_FEATURE_CGROUP_V1;
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        uint32_t together = 0;
        bool accounting = strcmp(controllers[i].name, "cpuacct") == 0;
        if (!accounting && seen & controllers[i].feature) continue;
        int own = cgroup_own_directory(controllers[i].name, &together);
        if (own < 0) continue;
        // cpu and cpuacct share one mount on most hosts: don't make the directory twice.
        if (accounting && faccessat(groups->count ? groups->base[groups->count - 1] : -1, "cpuacct.usage", F_OK, 0) == 0) {
            close(own);
            continue;
        }
        seen |= together;
        if (!add_hierarchy(groups, own, together)) close(own);
        else if (together == BH_FEATURE_IO && !has_io_weight(groups->base[groups->count - 1])) drop_hierarchy(groups);
    }
    uint32_t needed = BH_FEATURE_MEMORY | BH_FEATURE_PIDS;
    if ((groups->features & needed) == needed) return;
    while (groups->count) drop_hierarchy(groups);
    groups->features = 0;
}

// -- Both -------------------------------------------------------------------------------------------------------------

int cgroups_open(struct cgroups *groups, const struct cgroup_totals *totals, const char **what) {
    *groups = (struct cgroups){.home = -1};
    cgroup_instance_name(groups->name, getpid(), cgroup_pid_namespace());
    open_v2(groups);
    if (!groups->count) open_v1(groups);
    // Without cgroups there is nothing to limit: HELLO says so, and the supervisor decides.
    if (!groups->count) return 0;
    *what = "limit all cells together";
    int error = cgroup_limit_all(groups, totals);
    if (!error && totals->host_memory_max) {
        *what = "limit the supervisor's memory";
        error = cgroup_take_host(groups, totals->host_memory_max);
    }
    if (error) cgroups_close(groups);
    return error;
}
