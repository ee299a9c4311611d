// A reactor that answers and then computes on.
#include <stdio.h>

int main(void) {
    static char line[65536];
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}");
    while (fgets(line, sizeof line, stdin)) {
        puts("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
        for (volatile long i = 0;; i++) {}
    }
    return 0;
}
