// The courier: a process of its own that makes the host's outgoing requests, for the supervisor connects nowhere.
//
// A pair of SOCK_SEQPACKET sockets lives as long as a supervisor: a courier that dies leaves what it has not read to the next. One
// is started when there is an errand and none runs (as inetd(8) did), and leaves by itself when there was none for a while: who
// never sends anything out never has one. With another supervisor there is another pair, for either side can end one for both
// (shutdown(2)), and answers to the last one are nobody's.
#include "courier.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "report.h"

#define SHORTEST_WAIT 1000
#define LONGEST_WAIT 60000

static int ends[2] = {-1, -1};  // the courier's, the supervisor's
static pid_t courier;           // 0 while none runs
static uint64_t started, next_start;
static uint64_t wait_after_death = SHORTEST_WAIT;
static bool ended;  // one of them has hung up for both

bool courier_renew(void) {
    courier_end();
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
    ends[0] = ends[1] = -1;
    ended = false;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
}

int courier_own_end(void) { return ends[0]; }
int courier_supervisors_end(void) { return ends[1]; }

void courier_watch(struct pollfd *watched, uint64_t now, int *wait) {
    bool may_start = !courier && now >= next_start;
    *watched = (struct pollfd){.fd = may_start && !ended ? ends[0] : -1, .events = POLLIN | POLLRDHUP};
    if (courier || may_start || ended) return;
    int left = (int)(next_start - now);
    if (*wait < 0 || left < *wait) *wait = left;
}

static void wait_longer(uint64_t now) {
    next_start = now + wait_after_death;
    wait_after_death = wait_after_death * 2 < LONGEST_WAIT ? wait_after_death * 2 : LONGEST_WAIT;
}

void courier_start_if_needed(const struct pollfd *watched, uint64_t now) {
    if (watched->fd < 0) return;
    // Nobody can send anything over it any more, and each look at it would say that there is something.
    ended = watched->revents & (POLLHUP | POLLRDHUP | POLLERR);
    if (ended || !(watched->revents & POLLIN)) return;
    started = now;
    courier = child_start_courier();
    if (courier > 0) return;
    report("error", "no courier can be started: %s; what is to go out waits", strerror(errno));
    courier = 0;
    wait_longer(now);
}

void courier_ended(pid_t pid, int status, uint64_t now) {
    if (pid != courier) return;
    courier = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        wait_after_death = SHORTEST_WAIT;
        if (now - started < SHORTEST_WAIT) next_start = now + SHORTEST_WAIT;
        return;
    }
    if (now - started > LONGEST_WAIT) wait_after_death = SHORTEST_WAIT;
    wait_longer(now);
    report("error", "courier died: %s; the next errand starts another", ending(status));
}

void courier_end(void) {
    if (!courier) return;
    kill(courier, SIGKILL);
    while (waitpid(courier, NULL, 0) < 0 && errno == EINTR) {}
    courier = 0;
}
