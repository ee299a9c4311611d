// A reactor without any library: the worker protocol is one JSON message a line, so this is all there is to it.
#include <stdio.h>
#include <stdlib.h>

#include "message.h"

int main(void) {
    // Line by line: the host waits for each answer, so none may linger in a buffer.
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    puts("{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}");

    unsigned long count = 0;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        size_t length;
        const char *id = message_id(line, &length);
        if (!id) return 1;  // nothing that could be answered: better gone than out of step
        printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"count\":%lu}}\n", (int)length, id, ++count);
    }
    free(line);
    return 0;  // EOF is the host's goodbye
}
