// Processes: as many as possible, as hard to find as possible, and against each other.
#include "attack.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOO_MANY 4096  // no manifest allows that many tasks

/// A counter that every process of the attack shares, so that even a bomb has an end.
static atomic_long *shared_counter(void) {
    void *page = mmap(NULL, sizeof(atomic_long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        judge("mmap", -1);
        _exit(1);
    }
    return page;
}

static void fork_bomb(void) {
    atomic_long *alive = shared_counter();
    for (;;) {
        if (fork() == 0) atomic_fetch_add(alive, 1);
        if (atomic_load(alive) > TOO_MANY) {
            say("BREACH: fork bomb: %d processes and no end\n", TOO_MANY);
            _exit(1);  // all the others see the counter as well
        }
    }
}

/// A chain of processes, each of which forks the next and ends: whoever reads the list of pids is always too late.
static void fork_while_dying(void) {
    atomic_long *forks = shared_counter();
    for (int chain = 0; chain < 8; chain++) {
        if (fork() != 0) continue;
        while (atomic_fetch_add(forks, 1) < 1000000) {
            pid_t child = fork();
            if (child > 0) _exit(0);
        }
        say("BREACH: a million forks\n");
        _exit(1);
    }
}

/// The way of a daemon: no parent, no session, no terminal, no descriptor.
static void setsid_double_fork(void) {
    if (fork() != 0) return;
    setsid();
    if (fork() != 0) _exit(0);
    for (int fd = 0; fd < 3; fd++) close(fd);
    hang();
}

static void grandchild_holds_stdout(void) {
    say("done: the rest of stdout belongs to my child\n");
    if (fork() == 0) hang();
}

/// Waits until its parent has ended, then writes into the stdout it inherited.
static void orphan_writes(void) {
    if (fork() != 0) return;
    while (getppid() != 1) usleep(100);
    usleep(50 * 1000);  // init is told of the end now, on however slow a machine
    for (int i = 0; i < 1000; i++) {
        usleep(1000);
        say("BREACH: written after the worker's end\n");
    }
    _exit(0);
}

static void *sleep_thread(void *unused) {
    (void)unused;
    hang();
}

static void thread_bomb(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 16384);
    long taken = 0;
    for (pthread_t thread; taken < TOO_MANY; taken++) {
        int error = pthread_create(&thread, &attributes, sleep_thread, NULL);
        if (!error) continue;
        errno = error;
        break;
    }
    judge_taken("threads", taken, TOO_MANY);
}

static void zombie_farm(void) {
    long taken = 0;
    for (; taken < TOO_MANY; taken++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) _exit(0);
    }
    judge_taken("zombies", taken, TOO_MANY);
}

/// Each waits inside vfork for the next one.
static void vfork_deeper(int depth) {
    if (depth == TOO_MANY) {
        say("BREACH: %d nested vforks\n", depth);
        _exit(1);
    }
    pid_t child = vfork();
    if (child < 0) judge_taken("nested vforks", depth, TOO_MANY);
    if (child == 0) {
        vfork_deeper(depth + 1);
        _exit(0);
    }
}

static void vfork_chain(void) { vfork_deeper(0); }

/// Reaches every process it may signal, except itself and PID 1: in a cell of one process, nobody. The kernel calls that success
/// where there is somebody who may not be signalled: who answers refused calls must still be there.
static void kill_all(void) {
    (void)kill(-1, SIGKILL);
    judge("mknod after kill(-1, SIGKILL)", syscall(SYS_mknod, "/tmp/device", S_IFBLK | 0600, 0));
}

/// PID 1 of a namespace ignores what it has no handler for, so success alone is no breach: its death would be, and
/// would take this process with it.
static void kill_init(void) {
    int reached = 0;
    for (int number = 1; number < NSIG; number++)
        if (kill(1, number) == 0) reached++;
    if (reached == 0) {
        judge("kill(1, every signal)", -1);
        return;
    }
    usleep(100 * 1000);
    if (kill(1, 0) < 0) breach("PID 1 is gone");
    else say("contained: %d signals reached PID 1, which ignored them\n", reached);
}

/// Processes of the host have high numbers; in a cell nearly all of them name nobody.
static void kill_others(void) {
    int found = 0;
    for (pid_t pid = 2; pid < 65536; pid++) {
        if (pid == getpid() || kill(pid, 0) != 0) continue;
        found++;
        breach("pid %d can be signalled", pid);
        if (found == 10) return;
    }
    if (!found) say("contained: ESRCH nobody else here\n");
}

const struct attack process_attacks[] = {
    // The kernel frees the dead later than they die, and until then they are charged.
    {.name = "fork-bomb", .tries = "fork in all processes at once", .outcome = CPU OR TIMEOUT OR MEMORY,
     .run = fork_bomb},
    {.name = "fork-while-dying", .tries = "end, leaving 8 chains of processes that change pid all the time",
     .outcome = OK, .run = fork_while_dying},
    {.name = "setsid-double-fork", .tries = "end, leaving a daemon", .outcome = OK, .run = setsid_double_fork},
    {.name = "grandchild-holds-stdout", .tries = "end, leaving a child that keeps stdout open", .outcome = OK,
     .run = grandchild_holds_stdout},
    {.name = "orphan-writes", .tries = "end, leaving a child that writes to stdout later", .outcome = OK,
     .run = orphan_writes},
    {.name = "thread-bomb", .tries = "start threads without end", .outcome = OK, .says = "EAGAIN ENOMEM",
     .run = thread_bomb},
    {.name = "zombie-farm", .tries = "start children without end, reap none", .outcome = OK, .says = "EAGAIN",
     .run = zombie_farm},
    {.name = "vfork-chain", .tries = "nest vforks without end", .outcome = OK, .says = "EAGAIN", .run = vfork_chain},
    {.name = "kill-all", .tries = "kill(-1)", .outcome = OK, .says = "EPERM", .run = kill_all},
    {.name = "kill-init", .tries = "send every signal to PID 1", .outcome = OK, .run = kill_init},
    {.name = "kill-others", .tries = "find any other process by its pid", .outcome = OK, .run = kill_others},
    {0},
};
