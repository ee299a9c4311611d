#include "filter.h"

#include <string.h>

#include "bulkhead_launcher_abi.h"

int filter_derive(const struct sock_fprog *policy, struct sock_filter *installed, bool observing) {
    for (unsigned i = 0; i < policy->len; i++) {
        installed[i] = policy->filter[i];
        if (installed[i].code != (BPF_RET | BPF_K)) continue;
        uint32_t action = installed[i].k & SECCOMP_RET_ACTION_FULL;
        if (action == SECCOMP_RET_TRACE && !observing) return EINVAL;
        if (action == SECCOMP_RET_TRACE || (action == SECCOMP_RET_ERRNO && installed[i].k & BH_REFUSE_COUNTED))
            installed[i].k = SECCOMP_RET_USER_NOTIF;
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
