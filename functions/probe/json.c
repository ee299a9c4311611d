#define _GNU_SOURCE

#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool comma;

static void text(const char *value) {
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
        if (*at == '"' || *at == '\\') printf("\\%c", *at);
        else if (*at < 0x20 || *at >= 0x7f) printf("\\u%04x", *at);  // bytes as Latin-1: never invalid, whatever they are
        else putchar(*at);
    }
    putchar('"');
}

static void begin(const char *key) {
    if (comma) putchar(',');
    comma = true;
    if (!key) return;
    text(key);
    putchar(':');
}

void json_open(const char *key, char bracket) {
    begin(key);
    putchar(bracket);
    comma = false;
}

void json_close(char bracket) {
    putchar(bracket);
    comma = true;
}

void json_number(const char *key, long long value) {
    begin(key);
    printf("%lld", value);
}

void json_bool(const char *key, bool value) {
    begin(key);
    fputs(value ? "true" : "false", stdout);
}

void json_null(const char *key) {
    begin(key);
    fputs("null", stdout);
}

void json_string(const char *key, const char *value) {
    begin(key);
    text(value);
}

void json_outcome(const char *key, bool ok) {
    const char *name = ok ? "ok" : strerrorname_np(errno);
    json_string(key, name ? name : "?");
}

void json_result(const char *key, long long result) {
    if (result < 0) json_outcome(key, false);
    else json_number(key, result);
}
