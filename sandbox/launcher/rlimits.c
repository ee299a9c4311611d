// A worker's resource limits: what a plan may ask for, and what a worker gets of which its plan says nothing.
#include "plan.h"

// A limit of this and all above: only what the kernel and the host have set.
#define NO_CAP RLIM_INFINITY

static bool find(const struct bh_plan *header, uint32_t resource, uint64_t *most, uint64_t *usual) {
    switch (resource) {
#define LIMIT(name, cap, otherwise) \
    case RLIMIT_##name: *most = (cap), *usual = (otherwise); return true
        LIMIT(CORE, 0, 0);        // a core file would hold the tenant's data, where the tenant's limits end
        LIMIT(NICE, 0, 0);        // no priority over others
        LIMIT(RTPRIO, 0, 0);      // nor over the host
        LIMIT(MSGQUEUE, 0, 0);    // kernel memory
        LIMIT(SIGPENDING, 4096, 1024);             // kernel memory
        LIMIT(MEMLOCK, 8 << 20, 64 << 10);         // pages that cannot be reclaimed
        LIMIT(NOFILE, plan_caps.files, plan_caps.files < 1024 ? plan_caps.files : 1024);  // kernel memory, and the host's file table
        LIMIT(NPROC, header->tasks_max + 1ull, header->tasks_max + 1ull);  // the uid is the cell's own; one more for init
        LIMIT(FSIZE, header->scratch_bytes + (1 << 20), header->scratch_bytes + (1 << 20));  // sparse files
        LIMIT(STACK, 1 << 30, 8 << 20);            // memory, and how addresses are laid out
        LIMIT(CPU, NO_CAP, NO_CAP);                // seconds: the supervisor's clock counts them too
        LIMIT(AS, NO_CAP, NO_CAP);                 // narrower than the cell's memory, if at all
#undef LIMIT
    default: return false;  // RLIMIT_DATA is the launcher's own, see worker.c
    }
}

int plan_limit(struct plan *plan) {
    const struct bh_plan *header = plan->header;
    uint64_t most, usual;
    for (unsigned i = 0; i < header->rlimit_count; i++) {
        const struct bh_rlimit *limit = &header->rlimits[i];
        if (!find(header, limit->resource, &most, &usual) || plan->limited[limit->resource]) return EINVAL;
        if (limit->value > most) return EPERM;
        plan->limited[limit->resource] = true;
        plan->rlimits[limit->resource] = limit->value;
    }
    for (uint32_t resource = 0; resource < RLIM_NLIMITS; resource++) {
        if (plan->limited[resource] || !find(header, resource, &most, &usual) || usual == NO_CAP) continue;
        plan->limited[resource] = true;
        plan->rlimits[resource] = usual;
    }
    return 0;
}
