// The cell's private root: a tmpfs that holds only mount points, built from descriptors, then made read-only.
#include "root.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "place.h"

/// A user namespace cannot make device nodes; the host's own are bound in instead.
static int bind_devices(const struct cell_spec *spec, int root) {
    int error = 0;
    for (int i = 0; i < DEVICE_COUNT && !error; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/%s", devices[i].name);
        error = place_mount(root, spec->devices[i], path);
    }
    return error;
}

struct step root_fill(const struct cell_spec *spec, int root) {
    const struct plan *plan = &spec->plan;
    int error = 0;
    uint32_t stage = BH_STAGE_DEVICES;
    if (!spec->birth->mode->root && (error = bind_devices(spec, root))) return failed(stage, error);
    stage = BH_STAGE_MOUNT;
    for (unsigned i = 0; i < plan->header->mount_count; i++) {
        const char *target = plan->mount_target[i];
        if (plan->header->mounts[i].kind == BH_MOUNT_SYMLINK) {
            if ((error = place_link(root, plan->mount_source[i], target))) return failed(stage, error);
        } else if (spec->trees[i] >= 0 && (error = place_mount(root, spec->trees[i], target))) {
            return failed(stage, error);
        }
    }
    if (plan->header->scratch_bytes && mkdirat(root, "tmp", 0755) < 0 && errno != EEXIST) return failed(stage, errno);
    if (!(plan->header->flags & BH_PLAN_CGROUPS) || !spec->birth->groups->views) return done;
    // Where each cell will have its own.
    static const char *const folders[] = {"sys", "sys/fs", "sys/fs/cgroup"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdirat(root, folders[i], 0755) < 0 && errno != EEXIST) return failed(stage, errno);
    for (int i = 0; i < spec->birth->groups->views; i++) {
        char path[48];
        snprintf(path, sizeof path, "sys/fs/cgroup/%s", spec->birth->groups->view_name[i]);
        if (mkdirat(root, path, 0755) < 0 && errno != EEXIST) return failed(stage, errno);
        if (!spec->birth->groups->view_is_file[i]) continue;
        snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", CPUSET_FILE);
        if (mknodat(root, path, S_IFREG | 0444, 0) < 0 && errno != EEXIST) return failed(stage, errno);
    }
    return done;
}

struct step root_seal(int root) {
    int error = sys_mount_setattr(root, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0 ? errno : 0;
    return failed(BH_STAGE_READ_ONLY, error);
}
