// Output that is too much, too slow, or not what it claims to be.
#include "attack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void repeat(int fd, const char *text, size_t count) {
    static char block[64 * 1024];
    const size_t length = strlen(text), per_block = sizeof block / length;
    for (size_t i = 0; i < per_block; i++) memcpy(block + i * length, text, length);
    while (count > 0) {
        size_t size = (count < per_block ? count : per_block) * length;
        ssize_t sent = 0;
        while ((size_t)sent < size) {
            ssize_t wrote = write(fd, block + sent, size - (size_t)sent);
            if (wrote < 0) _exit(errno == EPIPE ? 0 : 1);
            sent += wrote;
        }
        count -= size / length;
    }
}

static void stdout_flood(void) {
    for (;;) repeat(1, "flood\n", 1 << 20);
}

static void stderr_flood(void) {
    repeat(2, "a line of the log that nobody will ever read in full\n", 1 << 20);
    say("done: 53 MiB on stderr\n");
}

static void stderr_no_newline(void) {
    repeat(2, "x", 8 << 20);
    say("done: 8 MiB on stderr in one line\n");
}

static void no_newline(void) { repeat(1, "x", 512 * 1024); }

static void drip(void) {
    for (;;) {
        say("x");
        usleep(100 * 1000);
    }
}

static void half_json(void) {
    say("{\"message\":\"and then");
    hang();
}

static void close_stdout_keep_running(void) {
    say("\"done\"");
    close(1);
    hang();
}

static void close_everything_keep_running(void) {
    for (int fd = 0; fd < 3; fd++) close(fd);
    hang();
}

static void never_reads(void) { say("\"stdin was left as it came\"\n"); }

static void invalid_utf8(void) {
    static const char bytes[] = "\"\xff\xfe\x00\xc0\xaf\xed\xa0\x80\"\n";
    (void)!write(1, bytes, sizeof bytes - 1);
}

static void deep_json(void) {
    repeat(1, "[", 400 * 1000);
    repeat(1, "]", 400 * 1000);
}

static void deep_objects(void) {
    repeat(1, "{\"a\":", 100 * 1000);
    say("0");
    repeat(1, "}", 100 * 1000);
}

static void huge_number(void) {
    say("{\"exponent\":1e999999999,\"digits\":");
    repeat(1, "9", 100 * 1000);
    say("}\n");
}

static void duplicate_keys(void) { say("{\"statusCode\":200,\"statusCode\":500,\"body\":\"a\",\"body\":\"b\"}\n"); }

/// Only the /fn/ route makes headers out of this; a line end inside a value would end the header.
static void header_injection(void) {
    say("{\"statusCode\":200,\"headers\":{\"x-a\":\"1\\r\\nset-cookie: breach=1\",\"x b\":\"2\",\"content-length\":\"3\","
        "\"transfer-encoding\":\"chunked\",\"bulkhead-outcome\":\"forged\"},\"cookies\":[\"c=1\\r\\nx-breach: 1\"],"
        "\"body\":\"a longer body than three bytes\"}\n");
}

static void odd_status(void) { say("{\"statusCode\":99999,\"headers\":7,\"body\":{\"not\":\"text\"}}\n"); }

static void bad_base64(void) { say("{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"#### no base64\"}\n"); }

static void terminal_escapes(void) {
    dprintf(2, "\033]0;owned\007\033[2J\033[31mnot your log\r\n{\"level\":\"fatal\",\"message\":\"forged\"}\n");
    say("\"done\"\n");
}

const struct attack output_attacks[] = {
    {.name = "stdout-flood", .tries = "write to stdout without end", .outcome = OUTPUT, .run = stdout_flood},
    {.name = "stderr-flood", .tries = "write 53 MiB to stderr", .outcome = OK, .run = stderr_flood},
    {.name = "stderr-no-newline", .tries = "write 8 MiB to stderr in one line", .outcome = OK,
     .run = stderr_no_newline},
    {.name = "no-newline", .tries = "answer 512 KiB in one line", .outcome = OK, .run = no_newline},
    {.name = "drip", .tries = "answer one byte at a time for ever", .outcome = TIMEOUT, .run = drip},
    {.name = "half-json", .tries = "answer half a JSON text, then hang", .outcome = TIMEOUT, .run = half_json},
    {.name = "close-stdout-keep-running", .tries = "close stdout, then hang", .outcome = TIMEOUT,
     .run = close_stdout_keep_running},
    {.name = "close-everything-keep-running", .tries = "close 0, 1 and 2, then hang", .outcome = TIMEOUT,
     .run = close_everything_keep_running},
    {.name = "never-reads", .tries = "end without a look at stdin (with args: [never-reads])", .outcome = OK,
     .run = never_reads},
    {.name = "invalid-utf8", .tries = "answer bytes that are no text", .outcome = OK, .run = invalid_utf8},
    {.name = "deep-json", .tries = "answer 400,000 nested arrays", .outcome = OK, .run = deep_json},
    {.name = "deep-objects", .tries = "answer 100,000 nested objects", .outcome = OK, .run = deep_objects},
    {.name = "huge-number", .tries = "answer numbers beyond any type", .outcome = OK, .run = huge_number},
    {.name = "duplicate-keys", .tries = "answer each key twice", .outcome = OK, .run = duplicate_keys},
    {.name = "header-injection", .tries = "answer line ends inside HTTP headers", .outcome = OK,
     .run = header_injection},
    {.name = "odd-status", .tries = "answer an impossible HTTP status", .outcome = OK, .run = odd_status},
    {.name = "bad-base64", .tries = "answer a body that is not the base64 it claims", .outcome = OK,
     .run = bad_base64},
    {.name = "terminal-escapes", .tries = "log terminal escapes and a forged record", .outcome = OK,
     .run = terminal_escapes},
    {0},
};
