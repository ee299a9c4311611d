// libFuzzer on what the launcher reads of a supervisor that may have been taken over: a plan and its filter.
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "birth.h"
#include "filter.h"
#include "floor.h"
#include "plan.h"
#include "profile.h"

static void require(bool holds) {
    if (!holds) abort();
}

/// What the walk over all ways says must hold for the one way that a call takes: is it let through, the profile allows it.
static void compare(const struct plan *plan, const struct seccomp_data *call) {
    const struct sock_fprog *policy = &plan->filter;
    uint32_t verdict = filter_verdict(policy, call), action = verdict & SECCOMP_RET_ACTION_FULL;
    bool goes = action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_TRACE ||
                (action == SECCOMP_RET_ERRNO && verdict & BH_UNTIL_LOCKED);
    if (!goes) return;
    struct look exactly[6];
    for (uint8_t i = 0; i < 6; i++) exactly[i] = (struct look){i, BPF_JEQ, true, ~0u, (uint32_t)call->args[i]};
    unsigned steps = 1000;
    require(call->arch == AUDIT_ARCH_X86_64 && profile_allows((uint32_t)call->nr, plan->header->flags & BH_PLAN_OWN_NETWORK, exactly, 6, &steps));
}

/// Whatever was accepted, can be used: every string ends, every path is plain, every count fits.
static void use(const struct plan *plan) {
    size_t sum = strlen(plan->hostname) + strlen(plan->executable);
    for (unsigned i = 0; i < plan->header->arg_count; i++) sum += strlen(plan->argv[i]);
    for (unsigned i = 0; i < plan->header->env_count; i++) sum += strlen(plan->envp[i]);
    require(!plan->argv[plan->header->arg_count] && !plan->envp[plan->header->env_count]);
    for (unsigned i = 0; i < plan->header->mount_count; i++) {
        sum += strlen(plan->mount_source[i]);
        const char *target = plan->mount_target[i];
        require(target[0] == '/' && !strstr(target, "//") && !strstr(target, "/../"));
    }
    require(sum < BH_PLAN_MAX);
    // Whoever reads them reads all of them, and nothing beside.
    require(plan->header->secrets_size <= BH_SECRETS_MAX && !plan->secrets == !plan->header->secrets_size);
    const char *start = (const char *)plan->header, *end = start + plan->header->size;
    require(!plan->secrets || (plan->secrets >= start + sizeof *plan->header && plan->secrets + plan->header->secrets_size <= end));
    require(plan->limited[RLIMIT_CORE] && plan->rlimits[RLIMIT_CORE] == 0 && plan->rlimits[RLIMIT_NOFILE] <= plan_caps.files);

    static struct sock_filter instructions[BH_FILTER_MAX];
    struct sock_fprog installed = {.filter = instructions};
    for (int observing = 0; observing < 2; observing++)
        if (filter_derive(&plan->filter, &installed, observing ? 0x123456789ull : 0, observing) == 0)
            for (unsigned i = 0; i < installed.len; i++)
                require(instructions[i].code != (BPF_RET | BPF_K) ||
                        (instructions[i].k & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_TRACE);
    if (!floor_holds(&plan->filter, plan->header->flags & BH_PLAN_OWN_NETWORK)) return;
    // Constants of the program are the numbers and arguments that are worth a try.
    for (unsigned i = 0; i < plan->filter.len; i++) {
        uint32_t k = plan->filter.filter[i].k;
        for (int number = -1; number < 460; number++) {
            struct seccomp_data call = {.nr = number, .arch = AUDIT_ARCH_X86_64, .args = {k, k, k, k, k, k}};
            compare(plan, &call);
        }
        compare(plan, &(struct seccomp_data){.nr = (int)k, .arch = AUDIT_ARCH_X86_64, .args = {1, 2, 3, ~0ull, 5, 6}});
        compare(plan, &(struct seccomp_data){.nr = (int)i, .arch = k, .args = {1, 2, 3, ~0ull, 5, 6}});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static struct plan plan;
    int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    require(fd >= 0 && write(fd, input, size) == (ssize_t)size);
    // Whatever the corpus was made for: a version that is refused at once would hide all the rest.
    uint32_t version = BH_ABI_VERSION;
    if (size >= sizeof(struct bh_plan)) require(pwrite(fd, &version, sizeof version, offsetof(struct bh_plan, version)) == 4);
    require(plan_read(fd, &plan) == EPERM);  // not sealed: it could change under the reader
    require(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    if (plan_read(fd, &plan) == 0) use(&plan);
    close(fd);
    return 0;
}
