#include "stock.h"

#include <string.h>

#include "events.h"
#include "watch.h"

#define REMOVE_RETRY_MS 20
#define RENEWED_MAX 64   // cells that wait for their version's next launch
#define RENEWED_MS 2000  // and how long they do

static const struct cell_options *options;
static struct cgroups *groups;
static unsigned ready_target;
static unsigned ready_count;
static bool ready_failed;  // a ready cell could not be built: try again only with the next launch, which will say why
static uint32_t renewed[RENEWED_MAX];  // slots of cells that are ready for their version, the longest waiting first
static unsigned renewed_count;
static unsigned removing;  // cells whose processes are gone but whose cgroups are not yet

void stock_open(const struct cell_options *given, struct cgroups *opened, unsigned ready) {
    options = given;
    groups = opened;
    ready_target = ready;
}

// -- Giving cells -----------------------------------------------------------------------------------------------------

/// Builds one more cell, for `version` if there is one. Returns its slot, or CELLS with `*stage` and `*error` set.
static uint32_t build_cell(const struct version *version, uint32_t *stage, int *error) {
    static uint32_t next;
    for (uint32_t i = 0; i < CELLS; i++) {
        uint32_t slot = (next + i) % CELLS;
        if (cells[slot].state != CELL_EMPTY) continue;
        next = slot;
        if ((*error = cell_prepare(options, groups, slot, version, stage))) return CELLS;
        watch_cell(slot);
        if (!version) ready_count++;
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

uint32_t stock_take(uint64_t version, uint32_t *stage, int *error) {
    ready_failed = false;
    uint32_t slot = renewed_cell(version);
    if (slot != CELLS) return slot;
    slot = ready_cell();
    if (slot == CELLS) slot = build_cell(version_known(version), stage, error);
    if (slot != CELLS && !cells[slot].version) ready_count--;
    return slot;
}

void stock_failed(struct cell *cell) {
    // Nobody waits for it; who is given it in this moment learns of its end.
    ready_failed = ready_failed || !cell->version;
    cell->killed = true;
}

void stock_lost(const struct cell *cell) {
    if (!cell->version) {
        ready_count--;
        ready_failed = true;
        return;
    }
    for (unsigned i = 0; i < renewed_count; i++)
        if (&cells[renewed[i]] == cell) take_renewed(i);
}

// -- Taking them back -------------------------------------------------------------------------------------------------

void stock_remove(struct cell *cell) {
    if (!cgroup_remove(groups, cell->group)) {
        cgroup_kill(groups, cell->group);
        removing++;
        return;
    }
    if (cell->id) send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = cell->id}, NULL, 0);
    cell->state = CELL_EMPTY;
}

static void retry_removals(void) {
    removing = 0;
    for (uint32_t slot = 0; slot < CELLS; slot++)
        if (cells[slot].state == CELL_REMOVING) stock_remove(&cells[slot]);
}

/// Makes the cell ready for its version once more. False when it has to be removed.
static bool renew_cell(struct cell *cell, const struct version *version) {
    if (!cell_is_as_new(groups, cell)) return false;
    uint32_t slot = (uint32_t)(cell - cells);
    send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = cell->id}, NULL, 0);
    if (!cell_renew(options, groups, slot, version)) {
        cell->state = CELL_REMOVING;
        return false;
    }
    watch_cell(slot);
    renewed[renewed_count++] = slot;
    return true;
}

void stock_replace(struct cell *cell) {
    struct version *version =
        renewed_count < RENEWED_MAX && cell_ended_well(cell) ? version_known(cell->version) : NULL;
    if (version && renew_cell(cell, version)) return;
    stock_remove(cell);
    uint32_t stage;
    int error;
    uint32_t slot = version ? build_cell(version, &stage, &error) : CELLS;
    if (slot != CELLS) renewed[renewed_count++] = slot;
}

// -- Keeping ----------------------------------------------------------------------------------------------------------

/// Cells that nobody has needed for a while hold memory, and maybe a version that is served no more.
static void expire_renewed(void) {
    uint64_t now = monotonic_ns();
    while (renewed_count && now - cells[renewed[0]].since > RENEWED_MS * 1000000ull) cell_kill(&cells[take_renewed(0)]);
}

int stock_patience(void) {
    if (ready_count < ready_target && !ready_failed) return 0;
    return removing ? REMOVE_RETRY_MS : renewed_count ? RENEWED_MS / 4 : -1;
}

void stock_keep(bool is_idle) {
    uint32_t stage;
    int error;
    if (is_idle && stock_patience() == 0) ready_failed = build_cell(NULL, &stage, &error) == CELLS;
    if (removing) retry_removals();
    expire_renewed();
}
