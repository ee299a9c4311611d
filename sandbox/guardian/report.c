// What is said of a death, in the form of the host's own log.
#include "report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "relay.h"

#define LINES 20

static char message[MESSAGE];
static size_t length;

static void add(const char *bytes, size_t count) {
    if (count > sizeof message - length) count = sizeof message - length;
    memcpy(message + length, bytes, count);
    length += count;
}

static void begin(const char *level, const char *format, va_list arguments) {
    time_t now = time(NULL);
    struct tm parts;
    char stamp[40], text[512];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S%z", localtime_r(&now, &parts));
    int count = snprintf(text, sizeof text, "%s %s bulkhead : [guardian] ", stamp, level);
    length = 0;
    add(text, (size_t)count);
    count = vsnprintf(text, sizeof text, format, arguments);
    add(text, (size_t)count < sizeof text ? (size_t)count : sizeof text - 1);
}

/// Nothing that a terminal would obey: they are shown once more, and out of their context. A control character is one of
/// ASCII's, or one of Unicode's second set (80 to 9f), as a byte of its own or after a c2.
static bool is_harmless(unsigned char byte, unsigned char before) {
    if (byte == '\t') return true;
    if (byte < 0x20 || byte == 0x7f) return false;
    return !(byte >= 0x80 && byte < 0xa0 && (before < 0x80 || before == 0xc2));
}

static void add_last_lines(void) {
    size_t size, lines = 0;
    const char *tail = relay_tail(&size);
    while (size && tail[size - 1] == '\n') size--;
    if (!size) return;
    const char *start = tail + size;
    while (start > tail && !(start[-1] == '\n' && ++lines == LINES)) start--;
    add("; its last lines:", strlen("; its last lines:"));
    unsigned char before = '\n';
    for (const char *at = start; at < tail + size; at++) {
        if (before == '\n') add("\n  | ", 5);
        if (*at != '\n') add(is_harmless((unsigned char)*at, before) ? at : "?", 1);
        before = (unsigned char)*at;
    }
}

static void end(void) {
    // A long message keeps its end of line.
    if (length == sizeof message) length--;
    add("\n", 1);
    relay_say(message, length);
}

void report(const char *level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    begin(level, format, arguments);
    va_end(arguments);
    end();
}

void report_with_last_lines(const char *level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    begin(level, format, arguments);
    va_end(arguments);
    add_last_lines();
    end();
}

const char *ending(int status) {
    static char text[64];
    if (!WIFSIGNALED(status)) {
        snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(status));
        return text;
    }
    const char *name = sigabbrev_np(WTERMSIG(status));  // none for a real-time signal
    snprintf(text, sizeof text, "%s%s (signal %d%s)", name ? "SIG" : "", name ? name : "real-time", WTERMSIG(status),
             WCOREDUMP(status) ? ", core dumped" : "");
    return text;
}
