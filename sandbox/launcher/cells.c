#include "cells.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../abi/packets.h"
#include "cell_groups.h"
#include "floor.h"
#include "grants.h"
#include "init.h"
#include "network.h"
#include "streams.h"

struct cell cells[CELLS];

static void close_all(const int *fds, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

// -- Ready ------------------------------------------------------------------------------------------------------------

/// The uid and gid of a cell's worker. In a user namespace every cell is the same user outside; inside it is this one.
static uid_t user_of(const struct cell_options *options, const struct cell *cell) {
    uid_t offset = (uid_t)(cell - cells) * IDS_PER_SLOT + cell->generation % IDS_PER_SLOT;
    return options->mode.root ? options->first_uid + offset : 65532;
}

/// Starts the cell's init, in its cgroup, with namespaces of its own as far as no earlier cell of its version has made them.
static int start_init(const struct cell_options *options, const struct cgroups *groups, const struct cgroup_entry *entry, uint32_t slot,
                      const struct version *version) {
    struct cell *cell = &cells[slot];
    static struct birth birth;
    birth = (struct birth){
        .mode = &options->mode,
        .id = user_of(options, cell),
        .has_network = cell->network >= 0,
        .version = version,
        .keeps = version && version->keeps && !cell->is_awaited,
        .procs_count = entry->procs_count,
        .groups = groups,
    };
    memcpy(birth.procs, entry->procs, sizeof birth.procs);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return errno;
    bool shows_cgroups = version && version->shows_cgroups;
    int error = shows_cgroups ? cgroup_view(groups, cell->group, birth.views) : 0;
    if (error) {
        close_all((int[]){pair[0], pair[1]}, 2);
        return error;
    }
    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
    birth.status = pair[1];
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_PIDFD | (version ? 0 : CLONE_NEWUTS | CLONE_NEWIPC) |
                 (options->mode.root ? 0 : CLONE_NEWUSER | CLONE_NEWNS) | (entry->directory >= 0 ? CLONE_INTO_CGROUP : 0),
        .cgroup = entry->directory >= 0 ? (uint64_t)entry->directory : 0,
        .pidfd = (uint64_t)(uintptr_t)&cell->pidfd,
        .exit_signal = SIGCHLD,
    };
    // Its namespaces are its parent's of that moment.
    long pid = -1;
    error = cell->network >= 0 ? network_enter(cell->network) : 0;
    if (!error) {
        pid = sys_clone3(&args);
        if (pid == 0) cell_main(&birth);
        if (pid < 0) error = errno;
        if (cell->network >= 0) network_leave();
    }
    if (shows_cgroups) close_all(birth.views, (unsigned)groups->views);
    close(pair[1]);
    if (error) close(pair[0]);
    else cell->init = cell->watcher = (int)pid, cell->status = pair[0], cell->state = CELL_READY;
    return error;
}

/// Starts the cell's init, in cgroups of its own.
static struct step build(const struct cell_options *options, struct cgroups *groups, uint32_t slot, const struct version *version) {
    struct cell *cell = &cells[slot];
    struct cgroup_entry entry;
    struct step made = cell_group_open(groups, cell, version, &entry);
    if (made.error) return made;
    int error = start_init(options, groups, &entry, slot, version);
    cgroup_close(&entry);
    if (error) cgroup_remove(groups, cell->group);
    return failed(BH_STAGE_CLONE, error);
}

#define PIDS_MAX (4u << 20)  // PID_MAX_LIMIT, above which pids.max takes nothing

/// As much as `amount` for each of `count`, but no more than a cgroup takes.
static uint64_t times(uint64_t amount, uint32_t count, uint64_t most) {
    uint64_t product;
    return !__builtin_mul_overflow(amount, (uint64_t)count, &product) && product < most ? product : most;
}

/// What so many cells of a function may take.
static struct cgroup_limits together(uint64_t memory_max, uint32_t tasks_max, uint32_t cells_max) {
    return (struct cgroup_limits){
        .memory_max = times(memory_max, cells_max, 1ull << 62),
        .tasks_max = (uint32_t)times(tasks_max + KEPT_TASKS, cells_max, PIDS_MAX),
    };
}

struct step cell_prepare(const struct cell_options *options, struct cgroups *groups, uint32_t slot, uint32_t function,
                         const struct version *version, int network, bool is_awaited) {
    struct cell *cell = &cells[slot];
    int error = function_add_cell(groups, &function);
    if (error) {
        close_all(&network, 1);
        return failed(BH_STAGE_CGROUP_CREATE, error);
    }
    // What most functions have, so that it need not be set when one comes.
    struct cgroup_limits usual = together(BH_PLAN_MEMORY, BH_PLAN_TASKS, BH_PLAN_CELLS);
    if (!version && !is_awaited) function_expect(groups, function, &usual);
    // One that has no version yet is bound first.
    if (version && (error = function_limit(groups, function, &version->together))) {
        close_all(&network, 1);
        function_lose_cell(groups, function);
        return failed(BH_STAGE_CGROUP_LIMIT, error);
    }
    *cell = (struct cell){
        .generation = cell->generation + 1,
        .pidfd = -1, .status = -1, .plan = -1, .network = network, .is_marred = network >= 0, .listener = -1,
        .function = function,
        .version = version ? version->key : 0,
        .is_awaited = is_awaited,
        .since = monotonic_ns(),
        .cpu_weight = version ? version->cpu_weight : BH_PLAN_WEIGHT,
        // What most functions have, and so need not be set when one comes.
        .limits = version ? version->limits : (struct cgroup_limits){.memory_max = BH_PLAN_MEMORY, .tasks_max = BH_PLAN_TASKS + OWN_TASKS},
    };
    if (version && version->keeps && is_awaited) cell->limits.tasks_max -= KEPT_TASKS - OWN_TASKS;
    struct step built = build(options, groups, slot, version);
    if (built.error) {
        cell_forget_network(cell);
        function_lose_cell(groups, function);
    }
    return built;
}

bool cell_remove(struct cgroups *groups, struct cell *cell) {
    if (!cell_group_leave(groups, cell) && !cgroup_remove(groups, cell->group)) return false;
    function_lose_cell(groups, cell->function);
    return true;
}

// -- Running ----------------------------------------------------------------------------------------------------------

int cell_begin(struct cgroups *groups, struct cell *cell) { return function_started(groups, cell->function); }

int cell_demote(struct cgroups *groups, struct cell *cell) {
    if (cell->demoted) return 0;
    cell->demoted = true;
    int error = cgroup_weigh(groups, cell->group, cell->cpu_weight);
    cell->is_marred = cell->is_marred || error;
    int also = function_demoted(groups, cell->function);
    return error ? error : also;
}

void cell_end(struct cgroups *groups, struct cell *cell) { function_ended(groups, cell->function, cell->demoted); }

// -- Once more --------------------------------------------------------------------------------------------------------

bool cell_ended_well(const struct cell *cell) {
    return cell->started && !cell->killed && !cell->flags && cell->exit.kind == REPORT_EXITED && (cell->exit.status & 0x7f) == 0;
}

bool cell_is_as_new(struct cgroups *groups, struct cell *cell) {
    // Looked at now: something may have died after the worker did.
    if (!cgroup_reset(groups, cell->group, cell->init, cell->limits.memory_max)) return false;
    if (!cell->demoted) return true;
    return cgroup_weigh(groups, cell->group, cell->cpu_weight * BH_HEAD_START) == 0;
}

bool cell_renew(const struct cell_options *options, struct cgroups *groups, uint32_t slot, const struct version *version) {
    struct cell *cell = &cells[slot];
    struct cell kept = *cell;
    *cell = (struct cell){.generation = kept.generation, .pidfd = -1, .status = -1, .plan = -1, .network = -1, .listener = -1, .cpu_weight = kept.cpu_weight,
                          .is_marred = kept.is_marred, .limits = kept.limits, .version = kept.version, .function = kept.function, .since = monotonic_ns()};
    memcpy(cell->group, kept.group, sizeof cell->group);
    struct cgroup_entry entry;
    if (version->limits.tasks_max != cell->limits.tasks_max && cgroup_limit(groups, cell->group, &version->limits)) {
        cell->is_marred = true;
        return false;
    }
    cell->limits = version->limits;
    if (cgroup_enter(groups, cell->group, &entry)) return false;
    int error = start_init(options, groups, &entry, slot, version);
    cgroup_close(&entry);
    return !error;
}

void cell_again(struct cell *cell) {
    struct cell kept = *cell;
    *cell = (struct cell){.generation = kept.generation, .pidfd = kept.pidfd, .status = kept.status, .init = kept.init, .plan = -1, .network = -1, .listener = -1,
                          .cpu_weight = kept.cpu_weight, .is_marred = kept.is_marred, .limits = kept.limits, .version = kept.version,
                          .function = kept.function, .since = monotonic_ns(), .state = CELL_READY};
    memcpy(cell->group, kept.group, sizeof cell->group);
    struct order order = {ORDER_AGAIN};
    if (send(cell->status, &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof order) cell_kill(cell);
}

// -- Bound ------------------------------------------------------------------------------------------------------------

/// A detached, read-only copy of what `fd` refers to.
static int read_only_tree(int fd) {
    int tree = sys_open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0) return -1;
    if (sys_seal_copy(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) == 0) return tree;
    int error = errno;
    close(tree);
    errno = error;
    return -1;
}

/// Opens what a mount entry names: a bundle by its digest inside the store, something below it, or a host path.
static int open_source(const struct cell_options *options, uid_t id, const struct bh_mount *mount, const char *source) {
    if (mount->kind == BH_MOUNT_HOST) return grant_open(options, id, source);
    int kind = source[BH_DIGEST_HEX] ? 0 : O_DIRECTORY;
    return sys_openat2(options->store, source, O_PATH | kind, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

static struct step open_trees(const struct cell_options *options, uid_t id, const struct plan *plan, int trees[BH_MOUNTS_MAX]) {
    for (unsigned i = 0; i < plan->header->mount_count; i++) {
        const struct bh_mount *mount = &plan->header->mounts[i];
        if (mount->kind == BH_MOUNT_SYMLINK) continue;
        uint32_t stage = mount->kind == BH_MOUNT_BUNDLE ? BH_STAGE_BUNDLE : BH_STAGE_MOUNT_SOURCE;
        int source = open_source(options, id, mount, plan->mount_source[i]);
        if (source < 0) {
            if (errno == ENOENT && mount->flags & BH_MOUNT_OPTIONAL) continue;
            return failed(stage, errno);
        }
        int error = (trees[i] = read_only_tree(source)) < 0 ? errno : 0;
        close(source);
        if (error) return failed(stage, error);
    }
    return done;
}

static int open_devices(const struct cell_options *options, int nodes[DEVICE_COUNT]) {
    for (int i = 0; i < DEVICE_COUNT && !options->mode.root; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/%s", devices[i].name);
        if ((nodes[i] = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)) < 0) return errno;
        // A device can be written on a read-only mount; the node's times, which all cells would see, cannot.
        if (sys_seal_copy(nodes[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0) return errno;
    }
    return 0;
}

_Static_assert(BINDING_FDS <= BH_PACKET_FDS, "a binding is one packet");

static int send_descriptors(int status, const struct binding *binding, const int *all, int count) {
    return bh_packet_send(status, binding, sizeof *binding, all, count, NULL, MSG_DONTWAIT);
}

static int send_binding(int status, const struct plan *plan, const int *fds, int fd_count, const int *trees,
                        const int *nodes, const int *views, int view_count, bool shares) {
    struct binding binding = {.mounts = plan->header->mount_count, .shares = shares, .views = (uint32_t)view_count};
    int all[BINDING_FDS], count = 0;
    for (int i = 0; i < fd_count; i++) all[count++] = fds[i];
    for (unsigned i = 0; i < binding.mounts; i++)
        if (trees[i] >= 0) binding.present[i] = 1, all[count++] = trees[i];
    for (int i = 0; i < DEVICE_COUNT; i++)
        if (nodes[i] >= 0) all[count++] = nodes[i];
    for (int i = 0; i < view_count; i++) all[count++] = views[i];
    return send_descriptors(status, &binding, all, count);
}

/// Whether the root can be shared by all cells of the version, one after another and at once: all of it is read-only then, but
/// for what each adds to a copy of its own. A user namespace is a cell's own, and so is all that it owns; and what a worker
/// leaves in a network (a connection on its way out, a port that is not free yet) is no later one's.
static bool can_be_shared(const struct cell_options *options, const struct plan *plan) {
    return options->mode.root && !options->mode.observes &&
           !(plan->header->flags & BH_PLAN_OWN_NETWORK);
}

struct step cell_reuse(const struct cell_options *options, struct cell *cell, const int *fds) {
    int error = options->mode.root ? streams_give(fds + 1, user_of(options, cell)) : 0;
    if (error) return failed(BH_STAGE_STDIO, error);
    return failed(BH_STAGE_REQUEST, send_descriptors(cell->status, &(struct binding){0}, fds + 1, 3));
}

/// A cell with a network of its own: what it holds in there is counted, and somebody may listen.
static int bind_network(const struct cell_options *options, struct cgroups *groups, struct cell *cell, const struct bh_plan *plan) {
    if (cell->network < 0) return ENONET;
    // Buffers of sockets are memory, of which the whole machine has one pool.
    if (!options->mode.limits_memory) return ENOTSUP;
    int error = cgroup_limit_network(groups, cell->group, plan->memory_max);
    return error || !plan->listener ? error : network_listen(cell->network, (uint16_t)plan->listener, &cell->listener);
}

struct step cell_bind(const struct cell_options *options, struct cgroups *groups, struct cell *cell, const struct plan *plan,
                      const int *fds, int fd_count, uint64_t version) {
    int trees[BH_MOUNTS_MAX], nodes[DEVICE_COUNT];
    memset(trees, -1, sizeof trees);
    memset(nodes, -1, sizeof nodes);

    bool has_network = plan->header->flags & BH_PLAN_OWN_NETWORK;
    if (!floor_holds(&plan->filter, has_network)) return failed(BH_STAGE_SECCOMP, EACCES);
    if (can_be_shared(options, plan)) cell->version = version;
    cell->shows_cgroups = plan->header->flags & BH_PLAN_CGROUPS;
    cell->serves_once = plan->header->flags & BH_PLAN_ONCE;
    bool shares = cell->version && !version_known(cell->version);
    if (shares) cell->plan = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
    struct step at = failed(BH_STAGE_STDIO, options->mode.root ? streams_give(fds + 1, user_of(options, cell)) : 0);
    if (!at.error) at = open_trees(options, user_of(options, cell), plan, trees);
    if (!at.error) at = failed(BH_STAGE_DEVICES, open_devices(options, nodes));
    if (!at.error) {
        int error = 0;
        struct cgroup_limits limits = {
            .memory_max = plan->header->memory_max,
            .tasks_max = plan->header->tasks_max + OWN_TASKS,
        };
        cell->cpu_weight = plan->header->cpu_weight;
        if (!cgroup_same_limits(&limits, &cell->limits)) error = cgroup_limit(groups, cell->group, &limits);
        cell->limits = limits;
        cell->together = together(limits.memory_max, plan->header->tasks_max, plan->header->cells_max);
        if (!error) error = function_limit(groups, cell->function, &cell->together);
        // The usual weight it has already.
        if (!error && cell->cpu_weight != BH_PLAN_WEIGHT)
            error = cgroup_weigh(groups, cell->group, cell->cpu_weight * BH_HEAD_START);
        cell->is_marred = cell->is_marred || error;
        at = failed(BH_STAGE_CGROUP_LIMIT, error);
    }
    if (!at.error && has_network) at = failed(BH_STAGE_NETWORK, bind_network(options, groups, cell, plan->header));
    if (!at.error) {
        int views[CGROUP_VIEWS], view_count = cell->shows_cgroups ? groups->views : 0;
        at = failed(BH_STAGE_CGROUP_VIEW, view_count ? cgroup_view(groups, cell->group, views) : 0);
        if (!at.error) {
            bool is_shared = shares && cell->plan >= 0;
            int error = send_binding(cell->status, plan, fds, fd_count, trees, nodes, views, view_count, is_shared);
            at = failed(BH_STAGE_REQUEST, error);
            close_all(views, (unsigned)view_count);
        }
    }
    close_all(trees, plan->header->mount_count);
    close_all(nodes, DEVICE_COUNT);
    return at;
}

void cell_forget_network(struct cell *cell) {
    close_all((int[]){cell->network, cell->listener}, 2);
    cell->network = cell->listener = -1;
}

void cell_forget_version(struct cell *cell) {
    if (cell->plan >= 0) close(cell->plan);
    cell->plan = -1;
}

void cell_lock(struct cell *cell) {
    struct order order = {ORDER_LOCK};
    if (send(cell->status, &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof order) cell_kill(cell);
}

void cell_kill(struct cell *cell) {
    cell->killed = true;
    sys_pidfd_send_signal(cell->pidfd, SIGKILL);  // PID 1: the kernel ends its whole namespace
}
