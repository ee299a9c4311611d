// The listening socket: inherited as sd_listen_fds(3) has it, or bound here.
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
#include <unistd.h>

static int queue;

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
    long count = number_in("LISTEN_FDS");
    if (count > 1) {
        fprintf(stderr, "bulkhead: %ld sockets are passed (LISTEN_FDS); one can be served: give one ListenStream=\n", count);
        exit(2);
    }
    return count == 1;
}

static int option_of_socket(int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(LISTENING, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

void socket_check(int backlog) {
    queue = backlog;
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

void socket_listen(const char *text, int backlog) {
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
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) refuse(text, strerror(errno), 3);
    queue = backlog;
    if (fd != LISTENING) {
        if (dup3(fd, LISTENING, O_CLOEXEC) < 0) refuse(text, strerror(errno), 3);
        close(fd);
    }
    if (setsockopt(LISTENING, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(LISTENING, &address.any, size) < 0 ||
        listen(LISTENING, backlog) < 0)
        refuse(text, strerror(errno), 3);
}

void socket_renew_queue(void) { listen(LISTENING, queue); }

void socket_close(void) { close(LISTENING); }
