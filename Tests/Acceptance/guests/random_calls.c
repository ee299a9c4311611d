// Random system calls with arguments that are nearly right, as trinity makes them, by a program that needs nothing to start:
// `{"seed":1,"calls":[0,1,2]}` makes calls of these numbers for a second and a half, in one child after the other.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long calls[512];
static int count;
static char *pages;

static long argument(void) {
    static const long odd[] = {0, 1, -1, 2, 8, 64, 4096, 0x7FFFFFFF, 0x80000000, 1l << 32, 1l << 47, -4096, -100};
    switch (random() % 6) {
    case 0: return odd[random() % (long)(sizeof odd / sizeof *odd)];
    case 1: return random() % 12;  // descriptors
    case 2: return (long)pages + random() % 65536;
    case 3: return (long)pages + 65536 - random() % 16;  // runs over the end
    case 4: return 1l << random() % 64;
    default: return (long)random() << 32 ^ random();
    }
}

static void child(unsigned seed) {
    srandom(seed);
    pages = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 65536; i++) pages[i] = (char)random();
    strcpy(pages, "/tmp/file");
    strcpy(pages + 64, "/function");
    for (int i = 0; i < 4000; i++)
        syscall(calls[random() % count], argument(), argument(), argument(), argument(), argument(), argument());
    _exit(0);
}

int main(void) {
    static char event[8192];
    if (read(0, event, sizeof event - 1) <= 0) return 1;
    char *seed = strstr(event, "\"seed\":"), *list = strchr(event, '[');
    if (!seed || !list || !getenv("BULKHEAD_FUNCTION")) return 1;
    for (char *at = list + 1; count < 512; at++) {
        calls[count++] = strtol(at, &at, 10);
        if (*at != ',') break;
    }
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += 500 * 1000 * 1000, end.tv_sec += 1;
    long children = 0;
    do {
        pid_t pid = fork();
        if (pid == 0) child((unsigned)(atol(seed + 7) * 100000 + children));
        // One that has stopped, hung or masked everything is ended all the same.
        int end_of = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        struct pollfd waiting = {.fd = end_of, .events = POLLIN};
        poll(&waiting, 1, 200);
        if (pid > 0) kill(pid, SIGKILL), waitpid(pid, NULL, 0);
        close(end_of);
        children++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec % 1000000000));
    printf("{\"children\":%ld}", children);
    return 0;
}
