// Ways to someone else: the network, and what two cells could leave for each other.
#include "attack.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static void try_family(const char *name, int family, int type) {
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    judge(name, fd);
    if (fd >= 0) close(fd);
}

static void af_inet(void) { try_family("AF_INET", AF_INET, SOCK_STREAM); }
static void af_inet6(void) { try_family("AF_INET6", AF_INET6, SOCK_STREAM); }
static void af_unix(void) { try_family("AF_UNIX", AF_UNIX, SOCK_STREAM); }
static void af_alg(void) { try_family("AF_ALG", AF_ALG, SOCK_SEQPACKET); }
static void af_vsock(void) { try_family("AF_VSOCK", AF_VSOCK, SOCK_STREAM); }
static void af_packet(void) { try_family("AF_PACKET", AF_PACKET, SOCK_RAW); }
static void netlink(void) { try_family("AF_NETLINK", AF_NETLINK, SOCK_RAW); }
static void raw_socket(void) { try_family("raw AF_INET", AF_INET, SOCK_RAW); }

/// Every family there is, and some that there are not: the filter lists what it grants, not what it fears.
static void all_families(void) {
    int granted = 0;
    for (int family = 0; family < 64; family++)
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
            int fd = socket(family, type, 0);
            if (fd < 0) continue;
            granted++;
            breach("socket family %d, type %d", family, type);
            close(fd);
        }
    if (!granted) judge("64 families", -1);
}

static void try_connect(const char *address, int port, int type) {
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &target.sin_addr);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = fd < 0 ? fd : connect(fd, (struct sockaddr *)&target, sizeof target);
    if (result < 0 && errno == EINPROGRESS) result = 0;  // a packet has left
    char what[64];
    snprintf(what, sizeof what, "connect to %s:%d", address, port);
    judge(what, result);
    if (fd >= 0) close(fd);
}

/// The gateway itself, a cloud's metadata service, a name server.
static void connect_host(void) {
    try_connect("127.0.0.1", 8080, SOCK_STREAM);
    try_connect("169.254.169.254", 80, SOCK_STREAM);
    try_connect("8.8.8.8", 53, SOCK_DGRAM);
}

/// Abstract addresses belong to the network namespace; no file permission guards them.
static void abstract_unix(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0bulkhead-tenants"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    judge("abstract address", fd < 0 ? fd : bind(fd, (struct sockaddr *)&address, sizeof address));
}

// Locks and leases on a file that all cells share are seen in all of them.

static int open_shared(void) { return open(self, O_RDONLY | O_CLOEXEC); }

/// A lock that two open files both have, or that a descriptor has which is none, was answered and not made.
static int real_lock(int result, int other) {
    if (result == 0 && other == 0) errno = ENOLCK;
    return result == 0 && other == 0 ? -1 : result;
}

static void run_flock(void) {
    int result = flock(open_shared(), LOCK_EX | LOCK_NB);
    judge("flock of the program", real_lock(result, result < 0 ? -1 : flock(open_shared(), LOCK_EX | LOCK_NB)));
}

static void record_lock(void) {
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open_shared();
    // F_SETLK is kept for this cell alone, which nobody in here can tell from the kernel's: see test_programs.py.
    fcntl(fd, F_SETLK, &lock);
    int result = fcntl(fd, F_OFD_SETLK, &lock);
    judge("record lock of the open file", real_lock(result, result < 0 ? -1 : fcntl(-1, F_OFD_SETLK, &lock)));
    lock.l_type = F_WRLCK;
    if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) breach("process %d has locked it", lock.l_pid);
}

static void lease(void) { judge("lease on the program", fcntl(open_shared(), F_SETLEASE, F_RDLCK)); }

static void dnotify(void) {
    int fd = open("/function", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    judge("F_NOTIFY on /function", fd < 0 ? fd : fcntl(fd, F_NOTIFY, DN_ACCESS));
}

static void inotify(void) {
    int fd = inotify_init1(IN_CLOEXEC);
    judge("inotify on the program", fd < 0 ? fd : inotify_add_watch(fd, self, IN_OPEN | IN_ACCESS));
}

/// Looks for what the same attack left when it ran before, in this cell or in another, then leaves it.
static void leftovers(void) {
    const key_t key = 0xb01ead;
    if (shmget(key, 4096, 0600) >= 0) breach("a System V segment of an earlier run");
    if (shmget(key, 4096, IPC_CREAT | 0600) < 0) judge("System V segment", -1);

    // By number: the library's calls look for /dev/mqueue.
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 16};
    if (syscall(SYS_mq_open, "bulkhead", O_RDWR) >= 0) breach("a message queue of an earlier run");
    if (syscall(SYS_mq_open, "bulkhead", O_RDWR | O_CREAT, 0600, &attributes) < 0) judge("message queue", -1);

    static const char *const files[] = {"/tmp/left", "/dev/shm/left", "/function/left", "/left"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (access(files[i], F_OK) == 0) breach("%s of an earlier run", files[i]);
        int fd = open(files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) judge(files[i], fd);
    }
}

/// Copy Fail (CVE-2026-31431) needs a way to pass pages of a read-only file on without copying them.
static void splice_program(void) {
    int ends[2], fd = open_shared();
    judge("splice of the program", pipe(ends) < 0 || fd < 0 ? -1 : splice(fd, NULL, ends[1], NULL, 4096, 0));
}

#define SOCKET(name_, tries_, run_) \
    {.name = name_, .tries = tries_, .outcome = OK, .says = "EPERM EACCES EAFNOSUPPORT", .run = run_}

const struct attack channel_attacks[] = {
    SOCKET("af-inet", "make an IPv4 socket", af_inet),
    SOCKET("af-inet6", "make an IPv6 socket", af_inet6),
    SOCKET("af-unix", "make a Unix socket", af_unix),
    SOCKET("af-alg", "make a socket of the kernel's crypto (CVE-2026-31431)", af_alg),
    SOCKET("af-vsock", "make a socket to the hypervisor", af_vsock),
    SOCKET("af-packet", "make a socket for raw frames", af_packet),
    SOCKET("netlink", "make a socket to the kernel's network stack", netlink),
    SOCKET("raw-socket", "make a socket for raw packets", raw_socket),
    SOCKET("all-families", "make a socket of any family", all_families),
    SOCKET("connect-host", "connect to the gateway, a metadata service, a name server", connect_host),
    SOCKET("abstract-unix", "meet another cell at an abstract address", abstract_unix),
    {.name = "flock", .tries = "signal other cells by a lock on a shared file", .outcome = OK OR DENIED,
     .says = "ENOLCK EPERM ENOSYS", .run = run_flock},
    {.name = "record-lock", .tries = "the same with a lock on a part of it", .outcome = OK OR DENIED,
     .says = "ENOLCK EPERM ENOSYS", .run = record_lock},
    {.name = "lease", .tries = "notice other cells by a lease on a shared file", .outcome = OK OR DENIED,
     .says = "EPERM EACCES EINVAL ENOSYS", .run = lease},
    {.name = "dnotify", .tries = "notice other cells by F_NOTIFY on a shared folder", .outcome = OK OR DENIED,
     .says = "EPERM EACCES EINVAL ENOSYS", .run = dnotify},
    {.name = "inotify", .tries = "notice other cells by inotify on a shared file", .outcome = OK OR DENIED,
     .says = "EPERM EACCES ENOSYS", .run = inotify},
    {.name = "leftovers", .tries = "find what it left when it ran before (run it twice)", .outcome = OK OR DENIED,
     .run = leftovers},
    {.name = "splice", .tries = "pass on pages of a read-only file", .outcome = OK OR DENIED,
     .says = "EPERM ENOSYS EACCES EINVAL", .run = splice_program},
    {0},
};
