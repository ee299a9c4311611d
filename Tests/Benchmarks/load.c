// An HTTP/1.1 load generator: one thread, keep-alive connections, one request at a time on each.
//
//   load --url http://127.0.0.1:PORT/PATH --connections C (--seconds S [--warmup S] | --requests N)
//        [--rate R] [--body STR] [--token T] [--header LINE]... [--async]
//
// Closed loop: every connection sends its next request when it has its answer. With --rate the loop is open: requests
// are due R times a second whatever the server does, and a latency runs from when its request was due, so that a server
// that stalls cannot hide the requests that would have come meanwhile. With --requests all connections are made first,
// then N requests are sent as fast as they go: a burst.
//
// With --async it asks to be answered 202, and that is what counts as 200 does.
//
// Prints JSON. Latencies are those of 200s; whatever else came is counted by status, or as "connection" (refused, cut
// off, not HTTP) or "unanswered" (PATIENCE after the end, or after the start of a burst). "unsent" were due but found
// no free connection in all that time.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "histogram.h"
#include "response.h"

#define SECOND ((uint64_t)1000000000)
#define PATIENCE (30 * SECOND)
#define STARTS 8

struct connection {
    int fd;  // -1: it could not be made again
    bool busy, waits_to_send;
    size_t sent;
    uint64_t due;  // when its request was, or should have been, sent
    struct response response;
};

static struct {
    struct sockaddr_in address;
    char path[1024], headers[4096], *token, *body;
    int good;
    double seconds, warmup, rate;
    long connections, requests;
} options = {.warmup = 0, .connections = 1, .good = 200};

static char *request;
static size_t request_size;
static struct connection *connections;
static int poller;
// The idle ones, first come first served, so that a slow rate goes round all of them.
static long *idle, idle_first, idle_count;
static uint64_t begin, counted_from, end, last_answer;
static uint64_t sent_in_all, busy_count, unsent;

static struct histogram latencies;
static uint64_t by_status[600], cut_off, unanswered;
static struct {
    char name[16];
    uint64_t count;
} starts[STARTS];

static _Noreturn void die(const char *what, int error) {
    fprintf(stderr, "load: %s%s%s\n", what, error ? ": " : "", error ? strerror(error) : "");
    exit(1);
}

// -- Connections ------------------------------------------------------------------------------------------------------

static bool open_connection(struct connection *connection) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) die("socket", errno);
    connection->fd = -1;
    connection->busy = connection->waits_to_send = false;
    // Blocking: what is measured is requests, and a server that takes no connections is a result too.
    if (connect(fd, (struct sockaddr *)&options.address, sizeof options.address) < 0) {
        close(fd);
        return false;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(connection - connections)};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl", errno);
    connection->fd = fd;
    return true;
}

static void make_idle(struct connection *connection) {
    connection->busy = false;
    if (connection->fd < 0) return;
    idle[(idle_first + idle_count++) % options.connections] = connection - connections;
}

static bool counts(const struct connection *connection) { return connection->due >= counted_from; }

/// The connection is of no more use. Whoever waited on it waits in vain.
static void reopen(struct connection *connection) {
    if (connection->busy) {
        busy_count--;
        if (counts(connection)) cut_off++;
        connection->busy = false;
    }
    close(connection->fd);
    if (!open_connection(connection)) cut_off++;
}

// -- Requests ---------------------------------------------------------------------------------------------------------

static void send_rest(struct connection *connection) {
    while (connection->sent < request_size) {
        ssize_t put =
            send(connection->fd, request + connection->sent, request_size - connection->sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) break;  // a full buffer, or an error that the poller will tell too
        connection->sent += (size_t)put;
    }
    bool waits = connection->sent < request_size;
    if (waits == connection->waits_to_send) return;  // nearly always: a request fits into the socket at once
    connection->waits_to_send = waits;
    struct epoll_event event = {.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN};
    event.data.u64 = (uint64_t)(connection - connections);
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
}

static void begin_request(struct connection *connection, uint64_t due) {
    response_begin(&connection->response);
    connection->busy = true;
    connection->sent = 0;
    connection->due = due;
    busy_count++;
    sent_in_all++;
    send_rest(connection);
}

static void count_start(const char *name) {
    for (int i = 0; *name && i < STARTS; i++) {
        if (!*starts[i].name) memcpy(starts[i].name, name, sizeof starts[i].name);
        if (strcmp(starts[i].name, name) != 0) continue;
        starts[i].count++;
        return;
    }
}

static void take_answer(struct connection *connection) {
    uint64_t now = now_ns();
    busy_count--;
    if (counts(connection)) {
        last_answer = now;
        by_status[connection->response.status]++;
        if (connection->response.status == options.good) histogram_add(&latencies, now - connection->due);
        count_start(connection->response.start);
    }
    connection->busy = false;
    if (connection->response.closes) reopen(connection);
    make_idle(connection);
}

static void receive(struct connection *connection) {
    static char bytes[256 * 1024];
    for (;;) {
        ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        bool was_busy = connection->busy;
        size_t taken = got > 0 && was_busy ? response_feed(&connection->response, bytes, (size_t)got) : 0;
        // An end, an error, what is no HTTP, or more than was asked for.
        if (got <= 0 || taken < (size_t)got || connection->response.state == RESPONSE_BROKEN) {
            reopen(connection);
            if (was_busy) make_idle(connection);  // else it stands in the queue already
            return;
        }
        if (connection->response.state == RESPONSE_DONE) {
            take_answer(connection);
            return;
        }
    }
}

// -- The loop ---------------------------------------------------------------------------------------------------------

/// When the next request is due; UINT64_MAX: never again. What was due before the end is sent also after it, if late.
static uint64_t next_due(uint64_t now) {
    if (options.requests) return sent_in_all < (uint64_t)options.requests ? now : UINT64_MAX;
    if (options.rate <= 0) return now < end ? now : UINT64_MAX;
    uint64_t due = begin + (uint64_t)((double)sent_in_all / options.rate * (double)SECOND);
    return due < end ? due : UINT64_MAX;
}

static void send_due(void) {
    while (idle_count) {
        uint64_t now = now_ns(), due = next_due(now);
        if (due > now) return;
        struct connection *connection = &connections[idle[idle_first]];
        idle_first = (idle_first + 1) % options.connections;
        idle_count--;
        if (connection->fd >= 0) begin_request(connection, due);
    }
}

static bool is_over(uint64_t now) {
    if (now >= end + PATIENCE) return true;
    if (busy_count) return false;
    return !idle_count || next_due(now) == UINT64_MAX;  // no connection is left, or nothing to send
}

static void wait_and_receive(uint64_t now) {
    uint64_t until = now >= end ? end + PATIENCE : end;
    uint64_t due = idle_count ? next_due(now) : UINT64_MAX;
    if (due < until) until = due;
    uint64_t left = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(left / SECOND), (long)(left % SECOND)};
    struct epoll_event events[256];
    int count = epoll_pwait2(poller, events, 256, &timeout, NULL);
    if (count < 0 && errno != EINTR) die("epoll_pwait2", errno);
    for (int i = 0; i < count; i++) {
        struct connection *connection = &connections[events[i].data.u64];
        if (connection->fd < 0) continue;
        if ((events[i].events & EPOLLOUT) && connection->busy) send_rest(connection);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(connection);
    }
}

static void run(void) {
    for (long i = 0; i < options.connections; i++) {
        if (!open_connection(&connections[i])) die("connect", errno);
        make_idle(&connections[i]);
    }
    begin = now_ns();
    counted_from = last_answer = begin + (uint64_t)(options.warmup * (double)SECOND);
    end = options.requests ? begin : counted_from + (uint64_t)(options.seconds * (double)SECOND);
    for (;;) {
        send_due();
        uint64_t now = now_ns();
        if (is_over(now)) break;
        wait_and_receive(now);
    }
    for (long i = 0; i < options.connections; i++)
        if (connections[i].busy && counts(&connections[i])) unanswered++;
    uint64_t wanted = options.requests ? (uint64_t)options.requests : 0;
    if (options.rate > 0) wanted = (uint64_t)(options.rate * (double)(end - begin) / (double)SECOND);
    unsent = wanted > sent_in_all ? wanted - sent_in_all : 0;
}

// -- What was asked, and what is told ---------------------------------------------------------------------------------

static void print(void) {
    uint64_t answers = 0;
    for (int status = 0; status < 600; status++) answers += by_status[status];
    uint64_t failed = answers - by_status[options.good] + cut_off + unanswered;
    double seconds = (double)(last_answer - counted_from) / (double)SECOND;
    printf("{\"requests\":%lu,\"errors\":%lu,\"errors_by\":{", answers + cut_off + unanswered, failed);
    const char *comma = "";
    for (int status = 0; status < 600; status++) {
        if (status == options.good || !by_status[status]) continue;
        printf("%s\"%d\":%lu", comma, status, by_status[status]);
        comma = ",";
    }
    if (cut_off) printf("%s\"connection\":%lu", comma, cut_off);
    if (cut_off) comma = ",";
    if (unanswered) printf("%s\"unanswered\":%lu", comma, unanswered);
    printf("},\"unsent\":%lu,\"seconds\":%.6f,\"rps\":%.1f,", unsent, seconds,
           seconds > 0 ? (double)by_status[options.good] / seconds : 0);
    printf("\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"starts\":{",
           histogram_us(&latencies, 0.5), histogram_us(&latencies, 0.9), histogram_us(&latencies, 0.99),
           histogram_us(&latencies, 0.999), (double)latencies.longest / 1000);
    for (int i = 0; i < STARTS && *starts[i].name; i++)
        printf("%s\"%s\":%lu", i ? "," : "", starts[i].name, starts[i].count);
    puts("}}");
}

static void read_url(const char *url) {
    char host[64];
    unsigned port;
    options.path[0] = '/';
    if (sscanf(url, "http://%63[0-9.]:%u/%1022s", host, &port, options.path + 1) < 2 || port > 65535 ||
        inet_pton(AF_INET, host, &options.address.sin_addr) != 1)
        die("--url must be http://A.B.C.D:PORT/PATH", 0);
    options.address.sin_family = AF_INET;
    options.address.sin_port = htons((uint16_t)port);
}

static void read_options(int argc, char *argv[]) {
    static const struct option names[] = {
        {"url", 1, 0, 'u'},      {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 's'}, {"warmup", 1, 0, 'w'},
        {"requests", 1, 0, 'n'}, {"rate", 1, 0, 'r'},        {"body", 1, 0, 'b'},    {"token", 1, 0, 't'},
        {"async", 0, 0, 'a'},    {"header", 1, 0, 'h'},
        {0, 0, 0, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'u': read_url(optarg); break;
        case 'c': options.connections = atol(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.warmup = atof(optarg); break;
        case 'n': options.requests = atol(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 'b': options.body = optarg; break;
        case 't': options.token = optarg; break;
        case 'a': options.good = 202; break;
        case 'h': {
            size_t used = strlen(options.headers);
            if (used + strlen(optarg) + 3 > sizeof options.headers) die("--header: too many", 0);
            snprintf(options.headers + used, sizeof options.headers - used, "%s\r\n", optarg);
            break;
        }
        default: exit(2);
        }
    }
    if (!options.address.sin_port || options.connections < 1 || (options.seconds <= 0) == (options.requests < 1))
        die("--url, --connections and one of --seconds and --requests are needed", 0);
    if (options.requests && (options.warmup > 0 || options.rate > 0)) die("a burst has no warmup and no rate", 0);
}

static void write_request(void) {
    char authorization[512] = "", content[128] = "";
    if (options.token) snprintf(authorization, sizeof authorization, "Authorization: Bearer %s\r\n", options.token);
    if (options.body)
        snprintf(content, sizeof content, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                 strlen(options.body));
    int size = asprintf(&request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s%s\r\n%s", options.body ? "POST" : "GET",
                        options.path, authorization, options.headers, options.good == 202 ? "Prefer: respond-async\r\n" : "", content, options.body ? options.body : "");
    if (size < 0) die("asprintf", ENOMEM);
    request_size = (size_t)size;
}

int main(int argc, char *argv[]) {
    read_options(argc, argv);
    write_request();
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    prctl(PR_SET_TIMERSLACK, 1UL);  // by default the kernel may let a request go out 50 µs late
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.connections, sizeof *connections);
    idle = calloc((size_t)options.connections, sizeof *idle);
    if (poller < 0 || !connections || !idle) die("start", errno);
    run();
    print();
    return 0;
}
