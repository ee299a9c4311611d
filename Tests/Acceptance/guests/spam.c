// Makes calls that no policy names: `spam FIRST KINDS COUNT`. COUNT calls in all, 0: without end; each by the next of KINDS
// numbers from FIRST on. Every 1024 calls it says on the log how many there were.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) return 64;
    long first = atol(argv[1]), kinds = atol(argv[2]), count = atol(argv[3]), made = 0;
    while (count == 0 || made < count) {
        if (syscall(first + made % kinds, -1, -1, -1, -1, -1, -1) >= 0) return 1;
        if (++made % 1024 == 0) fprintf(stderr, "made %ld\n", made);
    }
    printf("%ld", made);
    return 0;
}
