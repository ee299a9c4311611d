// Finding the cgroup hierarchies, and the directories of this instance in them.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"

static const struct {
    const char *name;
    uint32_t feature;
} controllers[] = {
    {"memory", BH_FEATURE_MEMORY}, {"pids", BH_FEATURE_PIDS},       {"cpu", BH_FEATURE_CPU},
    {"cpuacct", BH_FEATURE_CPU},   {"freezer", BH_FEATURE_FREEZER},
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

/// Our own directory of the hierarchy that has `controller` (v1) or of v2 ("" as controller): mount point from
/// mountinfo, path from /proc/self/cgroup. Returns an O_DIRECTORY descriptor or -1.
static int own_directory(const char *controller, uint32_t *together) {
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

/// Removes directories of instances whose launcher is gone: "bulkhead-<pid>" without such a process.
static void remove_stale(struct cgroups *groups, int parent) {
    int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        int pid = 0;
        char comm[64], path[64];
        if (sscanf(entry->d_name, "bulkhead-%d", &pid) != 1 || pid <= 0) continue;
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        if (read_file_at(AT_FDCWD, path, comm, sizeof comm) > 0 && strncmp(comm, "bulkhead-launch", 15) == 0) continue;
        struct cgroups stale = {.features = groups->features, .count = 1, .parent = {parent}};
        snprintf(stale.name, sizeof stale.name, "bulkhead-%d", pid);
        stale.base[0] = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (stale.base[0] >= 0) cgroups_sweep(&stale, true);
    }
    closedir(dir);
}

static bool add_hierarchy(struct cgroups *groups, int parent, uint32_t holds) {
    remove_stale(groups, parent);
    if (mkdirat(parent, groups->name, 0755) < 0 && errno != EEXIST) return false;
    int base = openat(parent, groups->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0) return false;
    groups->parent[groups->count] = parent;
    groups->base[groups->count] = base;
    groups->holds[groups->count++] = holds;
    groups->features |= holds;
    return true;
}

static uint32_t v2_controllers(int dir, const char *file) {
    char text[512];
    uint32_t found = 0;
    if (read_file_at(dir, file, text, sizeof text) <= 0) return 0;
    for (size_t i = 0; i < 3; i++)
        if (list_has(text, controllers[i].name, " \n")) found |= controllers[i].feature;
    return found;
}

/// Hands controllers to the children of `dir`. Memory comes first, and without it none: cpu and pids can be enabled beside
/// processes, which makes the cgroup threaded and its children unusable.
static uint32_t enable_v2(int dir) {
    for (size_t i = 0; i < 3; i++) {
        char text[16];
        snprintf(text, sizeof text, "+%s", controllers[i].name);
        int error = write_file_at(dir, "cgroup.subtree_control", text);
        if (error && controllers[i].feature == BH_FEATURE_MEMORY) break;
    }
    return v2_controllers(dir, "cgroup.subtree_control");
}

/// A v2 cgroup with processes of its own cannot hand controllers to children: move them one level down. An ordinary user
/// can only do so where the cgroup is delegated to it, and there it may. Root could move anybody: it does so only when
/// every process there is this host's own (the supervisor and us), as in a container.
static bool move_down(int dir) {
    if (mkdirat(dir, "bulkhead-host", 0755) < 0 && errno != EEXIST) return false;
    char text[4096], target[64] = "bulkhead-host/cgroup.procs";
    if (read_file_at(dir, "cgroup.procs", text, sizeof text) < 0) return false;
    pid_t mine = getpid(), parent = getppid();
    for (char *at = text; *at && geteuid() == 0; at += strcspn(at, "\n"), at += *at == '\n') {
        long pid = strtol(at, NULL, 10);
        if (pid != mine && pid != parent) return false;
    }
    for (char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        char pid[24];
        format_number(pid, (uint64_t)strtol(at, NULL, 10));
        if (write_file_at(dir, target, pid)) return false;
    }
    return true;
}

static void open_v2(struct cgroups *groups) {
    uint32_t ignored;
    int own = own_directory("", &ignored);
    if (own < 0) return;
    uint32_t wanted = BH_FEATURE_MEMORY | BH_FEATURE_PIDS;
    uint32_t held = enable_v2(own);
    if ((held & wanted) != wanted && (v2_controllers(own, "cgroup.controllers") & wanted) == wanted && move_down(own))
        held = enable_v2(own);
    if ((held & wanted) != wanted && geteuid() == 0) {
        // Not a place that can delegate (a login session, say): as root, stand beside it at the top.
        int top = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (top >= 0) {
            close(own);
            own = top;
            held = enable_v2(own);
        }
    }
    if ((held & wanted) != wanted) {
        close(own);
        return;
    }
    groups->features = BH_FEATURE_CGROUP_V2;
    if (!add_hierarchy(groups, own, held) || (enable_v2(groups->base[0]) & wanted) != wanted) {
        cgroups_sweep(groups, true);
        *groups = (struct cgroups){0};
    }
}

static void open_v1(struct cgroups *groups) {
    uint32_t seen = 0;
    groups->features = BH_FEATURE_CGROUP_V1;
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        uint32_t together = 0;
        bool accounting = strcmp(controllers[i].name, "cpuacct") == 0;
        if (!accounting && seen & controllers[i].feature) continue;
        int own = own_directory(controllers[i].name, &together);
        if (own < 0) continue;
        // cpu and cpuacct share one mount on most hosts: don't make the directory twice.
        if (accounting && faccessat(groups->count ? groups->base[groups->count - 1] : -1, "cpuacct.usage", F_OK, 0) == 0) {
            close(own);
            continue;
        }
        seen |= together;
        if (!add_hierarchy(groups, own, together)) close(own);
    }
    if (!(groups->features & BH_FEATURE_MEMORY) || !(groups->features & BH_FEATURE_PIDS)) {
        cgroups_sweep(groups, true);
        *groups = (struct cgroups){0};
    }
}

void cgroups_open(struct cgroups *groups) {
    char name[sizeof groups->name];
    snprintf(name, sizeof name, "bulkhead-%d", getpid());
    *groups = (struct cgroups){0};
    memcpy(groups->name, name, sizeof name);
    open_v2(groups);
    if (groups->count) return;
    memcpy(groups->name, name, sizeof name);
    open_v1(groups);
}

void cgroups_sweep(struct cgroups *groups, bool final) {
    for (int attempt = 0; attempt < 200; attempt++) {
        bool left = false;
        for (int i = 0; i < groups->count; i++) {
            int copy = openat(groups->base[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
            if (!dir) continue;
            for (struct dirent *entry; (entry = readdir(dir));) {
                if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
                if (unlinkat(groups->base[i], entry->d_name, AT_REMOVEDIR) == 0) continue;
                left = true;
                if (strlen(entry->d_name) < 64) cgroup_kill(groups, entry->d_name);
            }
            closedir(dir);
        }
        if (!left) break;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    if (!final) return;
    for (int i = 0; i < groups->count; i++) {
        unlinkat(groups->parent[i], groups->name, AT_REMOVEDIR);
        close(groups->base[i]);
    }
    groups->count = 0;
}
