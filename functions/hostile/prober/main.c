// Makes the system calls that its event names, and says what each one answered: how the policy of a cell is compared
// with what the kernel really does.
//
//   {"calls": [[NUMBER, A0, …, A5], …]}    each by a child of its own; missing arguments are 0, values are 64 bits wide
//   "entry": "x32" or "i386"               by that door into the kernel instead of the native one
//   "direct": 1                            by the worker itself, for cells where there is no second process
//
// The answer is a JSON array with one of these for each call:
//
//   {"value": V}                           what it returned
//   {"errno": "ENOSYS", "number": 38}      or how it failed
//   {"end": "exited" | "signal" | "blocked", "number": N}   the child said nothing: it ended, or had to be killed
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the prober makes the raw system calls of x86_64"
#endif

#define PATIENCE 200  // milliseconds: who has not answered by then is waiting for something
#define CALLS_MAX 4096
#define EXIT_USAGE 64

enum entry { NATIVE, X32, I386 };

struct call {
    uint64_t number, args[6];
};

// -- The event --------------------------------------------------------------------------------------------------------

static char event[512 * 1024];
static struct call calls[CALLS_MAX];

static _Noreturn void refuse(const char *why) {
    fprintf(stderr, "prober: %s\n", why);
    exit(EXIT_USAGE);
}

static void read_event(void) {
    size_t length = 0;
    for (ssize_t got; (got = read(0, event + length, sizeof event - 1 - length)) > 0;) length += (size_t)got;
    if (length == sizeof event - 1) refuse("the event is too long");
}

/// Skips spaces, and `what` behind them if it is there.
static bool take(const char **at, char what) {
    *at += strspn(*at, " \t\r\n");
    if (**at != what) return false;
    ++*at;
    return true;
}

static uint64_t take_number(const char **at) {
    char *end;
    *at += strspn(*at, " \t\r\n");
    if (**at < '0' || **at > '9') refuse("a number was expected");
    errno = 0;
    uint64_t value = strtoull(*at, &end, 10);
    if (errno) refuse("a number is out of range");
    *at = end;
    return value;
}

/// Returns how many calls the event names.
static size_t parse_calls(void) {
    const char *at = strstr(event, "\"calls\"");
    if (!at) refuse("the event has no calls");
    at += strlen("\"calls\"");
    if (!take(&at, ':') || !take(&at, '[')) refuse("calls is no array");
    if (take(&at, ']')) return 0;
    size_t count = 0;
    do {
        if (count == CALLS_MAX) refuse("too many calls");
        struct call *call = &calls[count++];
        if (!take(&at, '[')) refuse("a call is no array");
        call->number = take_number(&at);
        for (int i = 0; take(&at, ','); i++) {
            if (i == 6) refuse("a call has more than six arguments");
            call->args[i] = take_number(&at);
        }
        if (!take(&at, ']')) refuse("a call has no end");
    } while (take(&at, ','));
    if (!take(&at, ']')) refuse("calls has no end");
    return count;
}

// -- The doors --------------------------------------------------------------------------------------------------------

// Inline, so that a vfork among them returns twice into one and the same frame.

static inline __attribute__((always_inline)) long enter_native(uint64_t number, const uint64_t args[6]) {
    register uint64_t r10 __asm__("r10") = args[3];
    register uint64_t r8 __asm__("r8") = args[4];
    register uint64_t r9 __asm__("r9") = args[5];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/// The sixth argument would be in rbp, which the compiler wants for itself; no answer depends on it.
static inline __attribute__((always_inline)) long enter_i386(uint64_t number, const uint64_t args[6]) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(args[3]), "D"(args[4])
                     : "r8", "r9", "r10", "r11", "memory");
    return (int)result;
}

static long make(enum entry entry, const struct call *call) {
    static const uint64_t none[6];
    long self = (long)enter_native(SYS_gettid, none), result;
    switch (entry) {
    case I386: result = enter_i386(call->number, call->args); break;
    case X32: result = enter_native(call->number | 0x40000000, call->args); break;
    default: result = enter_native(call->number, call->args);
    }
    // A process or thread that the call itself has made must not go on as if it were the one that made it.
    if ((long)enter_native(SYS_gettid, none) != self) enter_native(SYS_exit, none);
    return result;
}

// -- Making them ------------------------------------------------------------------------------------------------------

static void tell(long result) {
    if (result < 0 && result >= -4095) {
        const char *name = strerrorname_np((int)-result);
        printf("{\"errno\":\"%s\",\"number\":%ld}", name ? name : "?", -result);
    } else {
        printf("{\"value\":%ld}", result);
    }
}

static void probe(enum entry entry, const struct call *call) {
    int ends[2];
    if (pipe(ends) < 0) refuse("there is no pipe");
    pid_t child = fork();
    if (child < 0) refuse("there is no process");
    if (child == 0) {
        long result = make(entry, call);
        _exit(write(ends[1], &result, sizeof result) != sizeof result);
    }
    close(ends[1]);
    long result;
    struct pollfd reading = {.fd = ends[0], .events = POLLIN};
    bool hasMoved = poll(&reading, 1, PATIENCE) > 0;
    bool hasAnswered = hasMoved && read(ends[0], &result, sizeof result) == sizeof result;
    close(ends[0]);
    if (!hasMoved) kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (hasAnswered) tell(result);
    else if (!hasMoved) printf("{\"end\":\"blocked\",\"number\":0}");
    else if (WIFSIGNALED(status)) printf("{\"end\":\"signal\",\"number\":%d}", WTERMSIG(status));
    else printf("{\"end\":\"exited\",\"number\":%d}", WEXITSTATUS(status));
}

int main(void) {
    // It makes whatever calls it is told to; that is no thing to do to somebody's shell.
    if (!getenv("BULKHEAD_FUNCTION")) refuse("this is no cell");
    read_event();
    size_t count = parse_calls();
    enum entry entry = strstr(event, "\"x32\"") ? X32 : strstr(event, "\"i386\"") ? I386 : NATIVE;
    bool isDirect = strstr(event, "\"direct\"");
    putchar('[');
    fflush(stdout);  // else each child that exits by itself would print it again
    for (size_t i = 0; i < count; i++) {
        if (i) putchar(',');
        if (isDirect) tell(make(entry, &calls[i]));
        else probe(entry, &calls[i]);
        fflush(stdout);
    }
    putchar(']');
    return 0;
}
