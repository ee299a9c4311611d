// What the cells of requests.py run: argv[0] says what to do.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/// Whether the limits that a plan left out are the launcher's.
static int limits(void) {
    const struct {
        int resource;
        rlim_t expected;
    } usual[] = {
        {RLIMIT_CORE, 0}, {RLIMIT_NICE, 0}, {RLIMIT_RTPRIO, 0}, {RLIMIT_MSGQUEUE, 0}, {RLIMIT_SIGPENDING, 1024},
        {RLIMIT_MEMLOCK, 64 << 10}, {RLIMIT_NOFILE, 1024}, {RLIMIT_NPROC, 9}, {RLIMIT_FSIZE, 1 << 20}, {RLIMIT_STACK, 8 << 20},
    };
    for (unsigned i = 0; i < sizeof usual / sizeof *usual; i++) {
        struct rlimit limit;
        if (getrlimit(usual[i].resource, &limit) < 0) return 100;
        if (limit.rlim_cur != usual[i].expected || limit.rlim_max != usual[i].expected) return 1 + (int)i;
    }
    return 0;
}

static int open_folder(void) { return open("/function", O_RDONLY | O_DIRECTORY) < 0; }

/// Says that it could open a folder, and does so again once it is told to: by itself, or by a child of its own.
static int lock(int forks) {
    char byte = 'r';
    if (open_folder() || write(1, &byte, 1) != 1 || read(0, &byte, 1) != 1) return 2;
    if (!forks) return open_folder();
    pid_t child = fork();
    if (child < 0) return 3;
    if (child == 0) _exit(open_folder());
    int status;
    return waitpid(child, &status, 0) != child || status;
}

static int loopback(int port, int (*act)(int, const struct sockaddr *, socklen_t)) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int made = socket(AF_INET, SOCK_STREAM, 0);
    return made >= 0 && act(made, (struct sockaddr *)&address, sizeof address) == 0 ? made : -1;
}

/// Calls port 9001, says that it serves, sends one byte back at port 8080, and ends with its stdin.
static int serve(void) {
    char byte = 'c';
    int client = loopback(9001, connect), server = loopback(8080, bind);
    if (client < 0 || write(client, &byte, 1) != 1) return 5;
    if (server < 0 || listen(server, 4) < 0) return 6;
    byte = 'r';
    if (write(1, &byte, 1) != 1) return 7;
    int caller = accept(server, NULL, NULL);
    if (caller < 0 || read(caller, &byte, 1) != 1 || write(caller, &byte, 1) != 1) return 8;
    return read(0, &byte, 1) != 0;
}

/// Whether as many bytes as they should be are behind the descriptor of its secrets, and nobody can change them.
static int secrets(long size) {
    enum { SECRETS = 3, SEAL_AND_SIZE_AND_BYTES = 0xF };
    struct stat info;
    if (fcntl(SECRETS + 1, F_GETFD) >= 0) return 10;
    if (size == 0) return fcntl(SECRETS, F_GETFD) >= 0 || errno != EBADF;
    if (fcntl(SECRETS, F_GETFD) != 0) return 11;
    if ((fcntl(SECRETS, 1034 /* F_GET_SEALS */) & SEAL_AND_SIZE_AND_BYTES) != SEAL_AND_SIZE_AND_BYTES) return 12;
    if (fstat(SECRETS, &info) < 0 || info.st_size != size || (info.st_mode & 0777) != 0444) return 13;
    unsigned char byte;
    if (write(SECRETS, &byte, 1) >= 0 || errno != EPERM) return 14;
    if (geteuid() == info.st_uid || fchmod(SECRETS, 0666) == 0) return 15;
    for (long i = 0; i < size; i++)
        if (read(SECRETS, &byte, 1) != 1 || byte != i * 7 % 256) return 16;
    // By its name, once more from the beginning; not to write to it.
    int again = open("/proc/self/fd/3", O_RDONLY);
    if (again < 0 || read(again, &byte, 1) != 1 || byte != 0) return 17;
    if (open("/proc/self/fd/3", O_RDWR) >= 0 || errno != EACCES) return 18;
    return read(SECRETS, &byte, 1) != 0;
}

int main(int argc, char **argv) {
    if (argc < 1) return 4;
    if (strcmp(argv[0], "limits") == 0) return limits();
    if (strcmp(argv[0], "secrets") == 0) return argc < 2 ? 4 : secrets(atol(argv[1]));
    if (strcmp(argv[0], "serve") == 0) return serve();
    if (strcmp(argv[0], "open") == 0) return lock(0);
    if (strcmp(argv[0], "fork") == 0) return lock(1);
    return 0;
}
