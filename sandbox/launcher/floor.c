// Walks a policy's program once for each call of the floor, with the call's number known and its arguments not: if any way
// through the program ends in "allow", the policy is refused. Jumps lead forwards only, so one pass is all.
#include "sys.h"

#include "floor.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#include "bulkhead_launcher_abi.h"

static const unsigned short forbidden[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp,  // other processes
    SYS_unshare, SYS_setns, SYS_clone3,                      // namespaces: all of the kernel that root alone may reach
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot,      // the file tree
    SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_move_mount, SYS_open_tree, SYS_mount_setattr,
    SYS_open_tree_attr,
    SYS_open_by_handle_at, SYS_fanotify_init,                // files outside any root
    SYS_socket,                                              // all cells share one network namespace
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,           // programs, counters and faults of the kernel's
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,  // calls that no filter sees
    SYS_shmget, SYS_shmat, SYS_semget, SYS_msgget, SYS_mq_open,     // cells of one version share an empty IPC namespace
    SYS_keyctl, SYS_add_key, SYS_request_key,                // keyrings are shared between cells
    SYS_splice, SYS_tee, SYS_vmsplice, SYS_sendfile,         // pages of read-only files (CVE-2026-31431)
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot,
    SYS_swapon, SYS_swapoff,                                 // the machine
    SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr,  // real-time scheduling, with limits that a plan may raise
};
#define NAMESPACES 0x7E020000u  // CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET

/// A 32-bit word of which some bits are known.
struct word {
    uint32_t known, value;  // value has no other bits
};

static struct word constant(uint32_t value) { return (struct word){~0u, value}; }
static uint32_t least(struct word word) { return word.value; }
static uint32_t most(struct word word) { return word.value | ~word.known; }

/// A call as far as it is known.
struct call {
    struct word number, arch, first;  // first: the lower half of argument 0
};

enum answer { NO, YES, EITHER };

static enum answer compare(uint16_t operation, struct word word, uint32_t k) {
    switch (operation) {
    case BPF_JEQ: return (word.value ^ k) & word.known ? NO : word.known == ~0u ? YES : EITHER;
    case BPF_JGT: return least(word) > k ? YES : most(word) <= k ? NO : EITHER;
    case BPF_JGE: return least(word) >= k ? YES : most(word) < k ? NO : EITHER;
    case BPF_JSET: return word.value & k ? YES : (word.known & k) == k ? NO : EITHER;
    default: return EITHER;
    }
}

static struct word load(const struct call *call, uint32_t offset) {
    switch (offset) {
    case offsetof(struct seccomp_data, nr): return call->number;
    case offsetof(struct seccomp_data, arch): return call->arch;
    case offsetof(struct seccomp_data, args): return call->first;
    default: return (struct word){0, 0};
    }
}

static struct {
    bool reached;
    struct word word;
} states[BH_FILTER_MAX + 1];

/// Another way leads to `at`, with `word` in the accumulator: known from now on is only what both ways agree on.
static void reach(size_t at, size_t end, struct word word) {
    if (at > end) at = end;
    if (states[at].reached) {
        word.known &= states[at].word.known & ~(word.value ^ states[at].word.value);
        word.value &= word.known;
    }
    states[at].reached = true;
    states[at].word = word;
}

static bool lets_through(uint32_t action) {
    action &= SECCOMP_RET_ACTION_FULL;
    // TRACE is BH_OBSERVE: such a call goes on.
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_TRACE;
}

static bool may_allow(const struct sock_fprog *policy, const struct call *call) {
    size_t end = policy->len;
    memset(states, 0, (end + 1) * sizeof *states);
    reach(0, end, constant(0));
    for (size_t at = 0; at < end; at++) {
        if (!states[at].reached) continue;
        const struct sock_filter *instruction = &policy->filter[at];
        struct word word = states[at].word;
        switch (instruction->code) {
        case BPF_LD | BPF_W | BPF_ABS: reach(at + 1, end, load(call, instruction->k)); break;
        case BPF_ALU | BPF_AND | BPF_K:
            word.known |= ~instruction->k;
            word.value &= instruction->k;
            reach(at + 1, end, word);
            break;
        case BPF_JMP | BPF_JA: reach(at + 1 + instruction->k, end, word); break;
        case BPF_RET | BPF_K:
            if (lets_through(instruction->k)) return true;
            break;
        default: {
            // What is not understood might do anything.
            if (BPF_CLASS(instruction->code) != BPF_JMP || BPF_SRC(instruction->code) != BPF_K) return true;
            enum answer answer = compare(BPF_OP(instruction->code), word, instruction->k);
            if (answer != NO) reach(at + 1 + instruction->jt, end, word);
            if (answer != YES) reach(at + 1 + instruction->jf, end, word);
        }
        }
    }
    return false;
}

static bool check(const struct sock_fprog *policy) {
    struct word unknown = {0, 0}, x86_64 = constant(AUDIT_ARCH_X86_64);
    // The other entries into the kernel have other numbers: through them, nothing.
    if (may_allow(policy, &(struct call){unknown, constant(AUDIT_ARCH_I386), unknown})) return false;
    if (may_allow(policy, &(struct call){{0x40000000, 0x40000000}, x86_64, unknown})) return false;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (may_allow(policy, &(struct call){constant(forbidden[i]), x86_64, unknown})) return false;
    for (uint32_t bit = 1; bit; bit <<= 1)
        if (bit & NAMESPACES && may_allow(policy, &(struct call){constant(SYS_clone), x86_64, {bit, bit}})) return false;
    return true;
}

/// Most functions have one of a few policies: what was found sound is known again by its bytes.
#define SOUND_MAX 8
static struct {
    unsigned short len;
    struct sock_filter filter[BH_FILTER_MAX];
} sound[SOUND_MAX];

bool floor_holds(const struct sock_fprog *policy) {
    static unsigned next;
    if (policy->len == 0 || policy->len > BH_FILTER_MAX) return false;
    for (unsigned i = 0; i < SOUND_MAX; i++)
        if (sound[i].len == policy->len && memcmp(sound[i].filter, policy->filter, policy->len * sizeof *policy->filter) == 0)
            return true;
    if (!check(policy)) return false;
    sound[next].len = policy->len;
    memcpy(sound[next].filter, policy->filter, policy->len * sizeof *policy->filter);
    next = (next + 1) % SOUND_MAX;
    return true;
}
