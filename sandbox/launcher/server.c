#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "events.h"

#define REMOVE_RETRY_MS 20
#define CLEAR_RETRY_MS 1    // and ever more rarely
#define CLEAR_MS 500
#define RENEWED_MAX 64                  // cells that wait for their version's next launch
#define RENEWED_MS 2000  // and how long they do

static const struct cell_options *options;
static struct cgroups *groups;
static int supervisor, epoll_fd;
static unsigned ready_target;
static unsigned ready_count;
static unsigned removing;    // cells whose processes are gone but whose cgroups are not yet
static unsigned clearing;    // cells in which something is still to die
static uint32_t renewed[RENEWED_MAX];  // slots of cells that are ready for their version, the longest waiting first
static unsigned renewed_count;
static bool ready_failed;    // a ready cell could not be built: try again only with the next launch, which will say why

// epoll data: the slot, and which of its two descriptors
enum source { SOURCE_SUPERVISOR, SOURCE_STATUS, SOURCE_PIDFD };

static void watch(int fd, enum source source, uint32_t slot) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | slot};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/// Closes a watched descriptor. It is taken off first: an init that is just being born holds a copy, which would keep the watch
/// alive, and its events would be taken for the slot's next cell.
static void close_watched(int *fd) {
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
}

static void close_all(const int *fds, int count) {
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

// -- Launching --------------------------------------------------------------------------------------------------------

/// Builds one more cell. Returns its slot, or CELLS with `*stage` and `*error` set.
static uint32_t build_cell(uint32_t *stage, int *error) {
    static uint32_t next;
    for (uint32_t i = 0; i < CELLS; i++) {
        uint32_t slot = (next + i) % CELLS;
        if (cells[slot].state != CELL_EMPTY) continue;
        next = slot;
        if ((*error = cell_prepare(options, groups, slot, stage))) return CELLS;
        watch(cells[slot].status, SOURCE_STATUS, slot);
        watch(cells[slot].pidfd, SOURCE_PIDFD, slot);
        ready_count++;
        return slot;
    }
    *stage = BH_STAGE_CAPACITY;
    *error = EAGAIN;
    return CELLS;
}

static uint32_t ready_cell(void) {
    static uint32_t last;
    for (uint32_t i = 0; i < CELLS && ready_count; i++) {
        uint32_t slot = (last + i) % CELLS;
        if (cells[slot].state == CELL_READY && !cells[slot].version && !cells[slot].killed) return last = slot;
    }
    return CELLS;
}

static uint32_t take_renewed(unsigned at) {
    uint32_t slot = renewed[at];
    memmove(renewed + at, renewed + at + 1, (--renewed_count - at) * sizeof *renewed);
    return slot;
}

/// The cell that became ready for `version` last: its memory is warmest.
static uint32_t renewed_cell(uint64_t version) {
    for (unsigned i = version ? renewed_count : 0; i-- > 0;)
        if (cells[renewed[i]].version == version && !cells[renewed[i]].killed) return take_renewed(i);
    return CELLS;
}

// Where cells are, by the low bits of their id: the supervisor counts ids up, so that two cells share an entry only when one
// outlives thousands of others.
#define INDEX_SIZE (2 * CELLS)
static uint32_t slot_of[INDEX_SIZE];

static struct cell *bound_cell(uint64_t id) {
    struct cell *cell = &cells[slot_of[id % INDEX_SIZE]];
    if (cell->state == CELL_BOUND && cell->id == id) return cell;
    for (uint32_t slot = 0; slot < CELLS; slot++)
        if (cells[slot].state == CELL_BOUND && cells[slot].id == id) return &cells[slot];
    return NULL;
}

static void kill_cell(struct cell *cell) {
    cell->killed = true;
    sys_pidfd_send_signal(cell->pidfd, SIGKILL);  // PID 1: the kernel ends its whole namespace
}

static void on_launch(uint64_t id, uint64_t version, const int *fds, int fd_count) {
    uint64_t now = monotonic_ns();
    uint32_t stage = BH_STAGE_REQUEST;
    int error = 0;
    ready_failed = false;
    uint32_t slot = renewed_cell(version);
    bool knows = slot != CELLS;
    if (!knows) slot = ready_cell();
    if (slot == CELLS) slot = build_cell(&stage, &error);
    if (slot == CELLS) {
        send_failure(id, stage, error);
        send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = id}, NULL, 0);
        return;
    }
    struct cell *cell = &cells[slot];
    if (!knows) ready_count--;
    cell->state = CELL_BOUND;
    cell->id = id;
    slot_of[id % INDEX_SIZE] = slot;
    cell->requested_ns = now;
    error = knows ? cell_reuse(cell, fds, &stage) : cell_bind(options, groups, cell, fds, fd_count, version, &stage);
    if (error) {
        send_failure(id, stage, error);
        cell->ended = true;
        kill_cell(cell);
    }
}

static void on_kill(uint64_t id) {
    struct cell *cell = bound_cell(id);
    if (cell) kill_cell(cell);
}

static void on_demote(uint64_t id) {
    struct cell *cell = bound_cell(id);
    // One that keeps more than its share would be no cell as its manifest has it.
    if (!cell) return;
    cell->demoted = true;
    if (cgroup_weigh(groups, cell->group, cell->cpu_weight)) kill_cell(cell);
}

/// Ends what is left beside the worker, and says when that is done. Not waited for here: a process takes its time to die.
static void clear_cell(struct cell *cell) {
    uint64_t now = monotonic_ns();
    if (now < cell->clear_next) return;
    int threads = cell->pid > 0 ? cgroup_clear(groups, cell->group, cell->init, cell->pid) : -1;
    if (threads == 0 && now < cell->clear_until) {
        // Each look costs as much as there is to be ended: twice the time until the next one.
        cell->clear_wait = cell->clear_wait ? 2 * cell->clear_wait : CLEAR_RETRY_MS * 1000000ull;
        cell->clear_next = now + cell->clear_wait;
        return;
    }
    cell->clear_until = 0;
    clearing--;
    send_event((struct bh_event){.kind = BH_EVENT_CLEARED, .cell = cell->id, .status = threads,
                                 .error = threads > 0 ? 0 : threads == 0 ? EBUSY : ENOTSUP}, NULL, 0);
}

static void on_clear(uint64_t id) {
    struct cell *cell = bound_cell(id);
    if (!cell || cell->ended || cell->clear_until) return;  // its end is told anyway
    clearing++;
    cell->clear_until = monotonic_ns() + CLEAR_MS * 1000000ull;
    cell->clear_next = cell->clear_wait = 0;
    // What the worker says can be here before what its init says.
    if (cell->started) clear_cell(cell);
}

static void retry_clearing(void) {
    for (uint32_t slot = 0, left = clearing; slot < CELLS && left; slot++) {
        if (!cells[slot].clear_until) continue;
        left--;
        if (cells[slot].started) clear_cell(&cells[slot]);
    }
}

// -- A cell reports ---------------------------------------------------------------------------------------------------

static void send_exited(struct cell *cell, const struct report *report) {
    if (cell->ended || !cell->started) return;
    cell->ended = true;
    struct bh_event event = {
        .kind = BH_EVENT_EXITED,
        .cell = cell->id,
        .status = report ? report->status : SIGKILL,
        .flags = cell->flags | (cell->killed ? BH_FLAG_KILLED : 0),
        .cpu_ns = report ? report->cpu_ns : 0,
        .memory_peak = report ? report->max_rss : 0,
        .arch = cell->denied.arch,
        .syscall = cell->denied.syscall,
    };
    memcpy(event.args, cell->denied.args, sizeof event.args);
    cgroup_read(groups, cell->group, &event.cpu_ns, &event.memory_peak);
    if (cgroup_saw_oom(groups, cell->group)) event.flags |= BH_FLAG_OOM;
    send_event(event, NULL, 0);
}

static void send_refused(const struct cell *cell, const struct report *report) {
    send_event((struct bh_event){.kind = BH_EVENT_REFUSED, .cell = cell->id, .error = report->error,
                                 .arch = report->arch, .syscall = report->syscall, .args = {report->args[0]}}, NULL, 0);
}

static void send_started(struct cell *cell) {
    int files[2];
    int count = cgroup_usage_files(groups, cell->group, files);
    cell->started = true;
    send_event((struct bh_event){.kind = BH_EVENT_STARTED, .cell = cell->id, .pid = cell->pid,
                                 .build_ns = monotonic_ns() - cell->requested_ns}, files, count);
    close_all(files, (unsigned)count);
}

#define SHARED_FDS 2

/// What comes with a report: the sender's or the worker's pid in our view, and the descriptors that init may send.
static void read_control(struct msghdr *message, int32_t *pid, int shared[SHARED_FDS], int *count) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET) continue;
        if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
            *pid = credentials.pid;
        } else if (header->cmsg_type == SCM_RIGHTS) {
            *count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            if (*count > SHARED_FDS) *count = SHARED_FDS;  // the buffer has room for no more
            memcpy(shared, CMSG_DATA(header), (size_t)*count * sizeof(int));
        }
    }
}

static void on_started(struct cell *cell, int32_t pid, int shared[SHARED_FDS], int *count) {
    cell->pid = pid;
    if (cell->state == CELL_BOUND && !cell->started && !cell->ended) send_started(cell);
    if (cell->clear_until) clear_cell(cell);
    if (cell->plan < 0) return;
    version_learn(cell->version, cell->plan, cell->init, shared, *count,
                  options->mode.allow_no_landlock && !options->mode.landlock_abi);
    *count = 0;
    close(cell->plan);
    cell->plan = -1;
}

/// Takes every report that waits. Init is our own code, but it lives beside a tenant: only known kinds count.
static void on_reports(struct cell *cell) {
    for (;;) {
        struct report report;
        struct iovec part = {&report, sizeof report};
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(SHARED_FDS * sizeof(int))];
        } control;
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t size = recvmsg(cell->status, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int shared[SHARED_FDS], count = 0;
        int32_t pid = 0;
        if (size > 0) read_control(&message, &pid, shared, &count);
        if (size != sizeof report) {
            close_all(shared, count);
            if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) close_watched(&cell->status);
            return;
        }
        switch (report.kind) {
        case REPORT_FAILED:
            if (cell->state == CELL_READY) {
                // Nobody waits for it; who is given it in this moment learns of its end.
                ready_failed = ready_failed || !cell->version;
                cell->killed = true;
                break;
            }
            if (cell->started) send_exited(cell, NULL);
            else if (!cell->ended) send_failure(cell->id, report.stage, report.error);
            cell->ended = true;
            break;
        case REPORT_STARTED:
            on_started(cell, pid, shared, &count);
            break;
        case REPORT_REFUSED:
            if (cell->started && !cell->ended) send_refused(cell, &report);
            break;
        case REPORT_DENIED:
            cell->denied = report;
            cell->flags |= BH_FLAG_DENIED;
            break;
        case REPORT_EXITED:
            cell->exit = report;
            send_exited(cell, &report);
            break;
        default: break;
        }
        close_all(shared, count);
        if (cell->status < 0) return;
    }
}

/// Makes the cell ready for its version once more. False when it has to be removed.
static bool renew_cell(struct cell *cell) {
    struct version *version = renewed_count < RENEWED_MAX ? version_known(cell->version) : NULL;
    if (!version || !cell_is_as_new(groups, cell, &cell->exit)) return false;
    uint32_t slot = (uint32_t)(cell - cells);
    send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = cell->id}, NULL, 0);
    if (!cell_renew(options, groups, slot, version)) {
        cell->state = CELL_REMOVING;
        return false;
    }
    watch(cell->status, SOURCE_STATUS, slot);
    watch(cell->pidfd, SOURCE_PIDFD, slot);
    renewed[renewed_count++] = slot;
    return true;
}

/// Cells that nobody has needed for a while hold memory, and maybe a version that is served no more.
static void expire_renewed(void) {
    uint64_t now = monotonic_ns();
    while (renewed_count && now - cells[renewed[0]].since > RENEWED_MS * 1000000ull) kill_cell(&cells[take_renewed(0)]);
}

static void remove_cell(struct cell *cell) {
    if (!cgroup_remove(groups, cell->group)) {
        cgroup_kill(groups, cell->group);
        removing++;
        return;
    }
    if (cell->id) send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = cell->id}, NULL, 0);
    cell->state = CELL_EMPTY;
}

/// Init is dead, and with it, says pid_namespaces(7), every process of its namespace.
static void on_init_exit(struct cell *cell) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)cell->pidfd, &info, WEXITED | WNOHANG) < 0 || !info.si_pid) return;
    if (cell->status >= 0) on_reports(cell);
    if (cell->state == CELL_READY && cell->version) {
        for (unsigned i = 0; i < renewed_count; i++)
            if (&cells[renewed[i]] == cell) take_renewed(i);
    } else if (cell->state == CELL_READY) {
        ready_count--;
        ready_failed = true;
    } else if (cell->started) {
        send_exited(cell, NULL);
    } else if (!cell->ended) {
        bool oom = cgroup_saw_oom(groups, cell->group);
        send_failure(cell->id, BH_STAGE_INIT_DIED, cell->killed ? ECANCELED : oom ? ENOMEM : ECHILD);
    }
    if (cell->status >= 0) close_watched(&cell->status);
    close_watched(&cell->pidfd);
    if (cell->plan >= 0) close(cell->plan);
    cell->plan = -1;
    if (cell->clear_until) cell->clear_until = 0, clearing--;
    bool was_bound = cell->state == CELL_BOUND;
    cell->state = CELL_REMOVING;
    if (!was_bound || !renew_cell(cell)) remove_cell(cell);
}

static void retry_removals(void) {
    removing = 0;
    for (uint32_t slot = 0; slot < CELLS; slot++)
        if (cells[slot].state == CELL_REMOVING) remove_cell(&cells[slot]);
}

// -- The supervisor speaks --------------------------------------------------------------------------------------------

/// Returns false when the supervisor hung up.
static bool on_request(void) {
    struct bh_request request = {0};
    struct iovec part = {&request, sizeof request};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(supervisor, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    int fds[16], count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int received = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < received; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + (size_t)i * sizeof fd, sizeof fd);
            if (count < 16) fds[count++] = fd;
            else close(fd);
        }
    }
    bool sound = size == sizeof request && request.magic == BH_MAGIC && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    if (sound && request.kind == BH_REQUEST_LAUNCH && count == (options->mode.observes ? 5 : 4))
        on_launch(request.cell, request.version, fds, count);
    else if (sound && request.kind == BH_REQUEST_KILL && count == 0) on_kill(request.cell);
    else if (sound && request.kind == BH_REQUEST_DEMOTE && count == 0) on_demote(request.cell);
    else if (sound && request.kind == BH_REQUEST_CLEAR && count == 0) on_clear(request.cell);
    else {
        send_failure(request.cell, BH_STAGE_REQUEST, EBADMSG);
        send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = request.cell}, NULL, 0);
    }
    close_all(fds, count);
    return true;
}

/// Ends every cell and waits until nothing is left.
static void end_all(void) {
    for (uint32_t slot = 0; slot < CELLS; slot++)
        if (cells[slot].state == CELL_READY || cells[slot].state == CELL_BOUND) kill_cell(&cells[slot]);
    for (uint32_t slot = 0; slot < CELLS; slot++) {
        if (cells[slot].state != CELL_READY && cells[slot].state != CELL_BOUND) continue;
        siginfo_t info;
        while (waitid(P_PIDFD, (id_t)cells[slot].pidfd, &info, WEXITED) < 0 && errno == EINTR) {}
    }
}

/// How long to sleep: not at all while a ready cell is to be built, which happens only when nothing else waits.
static int patience(void) {
    if (ready_count < ready_target && !ready_failed) return 0;
    return clearing ? CLEAR_RETRY_MS : removing ? REMOVE_RETRY_MS : renewed_count ? RENEWED_MS / 4 : -1;
}

int server_run(int socket, const struct cell_options *given, struct cgroups *opened, unsigned ready) {
    options = given;
    groups = opened;
    supervisor = socket;
    events_to(socket);
    ready_target = ready;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) return errno;
    watch(supervisor, SOURCE_SUPERVISOR, 0);
    send_event((struct bh_event){
                   .kind = BH_EVENT_HELLO,
                   .flags = groups->features | (options->mode.root ? BH_FEATURE_ROOT : 0) |
                            (options->mode.landlock_abi ? BH_FEATURE_LANDLOCK : 0),
                   .arch = options->mode.landlock_abi,
               }, NULL, 0);
    for (bool serving = true; serving;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll_fd, events, 64, patience());
        for (int i = 0; i < count; i++) {
            enum source source = (enum source)(events[i].data.u64 >> 32);
            struct cell *cell = &cells[(uint32_t)events[i].data.u64];
            if (source == SOURCE_SUPERVISOR) serving = on_request() && serving;
            else if (source == SOURCE_STATUS && cell->status >= 0) on_reports(cell);
            else if (source == SOURCE_PIDFD && cell->pidfd >= 0) on_init_exit(cell);
        }
        if (count == 0 && patience() == 0) {
            uint32_t stage;
            int error;
            ready_failed = build_cell(&stage, &error) == CELLS;
        }
        if (clearing) retry_clearing();
        if (removing) retry_removals();
        expire_renewed();
    }
    end_all();
    return 0;
}
