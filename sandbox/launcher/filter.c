#include "filter.h"

#include <linux/audit.h>
#include <string.h>

#include "bulkhead_launcher_abi.h"

#define BOTH (BH_REFUSE_COUNTED | BH_UNTIL_LOCKED)

static bool answers(const struct sock_filter *instruction, uint32_t action) {
    return instruction->code == (BPF_RET | BPF_K) && (instruction->k & SECCOMP_RET_ACTION_FULL) == action;
}

bool filter_locks(const struct sock_fprog *policy) {
    for (unsigned i = 0; i < policy->len; i++)
        if (answers(&policy->filter[i], SECCOMP_RET_ERRNO) && policy->filter[i].k & BH_UNTIL_LOCKED) return true;
    return false;
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define GREETING 11

/// In front of the policy: what the worker itself calls on its way to exec.
static void greet(struct sock_filter *to, uint64_t pass) {
    const struct sock_filter greeting[GREETING] = {
        LOAD(arch),
        EQUAL(AUDIT_ARCH_X86_64, 0, 9),
        LOAD(nr),
        EQUAL(SYS_execveat, 2, 0),
        EQUAL(SYS_recvmsg, 1, 0),  // its streams
        EQUAL(SYS_dup2, 0, 5),     // the same
        LOAD(args[5]),
        EQUAL((uint32_t)pass, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5]) + 4),
        EQUAL((uint32_t)(pass >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    memcpy(to, greeting, sizeof greeting);
}

int filter_derive(const struct sock_fprog *policy, struct sock_fprog *installed, uint64_t pass, bool observing) {
    unsigned first = pass ? GREETING : 0;
    if (first + policy->len > BH_FILTER_MAX) return EINVAL;
    if (pass) greet(installed->filter, pass);
    installed->len = (unsigned short)(first + policy->len);
    for (unsigned i = 0; i < policy->len; i++) {
        struct sock_filter *instruction = &installed->filter[first + i];
        *instruction = policy->filter[i];
        bool traces = answers(instruction, SECCOMP_RET_TRACE), fails = answers(instruction, SECCOMP_RET_ERRNO);
        if ((traces && !observing) || (fails && (instruction->k & BOTH) == BOTH)) return EINVAL;
        if (traces || (fails && instruction->k & BOTH)) instruction->k = SECCOMP_RET_USER_NOTIF;
    }
    return 0;
}

/// One comparison. False for an operation that no policy of ours holds.
static bool compare(const struct sock_filter *instruction, uint32_t value, bool *holds) {
    switch (BPF_OP(instruction->code)) {
    case BPF_JEQ: *holds = value == instruction->k; return true;
    case BPF_JGT: *holds = value > instruction->k; return true;
    case BPF_JGE: *holds = value >= instruction->k; return true;
    case BPF_JSET: *holds = value & instruction->k; return true;
    default: return false;
    }
}

uint32_t filter_verdict(const struct sock_fprog *policy, const struct seccomp_data *call) {
    uint32_t value = 0;
    bool holds;
    // Jumps lead forwards only, so this ends; past the end or not understood, the call is denied.
    for (size_t at = 0; at < policy->len; at++) {
        const struct sock_filter *instruction = &policy->filter[at];
        switch (instruction->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (instruction->k > sizeof *call - sizeof value) return SECCOMP_RET_USER_NOTIF;
            memcpy(&value, (const char *)call + instruction->k, sizeof value);
            break;
        case BPF_ALU | BPF_AND | BPF_K: value &= instruction->k; break;
        case BPF_JMP | BPF_JA: at += instruction->k; break;
        case BPF_RET | BPF_K: return instruction->k;
        default:
            if (BPF_CLASS(instruction->code) != BPF_JMP || BPF_SRC(instruction->code) != BPF_K ||
                !compare(instruction, value, &holds))
                return SECCOMP_RET_USER_NOTIF;
            at += holds ? instruction->jt : instruction->jf;
        }
    }
    return SECCOMP_RET_USER_NOTIF;
}
