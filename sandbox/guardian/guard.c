// The loop: notices deaths and signals, and decides whether and when another supervisor starts.
//
//   the supervisor …                                     then
//   ends with status 0                                   so do we
//   ends with status N, and none has ever served         we end with N: to start it again would change nothing
//   is killed by a signal, and none has ever served      another one, five in all; then we end with 3
//   ends in any other way                                another one
//   ends in whatever way after we were told to stop      we end: with its status, or 128 and its signal
//
// Another one starts at once, if it had served for a second or the one before had. Else after 0.1 s, and each time twice as
// long, up to ten seconds: whoever dies as soon as it serves would take the machine, and serve nobody.
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "courier.h"
#include "relay.h"
#include "report.h"
#include "socket.h"

#define TRIES 5
#define SERVED_WELL 1000
#define FORGIVEN 60000  // after so long nobody need be told of deaths before
#define SHORTEST_WAIT 100
#define LONGEST_WAIT 10000

static pid_t child;                    // 0 while none runs
static int notify = -1;                // where it says that it serves; -1 once it has, or has ended
static uint64_t started, served;       // when; 0: it does not serve yet
static uint64_t first_death, died;     // when, of those that count
static uint64_t next_start;            // while none runs
static unsigned deaths, starts;
static unsigned hurried;               // deaths in a row of such as had not served well
static bool ever_served, stopping, hangup_ends;

int guard_signals(void) {
    struct sigaction hangup;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    // Where there is a terminal it has gone, which is an end like any other; under nohup it is none. A daemon has none, and reads
    // its files again.
    int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    hangup_ends = terminal >= 0;
    if (terminal >= 0) close(terminal);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);  // ignored, it would leave no status to wait for
    sigset_t timer;
    sigemptyset(&timer);
    sigaddset(&timer, SIGALRM);
    int fd = -1;
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &timer, NULL) == 0)
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd >= 0) return fd;
    fprintf(stderr, "bulkhead: signalfd: %s\n", strerror(errno));
    exit(3);
}

static void stop_listening_to_child(void) {
    if (notify >= 0) close(notify);
    notify = -1;
}

static void hear_child(void) {
    char byte;
    ssize_t count = read(notify, &byte, 1);
    if (count < 0) return;
    stop_listening_to_child();
    if (count == 0) return;  // it has closed its end, or ended
    served = now_ms();
    ever_served = true;
    socket_renew_queue();
    if (died) report("notice", "another supervisor serves, %.2f s after the last one died", (double)(served - died) / 1e3);
}

/// A delay in milliseconds, and the count of deaths up to this one.
static uint64_t wait_after_death(uint64_t served_for) {
    if (served_for >= FORGIVEN) deaths = 0;
    if (deaths++ == 0) first_death = died;
    hurried = served_for >= SERVED_WELL ? 0 : hurried + 1;
    if (hurried < 2) return 0;
    uint64_t wait = SHORTEST_WAIT;
    for (unsigned i = 2; i < hurried && wait < LONGEST_WAIT; i++) wait *= 2;
    return wait < LONGEST_WAIT ? wait : LONGEST_WAIT;
}

/// Says that `what` happened and plans the next start.
static void start_another(const char *what) {
    uint64_t wait = wait_after_death(served ? died - served : 0);
    next_start = died + wait;
    if (wait)
        report_with_last_lines("critical", "%s; %u deaths within %u s: the next start waits %.1f s", what, deaths,
                               (unsigned)((died - first_death) / 1000 + 1), (double)wait / 1e3);
    else
        report_with_last_lines("critical", "%s; starting another", what);
}

/// Starts a supervisor. Returns the status to exit with, or -1.
static int start_child(void) {
    int ends[2];
    relay_forget_tail();
    started = now_ms();
    served = 0;
    if (courier_renew() && pipe2(ends, O_CLOEXEC) == 0) {
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        pid_t pid = child_start(ends[1], starts);
        int error = errno;
        close(ends[1]);
        if (pid > 0) {
            child = pid;
            notify = ends[0];
            starts++;
            return -1;
        }
        close(ends[0]);
        errno = error;
    }
    // No process or no descriptor is to be had. What has served may find one later.
    died = now_ms();
    char what[160];
    snprintf(what, sizeof what, "no supervisor can be started: %s", strerror(errno));
    if (ever_served) {
        start_another(what);
        return -1;
    }
    report("critical", "%s", what);
    return 3;
}

/// What follows from the end of the supervisor. Returns the status to exit with, or -1.
static int child_ended(int status) {
    // Its last words, and whether it has served at all, may still be in the pipes.
    relay_take();
    if (notify >= 0) hear_child();
    stop_listening_to_child();
    child = 0;
    died = now_ms();
    bool killed = WIFSIGNALED(status);
    if (!killed && WEXITSTATUS(status) == 0) return 0;
    if (!killed && (stopping || !ever_served)) return WEXITSTATUS(status);
    char what[160];
    snprintf(what, sizeof what, "supervisor died: %s after %.1f s", ending(status), (double)(died - started) / 1e3);
    if (stopping) {
        report_with_last_lines("critical", "%s, when it was to end", what);
        return 128 + WTERMSIG(status);
    }
    if (!ever_served && starts == TRIES) {
        report_with_last_lines("critical", "%s; %u were started and none has served: giving up", what, starts);
        return 3;
    }
    start_another(what);
    return -1;
}

static void hear_signals(int signals) {
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD) continue;
        bool to_end = number != SIGUSR1 && number != SIGUSR2 && (number != SIGHUP || hangup_ends);
        // Nobody is to wait in the queue of a host that takes nothing new, perhaps for as long as its last invocation runs.
        if (to_end && !stopping) socket_close();
        stopping = stopping || to_end;
        // It has not been waited for, so the pid is its own still.
        // One that does not serve yet reads its files anyway, and would end of it.
        if (child && (number != SIGHUP || to_end || served)) kill(child, to_end ? SIGTERM : number);
    }
}

int guard_run(int signals) {
    int status = -1;
    while (status < 0) {
        uint64_t now = now_ms();
        if (!child && now >= next_start) {
            status = start_child();
            continue;
        }
        struct pollfd watched[5] = {[2] = {.fd = signals, .events = POLLIN}, [3] = {.fd = notify, .events = POLLIN}};
        int wait = child ? -1 : (int)(next_start - now);
        relay_watch(watched);
        courier_watch(&watched[4], now, &wait);
        if (poll(watched, 5, wait) < 0) continue;
        relay_pump(watched);
        // Signals before deaths: a terminal's Ctrl-C that ended the supervisor is one for us, and no reason for another start.
        hear_signals(signals);
        if (notify >= 0 && watched[3].revents) hear_child();
        courier_start_if_needed(&watched[4], now_ms());
        // Everybody who ended: serve's own children, and orphans where we are a container's first process.
        int ended;
        for (pid_t pid; (pid = waitpid(-1, &ended, WNOHANG)) > 0;)
            if (pid == child) status = child_ended(ended);
            else courier_ended(pid, ended, now_ms());
        if (!child && stopping && status < 0) status = 0;
    }
    courier_end();
    relay_finish();
    return status;
}
