// Memory of every kind that the kernel accounts for, and of some that it accounts for in odd places.
#include "attack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MIB (1024l * 1024)

static char block[MIB];

static void malloc_touch(void) {
    for (size_t taken = 0; taken < memory_cap(); taken += MIB) {
        char *piece = malloc(MIB);
        if (!piece) {
            judge("malloc", -1);
            return;
        }
        memset(piece, 1, MIB);
        __asm__ volatile("" : : "r"(piece) : "memory");  // else the compiler sees that nobody reads it
    }
    breach("touched twice the cell's memory");
}

/// One system call for all of it: the charge fails as a whole, with usage still far below the limit.
static void one_huge_charge(void) {
    size_t size = 2 * memory_cap();
    char *piece = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (piece == MAP_FAILED) {
        judge("mmap", -1);
        return;
    }
    memset(piece, 1, size);
    breach("populated four times the cell's memory");
}

/// No process holds much by itself.
static void shared_anon_forks(void) {
    enum { CHILDREN = 8 };
    size_t size = memory_cap() & ~(CHILDREN * 4096ul - 1), part = size / CHILDREN;
    char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        judge("mmap", -1);
        return;
    }
    int survived = 0;
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child < 0) judge("fork", child);
        if (child == 0) {
            memset(shared + part * (size_t)i, 1, part);
            _exit(0);
        }
    }
    for (int status; wait(&status) > 0;)
        if (WIFEXITED(status)) survived++;
    if (survived == CHILDREN) breach("shared twice the cell's memory between processes");
}

/// Writes until something says no.
static void fill(const char *what, int fd) {
    if (fd < 0) {
        judge(what, fd);
        return;
    }
    long taken = 0, cap = (long)(memory_cap() / MIB);
    memset(block, 1, sizeof block);
    while (taken < cap && write(fd, block, sizeof block) == (ssize_t)sizeof block) taken++;
    judge_taken(what, taken, cap);
}

/// In many files: a limit on one file's size must not be what stops it.
static void tmpfs_fill(void) {
    long taken = 0, cap = (long)(memory_cap() / MIB);
    memset(block, 1, sizeof block);
    for (char path[32]; taken < cap; taken++) {
        snprintf(path, sizeof path, "/tmp/fill%ld", taken);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) break;
        // A short write is the last one that fits; the next says why.
        if (write(fd, block, sizeof block) < (ssize_t)sizeof block && write(fd, block, sizeof block) < 0) break;
        close(fd);
    }
    judge_taken("MiB in /tmp", taken, cap);
}

static void memfd_fill(void) { fill("MiB in a memfd", memfd_create("fill", MFD_CLOEXEC)); }

static void fallocate_fill(void) {
    int fd = open("/tmp/fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    judge("fallocate of 1 GiB in /tmp", fd < 0 ? fd : fallocate(fd, 0, 0, 1l << 30));
}

/// Buffers that nobody reads: memory of the kernel, not of any process.
static void fill_pair(const char *what, int (*make)(int pair[2])) {
    long taken = 0;  // in KiB
    const long cap = (long)(memory_cap() / 1024);
    while (taken < cap) {
        int pair[2];
        if (make(pair) < 0) break;
        for (ssize_t size; taken < cap && (size = write(pair[1], block, 4096)) > 0;) taken += size / 1024;
    }
    judge_taken(what, taken, cap);
}

static int make_pipe(int pair[2]) {
    int result = pipe2(pair, O_CLOEXEC | O_NONBLOCK);
    if (result == 0) fcntl(pair[1], F_SETPIPE_SZ, 1 << 20);
    return result;
}

static int make_sockets(int pair[2]) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
}

static void pipe_fill(void) { fill_pair("KiB in pipes", make_pipe); }
static void socket_fill(void) { fill_pair("KiB in socket buffers", make_sockets); }

static void sysv_shm_fill(void) {
    long taken = 0, cap = (long)(memory_cap() / MIB);
    for (; taken < cap; taken++) {
        int id = shmget(IPC_PRIVATE, MIB, IPC_CREAT | 0600);
        char *piece = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
        if (piece == (char *)-1) break;
        memset(piece, 1, MIB);
    }
    judge_taken("MiB in System V segments", taken, cap);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"  // older compilers do not know the next one
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int recurse(volatile char *above) {
    volatile char frame[4096];
    frame[0] = above ? above[0] : 1;
    return recurse(frame) + frame[0];  // the addition keeps it from becoming a loop
}
#pragma GCC diagnostic pop

static void stack_recursion(void) { recurse(NULL); }

static void stack_recursion_unlimited(void) {
    // The hard limit decides; after that only the memory limit is left.
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_STACK, &limit);
    }
    recurse(NULL);
}

static void run_mlock(void) {
    size_t size = memory_cap();
    void *piece = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece == MAP_FAILED) judge("mmap", -1);
    else judge("mlock of twice the cell's memory", mlock(piece, size));
}

/// Reads one byte of each 2 MiB: the page read is the shared zero page, but each read costs a page of page table.
static void page_table_bomb(void) {
    const size_t size = 1ul << 40, step = 2ul << 20;
    volatile char *space = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) {
        judge("mmap of 1 TiB", -1);
        return;
    }
    madvise((void *)space, size, MADV_NOHUGEPAGE);
    size_t taken = 0;
    for (size_t at = 0; at < size && taken < memory_cap(); at += step, taken += 4096) (void)space[at];
    if (taken >= memory_cap()) breach("page tables of twice the cell's memory");
}

static void fd_exhaustion(void) {
    const long cap = 1 << 17;
    long taken = 0;
    while (taken < cap && dup(0) >= 0) taken++;
    judge_taken("descriptors", taken, cap);
}

const struct attack memory_attacks[] = {
    {.name = "malloc-touch", .tries = "touch ever more memory", .outcome = MEMORY, .run = malloc_touch},
    {.name = "one-huge-charge", .tries = "populate four times the memory in one call", .outcome = MEMORY,
     .run = one_huge_charge},
    {.name = "shared-anon-forks", .tries = "share twice the memory between 8 processes", .outcome = MEMORY,
     .run = shared_anon_forks},
    {.name = "tmpfs-fill", .tries = "fill /tmp", .outcome = OK OR MEMORY, .says = "ENOSPC", .run = tmpfs_fill},
    {.name = "fallocate-fill", .tries = "reserve 1 GiB in /tmp", .outcome = OK, .says = "ENOSPC EFBIG",
     .run = fallocate_fill},
    {.name = "memfd-fill", .tries = "fill a memfd", .outcome = MEMORY OR OK, .says = "ENOSYS EPERM EFBIG",
     .run = memfd_fill},
    {.name = "pipe-fill", .tries = "fill pipes that nobody reads", .outcome = OK OR MEMORY, .says = "EMFILE",
     .run = pipe_fill},
    {.name = "socket-fill", .tries = "fill sockets that nobody reads", .outcome = OK OR MEMORY, .run = socket_fill},
    {.name = "sysv-shm-fill", .tries = "fill System V shared memory", .outcome = OK OR MEMORY, .run = sysv_shm_fill},
    {.name = "stack-recursion", .tries = "recurse without end", .outcome = "signal" OR MEMORY, .run = stack_recursion},
    {.name = "stack-recursion-unlimited", .tries = "the same with the stack's soft limit raised",
     .outcome = "signal" OR MEMORY, .run = stack_recursion_unlimited},
    {.name = "mlock", .tries = "lock twice the memory", .outcome = OK OR MEMORY, .says = "ENOMEM EPERM EAGAIN",
     .run = run_mlock},
    {.name = "page-table-bomb", .tries = "spend memory on page tables only", .outcome = MEMORY,
     .run = page_table_bomb},
    {.name = "fd-exhaustion", .tries = "open descriptors without end", .outcome = OK, .says = "EMFILE",
     .run = fd_exhaustion},
    {0},
};
