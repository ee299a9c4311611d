// bulkhead-guardian: keeps the listening socket, and a supervisor behind it.
//
//   bulkhead-guardian [--listen HOST:PORT|unix:PATH]… [--backlog N] -- PROGRAM ARGUMENT…
//
// Theory of operation. `bulkhead serve` checks its options and becomes this program, which keeps serve's pid and streams and
// starts the supervisor (`bulkhead` again) as its child. The socket listens for as long as the guardian lives: a client that
// comes while no supervisor runs waits in the kernel's queue, and the next one answers it.
//
//   socket.c   the listening sockets: inherited (sd_listen_fds(3)), or bound here. An inherited one is the first.
//   child.c    starts a supervisor, or a courier: what it finds in its descriptors, environment and signals.
//   courier.c  when there is a courier: a process that makes the host's outgoing requests.
//   relay.c    carries its stderr on, byte for byte, and remembers the end of it.
//   report.c   what is said of a death, in the form of the host's own log.
//   guard.c    the loop: notices deaths and signals, decides whether and when another supervisor starts.
//
// It is trusted and therefore small: one thread, no input but the numbers of signals, one byte that says "I serve" and the
// supervisor's stderr, which is copied and never understood. After its start it allocates nothing. It stays root where serve
// was started by root (the supervisor's first act as root is to start the launcher, and then it gives root up), so the
// supervisor cannot signal it, trace it or read its memory.
//
// Who dies takes everything below with it: a SIGKILL here is one for the supervisor (PDEATHSIG), whose end is the end of
// the launcher and all cells. A change of credentials clears PDEATHSIG (prctl(2)), so the supervisor asks for it again once
// it has given up root, and then looks whether its parent is still BULKHEAD_GUARDIAN.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "guard.h"
#include "relay.h"
#include "socket.h"

#define BACKLOG 1024  // the kernel takes the less of this and net.core.somaxconn

static _Noreturn void wrong_usage(const char *what) {
    fprintf(stderr, "bulkhead-guardian: %s\n", what);
    fprintf(stderr, "usage: bulkhead-guardian [--listen HOST:PORT|unix:PATH]… [--backlog N] -- PROGRAM ARGUMENT…\n");
    exit(2);
}

static int number_of_connections(const char *text) {
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 1 || number > 1000000) wrong_usage("--backlog takes a number from 1");
    return (int)number;
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},
        {"backlog", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    const char *addresses[MAX_SOCKETS];
    int given = 0;
    int backlog = BACKLOG;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        switch (option) {
        case 'l':
            if (given == MAX_SOCKETS) wrong_usage("--listen is given too often");
            addresses[given++] = optarg;
            break;
        case 'b': backlog = number_of_connections(optarg); break;
        default: wrong_usage("an option is unknown or lacks its value");
        }
    }
    if (optind == argc) wrong_usage("no PROGRAM to start");

    // 0, 1 and 2 stay taken: a descriptor of ours on one of them would end up as the supervisor's.
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            fprintf(stderr, "bulkhead: /dev/null: %s\n", strerror(errno));
            return 3;
        }
    bool inherited = socket_is_inherited();
    close_range(inherited ? LISTENING + 1 : LISTENING, ~0u, 0);

    child_prepare(argv + optind);  // before any signal is changed
    if (inherited)
        socket_check(backlog);
    else if (!given)
        wrong_usage("--listen is needed where no socket is inherited");
    for (int i = inherited; i < given; i++) socket_listen(addresses[i], backlog);
    int signals = guard_signals();
    relay_open();

    tzset();                    // reads the time zone, which allocates
    prctl(PR_SET_DUMPABLE, 0);  // no core, and nobody but root looks in; an exec takes it back for the supervisor
    prctl(PR_SET_NAME, "bulkhead-guard", 0, 0, 0);
    return guard_run(signals);
}
