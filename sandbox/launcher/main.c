// bulkhead-launcher: builds cells and starts workers in them.
//
// Theory of operation. Three kinds of process, each the child of the one before:
//
//   keeper    this file. Started once by the supervisor, which then gives up root. Sets what all cells together and the
//             supervisor may take. Holds nothing but the cgroup directories and a control socket (descriptor 3) over which the
//             supervisor hands it one end of a fresh socketpair whenever it wants a launcher. Sweeps up behind a launcher
//             that died.
//   launcher  server.c. Single-threaded, serves one supervisor connection. A request is 24 bytes and four descriptors;
//             everything in it is checked and nothing in it is trusted.
//   init      init.c. One a cell: PID 1 of the cell's pid namespace; builds the root and what the cell has to itself (own.c),
//             reaps and empties the cell. It watches its worker itself, or, where it stays for the next worker, leaves that to a
//             child without rights (watcher.c).
//
// What all cells see alike stands once, as root, in a mount table without the host's (furniture.h), of which each cell starts from a
// copy; it is made anew when the host's files change. A function's cgroups, once empty, serve its next cell (cell_groups.h).
//
// A cell's life (cells.h): built ahead of need without a version, in a cgroup that its function will own (functions.h), bound to
// one by a launch. When its worker has ended as it should, init ends what that has left and, if nothing was made in the cell's
// files, reports it empty; with its cgroup at zero it is asked for another worker (stock.c), which waits right before exec for
// its streams (worker.c). Where that cannot be, another init in the same cgroup, or a new cell, shares the root that the
// version's first cell has filled (versions.c).
//
// Who dies takes everything below with it: a supervisor's death is the end of its sockets (keeper and launcher leave,
// cells first); the launcher is tied to its keeper by PDEATHSIG (ties.h), init to the launcher, and an init's death
// ends its namespace.
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../abi/landlock_abi.h"
#include "../abi/packets.h"
#include "furniture.h"
#include "init.h"
#include "made.h"
#include "network.h"
#include "own.h"
#include "server.h"
#include "ties.h"

#define CONTROL 3  // where the supervisor left the keeper's end of the control socket
#define MADE 5   // where it left the files that every cell has, see made.h
#define STORE 4    // where it left the bundle store's directory
_Static_assert(CONTROL == BH_SECRETS_FD, "the launcher keeps one number taken");

#define BYTES_MAX (1ull << 50)
#define TASKS_MAX (1u << 22)  // the kernel's own: PID_MAX_LIMIT

static unsigned ready_cells;

/// A cap of the command line's: not more than the launcher's own, so that nothing overflows.
static bool take_cap(const char *text, uint64_t *cap) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || number == 0 || number > *cap) return false;
    *cap = number;
    return true;
}

static _Noreturn void die(const char *what) {
    fprintf(stderr, "bulkhead-launcher: %s: %s\n", what, strerror(errno));
    exit(1);
}

/// An option's value: decimal digits, and nothing else.
static uint64_t number(const char *option, uint64_t most) {
    char *end = optarg;
    errno = 0;
    uint64_t value = *optarg >= '0' && *optarg <= '9' ? strtoull(optarg, &end, 10) : 0;
    if (end != optarg && !*end && !errno && value <= most) return value;
    fprintf(stderr, "bulkhead-launcher: %s: not a number from 0 to %llu: %s\n", option, (unsigned long long)most, optarg);
    exit(2);
}

static void write_map(const char *file, unsigned inside, unsigned outside) {
    char map[64];
    snprintf(map, sizeof map, "%u %u 1", inside, outside);
    errno = write_file_at(AT_FDCWD, file, map);
    if (errno) die(file);
}

/// An ordinary user gets the rights to build cells, over its own namespaces only, from a user namespace.
static void enter_user_namespace(void) {
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        die("this host lets ordinary users make no user namespaces (see user.max_user_namespaces, "
            "kernel.apparmor_restrict_unprivileged_userns); run as root, or allow them: unshare");
    errno = write_file_at(AT_FDCWD, "/proc/self/setgroups", "deny");
    if (errno) die("/proc/self/setgroups");
    write_map("/proc/self/uid_map", 0, uid);
    write_map("/proc/self/gid_map", 0, gid);
}

/// Waits for the supervisor to hand over a launcher's socket. -1 when it hung up.
static int next_socket(int launcher_pidfd) {
    for (;;) {
        struct pollfd watched[2] = {{.fd = CONTROL, .events = POLLIN}, {.fd = launcher_pidfd, .events = POLLIN}};
        if (poll(watched, launcher_pidfd >= 0 ? 2 : 1, -1) < 0) continue;
        if (launcher_pidfd >= 0 && watched[1].revents) return -2;
        char byte;
        int fd, count;
        ssize_t size = bh_packet_receive(CONTROL, &byte, sizeof byte, &fd, 1, &count, NULL, 0);
        if (size == 0 || (size < 0 && errno != EMSGSIZE)) return -1;
        if (count != 1) continue;
        return fd;
    }
}

/// Opens the store anew: a descriptor from another mount namespace names a mount that cannot be copied into ours.
static int reopen_store(void) {
    char path[4096];
    struct stat before, after;
    ssize_t length = readlink("/proc/self/fd/4", path, sizeof path - 1);
    if (length < 0) die("bundle store");
    path[length] = 0;
    int store = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store < 0 || fstat(STORE, &before) < 0 || fstat(store, &after) < 0) die(path);
    if (before.st_dev != after.st_dev || before.st_ino != after.st_ino) {
        errno = ESTALE;
        die(path);
    }
    close(STORE);
    return store;
}

static _Noreturn void launcher(int socket, pid_t keeper, struct cell_options options, struct cgroups *groups) {
    prctl(PR_SET_NAME, "bulkhead-launch", 0, 0, 0);
    if ((errno = tie_to(keeper))) die("die with the keeper");
    // Its number stays taken: a descriptor of a cell's init on it would make way for the worker's secrets.
    close(CONTROL);
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) != BH_SECRETS_FD) die("/dev/null");
    // Its own mount table. It learns of what the host mounts later, so that functions can be granted that; copies of it do not.
    if (options.mode.root && unshare(CLONE_NEWNS) < 0) die("unshare mount namespace");
    // One empty network namespace, not even loopback up, for all cells whose filter grants no socket family: nothing in
    // it can be reached without one, and making one for each cell costs as much as all the rest of it.
    if (unshare(CLONE_NEWNET) < 0) die("unshare network namespace");
    if ((errno = networks_open())) die("name the network namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) die("make mounts slaves of the host's");
    // Where the supervisor reaches its data directory once it is not root any more: no name for a cell to be granted.
    if (options.mode.root) umount2("/run/bulkhead", MNT_DETACH);
    // For all cells: nobody here gains a capability by an exec.
    if (options.mode.root && (errno = drop_bounding_set())) die("drop the capability bounding set");
    struct step furnished = options.mode.root ? furniture_open() : done;
    if ((errno = furnished.error)) {
        fprintf(stderr, "bulkhead-launcher: stage %u of what all cells have alike: %s\n", furnished.stage, strerror(errno));
        exit(1);
    }
    own_open();
    // A container may have it read-only; then a cell serves once.
    options.mode.last_pid = options.mode.root ? open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC) : -1;
    // The keeper's business, and each cell's init would have to close them.
    for (int i = 0; i < groups->count; i++) close(groups->parent[i]), close(groups->instance[i]);
    cgroups_open_views(groups);
    options.store = reopen_store();
    exit(server_run(socket, &options, groups, ready_cells));
}

/// One launcher at a time: starts it on `socket`, waits for its end, removes what it left.
static void keep(const struct cell_options *options, struct cgroups *groups) {
    int socket = next_socket(-1);
    pid_t keeper = getpid();
    while (socket >= 0) {
        struct clone_args args = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD};
        int pidfd = -1;
        args.pidfd = (uint64_t)(uintptr_t)&pidfd;
        long pid = sys_clone3(&args);
        if (pid == 0) launcher(socket, keeper, *options, groups);
        close(socket);
        if (pid < 0) die("clone");
        int next = next_socket(pidfd);
        if (next != -2 && poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, 1000) == 0)
            sys_pidfd_send_signal(pidfd, SIGKILL);  // it should have left by its own hang-up
        siginfo_t info;
        while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR) {}
        close(pidfd);
        cgroups_sweep(groups);
        socket = next == -2 ? next_socket(-1) : next;
    }
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"first-uid", required_argument, NULL, 'u'},
        {"ready", required_argument, NULL, 'r'},
        {"total-memory", required_argument, NULL, 'm'},
        {"total-tasks", required_argument, NULL, 't'},
        {"host-memory", required_argument, NULL, 'h'},
        {"allow-no-landlock", no_argument, NULL, 'l'},
        {"observe", no_argument, NULL, 'o'},
        {"max-memory", required_argument, NULL, 'M'},
        {"max-scratch", required_argument, NULL, 'S'},
        {"max-tasks", required_argument, NULL, 'T'},
        {"max-files", required_argument, NULL, 'F'},
        {NULL, 0, NULL, 0},
    };
    struct cell_options options = {.store = STORE, .first_uid = 0};
    struct cgroup_totals totals = {0};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'u': options.first_uid = (uid_t)number("--first-uid", UINT32_MAX - 1); break;
        case 'r': ready_cells = (unsigned)number("--ready", CELLS); break;
        case 'm': totals.memory_max = number("--total-memory", BYTES_MAX); break;
        case 't': totals.tasks_max = (uint32_t)number("--total-tasks", TASKS_MAX); break;
        case 'h': totals.host_memory_max = number("--host-memory", BYTES_MAX); break;
        case 'l': options.mode.allow_no_landlock = true; break;
        case 'o': options.mode.observes = true; break;
        case 'M': if (!take_cap(optarg, &plan_caps.memory)) return 2; break;
        case 'S': if (!take_cap(optarg, &plan_caps.scratch)) return 2; break;
        case 'T': if (!take_cap(optarg, &plan_caps.tasks)) return 2; break;
        case 'F': if (!take_cap(optarg, &plan_caps.files)) return 2; break;
        default: return 2;
        }
    }
    struct stat info;
    if (fstat(CONTROL, &info) < 0 || !S_ISSOCK(info.st_mode) || fstat(STORE, &info) < 0 || !S_ISDIR(info.st_mode)) {
        fprintf(stderr, "bulkhead-launcher: started by bulkhead, not by hand\n");
        return 2;
    }
    if ((errno = made_read(MADE))) die("the files that every cell has");
    // 0, 1 and 2 stay taken: a descriptor of ours on one of them would end up as a worker's.
    for (int fd; (fd = open("/dev/null", O_RDWR)) <= 2;)
        if (fd < 0) die("/dev/null");
    // Inherited from a Swift process: ignored SIGPIPE, blocked signals, any descriptor it forgot to close. Cells inherit what
    // is ignored, and workers from them.
    for (int signal = 1; signal <= 64; signal++)
        if (signal != SIGKILL && signal != SIGSTOP && (errno = default_signal(signal))) die("rt_sigaction");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_IGN);  // a terminal's Ctrl-C is for the supervisor: it drains and then hangs up; inits take both back
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);  // stderr is the guardian's pipe: a word after its death must not end the keeper before it has swept
    if (syscall(SYS_close_range, STORE + 1, ~0u, 0) < 0) die("close_range");
    fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
    fcntl(STORE, F_SETFD, FD_CLOEXEC);

    options.mode.root = geteuid() == 0;
    if (options.mode.root && options.first_uid == 0) {
        fprintf(stderr, "bulkhead-launcher: --first-uid is needed as root\n");
        return 2;
    }
    // Of root's groups nobody here has a use, and a grant is opened without them.
    if (options.mode.root && setgroups(0, NULL) < 0) die("setgroups");
    options.mode.landlock_abi = bh_landlock_abi();
    struct cgroups groups;
    const char *what;
    errno = cgroups_open(&groups, &totals, &what);  // before the user namespace: the files belong to the user outside it
    if (errno) die(what);
    options.mode.limits_memory = groups.features & BH_FEATURE_MEMORY;
    // Of v2 no peak can be reset. A container may have its kernel's settings read-only.
    options.mode.keeps = options.mode.root && !options.mode.observes && groups.features & BH_FEATURE_CGROUP_V1 &&
                         access("/proc/sys/kernel/ns_last_pid", W_OK) == 0;
    if (!options.mode.root) enter_user_namespace();
    prctl(PR_SET_DUMPABLE, 0);
    keep(&options, &groups);
    cgroups_close(&groups);
    return 0;
}
