// A supervisor's start: what it finds in its descriptors, environment and signals.
//
//   0, 1   the guardian's own            LISTEN_FDS=N, LISTEN_PID    as sd_listen_fds(3) has it
//   2      a pipe to the guardian        BULKHEAD_NOTIFY_FD          "1" is to be written there, once it serves
//   3      the listening sockets         BULKHEAD_GUARDIAN           the guardian's pid
//   next   a pipe to say "I serve" on    BULKHEAD_RESTARTS           how many supervisors there were before this one
//   next   a socket for errands          BULKHEAD_COURIER_FD         where that is
//
// A courier is the same program with the same arguments; it finds no listening socket, but
//
//   3      the errands' other end        BULKHEAD_ERRANDS_FD         "3"
//
// Both with SWIFT_BACKTRACE=enable=no, unless the user has set it: once confined, it may not start the program that makes one.
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "courier.h"
#include "relay.h"
#include "socket.h"

static char *const *program;
static char **environment;
static size_t own;  // where in it that begins which only a supervisor has
static char listen_pid[32], listen_fds[32], notify_fd[32], restarts_before[48], guardian[48], courier_fd[48];
static pid_t guardian_pid;

static sigset_t mask_before;
// What the guardian changes for itself; an exec makes a default of every handler, but keeps what is ignored.
static const int changed[] = {SIGCHLD, SIGALRM};
static struct sigaction before[sizeof changed / sizeof *changed];

/// Variables that are ours to say, and LISTEN_FDNAMES: names that somebody gave to somebody's sockets.
static bool is_ours(const char *variable) {
    static const char *const ours[] = {"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "LISTEN_PIDFDID=", "BULKHEAD_GUARDIAN=",
                                       "BULKHEAD_NOTIFY_FD=", "BULKHEAD_RESTARTS=", "BULKHEAD_COURIER_FD=", "BULKHEAD_ERRANDS_FD="};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strncmp(variable, ours[i], strlen(ours[i]))) return true;
    return false;
}

void child_prepare(char *const *arguments) {
    sigprocmask(SIG_SETMASK, NULL, &mask_before);
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) sigaction(changed[i], NULL, &before[i]);

    program = arguments;
    guardian_pid = getpid();
    size_t count = 0, kept = 0;
    while (environ[count]) count++;
    environment = calloc(count + 8, sizeof *environment);
    if (!environment) {
        fprintf(stderr, "bulkhead: %s\n", strerror(errno));
        exit(3);
    }
    for (size_t i = 0; i < count; i++)
        if (!is_ours(environ[i])) environment[kept++] = environ[i];
    if (!getenv("SWIFT_BACKTRACE")) environment[kept++] = "SWIFT_BACKTRACE=enable=no";
    snprintf(guardian, sizeof guardian, "BULKHEAD_GUARDIAN=%d", guardian_pid);
    environment[kept++] = guardian;
    own = kept;
    environment[kept++] = restarts_before;
    environment[kept++] = listen_pid;
    environment[kept++] = listen_fds;
    environment[kept++] = notify_fd;
    environment[kept++] = courier_fd;
}

/// First, and then the look whether it came too late: from here on nothing of this outlives the guardian.
static void die_with_guardian(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guardian_pid) _exit(3);
}

static _Noreturn void become(bool ready) {
    signal(SIGPIPE, SIG_DFL);
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) sigaction(changed[i], &before[i], NULL);
    sigprocmask(SIG_SETMASK, &mask_before, NULL);

    if (ready) execve(program[0], program, environment);
    dprintf(STDERR_FILENO, "bulkhead: %s cannot be started: %s\n", program[0], strerror(errno));
    _exit(3);
}

/// Copies descriptors to where they are to be, wherever they are: first out of each other's way.
static bool place(const int *from, int count, int first) {
    int away[2];
    for (int i = 0; i < count; i++)
        if ((away[i] = fcntl(from[i], F_DUPFD_CLOEXEC, first + count)) < 0) return false;
    for (int i = 0; i < count; i++)
        if (dup2(away[i], first + i) < 0) return false;
    return close_range((unsigned)(first + count), ~0u, 0) >= 0;
}

static _Noreturn void become_supervisor(int notify, unsigned restarts) {
    die_with_guardian();
    int behind = LISTENING + socket_count();
    bool ready = dup2(relay_input(), STDERR_FILENO) >= 0;
    for (int fd = LISTENING; fd < behind; fd++) ready = ready && fcntl(fd, F_SETFD, 0) >= 0;
    ready = ready && place((int[]){notify, courier_supervisors_end()}, 2, behind);

    snprintf(listen_fds, sizeof listen_fds, "LISTEN_FDS=%d", socket_count());
    snprintf(notify_fd, sizeof notify_fd, "BULKHEAD_NOTIFY_FD=%d", behind);
    snprintf(courier_fd, sizeof courier_fd, "BULKHEAD_COURIER_FD=%d", behind + 1);
    snprintf(listen_pid, sizeof listen_pid, "LISTEN_PID=%d", getpid());
    snprintf(restarts_before, sizeof restarts_before, "BULKHEAD_RESTARTS=%u", restarts);
    become(ready);
}

/// The relay's pipe, opened anew: what it sets for its own (O_NONBLOCK) is not set for the supervisor.
static bool open_own_stderr(void) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", relay_input());
    int own = open(path, O_WRONLY | O_CLOEXEC);
    return dup2(own >= 0 ? own : relay_input(), STDERR_FILENO) >= 0;
}

static _Noreturn void become_courier(void) {
    static char errands[] = "BULKHEAD_ERRANDS_FD=3";
    die_with_guardian();
    bool ready = open_own_stderr() && place((int[]){courier_own_end()}, 1, 3);
    environment[own] = errands;
    environment[own + 1] = NULL;
    become(ready);
}

pid_t child_start(int notify, unsigned restarts) {
    pid_t pid = fork();
    if (pid == 0) become_supervisor(notify, restarts);
    return pid;
}

pid_t child_start_courier(void) {
    pid_t pid = fork();
    if (pid == 0) become_courier();
    return pid;
}
