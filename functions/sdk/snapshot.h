// `mode: snapshot` for C: call snapshot_fork() once all is loaded. It says ready, and returns in a process of its own for
// each invocation, with the request on stdin. That process answers with snapshot_answer() and exits.
//
// Have no threads by then: a fork carries only the one that calls it. What is MAP_SHARED or an open file by then is shared
// by all invocations.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int snapshot_answered = -1;

/// Ends the template as its fork has ended, so that the host sees how.
static inline _Noreturn void snapshot_end_like(int status) {
    if (WIFSIGNALED(status)) {
        if (WTERMSIG(status) != SIGKILL) signal(WTERMSIG(status), SIG_DFL);
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

static inline void snapshot_fork(void) {
    fputs("{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}\n", stdout);
    fflush(stdout);
    for (;;) {
        // The template must not read the request: what it has read, every later fork would have.
        struct pollfd input = {.fd = 0, .events = POLLIN};
        int waiting = 0, ends[2], status;
        while (poll(&input, 1, -1) < 0) {}
        if (ioctl(0, FIONREAD, &waiting) < 0 || waiting == 0) _exit(0);  // EOF is the host's goodbye
        if (pipe(ends) < 0) _exit(1);
        pid_t child = fork();
        if (child < 0) _exit(1);
        if (child == 0) {
            close(ends[0]);
            snapshot_answered = ends[1];
            // A flag of the pipes' own, which an earlier fork may have changed.
            for (int fd = 0; fd < 3; fd++) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
            return;
        }
        close(ends[1]);
        while (waitpid(child, &status, 0) < 0) {}
        char byte;
        if (read(ends[0], &byte, 1) != 1) snapshot_end_like(status);
        close(ends[0]);
    }
}

/// Answers the invocation and ends its process. `id` is the request's, `length` bytes of it; `json` the result.
static inline _Noreturn void snapshot_answer(const char *id, size_t length, const char *json) {
    if (write(snapshot_answered, ".", 1) != 1) _exit(1);
    printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":%s}\n", (int)length, id, json);
    fflush(stdout);
    _exit(0);
}
