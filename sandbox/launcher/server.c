#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define REMOVE_RETRY_MS 20

static const struct cell_options *options;
static struct cgroups *groups;
static int supervisor, epoll_fd;
static unsigned ready_target;
static unsigned ready_count;
static unsigned removing;    // cells whose processes are gone but whose cgroups are not yet
static bool ready_failed;    // a ready cell could not be built: try again only with the next launch, which will say why

// epoll data: the slot, and which of its two descriptors
enum source { SOURCE_SUPERVISOR, SOURCE_STATUS, SOURCE_PIDFD };

static void watch(int fd, enum source source, uint32_t slot) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | slot};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void close_all(const int *fds, int count) {
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

// -- Messages ---------------------------------------------------------------------------------------------------------

static void send_event(struct bh_event event, const int *fds, int fd_count) {
    event.magic = BH_MAGIC;
    struct iovec part = {&event, sizeof event};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)fd_count * sizeof(int));
    }
    // Blocking: the supervisor reads events on a thread of its own. One that is gone shows as a hang-up.
    while (sendmsg(supervisor, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}

static void send_failure(uint64_t id, uint32_t stage, int error) {
    send_event((struct bh_event){.kind = BH_EVENT_FAILED, .cell = id, .stage = stage, .error = error}, NULL, 0);
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
        if (cells[slot].state == CELL_READY && !cells[slot].killed) return last = slot;
    }
    return CELLS;
}

static void kill_cell(struct cell *cell) {
    cell->killed = true;
    sys_pidfd_send_signal(cell->pidfd, SIGKILL);  // PID 1: the kernel ends its whole namespace
}

static void on_launch(uint64_t id, const int *fds, int fd_count) {
    uint64_t now = monotonic_ns();
    uint32_t stage = BH_STAGE_REQUEST;
    int error = 0;
    ready_failed = false;
    uint32_t slot = ready_cell();
    if (slot == CELLS) slot = build_cell(&stage, &error);
    if (slot == CELLS) {
        send_failure(id, stage, error);
        send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = id}, NULL, 0);
        return;
    }
    struct cell *cell = &cells[slot];
    ready_count--;
    cell->state = CELL_BOUND;
    cell->id = id;
    cell->requested_ns = now;
    if ((error = cell_bind(options, groups, cell, fds, fd_count, &stage))) {
        send_failure(id, stage, error);
        cell->ended = true;
        kill_cell(cell);
    }
}

static struct cell *bound_cell(uint64_t id) {
    for (uint32_t slot = 0; slot < CELLS; slot++)
        if (cells[slot].state == CELL_BOUND && cells[slot].id == id) return &cells[slot];
    return NULL;
}

static void on_kill(uint64_t id) {
    struct cell *cell = bound_cell(id);
    if (cell) kill_cell(cell);
}

static void on_demote(uint64_t id) {
    struct cell *cell = bound_cell(id);
    // One that keeps more than its share would be no cell as its manifest has it.
    if (cell && cgroup_weigh(groups, cell->group, cell->cpu_weight)) kill_cell(cell);
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
    bool oom = false;
    cgroup_read(groups, cell->group, &event.cpu_ns, &event.memory_peak, &oom);
    if (oom) event.flags |= BH_FLAG_OOM;
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

/// The worker's pid in our view, out of the credentials that init sent.
static int32_t credentials_pid(struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS) continue;
        struct ucred credentials;
        memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
        return credentials.pid;
    }
    return 0;
}

/// Takes every report that waits. Init is our own code, but it lives beside a tenant: only known kinds count.
static void on_reports(struct cell *cell) {
    for (;;) {
        struct report report;
        struct iovec part = {&report, sizeof report};
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(struct ucred))];
        } control;
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t size = recvmsg(cell->status, &message, MSG_DONTWAIT);
        if (size != sizeof report) {
            if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) close(cell->status), cell->status = -1;
            return;
        }
        switch (report.kind) {
        case REPORT_FAILED:
            if (cell->state == CELL_READY) ready_failed = true;
            else if (cell->started) send_exited(cell, NULL);
            else if (!cell->ended) send_failure(cell->id, report.stage, report.error);
            cell->ended = true;
            break;
        case REPORT_STARTED:
            cell->pid = credentials_pid(&message);
            if (cell->state == CELL_BOUND && !cell->started && !cell->ended) send_started(cell);
            break;
        case REPORT_REFUSED:
            if (cell->started && !cell->ended) send_refused(cell, &report);
            break;
        case REPORT_DENIED:
            cell->denied = report;
            cell->flags |= BH_FLAG_DENIED;
            break;
        case REPORT_EXITED: send_exited(cell, &report); break;
        default: break;
        }
        if (cell->status < 0) return;
    }
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
    if (waitid(P_PIDFD, (id_t)cell->pidfd, &info, WEXITED) < 0 && errno == EINTR) return;
    if (cell->status >= 0) on_reports(cell);
    if (cell->state == CELL_READY) {
        ready_count--;
        ready_failed = true;
    } else if (cell->started) {
        send_exited(cell, NULL);
    } else if (!cell->ended) {
        bool oom = false;
        uint64_t ignored = 0;
        cgroup_read(groups, cell->group, &ignored, &ignored, &oom);
        send_failure(cell->id, BH_STAGE_INIT_DIED, cell->killed ? ECANCELED : oom ? ENOMEM : ECHILD);
    }
    if (cell->status >= 0) close(cell->status);
    close(cell->pidfd);
    cell->status = cell->pidfd = -1;
    cell->state = CELL_REMOVING;
    remove_cell(cell);
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
        on_launch(request.cell, fds, count);
    else if (sound && request.kind == BH_REQUEST_KILL && count == 0) on_kill(request.cell);
    else if (sound && request.kind == BH_REQUEST_DEMOTE && count == 0) on_demote(request.cell);
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
    return removing ? REMOVE_RETRY_MS : -1;
}

int server_run(int socket, const struct cell_options *given, struct cgroups *opened, unsigned ready) {
    options = given;
    groups = opened;
    supervisor = socket;
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
        if (removing) retry_removals();
    }
    end_all();
    return 0;
}
