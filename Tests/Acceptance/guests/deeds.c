// A worker that does one thing, named by its first argument: `deeds NAME [VALUE…]`. Arguments after those that a deed
// reads mean nothing to it; tests put a marker there, to find the process from outside.
//
// Linked statically, so that it needs nothing of the cell but what it tries.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void nap(long milliseconds) {
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR) {}
}

static const char *error_name(void) {
    const char *name = strerrorname_np(errno);
    return name ? name : "?";
}

// -- Results ----------------------------------------------------------------------------------------------------------

/// Writes the bytes that VALUE gives in hexadecimal.
static int emit(char **value) {
    for (const char *at = value[0]; at[0] && at[1]; at += 2) {
        unsigned byte;
        sscanf(at, "%2x", &byte);
        putchar((int)byte);
    }
    return 0;
}

/// How many bytes the event has.
static int length(char **value) {
    (void)value;
    static char buffer[64 * 1024];
    long total = 0;
    for (ssize_t got; (got = read(0, buffer, sizeof buffer)) > 0;) total += got;
    printf("%ld", total);
    return 0;
}

/// The arguments, for a caller that uses no character which JSON would escape.
static int arguments(char **value) {
    putchar('[');
    for (int i = 0; value[i]; i++) printf("%s\"%s\"", i ? "," : "", value[i]);
    putchar(']');
    return 0;
}

/// Writes VALUE[1] bytes to descriptor VALUE[0], in lines of 64.
static int flood(char **value) {
    int fd = atoi(value[0]);
    char line[65];
    for (long left = atol(value[1]), number = 0; left > 0; number++) {
        snprintf(line, sizeof line, "%063ld\n", number);
        ssize_t wrote = write(fd, line, 64);
        if (wrote < 0) return 9;
        left -= wrote;
    }
    if (fd != 1) printf("\"flooded\"");
    return 0;
}

/// A line on the log for each VALUE.
static int tell(char **value) {
    for (; *value; value++) fprintf(stderr, "%s\n", *value);
    printf("\"told\"");
    return 0;
}

// -- Ends -------------------------------------------------------------------------------------------------------------

static int leave(char **value) {
    printf("a result that must not be taken for one");
    return atoi(value[0]);
}

static int segv(char **value) {
    (void)value;
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
    return 0;
}

static int abort_itself(char **value) {
    (void)value;
    abort();
}

static int kill_itself(char **value) {
    kill(getpid(), atoi(value[0]));
    return 0;
}

// -- Time -------------------------------------------------------------------------------------------------------------

/// Says on the log that it sleeps, and then does for VALUE milliseconds.
static int sleep_for(char **value) {
    fprintf(stderr, "sleeping\n");
    nap(atol(value[0]));
    printf("{\"slept\":%ld}", atol(value[0]));
    return 0;
}

/// Ignores all that can be ignored and closes its output: only SIGKILL helps.
static int stubborn(char **value) {
    (void)value;
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    close(1);
    for (;;) nap(60000);
    return 0;
}

/// Uses VALUE milliseconds of CPU time.
static int spin(char **value) {
    struct timespec used;
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < atol(value[0]));
    printf("\"spun\"");
    return 0;
}

// -- Memory and files -------------------------------------------------------------------------------------------------

static int touch(char **value) {
    size_t size = (size_t)atol(value[0]) << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 9;
    for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
    printf("\"touched\"");
    return 0;
}

/// Whether an earlier run left a file in /tmp, and whether this one can make it.
static int scratch(char **value) {
    (void)value;
    int before = open("/tmp/left", O_RDONLY) >= 0;
    int made = open("/tmp/left", O_WRONLY | O_CREAT, 0600);
    printf("{\"before\":%s,\"made\":\"%s\"}", before ? "true" : "false", made < 0 ? error_name() : "ok");
    return 0;
}

/// Writes VALUE MiB into /tmp and says what stopped it.
static int fill(char **value) {
    static char block[64 * 1024];
    long left = atol(value[0]) << 20, written = 0;
    int fd = open("/tmp/fill", O_WRONLY | O_CREAT, 0600);
    const char *stopped = fd < 0 ? error_name() : "none";
    while (fd >= 0 && left > 0) {
        ssize_t wrote = write(fd, block, sizeof block);
        if (wrote <= 0) {
            stopped = error_name();
            break;
        }
        left -= wrote;
        written += wrote;
    }
    printf("{\"written\":%ld,\"stopped\":\"%s\"}", written, stopped);
    return 0;
}

/// Tries to read each VALUE up to "--": "ok", or the error's name.
static int read_files(char **value) {
    putchar('{');
    for (int i = 0; value[i] && strcmp(value[i], "--") != 0; i++) {
        char byte;
        int fd = open(value[i], O_RDONLY);
        const char *result = fd >= 0 && read(fd, &byte, 1) >= 0 ? "ok" : error_name();
        printf("%s\"%s\":\"%s\"", i ? "," : "", value[i], result);
    }
    putchar('}');
    return 0;
}

// -- Processes and system calls ---------------------------------------------------------------------------------------

static int fork_once(char **value) {
    (void)value;
    pid_t child = fork();
    if (child == 0) _exit(0);
    printf("\"%s\"", child < 0 ? error_name() : "forked");
    return 0;
}

/// Ends at once and leaves a child behind, which keeps the output open.
static int orphan(char **value) {
    (void)value;
    pid_t child = fork();
    if (child < 0) return 9;
    if (child == 0) {
        setsid();
        for (;;) nap(60000);
    }
    (void)!write(1, "\"left\"", 6);
    _exit(0);
}

static int call(char **value) {
    static const struct {
        const char *name;
        long number, first;
    } calls[] = {
        {"ptrace", SYS_ptrace, 0},  // PTRACE_TRACEME
        {"io_uring_setup", SYS_io_uring_setup, 1},
        {"unshare", SYS_unshare, 0x10000000},  // CLONE_NEWUSER
        {"setns", SYS_setns, 0},
        {"bpf", SYS_bpf, 0},
        {"keyctl", SYS_keyctl, 0},
        {"mount", SYS_mount, 0},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, value[0]) == 0) {
            long result = syscall(calls[i].number, calls[i].first, 0, 0, 0, 0);
            printf("\"%s\"", result < 0 ? error_name() : "it worked");
            return 0;
        }
    return 64;
}

/// Flushes the file VALUE as often as VALUE[1] says, in each way there is: how often a call answered 0, and how long it took.
static int flush(char **value) {
    int fd = open(value[0], O_RDONLY);
    long count = atol(value[1]), good = 0;
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < count; i++)
        good += fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0 && msync(memory, 4096, MS_SYNC) == 0 &&
                sync_file_range(fd, 0, 0, 7) == 0;
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("{\"good\":%ld,\"ms\":%ld}", good, (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
    return 0;
}

/// What is refused of calls that are allowed otherwise; VALUE is a file that can be read.
static int beside(char **value) {
    int ends[2];
    void *huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    printf("{\"huge\":\"%s\"", huge == MAP_FAILED ? error_name() : "ok");
    printf(",\"direct\":\"%s\"", fcntl(1, F_SETFL, O_WRONLY | O_DIRECT) < 0 ? error_name() : "ok");
    printf(",\"async\":\"%s\"", fcntl(0, F_SETFL, O_ASYNC) < 0 ? error_name() : "ok");
    printf(",\"nonblock\":\"%s\"", fcntl(1, F_SETFL, fcntl(1, F_GETFL)) < 0 ? error_name() : "ok");
    printf(",\"packets\":\"%s\"", pipe2(ends, O_DIRECT) < 0 ? error_name() : "ok");
    printf(",\"pipe\":\"%s\"", pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? error_name() : "ok");
    printf(",\"disk\":\"%s\"", open(value[0], O_RDONLY | O_DIRECT) < 0 ? error_name() : "ok");
    printf(",\"nice\":\"%s\"", setpriority(PRIO_PROCESS, 0, 1) < 0 ? error_name() : "ok");
    printf(",\"renice\":\"%s\"", setpriority(PRIO_PROCESS, (id_t)getpid(), 1) < 0 ? error_name() : "ok");
    printf(",\"users\":\"%s\"", setpriority(PRIO_USER, 0, 1) < 0 ? error_name() : "ok");
    unsigned long cpus[16];
    long size = syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus);
    printf(",\"own\":\"%s\"", syscall(SYS_sched_setaffinity, 0, size, cpus) < 0 ? error_name() : "ok");
    printf(",\"other\":\"%s\"}", syscall(SYS_sched_setaffinity, getpid(), size, cpus) < 0 ? error_name() : "ok");
    return 0;
}

static const struct {
    const char *name;
    int (*run)(char **value);
} deeds[] = {
    {"emit", emit},       {"length", length},     {"args", arguments},   {"flood", flood},   {"tell", tell},
    {"exit", leave},      {"segv", segv},         {"abort", abort_itself}, {"kill", kill_itself},
    {"sleep", sleep_for}, {"stubborn", stubborn}, {"spin", spin},        {"touch", touch},   {"scratch", scratch},
    {"fill", fill},       {"read", read_files},   {"fork", fork_once},   {"orphan", orphan}, {"call", call},
    {"flush", flush},     {"beside", beside},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof deeds / sizeof *deeds; i++)
        if (strcmp(deeds[i].name, argv[1]) == 0) return deeds[i].run(argv + 2);
    fprintf(stderr, "deeds: no such deed\n");
    return 64;
}
