// What it costs to start a process and hear from it, again and again: two pipes, vfork, exec, a line in, the line back.
//
//   floor PROGRAM COUNT      PROGRAM itself: the floor below which no sandbox that starts a process can get
//   floor COUNT -- ARGV...   a command that runs such a program, a sandbox with its options: measured by the same code
//
// The time runs from just before vfork, with the pipes already there, to the first byte of the answer; and separately
// until the process was reaped. The first runs, while files come into the page cache, are not counted.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "histogram.h"

static const char event[] = "{\"request\":{\"type\":\"Create\"}}\n";
#define EVENT_SIZE (sizeof event - 1)

static struct histogram answered, reaped;

static _Noreturn void die(const char *what, int error) {
    fprintf(stderr, "floor: %s%s%s\n", what, error ? ": " : "", error ? strerror(error) : "");
    exit(1);
}

/// In a function of its own: the child borrows the stack, and may touch nothing that its parent still needs.
static __attribute__((noinline)) pid_t start(char *const argv[], int in, int out) {
    pid_t child = vfork();
    if (child == 0) {
        if (dup2(in, 0) < 0 || dup2(out, 1) < 0) _exit(126);
        execvp(argv[0], argv);
        _exit(127);
    }
    return child;
}

static void check_end(int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    fprintf(stderr, "floor: the command ended with %s %d\n", WIFEXITED(status) ? "status" : "signal",
            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    exit(1);
}

static void once(char *const argv[], int counts) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) die("pipe", errno);
    uint64_t began = now_ns();
    pid_t child = start(argv, in[0], out[1]);
    if (child < 0) die("vfork", errno);
    close(in[0]);
    close(out[1]);
    ssize_t put = write(in[1], event, EVENT_SIZE);
    close(in[1]);
    char answer[EVENT_SIZE + 1];
    ssize_t got = read(out[0], answer, 1);
    uint64_t first = now_ns();
    size_t size = got > 0 ? 1 : 0;
    while (got > 0 && size < sizeof answer) {
        got = read(out[0], answer + size, sizeof answer - size);
        if (got > 0) size += (size_t)got;
    }
    close(out[0]);
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) die("waitpid", errno);
    uint64_t last = now_ns();
    check_end(status);
    if (put != (ssize_t)EVENT_SIZE || size != EVENT_SIZE || memcmp(answer, event, size) != 0)
        die("the command did not answer with what it was sent", 0);
    if (!counts) return;
    histogram_add(&answered, first - began);
    histogram_add(&reaped, last - began);
}

static void print(const char *prefix, const struct histogram *histogram) {
    printf("\"%sp50_us\":%.1f,\"%sp90_us\":%.1f,\"%sp99_us\":%.1f,", prefix, histogram_us(histogram, 0.5), prefix,
           histogram_us(histogram, 0.9), prefix, histogram_us(histogram, 0.99));
}

int main(int argc, char *argv[]) {
    char **command, *number, *program[2] = {0};
    if (argc >= 4 && strcmp(argv[2], "--") == 0) {
        number = argv[1];
        command = argv + 3;
    } else if (argc == 3) {
        program[0] = argv[1];
        number = argv[2];
        command = program;
    } else {
        fputs("usage: floor PROGRAM COUNT\n       floor COUNT -- ARGV...\n", stderr);
        return 2;
    }
    char *end;
    long count = strtol(number, &end, 10);
    if (*end || count < 1) die("COUNT must be a whole number from 1", 0);
    signal(SIGPIPE, SIG_IGN);  // a command that ends without reading is a failure to be told, not the end of this
    for (long warm = count / 10 + 1; warm > 0; warm--) once(command, 0);
    for (long i = 0; i < count; i++) once(command, 1);
    putchar('{');
    print("", &answered);
    print("reaped_", &reaped);
    printf("\"count\":%ld}\n", count);
    return 0;
}
