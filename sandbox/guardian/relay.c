// The supervisor's stderr, carried on byte for byte to the guardian's own.
//
// One pipe for all supervisors, with both ends kept open here: what a dead one's launcher says while it removes the cells is
// still carried on, and never ends it by SIGPIPE.
//
// Nothing here may wait: a guardian that hangs in a write notices no death. While our own stderr takes nothing, the buffer
// fills, then the pipe, and then the supervisor waits as it would on that stderr itself. O_NONBLOCK would be set for
// everybody who shares the stream, so each write is made after a look whether there is room, and a timer ends it where
// somebody else took the room first.
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"

#define SIZE (64 * 1024)
#define RESERVED (2 * MESSAGE)  // for our own words, however much the supervisor has to say
#define PIECE 4096              // PIPE_BUF: at most so much at once is not torn apart by others who write to the same pipe

static char buffer[SIZE];
static size_t held;
static char tail[TAIL];
static size_t tail_length;
static int from = -1, into = -1;
static bool line_open, ended;

static void wake_up(int signal) { (void)signal; }

void relay_open(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        fprintf(stderr, "bulkhead: pipe: %s\n", strerror(errno));
        exit(3);
    }
    from = ends[0];
    into = ends[1];
    // Without SA_RESTART: a write that it interrupts returns.
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = wake_up}, NULL);
}

int relay_input(void) { return into; }

static size_t room_for_the_supervisor(void) { return held < SIZE - RESERVED ? SIZE - RESERVED - held : 0; }

static void remember(const char *bytes, size_t count) {
    if (count >= TAIL) {
        memcpy(tail, bytes + count - TAIL, TAIL);
        tail_length = TAIL;
        return;
    }
    size_t kept = tail_length + count > TAIL ? TAIL - count : tail_length;
    memmove(tail, tail + tail_length - kept, kept);
    memcpy(tail + kept, bytes, count);
    tail_length = kept + count;
}

void relay_take(void) {
    for (size_t room; !ended && (room = room_for_the_supervisor()) > 0;) {
        ssize_t count = read(from, buffer + held, room);
        if (count < 0 && errno == EINTR) continue;
        if (count == 0) ended = true;
        if (count <= 0) return;
        remember(buffer + held, (size_t)count);
        held += (size_t)count;
        line_open = buffer[held - 1] != '\n';
    }
}

static void drop(size_t count) {
    held -= count;
    memmove(buffer, buffer + count, held);
}

/// One piece, cut after a line where one ends in it.
static void put(void) {
    size_t size = held < PIECE ? held : PIECE;
    const char *end = memrchr(buffer, '\n', size);
    if (end) size = (size_t)(end + 1 - buffer);
    // Again and again, as the first may come before the write has begun.
    const struct itimerval soon = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &soon, NULL);
    ssize_t count = write(STDERR_FILENO, buffer, size);
    int error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    if (count < 0 && (error == EINTR || error == EAGAIN)) return;
    // A reader that has left, a full disk: the supervisor would have lost these bytes as well.
    drop(count < 0 ? size : (size_t)count);
}

void relay_watch(struct pollfd watched[2]) {
    watched[0] = (struct pollfd){.fd = !ended && room_for_the_supervisor() ? from : -1, .events = POLLIN};
    watched[1] = (struct pollfd){.fd = held ? STDERR_FILENO : -1, .events = POLLOUT};
}

void relay_pump(const struct pollfd watched[2]) {
    if (watched[1].revents && held) put();
    if (watched[0].revents) relay_take();
}

void relay_say(const char *text, size_t length) {
    // All of it or nothing. Nothing only where our stderr has taken nothing for several deaths.
    if (held + length + 1 > SIZE) return;
    if (line_open) buffer[held++] = '\n';
    memcpy(buffer + held, text, length);
    held += length;
    line_open = false;
}

const char *relay_tail(size_t *length) {
    *length = tail_length;
    return tail;
}

void relay_forget_tail(void) { tail_length = 0; }

void relay_finish(void) {
    close(into);
    uint64_t end = now_ms() + 1000;
    for (uint64_t now; (!ended || held) && (now = now_ms()) < end;) {
        struct pollfd watched[2];
        relay_watch(watched);
        if (poll(watched, 2, (int)(end - now)) > 0) relay_pump(watched);
    }
}
