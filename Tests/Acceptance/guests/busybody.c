// A reactor that answers and then computes on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    static char line[65536];
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}");
    while (fgets(line, sizeof line, stdin)) {
        const char *id = strstr(line, "\"id\":");
        printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":1}\n", id ? atol(id + 5) : 0);
        for (volatile long i = 0;; i++) {}
    }
    return 0;
}
