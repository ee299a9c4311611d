// Shows that whoever took a way through a filter made a call that the profile allows: splits the arguments bit by bit, until
// each part either meets a row of the profile or could not have come that way.
#include "profile.h"

static const struct allowed {
    uint16_t number;
    enum { ANYWHERE, IN_SHARED_NETWORK, IN_OWN_NETWORK } where;
    struct condition {
        uint8_t argument;
        uint32_t mask, value;
    } conditions[3];  // a mask of 0 always holds
} profile[] = {
#define ALLOWED(number, ...) {number, ANYWHERE, {__VA_ARGS__}},
#define ALLOWED_IN_SHARED_NETWORK(number, ...) {number, IN_SHARED_NETWORK, {__VA_ARGS__}},
#define ALLOWED_IN_OWN_NETWORK(number, ...) {number, IN_OWN_NETWORK, {__VA_ARGS__}},
#include "profile_table.h"
};

/// A 32-bit word of which some bits are known.
struct word {
    uint32_t known, value;  // value has no other bits
};

enum answer { NO, YES, EITHER };

static struct word masked(struct word word, uint32_t mask) {
    return (struct word){word.known | ~mask, word.value & mask};
}

static enum answer compare(uint16_t operation, struct word word, uint32_t k) {
    uint32_t least = word.value, most = word.value | ~word.known;
    switch (operation) {
    case BPF_JEQ: return (word.value ^ k) & word.known ? NO : word.known == ~0u ? YES : EITHER;
    case BPF_JGT: return least > k ? YES : most <= k ? NO : EITHER;
    case BPF_JGE: return least >= k ? YES : most < k ? NO : EITHER;
    case BPF_JSET: return word.value & k ? YES : (word.known & k) == k ? NO : EITHER;
    default: return EITHER;
    }
}

/// A bit that somebody looks at and nobody knows.
struct unknown {
    uint8_t argument;
    uint32_t bit;  // 0: there is none
};

static struct unknown highest(const struct word words[6], uint8_t argument, uint32_t mask) {
    uint32_t open = mask & ~words[argument].known;
    return (struct unknown){argument, open ? 1u << (31 - __builtin_clz(open)) : 0};
}

static enum answer meets(const struct allowed *row, const struct word words[6], struct unknown *open) {
    *open = (struct unknown){0};
    for (int i = 0; i < 3; i++) {
        const struct condition *condition = &row->conditions[i];
        enum answer answer = compare(BPF_JEQ, masked(words[condition->argument], condition->mask), condition->value);
        if (answer == NO) return NO;
        if (answer == EITHER && !open->bit) *open = highest(words, condition->argument, condition->mask);
    }
    return open->bit ? EITHER : YES;
}

static bool covered(const struct allowed *rows, unsigned row_count, bool has_network, const struct look *looks, unsigned count,
                    const struct word words[6], unsigned *steps) {
    if (*steps <= count) return false;
    *steps -= count + 1;  // each is looked at again
    struct unknown split = {0};
    for (unsigned i = 0; i < count; i++) {
        enum answer answer = compare(looks[i].operation, masked(words[looks[i].argument], looks[i].mask), looks[i].k);
        if (answer == EITHER) split = highest(words, looks[i].argument, looks[i].mask);
        else if ((answer == YES) != looks[i].holds) return true;  // nobody comes this way
    }
    for (unsigned i = 0; i < row_count; i++) {
        struct unknown open;
        if (rows[i].where == (has_network ? IN_SHARED_NETWORK : IN_OWN_NETWORK)) continue;
        enum answer answer = meets(&rows[i], words, &open);
        if (answer == YES) return true;
        if (answer == EITHER) split = open;
    }
    if (!split.bit) return false;
    struct word half[6];
    for (int i = 0; i < 6; i++) half[i] = words[i];
    half[split.argument].known |= split.bit;
    if (!covered(rows, row_count, has_network, looks, count, half, steps)) return false;
    half[split.argument].value |= split.bit;
    return covered(rows, row_count, has_network, looks, count, half, steps);
}

bool profile_allows(uint32_t number, bool has_network, const struct look *looks, unsigned count, unsigned *steps) {
    // The table is in the order of the numbers.
    unsigned first = 0, end = sizeof profile / sizeof *profile;
    for (unsigned middle; first < end;)
        if (profile[middle = (first + end) / 2].number < number) first = middle + 1;
        else end = middle;
    for (end = first; end < sizeof profile / sizeof *profile && profile[end].number == number;) end++;
    if (first == end) return false;
    // What was found equal is known at once, and need not be split.
    struct word words[6] = {{0, 0}};
    for (unsigned i = 0; i < count; i++) {
        if (looks[i].operation != BPF_JEQ || !looks[i].holds) continue;
        struct word *word = &words[looks[i].argument];
        word->value = (word->value & ~looks[i].mask) | (looks[i].k & looks[i].mask);
        word->known |= looks[i].mask;  // two that contradict each other: `covered` sees that the first does not hold
    }
    return covered(profile + first, end - first, has_network, looks, count, words, steps);
}
