// Just enough of HTTP/1.1 to know where a response ends: a length or chunks. Fed as the bytes come.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum response_state {
    RESPONSE_STATUS,
    RESPONSE_HEADERS,
    RESPONSE_BODY,
    RESPONSE_CHUNK_SIZE,
    RESPONSE_CHUNK,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILERS,
    RESPONSE_DONE,
    RESPONSE_BROKEN,
};

struct response {
    enum response_state state;
    int status;
    bool closes, chunked, sized;
    uint64_t left;  // of the body, or of this chunk
    char start[16];  // the value of Bulkhead-Start
    size_t length;
    char line[1024];  // what came of a line so far; the rest of a longer one is dropped, none of interest is that long
};

static inline void response_begin(struct response *response) {
    response->state = RESPONSE_STATUS;
    response->closes = response->chunked = response->sized = false;
    response->status = 0;
    response->left = 0;
    response->start[0] = 0;
    response->length = 0;
}

/// The value of the header that `line` holds, if it is `name` (in lower or upper case, with its colon).
static inline const char *response_header(const char *line, const char *name) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0) return NULL;
    return line + length + strspn(line + length, " \t");
}

static inline void response_take_header(struct response *response) {
    const char *line = response->line, *value;
    if ((value = response_header(line, "content-length:"))) {
        response->left = strtoull(value, NULL, 10);
        response->sized = true;
    } else if ((value = response_header(line, "transfer-encoding:"))) {
        response->chunked = strcasecmp(value, "chunked") == 0;
    } else if ((value = response_header(line, "connection:"))) {
        response->closes = strcasecmp(value, "close") == 0;
    } else if ((value = response_header(line, "bulkhead-start:"))) {
        size_t size = strspn(value, "abcdefghijklmnopqrstuvwxyz");  // printed as a JSON key later
        if (size >= sizeof response->start) size = sizeof response->start - 1;
        memcpy(response->start, value, size);
        response->start[size] = 0;
    }
}

static inline enum response_state response_after_head(struct response *response) {
    if (response->status >= 100 && response->status < 200) {
        response_begin(response);
        return RESPONSE_STATUS;
    }
    if (response->status == 204 || response->status == 304) return RESPONSE_DONE;
    if (response->chunked) return RESPONSE_CHUNK_SIZE;
    if (!response->sized) return RESPONSE_BROKEN;  // ends with its connection: no keep-alive, so nothing for this
    return response->left ? RESPONSE_BODY : RESPONSE_DONE;
}

static inline enum response_state response_after_line(struct response *response) {
    const char *line = response->line;
    char *end;
    switch (response->state) {
    case RESPONSE_STATUS:
        if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12) return RESPONSE_BROKEN;
        response->status = atoi(line + 9);
        return response->status >= 100 && response->status < 600 ? RESPONSE_HEADERS : RESPONSE_BROKEN;
    case RESPONSE_HEADERS:
        if (!*line) return response_after_head(response);
        response_take_header(response);
        return RESPONSE_HEADERS;
    case RESPONSE_CHUNK_SIZE:
        response->left = strtoull(line, &end, 16);
        if (end == line) return RESPONSE_BROKEN;
        return response->left ? RESPONSE_CHUNK : RESPONSE_TRAILERS;
    case RESPONSE_CHUNK_END: return RESPONSE_CHUNK_SIZE;
    case RESPONSE_TRAILERS: return *line ? RESPONSE_TRAILERS : RESPONSE_DONE;
    default: return RESPONSE_BROKEN;
    }
}

/// Takes bytes until the response is DONE or BROKEN; returns how many it took.
static inline size_t response_feed(struct response *response, const char *bytes, size_t size) {
    size_t taken = 0;
    while (taken < size && response->state < RESPONSE_DONE) {
        const char *at = bytes + taken;
        size_t rest = size - taken;
        if (response->state == RESPONSE_BODY || response->state == RESPONSE_CHUNK) {
            size_t part = rest < response->left ? rest : (size_t)response->left;
            response->left -= part;
            taken += part;
            if (response->left == 0)
                response->state = response->state == RESPONSE_BODY ? RESPONSE_DONE : RESPONSE_CHUNK_END;
            continue;
        }
        const char *newline = memchr(at, '\n', rest);
        size_t part = newline ? (size_t)(newline - at) : rest;
        size_t room = sizeof response->line - 1 - response->length, kept = part < room ? part : room;
        memcpy(response->line + response->length, at, kept);
        response->length += kept;
        taken += part;
        if (!newline) break;
        taken++;
        while (response->length && strchr("\r \t", response->line[response->length - 1])) response->length--;
        response->line[response->length] = 0;
        response->length = 0;
        response->state = response_after_line(response);
    }
    return taken;
}
