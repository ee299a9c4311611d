// bulkhead-probe: what `bulkhead doctor` runs inside a cell. Each word tries what one layer must stop and says what came
// of it, as "key=value" lines; the doctor judges. Nothing here is trusted, or needs to be.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

static const char *result(long value) { return value >= 0 ? "ok" : strerrorname_np(errno); }

static void try_open(const char *key, const char *path, int flags) { printf("%s=%s\n", key, result(open(path, flags, 0600))); }

static void view(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}, {0}};
    syscall(SYS_capget, &header, sets);
    unsigned held = 0, bounding = 0;
    for (int i = 0; i < 2; i++) held |= sets[i].effective | sets[i].permitted | sets[i].inheritable;
    for (int i = 0; i < 64; i++) bounding += prctl(PR_CAPBSET_READ, i) == 1;
    int extra = 0;
    for (int fd = 3; fd < 1024; fd++) extra += fcntl(fd, F_GETFD) >= 0;
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    struct termios terminal;
    int null = open("/dev/null", O_RDWR);

    printf("uid=%d\ngid=%d\ngroups=%d\npid=%d\n", getuid(), getgid(), getgroups(0, NULL), getpid());
    printf("capabilities=%x\nbounding=%u\n", held, bounding);
    printf("no-new-privs=%d\nseccomp=%d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP));
    printf("descriptors=%d\n", extra);
    printf("core-limit=%ld\n", (long)core.rlim_max);
    printf("session=%s\n", getsid(0) == getpid() ? "own" : "shared");
    printf("device-ioctl=%s\n", result(ioctl(null, TCGETS, &terminal)));
    try_open("host-file", "/var", O_RDONLY | O_DIRECTORY);  // every host has it
    try_open("write-root", "/written", O_WRONLY | O_CREAT);
    try_open("write-function", "/function/written", O_WRONLY | O_CREAT);
    try_open("proc", "/proc/self/status", O_RDONLY);
    try_open("proc-init", "/proc/1/status", O_RDONLY);
    try_open("proc-kernel", "/proc/sys", O_RDONLY | O_DIRECTORY);
    printf("socket=%s\n", result(socket(AF_INET, SOCK_STREAM, 0)));
    printf("unknown-call=%s\n", result(syscall(1000)));
    printf("clone3=%s\n", result(syscall(SYS_clone3, NULL, 0)));
    fflush(stdout);
}

/// Touches memory until something stops it.
static void memory(void) {
    for (;;) {
        // Volatile: a compiler that sees a block nobody reads leaves it out, and with it the attempt.
        volatile char *block = malloc(1 << 20);
        if (!block) return;
        for (size_t at = 0; at < 1 << 20; at += 4096) block[at] = 1;
    }
}

/// Forks children that wait, until something stops it.
static void processes(void) {
    int started = 0, failed = 0;
    for (; started < 4096; started++) {
        pid_t child = fork();
        if (child == 0) pause();
        if (child < 0) {
            failed = errno;
            break;
        }
    }
    printf("started=%d\nfork=%s\n", started, failed ? strerrorname_np(failed) : "ok");
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "view";
    if (strcmp(word, "view") == 0) view();
    if (strcmp(word, "hold") == 0) puts("holding"), fflush(stdout), getchar();
    if (strcmp(word, "memory") == 0) memory();
    if (strcmp(word, "processes") == 0) processes();
    if (strcmp(word, "ptrace") == 0) printf("ptrace=%s\n", result(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
    return 0;
}
