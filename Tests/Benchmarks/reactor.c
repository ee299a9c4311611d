// A worker that lives on between invocations and answers each with its own event, in JSON-RPC as reactors speak it.
// The event is found by counting brackets, not parsed, so that what is measured is the host and not a JSON library.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

struct text {
    const char *at;
    size_t length;
};

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/// Past the string that starts at `at`, on its opening quote.
static const char *skip_string(const char *at) {
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1]) at++;
    return *at ? at + 1 : at;
}

/// Past the value that starts at `at`, whatever it is.
static const char *skip_value(const char *at) {
    if (*at == '"') return skip_string(at);
    if (*at != '{' && *at != '[') return at + strcspn(at, ",}] \t\r\n");
    for (int depth = 0; *at;) {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        at++;
        if (depth == 0) break;
    }
    return at;
}

/// Finds the member `key` (with its quotes) of the object at `at`. The event may well hold keys of the same name, so
/// whole values are stepped over.
static bool member(const char *at, const char *key, struct text *found) {
    if (*at != '{') return false;
    at = skip_space(at + 1);
    while (*at == '"') {
        const char *name = at;
        at = skip_string(at);
        bool wanted = strncmp(name, key, strlen(key)) == 0;
        at = skip_space(at);
        if (*at != ':') return false;
        const char *value = skip_space(at + 1);
        at = skip_value(value);
        if (wanted) {
            *found = (struct text){value, (size_t)(at - value)};
            return found->length > 0;
        }
        at = skip_space(at);
        if (*at != ',') return false;
        at = skip_space(at + 1);
    }
    return false;
}

static bool answer(struct text id, struct text result) {
    char head[96];
    int size = snprintf(head, sizeof head, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":", (int)id.length, id.at);
    if (size < 0 || (size_t)size >= sizeof head) return false;
    // In one call: the host reads each line as it comes, and a half line costs it a second look.
    struct iovec parts[] = {{head, (size_t)size}, {(char *)result.at, result.length}, {(char *)"}\n", 2}};
    size_t left = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
    for (struct iovec *part = parts; left > 0;) {
        ssize_t put = writev(1, part, (int)(parts + 3 - part));
        if (put < 0) return false;
        left -= (size_t)put;
        for (; put > 0; part++) {
            size_t taken = (size_t)put < part->iov_len ? (size_t)put : part->iov_len;
            part->iov_base = (char *)part->iov_base + taken;
            part->iov_len -= taken;
            put -= (ssize_t)taken;
            if (part->iov_len > 0) break;
        }
    }
    return true;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 1 << 12);
    puts("{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}");
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        struct text id, params, event = {"null", 4};
        const char *message = skip_space(line);
        if (!member(message, "\"id\"", &id)) return 1;  // nothing that could be answered: better gone than out of step
        if (member(message, "\"params\"", &params)) member(params.at, "\"event\"", &event);
        if (!answer(id, event)) return 1;
    }
    free(line);
    return 0;  // EOF is the host's goodbye
}
