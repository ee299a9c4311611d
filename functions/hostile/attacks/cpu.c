// Time: burn it, outsleep it, and dodge what ends those who do.
#include "attack.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static void run_spin(void) { spin(); }
static void sleep_forever(void) { hang(); }

static void *spin_thread(void *unused) {
    (void)unused;
    spin();
}

static void spin_threads(void) {
    for (int i = 0; i < 256; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, spin_thread, NULL);  // past the limit it fails, and those that started spin on
    }
    spin();
}

/// Each process stays far below any limit of its own: only a sum over the cell sees them.
static void cpu_split_forks(void) {
    for (;;) {
        pid_t child = fork();
        if (child < 0) {
            judge("fork", child);
            return;
        }
        if (child == 0) {
            while (clock() < CLOCKS_PER_SEC / 10) {}
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
}

static void ignore_signals(void) {
    sigset_t all;
    for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    spin();
}

static void on_signal(int number) { (void)number; }

static void handle_sigxcpu(void) {
    signal(SIGXCPU, on_signal);
    spin();
}

static void stop_self(void) {
    kill(getpid(), SIGSTOP);
    hang();
}

static void stop_group(void) {
    fork();
    kill(0, SIGSTOP);
    hang();
}

/// Its parent waits inside vfork, where only SIGKILL reaches it.
static void stopped_vfork_child(void) {
    pid_t child = vfork();
    if (child == 0) {
        kill(getpid(), SIGSTOP);
        _exit(0);
    }
    judge("vfork", child < 0 ? child : 0);
}

static void exit_main_child_spins(void) {
    if (fork() == 0) spin();
}

static void exit_main_thread_spins(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, spin_thread, NULL);
    pthread_exit(NULL);  // the first thread becomes a zombie, the process lives
}

static void segfault(void) { raise(SIGSEGV); }
static void kill_self(void) { kill(getpid(), SIGKILL); }
static void exit_42(void) { _exit(42); }

const struct attack cpu_attacks[] = {
    {.name = "spin", .tries = "burn CPU for ever", .outcome = CPU, .run = run_spin},
    {.name = "spin-threads", .tries = "burn CPU in 256 threads", .outcome = CPU, .run = spin_threads},
    {.name = "cpu-split-forks", .tries = "burn CPU in short-lived children, one after the other",
     .outcome = CPU OR TIMEOUT OR MEMORY, .run = cpu_split_forks},
    {.name = "sleep-forever", .tries = "wait for nothing", .outcome = TIMEOUT, .run = sleep_forever},
    {.name = "ignore-signals", .tries = "ignore and block every signal, spin", .outcome = CPU, .run = ignore_signals},
    {.name = "handle-sigxcpu", .tries = "catch SIGXCPU, spin on", .outcome = CPU, .run = handle_sigxcpu},
    {.name = "stop-self", .tries = "SIGSTOP itself", .outcome = TIMEOUT, .run = stop_self},
    {.name = "stop-group", .tries = "SIGSTOP its process group", .outcome = TIMEOUT, .run = stop_group},
    {.name = "stopped-vfork-child", .tries = "wait in vfork for a stopped child", .outcome = TIMEOUT,
     .run = stopped_vfork_child},
    {.name = "exit-main-child-spins", .tries = "end, and leave a child spinning", .outcome = OK,
     .run = exit_main_child_spins},
    {.name = "exit-main-thread-spins", .tries = "end the first thread, and leave a second one spinning", .outcome = CPU,
     .run = exit_main_thread_spins},
    {.name = "segfault", .tries = "SIGSEGV", .outcome = "signal", .run = segfault},
    {.name = "abort", .tries = "SIGABRT", .outcome = "signal", .run = abort},
    {.name = "kill-self", .tries = "SIGKILL itself: no memory limit was met", .outcome = "signal", .run = kill_self},
    {.name = "exit-42", .tries = "end with status 42", .outcome = "exit", .run = exit_42},
    {0},
};
