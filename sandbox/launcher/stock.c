#include "stock.h"

#include <string.h>

#include "events.h"
#include "furniture.h"
#include "network.h"
#include "watch.h"

#define REMOVE_RETRY_MS 20
#define WAITING_MAX 64   // cells that wait for one version's next launch, or one function's
#define WAITING_MS 2000  // and how long they do
#define LOOKING_MS 1000  // at most so often it is looked whether the host's files are the same still, and what is kept is needed
#define YIELDING_MS 200  // after which they make room for others

/// Slots of cells that are ready, the longest waiting first.
struct waiting {
    uint32_t slots[WAITING_MAX];
    unsigned count;
};

static const struct cell_options *options;
static struct cgroups *groups;
static unsigned ready_target;
static unsigned spare_count;     // cells that are ready for anybody
static struct waiting owned;     // ready for any version of the function in whose directory they are
static struct waiting renewed;   // ready for their version
static uint32_t orders[WAITING_MAX];  // functions for which a ready cell is to be built
static unsigned order_count;
static bool keeps_groups;  // cgroups of cells that are gone
static bool ready_failed;  // a ready cell could not be built: try again only with the next launch, which will say why
static unsigned removing;  // cells whose processes are gone but whose cgroups are not yet

void stock_open(const struct cell_options *given, struct cgroups *opened, unsigned ready) {
    options = given;
    groups = opened;
    ready_target = ready;
}

// -- Who waits --------------------------------------------------------------------------------------------------------

static void add(struct waiting *waiting, uint32_t slot) { waiting->slots[waiting->count++] = slot; }

static uint32_t take(struct waiting *waiting, unsigned at) {
    uint32_t slot = waiting->slots[at];
    memmove(waiting->slots + at, waiting->slots + at + 1, (--waiting->count - at) * sizeof *waiting->slots);
    return slot;
}

static bool has_waited(uint32_t slot, uint64_t milliseconds) { return monotonic_ns() - cells[slot].since > milliseconds * 1000000ull; }

static bool is_full(const struct waiting *waiting) { return waiting->count == WAITING_MAX; }

/// Where all places are taken, who has waited longest goes.
static void add_renewed(uint32_t slot) {
    if (is_full(&renewed)) cell_kill(&cells[take(&renewed, 0)]);
    add(&renewed, slot);
}

/// Strikes a cell off. False when it was not among those that wait.
static bool strike(struct cell *cell) {
    struct waiting *lists[] = {&owned, &renewed};
    for (int list = 0; list < 2; list++)
        for (unsigned i = 0; i < lists[list]->count; i++)
            if (&cells[lists[list]->slots[i]] == cell) return take(lists[list], i), true;
    if (!cell->spare) return false;
    cell->spare = false;
    spare_count--;
    return true;
}

/// Of the cells that are ready ahead of need this many may be one function's own: the others are for functions without any.
static unsigned owned_max(void) { return ready_target / 2 < WAITING_MAX ? ready_target / 2 : WAITING_MAX; }

// -- Giving cells -----------------------------------------------------------------------------------------------------

/// Builds one more cell for the function called `name`, or for nobody (""); for `version` if there is one. Returns its slot, or
/// CELLS with `*why` set.
/// - Parameter network: as `cell_prepare` takes it.
/// - Parameter is_awaited: a launch waits for it.
static uint32_t build_cell(const char *name, const struct version *version, int network, bool is_awaited, struct step *why) {
    static uint32_t next;
    for (uint32_t i = 0; i < CELLS; i++) {
        uint32_t slot = (next + i) % CELLS;
        if (cells[slot].state != CELL_EMPTY) continue;
        next = slot;
        uint32_t function = function_named(name);
        if (function == NOBODY) function = function_remembered(name);
        *why = cell_prepare(options, groups, slot, function, version, network, is_awaited);
        if (why->error) return CELLS;
        if (function == NOBODY) function_take(cells[slot].function, name);
        watch_cell(slot);
        return slot;
    }
    if (network >= 0) close(network);
    *why = failed(BH_STAGE_CAPACITY, EAGAIN);
    return CELLS;
}

static uint32_t spare_cell(void) {
    static uint32_t last;
    for (uint32_t i = 0; i < CELLS && spare_count; i++) {
        uint32_t slot = (last + i) % CELLS;
        if (!cells[slot].spare) continue;
        strike(&cells[slot]);
        return last = slot;
    }
    return CELLS;
}

static uint32_t owned_cell(uint32_t function) {
    for (unsigned i = owned.count; i-- > 0;)
        if (cells[owned.slots[i]].function == function) return take(&owned, i);
    return CELLS;
}

uint32_t stock_renewed(uint64_t version) {
    // The one that became ready last: its memory is warmest.
    for (unsigned i = version ? renewed.count : 0; i-- > 0;)
        if (cells[renewed.slots[i]].version == version) return take(&renewed, i);
    return CELLS;
}

/// A cell is born in its network: none of those that are ready will do.
static uint32_t connected_cell(const char *name, struct step *why) {
    int network;
    *why = failed(BH_STAGE_NETWORK, network_take(&network));
    return why->error ? CELLS : build_cell(name, NULL, network, true, why);
}

uint32_t stock_take(uint64_t version, const char *name, bool needs_network, struct step *why) {
    ready_failed = false;
    if (needs_network) return connected_cell(name, why);
    uint32_t function = function_named(name);
    // A spare one stands in a directory of its own: for a function that has one already it would be a second share.
    uint32_t slot = function == NOBODY ? spare_cell() : owned_cell(function);
    const struct version *known = version_known(version);
    if (slot == CELLS) slot = build_cell(name, known, -1, true, why);
    else if (function == NOBODY) function_take(cells[slot].function, name);
    // The next one finds a ready cell where this one is. Of a known version, cells come back.
    if (slot != CELLS && !known && owned.count + order_count < owned_max()) orders[order_count++] = cells[slot].function;
    return slot;
}

void stock_failed(struct cell *cell) {
    // Nobody waits for it; who is given it in this moment learns of its end.
    ready_failed = ready_failed || !cell->version;
    strike(cell);
    cell->killed = true;
}

void stock_lost(struct cell *cell) {
    if (strike(cell) && !cell->version) ready_failed = true;
}

// -- Taking them back -------------------------------------------------------------------------------------------------

void stock_remove(struct cell *cell) {
    keeps_groups = true;  // perhaps: it will be looked
    if (!cell_remove(groups, cell)) {
        cell->is_marred = true;
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
    add_renewed(slot);
    return true;
}

/// The version that is to have another cell ready, now that this one has ended; NULL for none.
static struct version *version_after(const struct cell *cell) {
    // More versions by turns than there are places would only push each other out.
    bool has_room = !is_full(&renewed) || has_waited(renewed.slots[0], YIELDING_MS);
    return has_room && cell_ended_well(cell) ? version_known(cell->version) : NULL;
}

bool stock_again(struct cell *cell) {
    if (!version_after(cell) || !cell_is_as_new(groups, cell)) return false;
    cell_end(groups, cell);
    send_event((struct bh_event){.kind = BH_EVENT_GONE, .cell = cell->id}, NULL, 0);
    cell_again(cell);
    add_renewed((uint32_t)(cell - cells));
    return true;
}

void stock_replace(struct cell *cell) {
    struct version *version = version_after(cell);
    if (version && renew_cell(cell, version)) return;
    stock_remove(cell);
    struct step why;
    uint32_t slot = version ? build_cell(version->function, version, -1, false, &why) : CELLS;
    if (slot != CELLS) add_renewed(slot);
}

// -- Keeping ----------------------------------------------------------------------------------------------------------

/// Cells that nobody has needed for a while hold memory, and maybe a version that is served no more.
static void expire(struct waiting *waiting) {
    while (waiting->count && has_waited(waiting->slots[0], WAITING_MS)) {
        struct cell *cell = &cells[take(waiting, 0)];
        cell->is_marred = true;  // nor does anybody need its cgroups
        cell_kill(cell);
    }
}

/// Builds a ready cell for a function that has just had one. There are no more of them for that: a spare one makes room.
static bool build_ordered(void) {
    struct step why;
    uint32_t function = orders[--order_count];
    if (!functions[function].name[0] || owned.count >= owned_max()) return true;
    if (spare_count + owned.count >= ready_target) {
        uint32_t slot = spare_cell();
        if (slot != CELLS) cell_kill(&cells[slot]);
    }
    uint32_t slot = build_cell(functions[function].name, NULL, -1, false, &why);
    if (slot != CELLS) add(&owned, slot);
    return slot != CELLS;
}

static bool build_spare(void) {
    struct step why;
    uint32_t slot = build_cell("", NULL, -1, false, &why);
    if (slot == CELLS) return false;
    cells[slot].spare = true;
    spare_count++;
    return true;
}

static bool lacks_cells(void) { return (order_count || spare_count + owned.count < ready_target) && !ready_failed; }

int stock_patience(void) {
    if (lacks_cells() || networks_lack()) return 0;
    return removing ? REMOVE_RETRY_MS : renewed.count || owned.count || keeps_groups ? WAITING_MS / 4 : -1;
}

/// What the host shows to all has changed: nothing that is ready shows it, nor does a root that a version's cells share.
static void start_anew(void) {
    versions_forget();
    while (renewed.count) cell_kill(&cells[take(&renewed, 0)]);
    while (owned.count) cell_kill(&cells[take(&owned, 0)]);
    for (uint32_t slot = 0; slot < CELLS; slot++) {
        if (cells[slot].spare && strike(&cells[slot])) cell_kill(&cells[slot]);
        else if (cells[slot].state == CELL_BOUND) cell_forget_version(&cells[slot]);  // its version learns nothing of this one
    }
}

void stock_keep(bool is_idle) {
    static uint64_t looked;
    uint64_t now = monotonic_ns();
    if (now - looked > LOOKING_MS * 1000000ull) {
        looked = now;
        if (furniture_refresh()) start_anew();
        keeps_groups = functions_expire(groups, WAITING_MS * 1000000ull);
    }
    if (is_idle && stock_patience() == 0) {
        // After the cells: they are needed more often.
        if (lacks_cells()) ready_failed = !(order_count ? build_ordered() : build_spare());
        else networks_keep();
    }
    if (removing) retry_removals();
    expire(&renewed);
    expire(&owned);
}
