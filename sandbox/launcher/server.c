#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../abi/packets.h"
#include "events.h"
#include "network.h"
#include "stock.h"
#include "streams.h"
#include "watch.h"

#define CLEAR_RETRY_MS 1  // and ever more rarely
#define CLEAR_MS 500

static const struct cell_options *options;
static struct cgroups *groups;
static int supervisor;
static unsigned clearing;  // cells in which something is still to die

static void close_all(const int *fds, int count) {
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

// -- Launching --------------------------------------------------------------------------------------------------------

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

/// A request with what belongs to it.
struct call {
    const struct bh_request *request;
    const int *fds;
    int fd_count;
    struct cell *cell;  // that a launch has bound; NULL where the request needs none
};

static void on_launch(const struct call *call) {
    uint64_t id = call->request->cell, version = call->request->version;
    const int *fds = call->fds;
    int fd_count = call->fd_count;
    uint64_t now = monotonic_ns();
    struct step at = failed(BH_STAGE_STDIO, streams_check(fds + 1, fd_count - 1));
    static struct plan plan;
    uint32_t slot = at.error ? CELLS : stock_renewed(version);
    if (!at.error && slot == CELLS) {
        at = failed(BH_STAGE_PLAN, plan_read(fds[0], &plan));
        if (!at.error) slot = stock_take(version, plan.hostname, plan.header->flags & BH_PLAN_OWN_NETWORK, &at);
    }
    if (slot == CELLS) {
        send_failure(id, at.stage, at.error);
        send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = id}, NULL, 0);
        return;
    }
    struct cell *cell = &cells[slot];
    bool knows = cell->version;
    cell->state = CELL_BOUND;
    cell->id = id;
    slot_of[id % INDEX_SIZE] = slot;
    cell->requested_ns = now;
    at = failed(BH_STAGE_CGROUP_LIMIT, cell_begin(groups, cell));
    if (!at.error)
        at = knows ? cell_reuse(options, cell, fds) : cell_bind(options, groups, cell, &plan, fds, fd_count, version);
    if (at.error) {
        send_failure(id, at.stage, at.error);
        cell->ended = true;
        cell_kill(cell);
    }
}

static void on_kill(const struct call *call) { cell_kill(call->cell); }

static void on_demote(const struct call *call) {
    // One that keeps more than its share would be no cell as its manifest has it.
    if (cell_demote(groups, call->cell)) cell_kill(call->cell);
}

/// Ends what is left beside the worker, and says when that is done. Not waited for here: a process takes its time to die.
static void clear_cell(struct cell *cell) {
    uint64_t now = monotonic_ns();
    if (now < cell->clear_next) return;
    int threads = cell->pid > 0 ? cgroup_clear(groups, cell->group, cell->init, cell->watcher, cell->pid) : -1;
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

static void on_clear(const struct call *call) {
    struct cell *cell = call->cell;
    if (cell->clear_until) return;
    clearing++;
    cell->clear_until = monotonic_ns() + CLEAR_MS * 1000000ull;
    cell->clear_next = cell->clear_wait = 0;
    // What the worker says can be here before what its init says.
    if (cell->started) clear_cell(cell);
}

static void on_lock(const struct call *call) {
    // Until its worker runs, init waits for something else.
    if (call->cell->started) cell_lock(call->cell);
    else call->cell->to_be_locked = true;
}

static void on_connect(const struct call *call) {
    uint64_t port = call->request->version;
    int made = -1, error = call->cell->network < 0 ? ENONET : port == 0 || port > UINT16_MAX ? EINVAL : 0;
    if (!error) error = network_connect(call->cell->network, (uint16_t)port, &made);
    send_event((struct bh_event){.kind = BH_EVENT_CONNECTED, .cell = call->cell->id, .error = error, .args = {port}}, &made,
               made >= 0);
    close_all(&made, 1);
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
    int files[3];
    int count = cgroup_usage_files(groups, cell->group, files);
    uint32_t flags = cell->listener >= 0 ? BH_FLAG_LISTENER : 0;
    if (flags) files[count++] = cell->listener, cell->listener = -1;
    cell->started = true;
    send_event((struct bh_event){.kind = BH_EVENT_STARTED, .cell = cell->id, .pid = cell->pid, .flags = flags,
                                 .build_ns = monotonic_ns() - cell->requested_ns}, files, count);
    close_all(files, count);
}

static void on_started(struct cell *cell, int shared[SHARED_FDS], int *count) {
    if (cell->state == CELL_BOUND && !cell->started && !cell->ended) send_started(cell);
    if (cell->started && cell->to_be_locked) cell_lock(cell);
    if (cell->clear_until) clear_cell(cell);
    if (cell->plan < 0 || !cell->init) return;
    if (*count != SHARED_FDS) return;
    struct version given = {.key = cell->version, .plan = cell->plan, .limits = cell->limits, .together = cell->together,
                            .cpu_weight = cell->cpu_weight, .shows_cgroups = cell->shows_cgroups,
                            .keeps = options->mode.keeps && cell->serves_once};
    if (given.keeps) given.limits.tasks_max += KEPT_TASKS - OWN_TASKS;
    memcpy(given.function, functions[cell->function].name, sizeof given.function);
    version_learn(&given, cell->init, &(struct shared_table){shared[0], shared[1]});
    *count = 0;
    cell_forget_version(cell);
}

/// Nobody but its init is left in the cell.
static void on_empty(struct cell *cell) {
    if (cell->state == CELL_BOUND && cell->init && !cell->clear_until && stock_again(cell)) return;
    // Init leaves as the socket closes; what follows then is as with any other that has left.
    watch_close(&cell->status);
}

/// Takes every report that waits. Init is our own code, but it lives beside a tenant: only known kinds count.
static void on_reports(struct cell *cell) {
    for (;;) {
        struct report report;
        int shared[SHARED_FDS], count;
        struct ucred sender = {0};  // as it is in our own pid namespace
        ssize_t size = bh_packet_receive(cell->status, &report, sizeof report, shared, SHARED_FDS, &count, &sender, MSG_DONTWAIT);
        int32_t pid = sender.pid;
        if (size != sizeof report) {
            close_all(shared, count);
            if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) watch_close(&cell->status);
            return;
        }
        switch (report.kind) {
        case REPORT_FAILED:
            if (cell->state == CELL_READY) {
                stock_failed(cell);
                break;
            }
            if (cell->started) send_exited(cell, NULL);
            else if (!cell->ended) send_failure(cell->id, report.stage, report.error);
            cell->ended = true;
            break;
        case REPORT_READY:
            cell->watcher = pid;
            break;
        case REPORT_WORKER:
            cell->pid = pid;
            break;
        case REPORT_EMPTY:
            on_empty(cell);
            break;
        case REPORT_STARTED:
            // From who watches it and reaps it, in the worker's name; else the worker has said so itself.
            if (pid != cell->watcher) cell->pid = pid;
            on_started(cell, shared, &count);
            break;
        case REPORT_REFUSED:
            if (cell->started && !cell->ended) send_refused(cell, &report);
            break;
        case REPORT_LOCKED:
            if (cell->started && !cell->ended) send_event((struct bh_event){.kind = BH_EVENT_LOCKED, .cell = cell->id}, NULL, 0);
            break;
        case REPORT_DENIED:
            cell->denied = report;
            cell->flags |= BH_FLAG_DENIED;
            // Before its init: whose end would let the worker go on for a moment.
            cgroup_kill(groups, cell->group);
            if (!groups->count && cell->pid > 0) kill(cell->pid, SIGKILL);
            cell_kill(cell);
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


/// Init is dead, and with it, says pid_namespaces(7), every process of its namespace.
static void on_init_exit(struct cell *cell) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)cell->pidfd, &info, WEXITED | WNOHANG) < 0 || !info.si_pid) return;
    cell->init = 0;  // its number may become somebody else's
    if (cell->status >= 0) on_reports(cell);
    if (cell->state == CELL_READY) {
        stock_lost(cell);
    } else if (cell->started) {
        send_exited(cell, NULL);
    } else if (!cell->ended) {
        bool oom = cgroup_saw_oom(groups, cell->group);
        send_failure(cell->id, BH_STAGE_INIT_DIED, cell->killed ? ECANCELED : oom ? ENOMEM : ECHILD);
    }
    if (cell->status >= 0) watch_close(&cell->status);
    watch_close(&cell->pidfd);
    cell_forget_version(cell);
    cell_forget_network(cell);
    if (cell->clear_until) cell->clear_until = 0, clearing--;
    bool was_bound = cell->state == CELL_BOUND;
    if (was_bound) cell_end(groups, cell);
    cell->state = CELL_REMOVING;
    if (was_bound) stock_replace(cell);
    else stock_remove(cell);
}

// -- The supervisor speaks --------------------------------------------------------------------------------------------

#define REQUEST_FDS 16

// What the supervisor may ask, with what, and when. Of a cell that is not there, or has ended, nothing is done: its end is told
// anyway. Whatever is not here, or brings something else, is refused.
static const struct rule {
    uint32_t kind;
    enum { NOTHING, PLAN_AND_STREAMS } brings;
    enum { AT_ANY_TIME, WHILE_BOUND, UNTIL_ENDED } allowed;
    void (*handle)(const struct call *call);
} rules[] = {
    {BH_REQUEST_LAUNCH, PLAN_AND_STREAMS, AT_ANY_TIME, on_launch},
    {BH_REQUEST_KILL, NOTHING, WHILE_BOUND, on_kill},
    {BH_REQUEST_DEMOTE, NOTHING, WHILE_BOUND, on_demote},
    {BH_REQUEST_CLEAR, NOTHING, UNTIL_ENDED, on_clear},
    {BH_REQUEST_LOCK, NOTHING, UNTIL_ENDED, on_lock},
    {BH_REQUEST_CONNECT, NOTHING, UNTIL_ENDED, on_connect},
};

/// Plan, stdin, stdout and stderr; where this launcher observes, the observer.
static int fds_of(const struct rule *rule) {
    return rule->brings == PLAN_AND_STREAMS ? (options->mode.observes ? 5 : 4) : 0;
}

static const struct rule *rule_for(const struct bh_request *request, int fd_count) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].kind == request->kind && fds_of(&rules[i]) == fd_count) return &rules[i];
    return NULL;
}

static void follow(const struct rule *rule, const struct bh_request *request, const int *fds, int fd_count) {
    struct call call = {.request = request, .fds = fds, .fd_count = fd_count};
    if (rule->allowed != AT_ANY_TIME && !(call.cell = bound_cell(request->cell))) return;
    if (rule->allowed == UNTIL_ENDED && call.cell->ended) return;
    rule->handle(&call);
}

/// Returns false when the supervisor hung up.
static bool on_request(void) {
    struct bh_request request = {0};
    int fds[REQUEST_FDS], count;
    ssize_t size = bh_packet_receive(supervisor, &request, sizeof request, fds, REQUEST_FDS, &count, NULL, MSG_DONTWAIT);
    if (size < 0 && errno != EMSGSIZE) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    bool is_sound = size == sizeof request && request.magic == BH_MAGIC;
    const struct rule *rule = is_sound ? rule_for(&request, count) : NULL;
    if (rule) {
        follow(rule, &request, fds, count);
    } else {
        send_failure(request.cell, BH_STAGE_REQUEST, EBADMSG);
        send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = request.cell}, NULL, 0);
    }
    close_all(fds, count);
    return true;
}

/// Ends every cell and waits until nothing is left.
static void end_all(void) {
    for (uint32_t slot = 0; slot < CELLS; slot++)
        if (cells[slot].state == CELL_READY || cells[slot].state == CELL_BOUND) cell_kill(&cells[slot]);
    for (uint32_t slot = 0; slot < CELLS; slot++) {
        if (cells[slot].state != CELL_READY && cells[slot].state != CELL_BOUND) continue;
        siginfo_t info;
        while (waitid(P_PIDFD, (id_t)cells[slot].pidfd, &info, WEXITED) < 0 && errno == EINTR) {}
    }
}

/// How long to sleep, in ms: not at all while a ready cell is to be built, which happens only when nothing else waits.
static int patience(void) {
    int stock = stock_patience();
    return clearing && stock != 0 ? CLEAR_RETRY_MS : stock;
}

int server_run(int socket, const struct cell_options *given, struct cgroups *opened, unsigned ready) {
    options = given;
    groups = opened;
    supervisor = socket;
    events_to(socket);
    int error = watch_open();
    if (error) return error;
    stock_open(options, groups, ready);
    watch_add(supervisor, SOURCE_SUPERVISOR, 0);
    send_event((struct bh_event){
                   .kind = BH_EVENT_HELLO,
                   .flags = groups->features | (options->mode.root ? BH_FEATURE_ROOT : 0) |
                            (options->mode.landlock_abi ? BH_FEATURE_LANDLOCK : 0),
                   .arch = options->mode.landlock_abi,
               }, NULL, 0);
    for (bool serving = true; serving;) {
        struct watched events[64];
        int count = watch_wait(events, 64, patience());
        for (int i = 0; i < count; i++) {
            struct cell *cell = &cells[events[i].slot];
            if (events[i].source == SOURCE_SUPERVISOR) serving = on_request() && serving;
            else if (events[i].source == SOURCE_STATUS && cell->status >= 0) on_reports(cell);
            else if (events[i].source == SOURCE_PIDFD && cell->pidfd >= 0) on_init_exit(cell);
        }
        if (clearing) retry_clearing();
        stock_keep(count == 0);
    }
    end_all();
    return 0;
}
