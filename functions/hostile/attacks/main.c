// Chooses the attack: the first argument, or the event {"attack":"NAME"}. "list" prints the table of all of them.
#include "attack.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define EXIT_BREACH 70
#define EXIT_USAGE 64

static const struct attack *const groups[] = {
    cpu_attacks,  memory_attacks,  process_attacks, output_attacks, file_attacks,
    host_attacks, channel_attacks, entry_attacks,   identity_attacks, kernel_attacks, mount_attacks,
    pressure_attacks, view_attacks,
};
#define GROUPS (sizeof groups / sizeof *groups)

const char *self;
static bool breached;

// -- What attacks use -------------------------------------------------------------------------------------------------

void say(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vdprintf(1, format, values);
    va_end(values);
}

void breach(const char *format, ...) {
    char line[512];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    breached = true;
    say("BREACH: %s\n", line);
}

bool judge(const char *what, long result) {
    int error = errno;
    if (result >= 0) {
        breach("%s = %ld", what, result);
        return false;
    }
    const char *name = strerrorname_np(error);
    say("contained: %s %s\n", name ? name : "?", what);
    return true;
}

void judge_taken(const char *what, long taken, long cap) {
    int error = errno;
    if (taken >= cap) {
        breach("%s: %ld and no end", what, taken);
        return;
    }
    const char *name = strerrorname_np(error);
    say("contained: %s after %ld %s\n", name ? name : "?", taken, what);
}

size_t memory_cap(void) {
    const char *mebibytes = getenv("BULKHEAD_MEMORY_MIB");
    size_t limit = mebibytes ? strtoul(mebibytes, NULL, 10) : 256;
    return 2 * limit << 20;
}

_Noreturn void spin(void) {
    for (;;) __asm__ volatile("");
}

_Noreturn void hang(void) {
    for (;;) pause();
}

// -- Choosing ---------------------------------------------------------------------------------------------------------

/// A whole name after `"attack":` in the event. The event is ours to write, so this need not be a JSON parser.
static const char *name_in_event(void) {
    static char event[64 * 1024];
    size_t size = 0;
    for (ssize_t got; size < sizeof event - 1 && (got = read(0, event + size, sizeof event - 1 - size)) > 0;)
        size += (size_t)got;
    char *at = strstr(event, "\"attack\"");
    if (!at) return NULL;
    at += strlen("\"attack\"");
    at += strspn(at, ": \t\r\n\"");
    at[strcspn(at, "\"")] = 0;
    return at;
}

/// Rows of the table in ../README.md; tests read them as well.
static void list(void) {
    for (size_t i = 0; i < GROUPS; i++)
        for (const struct attack *attack = groups[i]; attack->name; attack++)
            say("| %s | %s | %s | %s |\n", attack->name, attack->tries, attack->outcome,
                attack->says ? attack->says : "");
}

static const struct attack *find(const char *name) {
    for (size_t i = 0; i < GROUPS; i++)
        for (const struct attack *attack = groups[i]; attack->name; attack++)
            if (strcmp(attack->name, name) == 0) return attack;
    return NULL;
}

/// What a set-uid file starts: whether it is somebody else now.
static int still(const char *own) {
    uid_t uid[3], expected = (uid_t)strtoul(own, NULL, 10);
    gid_t gid[3];
    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0) return EXIT_BREACH;
    for (int i = 0; i < 3; i++)
        if (uid[i] != expected || gid[i] != gid[0]) breach("became %u and %u by a set-uid file", uid[i], gid[i]);
    if (!breached) say("done: still %u\n", uid[1]);
    return breached ? EXIT_BREACH : 0;
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc > 2 && strcmp(argv[1], "still") == 0) return still(argv[2]);
    const char *name = argc > 1 ? argv[1] : name_in_event();
    if (name && strcmp(name, "list") == 0) {
        list();
        return 0;
    }
    const struct attack *attack = name ? find(name) : NULL;
    if (!attack) {
        dprintf(2, "attacks: no attack named '%s'; 'list' shows them all\n", name ? name : "");
        return EXIT_USAGE;
    }
    // Some of these would end the machine of whoever tries them in a shell.
    if (!getenv("BULKHEAD_FUNCTION")) {
        dprintf(2, "attacks: this is no cell (BULKHEAD_FUNCTION is not set); refusing to run '%s'\n", name);
        return EXIT_USAGE;
    }
    signal(SIGXFSZ, SIG_IGN);  // else a file that grows too large ends the attack before it can say so
    if (attack->run) {
        attack->run();
    } else {
        const long *a = attack->args;
        judge(attack->name, syscall(attack->number, a[0], a[1], a[2], a[3], a[4], a[5]));
    }
    return breached ? EXIT_BREACH : 0;
}
