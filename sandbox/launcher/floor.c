// Follows each way through a policy's program: with one call's number after the other, then with all numbers that no call
// has, then for all other architectures. Arguments are not known; what the way has found out about them is kept. Where it
// ends in letting the call through, the profile must allow all that can have come that way.
#include "floor.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#include "bulkhead_launcher_abi.h"
#include "profile.h"

#define NUMBERS 1024     // more than there are; what comes after is refused as a whole
#define LOOKS_MAX 128    // comparisons of arguments on one way
#define STEPS_MAX 400000 // twenty times what our own programs take; some milliseconds

enum source { NOTHING, NUMBER, ARCHITECTURE, ARGUMENT };

struct range {
    uint32_t first, last;
};

/// Where a way has come to.
struct way {
    size_t at;
    struct range number, architecture;
    enum source source;  // of what is in the accumulator
    uint8_t argument;
    uint32_t mask;
    unsigned looks;
};

static const struct sock_fprog *policy;
static bool has_network;  // of the cell's own
static struct look looks[LOOKS_MAX];
static unsigned steps;

static bool lets_through(uint32_t verdict) {
    uint32_t action = verdict & SECCOMP_RET_ACTION_FULL;
    // TRACE is BH_OBSERVE: such a call goes on. So does one that is denied only later.
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_TRACE ||
           (action == SECCOMP_RET_ERRNO && verdict & BH_UNTIL_LOCKED);
}

static bool is_one(struct range range, uint32_t value) { return range.first == value && range.last == value; }

/// Takes a load. False for one that no program of ours has.
static bool load(struct way *way, uint32_t offset) {
    const uint32_t arguments = offsetof(struct seccomp_data, args);
    if (offset % 4 || offset >= sizeof(struct seccomp_data)) return false;
    way->mask = ~0u;
    way->source = NOTHING;
    if (offset == offsetof(struct seccomp_data, nr)) way->source = NUMBER;
    if (offset == offsetof(struct seccomp_data, arch)) way->source = ARCHITECTURE;
    if (offset >= arguments && (offset - arguments) % 8 == 0) {
        way->source = ARGUMENT;
        way->argument = (uint8_t)((offset - arguments) / 8);
    }
    return true;
}

/// Leaves of `range` what may have made the comparison come out as it did. False: nothing.
static bool narrow(struct range *range, uint32_t mask, uint16_t operation, uint32_t k, bool holds) {
    if (range->first == range->last) {
        uint32_t value = range->first & mask;
        bool held = operation == BPF_JEQ ? value == k : operation == BPF_JGT ? value > k
                  : operation == BPF_JGE ? value >= k : (value & k) != 0;
        return held == holds;
    }
    if (mask != ~0u || operation == BPF_JSET) return true;
    if (operation == BPF_JEQ) {
        if (holds) {
            if (k < range->first || k > range->last) return false;
            *range = (struct range){k, k};
        } else {
            if (k == range->first) range->first++;
            else if (k == range->last) range->last--;
        }
        return true;
    }
    if (operation == BPF_JGT) {
        if (k == ~0u) return !holds;
        k++;
    }
    if (holds) {
        if (k > range->last) return false;
        if (k > range->first) range->first = k;
    } else {
        if (k <= range->first) return false;
        if (k <= range->last) range->last = k - 1;
    }
    return true;
}

/// Whether this way has found out that a comparison of an argument comes out the other way. Rows that begin alike would double
/// the ways with each of them.
static bool contradicts(const struct way *way, uint32_t k, bool holds) {
    for (unsigned i = 0; i < way->looks; i++) {
        const struct look *look = &looks[i];
        if (look->argument != way->argument || look->mask != way->mask || look->operation != BPF_JEQ) continue;
        if (look->holds ? (look->k == k) != holds : look->k == k && holds) return true;
    }
    return false;
}

/// Goes on from a comparison as if it had come out like that. False: it cannot have.
static bool take(struct way *way, const struct sock_filter *instruction, bool holds) {
    uint16_t operation = BPF_OP(instruction->code);
    way->at += 1u + (holds ? instruction->jt : instruction->jf);
    if (way->source == NUMBER) return narrow(&way->number, way->mask, operation, instruction->k, holds);
    if (way->source == ARCHITECTURE) return narrow(&way->architecture, way->mask, operation, instruction->k, holds);
    if (way->source == ARGUMENT && operation == BPF_JEQ && contradicts(way, instruction->k, holds)) return false;
    if (way->source == ARGUMENT)
        looks[way->looks++] = (struct look){way->argument, operation, holds, way->mask, instruction->k};
    return true;
}

/// Whether every way on from here keeps to the profile. What is not understood does not.
static bool keeps(struct way way) {
    for (;;) {
        if (way.at >= policy->len || !steps) return false;
        steps--;
        const struct sock_filter *instruction = &policy->filter[way.at];
        switch (instruction->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (!load(&way, instruction->k)) return false;
            way.at++;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            way.mask &= instruction->k;
            way.at++;
            break;
        case BPF_JMP | BPF_JA: way.at += 1 + (size_t)instruction->k; break;
        case BPF_RET | BPF_K:
            return !lets_through(instruction->k) ||
                   (is_one(way.architecture, AUDIT_ARCH_X86_64) && is_one(way.number, way.number.first) &&
                    way.number.first < NUMBERS && profile_allows(way.number.first, has_network, looks, way.looks, &steps));
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_K: {
            if (way.looks == LOOKS_MAX) return false;
            struct way other = way;
            bool may_hold = take(&other, instruction, true);
            if (may_hold && !keeps(other)) return false;
            // Ways that came after have written over the looks behind this one's.
            if (!take(&way, instruction, false)) return true;
            break;
        }
        default: return false;
        }
    }
}

static bool check(void) {
    const struct range all = {0, ~0u}, x86_64 = {AUDIT_ARCH_X86_64, AUDIT_ARCH_X86_64};
    steps = STEPS_MAX;
    for (uint32_t number = 0; number < NUMBERS; number++)
        if (!keeps((struct way){.number = {number, number}, .architecture = x86_64})) return false;
    // No call has these, or x32's entry has them.
    if (!keeps((struct way){.number = {NUMBERS, ~0u}, .architecture = x86_64})) return false;
    return keeps((struct way){.number = all, .architecture = {0, AUDIT_ARCH_X86_64 - 1}}) &&
           keeps((struct way){.number = all, .architecture = {AUDIT_ARCH_X86_64 + 1, ~0u}});
}

/// Most functions have one of a few policies: what was found sound is known again by its bytes.
#define SOUND_MAX 8
static struct {
    bool has_network;
    unsigned short len;
    struct sock_filter filter[BH_FILTER_MAX];
} sound[SOUND_MAX];

bool floor_holds(const struct sock_fprog *given, bool in_own_network) {
    static unsigned next;
    if (given->len == 0 || given->len > BH_FILTER_MAX) return false;
    for (unsigned i = 0; i < SOUND_MAX; i++)
        if (sound[i].has_network == in_own_network && sound[i].len == given->len &&
            memcmp(sound[i].filter, given->filter, given->len * sizeof *given->filter) == 0)
            return true;
    policy = given;
    has_network = in_own_network;
    if (!check()) return false;
    sound[next].has_network = in_own_network;
    sound[next].len = given->len;
    memcpy(sound[next].filter, given->filter, given->len * sizeof *given->filter);
    next = (next + 1) % SOUND_MAX;
    return true;
}
