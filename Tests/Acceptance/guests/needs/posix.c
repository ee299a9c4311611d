// What the rarer functions of libc ask of the kernel, for test_needs.py: run under strace, outside any cell.
// Nothing here calls syscall(): what none of these functions makes is needed by nobody on this account.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

static char page[4096] __attribute__((aligned(4096)));
static const struct timespec none = {0};

static void timers(void) {
    timer_t timer;
    struct itimerspec soon = {.it_value.tv_sec = 9};
    struct sigevent quiet = {.sigev_notify = SIGEV_NONE};
    timer_create(CLOCK_MONOTONIC, &quiet, &timer);
    timer_settime(timer, 0, &soon, NULL);
    timer_gettime(timer, &soon);
    timer_getoverrun(timer);
    timer_delete(timer);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timerfd_settime(fd, 0, &soon, NULL);
    timerfd_gettime(fd, &soon);
    struct timespec resolution;
    clock_getres(CLOCK_PROCESS_CPUTIME_ID, &resolution);
}

static void signals(void) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    sigprocmask(SIG_BLOCK, &one, NULL);
    sigqueue(getpid(), SIGUSR1, (union sigval){0});
    sigtimedwait(&one, NULL, &none);
    pthread_sigqueue(pthread_self(), SIGUSR1, (union sigval){0});
    sigtimedwait(&one, NULL, &none);
    signalfd(-1, &one, SFD_CLOEXEC);
}

static void events(void) {
    struct epoll_event event;
    int polled = epoll_create(1);
    epoll_pwait2(polled, &event, 1, &none, NULL);
    eventfd(0, 0);
    struct pollfd nothing = {.fd = -1};
    ppoll(&nothing, 1, &none, NULL);
    struct timeval no_time = {0};
    select(0, NULL, NULL, NULL, &no_time);
}

static void messages(void) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct iovec part = {page, 1};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
    sendmmsg(pair[0], &message, 1, 0);
    recvmmsg(pair[1], &message, 1, MSG_DONTWAIT, NULL);
}

static void memory(void) {
    unsigned char resident;
    mincore(page, sizeof page, &resident);
    mlock2(page, sizeof page, MLOCK_ONFAULT);
    munlock(page, sizeof page);
}

static void files(void) {
    char path[] = "/tmp/posix-XXXXXX";
    int fd = mkstemp(path);
    struct iovec part = {page, 1};
    pwritev(fd, &part, 1, 0);
    preadv(fd, &part, 1, 0);
    readahead(fd, 0, 1);
    faccessat(AT_FDCWD, path, R_OK, 0);
    utime(path, NULL);
    utimes(path, NULL);
    futimesat(AT_FDCWD, path, NULL);
    unlink(path);
    struct stat about;
    stat("/", &about);
    lstat("/", &about);
    mknod(path, S_IFREG | 0600, 0);
    unlink(path);
}

static void network(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bind(server, (struct sockaddr *)&address, size);
    listen(server, 4);
    getsockname(server, (struct sockaddr *)&address, &size);
    for (int i = 0; i < 2; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        connect(client, (struct sockaddr *)&address, size);
        close(i ? accept4(server, NULL, NULL, SOCK_CLOEXEC) : accept(server, NULL, NULL));
        close(client);
    }
    close(server);
}

int main(void) {
    network();
    timers();
    signals();
    events();
    messages();
    memory();
    files();
    return 0;
}
