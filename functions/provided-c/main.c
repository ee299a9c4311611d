// A Lambda custom runtime without any library: the Runtime API is HTTP/1.1, and all that is needed of it fits here. One
// connection carries everything: an event is asked for, answered, and the next one is asked for.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
//
// What it cannot make sense of comes from the host alone, so each such thing ends it, with a line in its log.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define API "/2018-06-01/runtime/invocation/"
#define ID_HEADER "Lambda-Runtime-Aws-Request-Id"
#define LONGEST_BODY ((size_t)64 << 20)

struct api {
    const char *address;  // as the environment says it; also what Host is
    int socket;
    size_t start, end;  // what was read and not taken yet
    char bytes[64 * 1024];
};

struct reply {
    int status;
    char id[128];  // of the invocation, where it is one
    char *body;
    size_t length, room;
};

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

// -- Bytes ------------------------------------------------------------------------------------------------------------

static void connect_to(struct api *api, const char *address) {
    char host[INET_ADDRSTRLEN], more;
    unsigned short port;
    struct sockaddr_in place = {.sin_family = AF_INET};
    if (!address) fail("AWS_LAMBDA_RUNTIME_API", "not set: this is a Lambda custom runtime");
    if (strlen(address) > 32 || sscanf(address, "%15[0-9.]:%hu%c", host, &port, &more) != 2 ||
        inet_pton(AF_INET, host, &place.sin_addr) != 1) fail(address, "not an IPv4 address and a port");
    place.sin_port = htons(port);
    api->address = address;
    api->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (api->socket < 0) fail("socket", strerror(errno));
    if (connect(api->socket, (struct sockaddr *)&place, sizeof place) < 0) fail(address, strerror(errno));
}

static void send_all(struct api *api, struct iovec *parts, size_t count) {
    while (count > 0) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t sent = sendmsg(api->socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) fail("send", strerror(errno));
        size_t rest = (size_t)sent;
        for (; count > 0 && rest >= parts->iov_len; parts++, count--) rest -= parts->iov_len;
        if (count > 0) *parts = (struct iovec){(char *)parts->iov_base + rest, parts->iov_len - rest};
    }
}

// More bytes, where all that were read are taken.
static void fill(struct api *api) {
    ssize_t size;
    do {
        size = recv(api->socket, api->bytes, sizeof api->bytes, 0);
    } while (size < 0 && errno == EINTR);
    if (size <= 0) fail("receive", size ? strerror(errno) : "the host hung up");
    api->start = 0;
    api->end = (size_t)size;
}

// -- HTTP -------------------------------------------------------------------------------------------------------------

// One line without its end; what does not fit is dropped, since no header that is looked at here is that long.
static void take_line(struct api *api, char *line, size_t room) {
    size_t length = 0;
    for (;;) {
        if (api->start == api->end) fill(api);
        char byte = api->bytes[api->start++];
        if (byte == '\n') break;
        if (length + 1 < room) line[length++] = byte;
    }
    if (length > 0 && line[length - 1] == '\r') length--;
    line[length] = '\0';
}

static void take_bytes(struct api *api, struct reply *reply, size_t count) {
    if (count > LONGEST_BODY - reply->length) fail("receive", "a body that is too long");
    if (reply->room < reply->length + count) {
        reply->room = reply->length + count;
        if (!(reply->body = realloc(reply->body, reply->room))) fail("receive", "no memory for the body");
    }
    while (count > 0) {
        if (api->start == api->end) fill(api);
        size_t part = api->end - api->start < count ? api->end - api->start : count;
        memcpy(reply->body + reply->length, api->bytes + api->start, part);
        api->start += part;
        reply->length += part;
        count -= part;
    }
}

static void take_chunks(struct api *api, struct reply *reply) {
    char line[128];
    for (;;) {
        take_line(api, line, sizeof line);
        size_t size = strtoul(line, NULL, 16);
        if (size == 0) break;
        take_bytes(api, reply, size);
        take_line(api, line, sizeof line);
    }
    do take_line(api, line, sizeof line); while (*line);  // trailers
}

// What stands behind `name:`, or nil when this is another header.
static const char *value_of(const char *line, const char *name) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') return NULL;
    return line + length + 1 + strspn(line + length + 1, " \t");
}

static void take_reply(struct api *api, struct reply *reply) {
    char line[256];
    const char *value;
    size_t length = 0;
    int is_chunked = 0;
    reply->length = 0;
    reply->id[0] = '\0';
    take_line(api, line, sizeof line);
    if (sscanf(line, "HTTP/1.1 %3d", &reply->status) != 1) fail(line, "not an answer of HTTP/1.1");
    for (;;) {
        take_line(api, line, sizeof line);
        if (!*line) break;
        if ((value = value_of(line, "Content-Length"))) length = strtoul(value, NULL, 10);
        if ((value = value_of(line, "Transfer-Encoding"))) is_chunked = strcasecmp(value, "chunked") == 0;
        if ((value = value_of(line, ID_HEADER))) snprintf(reply->id, sizeof reply->id, "%s", value);
    }
    if (is_chunked) take_chunks(api, reply);
    else take_bytes(api, reply, length);
}

// -- Invocations ------------------------------------------------------------------------------------------------------

static void ask_for_next(struct api *api, struct reply *event) {
    char head[256];
    int length = snprintf(head, sizeof head, "GET " API "next HTTP/1.1\r\nHost: %s\r\n\r\n", api->address);
    send_all(api, &(struct iovec){head, (size_t)length}, 1);
    take_reply(api, event);
    if (event->status != 200 || !*event->id) fail(API "next", "not answered with an event");
}

// What this function is for. Its answer is in parts, so that a large event is in memory once; the first is for a head.
static void handle(const struct reply *event, unsigned long invocations, struct iovec answer[4]) {
    static char opening[64];
    int length = snprintf(opening, sizeof opening, "{\"invocations\":%lu,\"echo\":", invocations);
    answer[1] = (struct iovec){opening, (size_t)length};
    answer[2] = (struct iovec){event->body, event->length};
    answer[3] = (struct iovec){"}", 1};
}

static void respond(struct api *api, struct reply *event, struct iovec answer[4]) {
    char head[512];
    size_t length = answer[1].iov_len + answer[2].iov_len + answer[3].iov_len;
    int head_length = snprintf(head, sizeof head,
        "POST " API "%s/response HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
        event->id, api->address, length);
    answer[0] = (struct iovec){head, (size_t)head_length};
    send_all(api, answer, 4);
    take_reply(api, event);  // in the event's place: it is answered
    if (event->status != 202) fail(API "response", "not taken");
}

int main(void) {
    static struct api api;
    struct reply event = {0};
    struct iovec answer[4];
    connect_to(&api, getenv("AWS_LAMBDA_RUNTIME_API"));
    for (unsigned long invocations = 1;; invocations++) {
        ask_for_next(&api, &event);
        handle(&event, invocations, answer);
        respond(&api, &event, answer);
    }
}
