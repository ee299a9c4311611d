// The smallest function: what comes in goes out. Two system calls, so what it costs is what the host costs.
#include <errno.h>
#include <unistd.h>

int main(void) {
    static char buffer[64 * 1024];  // a pipe's default capacity: one round trip empties it
    for (;;) {
        ssize_t size = read(0, buffer, sizeof buffer);
        if (size == 0) return 0;
        if (size < 0) {
            if (errno == EINTR) continue;
            return 1;
        }
        for (ssize_t sent = 0; sent < size;) {
            ssize_t written = write(1, buffer + sent, (size_t)(size - sent));
            if (written >= 0) sent += written;
            else if (errno != EINTR) return 1;
        }
    }
}
