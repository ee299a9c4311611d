// The one thing a reactor must find in a request: its id.
#pragma once

#include <string.h>

/// Past the string that starts at `at` (on its opening quote).
static inline const char *message_skip_string(const char *at) {
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1]) at++;
    return *at ? at + 1 : at;
}

static inline const char *message_skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/// The text of the message's own "id" (its length in `length`), or NULL. Depth is counted because the event inside may
/// well have an "id" too, and JSON promises no order of keys.
static inline const char *message_id(const char *line, size_t *length) {
    int depth = 0;
    for (const char *at = line; *at;) {
        if (*at == '"') {
            const char *key = at;
            at = message_skip_string(at);
            const char *value = message_skip_space(at);
            if (depth != 1 || *value != ':' || strncmp(key, "\"id\"", 4) != 0) continue;
            value = message_skip_space(value + 1);
            *length = *value == '"' ? (size_t)(message_skip_string(value) - value) : strcspn(value, ",} \t\r\n");
            return *length ? value : NULL;
        }
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        at++;
    }
    return NULL;
}
