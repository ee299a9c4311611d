#include "network.h"

#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define READY_MAX 8
#define BACKLOG 32

static int home = -1;
static int ready[READY_MAX];
static unsigned ready_count;
static bool is_wanted;  // somebody has taken one since there was none, or since one could not be made

// What the kernel keeps for sockets without charging it to anybody: connections that nobody has accepted yet are made in the
// receiving half of the network, on no process's account. So many per listener, and so many that wait for stray packets.
static const struct {
    const char *path, *value;
} bounds[] = {
    {"/proc/sys/net/core/somaxconn", "32"},
    {"/proc/sys/net/ipv4/tcp_max_tw_buckets", "1024"},
};

/// The namespace that `socket` is in (socket(7), SIOCGSKNS of Linux 4.10).
static int namespace_of(int socket) { return ioctl(socket, SIOCGSKNS, 0); }

static int inet_socket(int type) { return socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

int networks_open(void) {
    int probe = inet_socket(SOCK_DGRAM);
    if (probe < 0) return errno;
    home = namespace_of(probe);
    int error = home < 0 ? errno : 0;
    close(probe);
    return error;
}

int network_enter(int network) { return setns(network, CLONE_NEWNET) < 0 ? errno : 0; }

void network_leave(void) {
    if (setns(home, CLONE_NEWNET) < 0) _exit(1);
}

static int raise_loopback(int socket) {
    struct ifreq request = {.ifr_name = "lo"};
    if (ioctl(socket, SIOCGIFFLAGS, &request) < 0) return errno;
    request.ifr_flags |= IFF_UP;
    return ioctl(socket, SIOCSIFFLAGS, &request) < 0 ? errno : 0;
}

/// In the namespace that is to be bounded: /proc/sys/net shows the reader's own.
static int bound(void) {
    int error = 0;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds && !error; i++)
        error = write_file_at(AT_FDCWD, bounds[i].path, bounds[i].value);
    return error;
}

static int make(int *network) {
    if (unshare(CLONE_NEWNET) < 0) return errno;
    int inside = inet_socket(SOCK_DGRAM), error = inside < 0 ? errno : 0;
    if (!error) error = bound();
    if (!error) error = raise_loopback(inside);
    if (!error && (*network = namespace_of(inside)) < 0) error = errno;
    if (inside >= 0) close(inside);
    network_leave();
    return error;
}

int network_take(int *network) {
    is_wanted = true;
    if (!ready_count) return make(network);
    *network = ready[--ready_count];
    return 0;
}

bool networks_lack(void) { return is_wanted && ready_count < READY_MAX; }

void networks_keep(void) {
    // What cannot be made is tried again when somebody needs it, who is told why.
    if (make(&ready[ready_count])) is_wanted = false;
    else ready_count++;
}

// -- Sockets ----------------------------------------------------------------------------------------------------------

static struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int stream_inside(int network, int *made) {
    int error = network_enter(network);
    if (error) return error;
    error = (*made = inet_socket(SOCK_STREAM)) < 0 ? errno : 0;
    network_leave();
    return error;
}

/// Keeps `made`, or closes it where something went wrong.
static int settle(int error, int *made) {
    if (!error) return 0;
    close(*made);
    *made = -1;
    return error;
}

int network_listen(int network, uint16_t port, int *made) {
    int error = stream_inside(network, made);
    if (error) return error;
    struct sockaddr_in address = loopback(port);
    if (bind(*made, (struct sockaddr *)&address, sizeof address) < 0 || listen(*made, BACKLOG) < 0) error = errno;
    return settle(error, made);
}

int network_connect(int network, uint16_t port, int *made) {
    int error = stream_inside(network, made);
    if (error) return error;
    struct sockaddr_in address = loopback(port);
    if (connect(*made, (struct sockaddr *)&address, sizeof address) < 0) error = errno;
    // Loopback answers at once, but a socket hears of it only when the call that waits for it is over.
    socklen_t size = sizeof error;
    if (error == EINPROGRESS && getsockopt(*made, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
    return settle(error, made);
}
