// A snapshot in C: what is made before snapshot_fork() is there in each invocation, as it was.
#include <stdio.h>
#include <stdlib.h>

#include "message.h"
#include "snapshot.h"

static unsigned long sieve[1 << 16], primes;

int main(void) {
    for (size_t i = 2; i < sizeof sieve / sizeof *sieve; i++) {
        if (sieve[i]) continue;
        primes++;
        for (size_t j = 2 * i; j < sizeof sieve / sizeof *sieve; j += i) sieve[j] = 1;
    }
    snapshot_fork();

    char *line = NULL, result[64];
    size_t room = 0, length;
    if (getline(&line, &room, stdin) <= 0) return 1;
    const char *id = message_id(line, &length);
    if (!id) return 1;
    snprintf(result, sizeof result, "{\"primes\":%lu}", primes);
    primes = 0;  // only this invocation's
    snapshot_answer(id, length, result);
}
