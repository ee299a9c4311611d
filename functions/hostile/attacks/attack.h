// One binary, many attacks: each is a row in one of the tables below, chosen by its name.
//
// An attack says what came of each thing it tried, on a line of its own: "contained: ERRNO what" when the kernel said
// no, "BREACH: what" when it did not. Attacks on resources say nothing and take; those that could take without end stop
// at a cap and call that a breach, so that a host without limits survives its own test.
#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

// What the contract lets an attack end as. More than one where the limits race.
#define DENIED "denied"
#define OK "ok"
#define TIMEOUT "timeout"
#define CPU "cpu_exceeded"
#define MEMORY "memory_exceeded"
#define OUTPUT "output_exceeded"
#define OR " or "

struct attack {
    const char *name;
    const char *tries;
    const char *outcome;
    const char *says;  // the errno names that "contained: " lines may give; NULL: nothing, or any
    void (*run)(void);
    // Without `run`: this one system call.
    long number;
    long args[6];
};

// Each table ends with a row without a name.
extern const struct attack cpu_attacks[], memory_attacks[], process_attacks[], output_attacks[], file_attacks[],
    host_attacks[], channel_attacks[], entry_attacks[], identity_attacks[], kernel_attacks[], mount_attacks[],
    pressure_attacks[], view_attacks[];

/// Prints one line at once: what follows may end the process.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// Says that `what` worked although it must not, and makes the exit status say so as well.
void breach(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// Judges a call by its result: a breach unless it failed. Returns whether it was contained.
bool judge(const char *what, long result);

/// For attacks that take until something says no: `taken` units, of which `cap` are too many.
void judge_taken(const char *what, long taken, long cap);

/// What no cell gives away: twice its memory, and half a gigabyte where the cell does not say how much that is.
size_t memory_cap(void);

/// The path of this very program inside the cell.
extern const char *self;

_Noreturn void spin(void);
_Noreturn void hang(void);
