// What init does when the filter asks it: the call's policy is looked up anew, in the plan's own program.
#include <linux/limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "filter.h"
#include "locks.h"
#include "notifications.h"
#include "report.h"

// -- Counting ---------------------------------------------------------------------------------------------------------

/// One kind of refused call. The last row of the table is for all that found no row of their own: a tenant chooses the
/// numbers.
static struct refusal {
    int64_t syscall;
    uint32_t arch;
    int32_t error;
    uint64_t count, reported;
} refusals[BH_REFUSALS_MAX + 1];
static unsigned refusal_kinds;

static struct refusal *refusal_of(const struct seccomp_data *call, int32_t error) {
    for (unsigned i = 0; i < refusal_kinds; i++)
        if (refusals[i].syscall == call->nr && refusals[i].error == error) return &refusals[i];
    struct refusal *row = &refusals[refusal_kinds];
    if (refusal_kinds == BH_REFUSALS_MAX) row->syscall = -1;
    else row->syscall = call->nr, refusal_kinds++;
    row->arch = call->arch;
    row->error = error;
    return row;
}

static void report_refusal(int status, struct refusal *refusal) {
    refusal->reported = refusal->count;
    send_report(status, &(struct report){
                            .kind = REPORT_REFUSED,
                            .error = refusal->error,
                            .arch = refusal->arch,
                            .syscall = refusal->syscall,
                            .args = {refusal->count},
                        });
}

void report_refusals(int status) {
    for (unsigned i = 0; i <= BH_REFUSALS_MAX; i++)
        if (refusals[i].count > refusals[i].reported) report_refusal(status, &refusals[i]);
}

bool has_refusals(void) {
    for (unsigned i = 0; i <= BH_REFUSALS_MAX; i++)
        if (refusals[i].count > refusals[i].reported) return true;
    return false;
}

/// A power of two: so a call refused a million times costs twenty reports.
static bool is_due(uint64_t count) { return (count & (count - 1)) == 0; }

// -- Observing --------------------------------------------------------------------------------------------------------

/// Writes down the path that a call names. Only looks: another thread may change it at once, and nothing depends on it.
static void observe(const struct cell_spec *spec, const struct seccomp_notif *call, unsigned argument) {
    struct {
        struct bh_observation head;
        char path[PATH_MAX];
    } record = {.head = {.syscall = call->data.nr}};
    uint64_t address = argument < 6 ? call->data.args[argument] : 0, end = address + PATH_MAX - 1;
    // Page by page: what lies behind the string's page need not be there.
    while (address < end && record.head.length < PATH_MAX - 1) {
        size_t part = 4096 - address % 4096;
        if (part > PATH_MAX - 1 - record.head.length) part = PATH_MAX - 1 - record.head.length;
        struct iovec local = {record.path + record.head.length, part}, remote = {(void *)(uintptr_t)address, part};
        if (process_vm_readv((pid_t)call->pid, &local, 1, &remote, 1, 0) != (ssize_t)part) return;
        size_t length = strnlen(local.iov_base, part);
        record.head.length += (uint32_t)length;
        if (length < part) break;
        address += part;
    }
    if (write(spec->observer, &record, sizeof record.head + record.head.length) < 0) return;  // the reader has left
}

// -- Answering --------------------------------------------------------------------------------------------------------

void notification_answer(int listener, uint64_t id, int32_t error, uint32_t flags) {
    union {
        struct seccomp_notif_resp response;
        char room[256];  // the kernel's struct may have grown
    } buffer;
    memset(&buffer, 0, sizeof buffer);
    buffer.response.id = id;
    buffer.response.error = -error;
    buffer.response.flags = flags;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &buffer);  // ENOENT: the caller died meanwhile
}

/// Says which call was denied, and ends the cell. Such a call is never answered, and never continued: the memory behind a
/// pointer argument can change after the look at it.
static _Noreturn void deny(const struct cell_spec *spec, const struct seccomp_data *call) {
    struct report report = {.kind = REPORT_DENIED, .arch = call->arch, .syscall = call->nr};
    for (int i = 0; i < 6; i++) report.args[i] = call->args[i];
    report_refusals(spec->birth->status);
    send_report(spec->birth->status, &report);
    // Not answered, and not let go of either: once the listener is closed, which comes first when init ends, such a call comes
    // back as ENOSYS, and the worker runs on until the namespace has ended. The launcher ends worker and cell.
    for (;;) poll(NULL, 0, -1);
}

/// What is left after the lock to nobody but a template, which is not the one to be locked: its forks are.
static bool is_spared(const struct cell_spec *spec, const struct seccomp_notif *call) {
    // The pid is a thread's: the first one of the worker has the worker's own.
    return spec->plan.header->flags & BH_PLAN_LOCK_SPARES_WORKER && (pid_t)call->pid == spec->worker;
}

void on_notification(const struct cell_spec *spec, int listener) {
    union {
        struct seccomp_notif notification;
        char room[512];  // the kernel's struct may have grown
    } buffer;
    memset(&buffer, 0, sizeof buffer);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &buffer) < 0) return;  // the caller died meanwhile
    const struct seccomp_notif *call = &buffer.notification;
    uint32_t verdict = filter_verdict(&spec->plan.filter, &call->data);
    uint32_t action = verdict & SECCOMP_RET_ACTION_FULL;
    bool refuses = action == SECCOMP_RET_ERRNO && verdict & BH_REFUSE_COUNTED;
    if (refuses && locks_are_kept(spec, &call->data) && locks_ask(spec, listener, call)) return;
    if (refuses) {
        int32_t error = verdict & (BH_REFUSE_COUNTED - 1);
        struct refusal *refusal = refusal_of(&call->data, error);
        refusal->count++;
        notification_answer(listener, call->id, error, 0);
        if (is_due(refusal->count)) report_refusal(spec->birth->status, refusal);
    } else if (action == SECCOMP_RET_ERRNO && verdict & BH_UNTIL_LOCKED && (!spec->is_locked || is_spared(spec, call))) {
        // Decided by registers alone: no other thread can change those.
        notification_answer(listener, call->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    } else if (action == SECCOMP_RET_TRACE && spec->observer >= 0) {
        observe(spec, call, verdict & SECCOMP_RET_DATA);
        notification_answer(listener, call->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    } else {
        deny(spec, &call->data);
    }
}
