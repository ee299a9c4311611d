// A reactor that breaks the worker protocol, in the way that each event asks for. See ../README.md.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "message.h"

#define HUGE_LINE (100ul << 20)

static unsigned long seen;

static void answer(long id) {
    printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"ok\":true,\"seen\":%lu}}\n", id, seen);
}

static _Noreturn void hang(void) {
    for (;;) pause();
}

static void second_answer(long id) {
    answer(id);
    answer(id);
}

static void late(long id) {
    answer(id);
    fflush(stdout);
    usleep(200 * 1000);  // by then the host may have sent the next request, or put the worker back into the pool
    answer(id);
}

static void early(long id) {
    answer(id);
    answer(id + 1);
}

static void wrong_id(long id) { answer(id + 1000); }

static void garbage_line(long id) {
    puts("a forgotten debug print");
    answer(id);
}

static void half(long id) {
    printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"ok\"", id);
    fflush(stdout);
    hang();
}

static void error(long id) {
    printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32000,\"message\":\"as asked\","
           "\"data\":{\"type\":\"ValueError\",\"stackTrace\":[\"main.c\"]}}}\n", id);
}

static void huge(long id) {
    printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":\"", id);
    for (unsigned long sent = 0; sent < HUGE_LINE; sent++) putchar('a');
    puts("\"}");
}

static void silent(long id) {
    (void)id;
    hang();
}

static void leave(long id) {
    (void)id;
    exit(3);
}

static void segv(long id) {
    (void)id;
    raise(SIGSEGV);
}

static void spin(long id) {
    (void)id;
    for (;;) __asm__ volatile("");
}

static const struct {
    const char *name;
    void (*run)(long id);
} deeds[] = {
    {"second-answer", second_answer}, {"late", late}, {"early", early},   {"wrong-id", wrong_id},
    {"garbage-line", garbage_line},   {"half", half}, {"error", error},   {"huge", huge},
    {"silent", silent},               {"exit", leave}, {"segv", segv},    {"spin", spin},
};

/// Does what {"do":"…"} names; anything else is answered properly.
static void serve(const char *line, long id) {
    const char *at = strstr(line, "\"do\"");
    if (at) {
        at += strlen("\"do\"");
        at += strspn(at, ": \t\"");
        size_t length = strcspn(at, "\"");
        for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
            if (strlen(deeds[i].name) == length && strncmp(at, deeds[i].name, length) == 0) {
                deeds[i].run(id);
                return;
            }
    }
    answer(id);
}

int main(int argc, char **argv) {
    // What belongs together leaves in one write, so that the host sees both halves of a lie at once and not by chance.
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    // What happens before the first event can only be chosen by the manifest's args.
    const char *start = argc > 1 ? argv[1] : "";
    if (strcmp(start, "never-ready") == 0) hang();
    if (strcmp(start, "exit-before-ready") == 0) return 3;
    if (strcmp(start, "answer-before-ready") == 0) answer(1);
    puts("{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}");
    if (strcmp(start, "ready-twice") == 0) puts("{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}");
    fflush(stdout);

    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        size_t length;
        const char *id = message_id(line, &length);
        if (!id) return 1;
        seen++;
        serve(line, atol(id));
        fflush(stdout);
    }
    free(line);
    return 0;
}
