// The listening sockets: inherited as sd_listen_fds(3) has it, or bound here.
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int queue, count;
// Of a Unix socket, for taking it away: and it alone, should somebody else's stand there by then.
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static struct stat own;

static long number_in(const char *variable) {
    const char *text = getenv(variable);
    if (!text || *text < '0' || *text > '9') return -1;
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    return errno || *end ? -1 : number;
}

bool socket_is_inherited(void) {
    // For another process it was, if the pid is not ours: the variables went down a chain of starts.
    if (number_in("LISTEN_PID") != getpid()) return false;
    long passed = number_in("LISTEN_FDS");
    if (passed > 1) {
        fprintf(stderr, "bulkhead: %ld sockets are passed (LISTEN_FDS); one can be served: give one ListenStream=\n", passed);
        exit(2);
    }
    return passed == 1;
}

static int option_of_socket(int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(LISTENING, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

void socket_check(int backlog) {
    queue = backlog;
    count = 1;
    int family = option_of_socket(SO_DOMAIN), protocol = option_of_socket(SO_PROTOCOL);
    const char *wrong = NULL;
    if (fcntl(LISTENING, F_GETFD) < 0)
        wrong = "there is none";
    else if (family == -1)
        wrong = "it is no socket";
    else if ((family != AF_INET && family != AF_INET6) || option_of_socket(SO_TYPE) != SOCK_STREAM ||
             (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP))
        wrong = "it is not for TCP";
    else if (option_of_socket(SO_ACCEPTCONN) != 1)
        wrong = "it does not listen (Accept=yes is not supported)";
    if (!wrong) return;
    fprintf(stderr, "bulkhead: the socket passed as descriptor 3 (LISTEN_FDS) cannot be served: %s\n", wrong);
    exit(2);
}

static _Noreturn void refuse(const char *address, const char *why, int status) {
    fprintf(stderr, "bulkhead: %s cannot be listened on: %s\n", address, why);
    exit(status);
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/// The size of what `text` became; 0 when it is no address. Addresses only: resolving a name takes libraries that a static
/// program cannot load, and serve has done it.
static socklen_t parse_host(char *text, in_port_t port, union address *address) {
    memset(address, 0, sizeof *address);
    if (!*text || !strcmp(text, "localhost")) text = "127.0.0.1";
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = port;
        return sizeof address->v4;
    }
    // fe80::1%eth0: an address that every interface may have
    char *zone = strchr(text, '%');
    if (zone) *zone++ = 0;
    if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) != 1) return 0;
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = port;
    if (zone && !(address->v6.sin6_scope_id = if_nametoindex(zone))) return 0;
    return sizeof address->v6;
}

/// Takes the place of a socket that nobody listens on any more, and of nothing else.
static socklen_t parse_path(const char *text, struct sockaddr_un *address) {
    const char *name = text + strlen("unix:");
    if (*name != '/') refuse(text, "a Unix socket's path is absolute", 2);
    if (strlen(name) >= sizeof path) refuse(text, "its path is too long for a Unix socket", 2);
    if (*path) refuse(text, "there is another Unix socket already", 2);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, name);
    strcpy(path, name);
    struct stat there;
    if (lstat(name, &there) == 0 && S_ISSOCK(there.st_mode)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) refuse(text, strerror(errno), 3);
        bool alive = connect(fd, (struct sockaddr *)address, sizeof *address) == 0 || errno != ECONNREFUSED;
        close(fd);
        if (alive) refuse(text, strerror(EADDRINUSE), 3);
        unlink(name);
    }
    return sizeof *address;
}

/// The next descriptor in order.
static int place(const char *text, int fd) {
    int wanted = LISTENING + count;
    if (fd < 0) refuse(text, strerror(errno), 3);
    if (fd != wanted) {
        if (dup3(fd, wanted, O_CLOEXEC) < 0) refuse(text, strerror(errno), 3);
        close(fd);
    }
    count++;
    return wanted;
}

static void listen_on_path(const char *text, int backlog) {
    struct sockaddr_un address;
    socklen_t size = parse_path(text, &address);
    int fd = place(text, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // Who may connect is whoever may write there: from the first moment on the owner and the group.
    mode_t mask = umask(0117);
    bool bound = bind(fd, (struct sockaddr *)&address, size) == 0;
    umask(mask);
    if (!bound || listen(fd, backlog) < 0 || lstat(path, &own) < 0) refuse(text, strerror(errno), 3);
}

void socket_listen(const char *text, int backlog) {
    queue = backlog;
    if (!strncmp(text, "unix:", strlen("unix:"))) {
        listen_on_path(text, backlog);
        return;
    }
    char host[128], *start = host;
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) refuse(text, "it must be HOST:PORT", 2);
    memcpy(host, text, (size_t)(colon - text));
    size_t length = (size_t)(colon - text);
    host[length] = 0;
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = 0;
        start++;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (!digits || digits > 5 || colon[1 + digits] || port > 65535) refuse(text, "its port is no number up to 65535", 2);

    union address address;
    socklen_t size = parse_host(start, htons((in_port_t)port), &address);
    if (!size) refuse(text, "its host is no address of this machine; give one, such as 127.0.0.1, 0.0.0.0 or [::1]", 2);
    int fd = place(text, socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, &address.any, size) < 0 ||
        listen(fd, backlog) < 0)
        refuse(text, strerror(errno), 3);
}

int socket_count(void) { return count; }

void socket_renew_queue(void) {
    for (int i = 0; i < count; i++) listen(LISTENING + i, queue);
}

void socket_close(void) {
    for (int i = 0; i < count; i++) close(LISTENING + i);
    struct stat there;
    if (*path && lstat(path, &there) == 0 && there.st_dev == own.st_dev && there.st_ino == own.st_ino) unlink(path);
}
