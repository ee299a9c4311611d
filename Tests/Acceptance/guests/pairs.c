// Which socket pairs there are.
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    int pair[2];
    int datagram = socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    int stream = socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    printf("[%d,%d]", datagram, stream);
    return 0;
}
