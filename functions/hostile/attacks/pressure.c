// Pressure on what the kernel and the host keep books of: small things, very many of them, and calls that others answer.
#include "attack.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/// Each name that is not there is remembered by the kernel, for the host's own file system.
static void negative_dentries(void) {
    char path[64];
    for (long i = 0; i < 400 * 1000; i++) {
        snprintf(path, sizeof path, "/function/none-%ld", i);
        if (access(path, F_OK) == 0) breach("%s is there", path);
    }
    say("done: 400,000 names that are not there\n");
}

static void timers(void) {
    const long cap = 100 * 1000;
    long taken = 0;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    signal(SIGRTMIN, SIG_IGN);
    for (timer_t timer; taken < cap && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0; taken++) {
        struct itimerspec fast = {.it_value.tv_nsec = 1, .it_interval.tv_nsec = 1000};
        timer_settime(timer, 0, &fast, NULL);
    }
    judge_taken("timers", taken, cap);
}

static void queued_signals(void) {
    const long cap = 100 * 1000;
    long taken = 0;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    while (taken < cap && sigqueue(getpid(), SIGRTMIN + 1, (union sigval){0}) == 0) taken++;
    judge_taken("queued signals", taken, cap);
}

/// Each watches the one before: a chain as long as the kernel lets it grow, and a fan beside it.
static void epoll_nest(void) {
    const long cap = 2000;
    long taken = 0;
    int last = epoll_create1(0), event = eventfd(0, 0);
    struct epoll_event watch = {.events = EPOLLIN};
    epoll_ctl(last, EPOLL_CTL_ADD, event, &watch);
    for (int next; taken < cap && (next = epoll_create1(0)) >= 0; taken++, last = next)
        if (epoll_ctl(next, EPOLL_CTL_ADD, last, &watch) < 0) break;
    judge_taken("nested epolls", taken, cap);
}

/// Descriptors that nobody has any more but a message in flight, and a socket that waits in its own queue.
static void scm_rights(void) {
    const long cap = 200 * 1000;
    long taken = 0;
    bool full = false;
    while (!full && taken < cap) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) break;
        for (;;) {
            char byte = 0;
            struct iovec part = {&byte, 1};
            union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(100 * sizeof(int))];
            } control = {0};
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                     .msg_controllen = sizeof control};
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                       .cmsg_len = CMSG_LEN(100 * sizeof(int))};
            for (int i = 0; i < 100; i++) memcpy(CMSG_DATA(header) + i * (int)sizeof(int), &pair[i % 2], sizeof(int));
            if (sendmsg(pair[0], &message, MSG_DONTWAIT) < 0) {
                full = errno != EAGAIN;
                break;
            }
            taken += 100;
        }
        if (!full) close(pair[0]), close(pair[1]);
    }
    judge_taken("descriptors in flight", taken, cap);
}

/// A second, urgent byte in a stream of AF_UNIX was a way into the kernel (CVE-2025-38236).
static void msg_oob(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) judge("socketpair", -1);
    else judge("send(MSG_OOB)", send(pair[0], "x", 1, MSG_OOB)), judge("recv(MSG_OOB)", recv(pair[1], &pair, 1, MSG_OOB));
}

static void *refused_for_ever(void *unused) {
    (void)unused;
    for (long number = 2000;; number++) syscall(number % 4000 + 500);
    return NULL;
}

/// Every refused call is answered by the cell's init: it must not be drowned, nor the host by its reports.
static void notify_flood(void) {
    for (int i = 0; i < 16; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, refused_for_ever, NULL);
    }
    refused_for_ever(NULL);
}

/// Calls in flight while the process becomes another one.
static void exec_loop(void) {
    pthread_t thread;
    for (int i = 0; i < 8; i++) pthread_create(&thread, NULL, refused_for_ever, NULL);
    char *arguments[] = {(char *)self, "exec-loop", NULL};
    execve(self, arguments, environ);
    judge("execve of itself", -1);
}

/// The cheapest log there is to write, and a dear one to keep.
static void stderr_newlines(void) {
    static char lines[64 * 1024];
    memset(lines, '\n', sizeof lines);
    for (int i = 0; i < 64; i++)
        if (write(2, lines, sizeof lines) < 0) break;
    say("done: four million empty lines\n");
}

static void *swap_names(void *unused) {
    (void)unused;
    for (;;) {
        rename("/tmp/race", "/tmp/spare");
        symlink("/etc", "/tmp/race");
        unlink("/tmp/race");
        rename("/tmp/spare", "/tmp/race");
    }
    return NULL;
}

/// A folder that is a link half of the time: whoever checks first and opens then opens something else.
static void rename_race(void) {
    mkdir("/tmp/race", 0700);
    close(open("/tmp/race/hostname", O_CREAT | O_WRONLY, 0600));
    pthread_t thread;
    pthread_create(&thread, NULL, swap_names, NULL);
    struct timespec used;
    do {
        char byte;
        int fd = open("/tmp/race/hostname", O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, &byte, 1) > 0) breach("read the host's /etc/hostname");
        if (fd >= 0) close(fd);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 500 * 1000 * 1000);
    say("done: raced half a second\n");
}

/// One more filter could answer calls before the cell's own does, or slow down whatever comes.
static void seccomp_filter(void) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    judge("seccomp(SET_MODE_FILTER)", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    judge("seccomp(SET_MODE_STRICT)", syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
    judge("prctl(PR_SET_SECCOMP)", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

const struct attack pressure_attacks[] = {
    {.name = "negative-dentries", .tries = "look for ever more names that are not there", .outcome = OK OR MEMORY OR CPU,
     .run = negative_dentries},
    {.name = "timers", .tries = "start timers of a microsecond without end", .outcome = OK OR CPU, .says = "EAGAIN",
     .run = timers},
    {.name = "queued-signals", .tries = "queue signals without end", .outcome = OK, .says = "EAGAIN",
     .run = queued_signals},
    {.name = "epoll-nest", .tries = "nest epolls without end", .outcome = OK, .says = "EINVAL ELOOP EMFILE",
     .run = epoll_nest},
    {.name = "scm-rights", .tries = "hide descriptors in messages without end", .outcome = OK OR MEMORY OR CPU,
     .says = "ETOOMANYREFS EAGAIN EMFILE EPERM ENOSYS", .run = scm_rights},
    {.name = "msg-oob", .tries = "send out-of-band bytes (CVE-2025-38236)", .outcome = OK, .says = "ENOSYS",
     .run = msg_oob},
    {.name = "notify-flood", .tries = "make refused calls in 17 threads for ever", .outcome = CPU OR TIMEOUT,
     .run = notify_flood},
    {.name = "exec-loop", .tries = "execute itself for ever, with calls in flight", .outcome = CPU OR TIMEOUT,
     .run = exec_loop},
    {.name = "stderr-newlines", .tries = "log four million empty lines", .outcome = OK, .run = stderr_newlines},
    {.name = "rename-race", .tries = "swap a folder and a link to /etc under an open", .outcome = OK OR CPU,
     .run = rename_race},
    {.name = "seccomp-filter", .tries = "install a filter of its own", .outcome = OK OR DENIED, .says = "EPERM",
     .run = seccomp_filter},
    {0},
};
