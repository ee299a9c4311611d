// Leaves something behind in every way there may be, or looks for what another run has left: `{"do":"leave"}`,
// `{"do":"hold"}` (leaves, and stays for a while), `{"do":"look"}`. Answers {"way": what came of it}.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY 0x62756c6b
#define MARK "bulkhead-residue-marker"
#define BLOCK (24u << 20)

static int counted;

static void tell(const char *way, const char *what) { printf("%s\"%s\":\"%s\"", counted++ ? "," : "{", way, what); }

/// What a way of leaving came to: the error's name, or "left".
static void left(const char *way, long result) { tell(way, result < 0 ? strerrorname_np(errno) : "left"); }

/// What a look came to. `found` must be 0 for all is well.
static void looked(const char *way, int found) { tell(way, found ? "FOUND" : "nothing"); }

static int lock_with(int command, short type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(open("/function/main", O_RDONLY), command, &lock);
}

static void fill_memory(void) {
    char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; block != MAP_FAILED && at + 64 < BLOCK; at += 64) memcpy(block + at, MARK, sizeof MARK);
    tell("memory", block == MAP_FAILED ? "failed" : "left");
}

/// Not one byte of fresh memory may be anything but zero.
static int memory_is_dirty(void) {
    char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return 1;
    for (size_t at = 0; at < BLOCK; at += sizeof(long))
        if (*(long *)(block + at)) return 1;
    munmap(block, BLOCK);
    return 0;
}

static void leave(void) {
    left("scratch", open("/tmp/left", O_CREAT | O_WRONLY, 0666));
    left("scratch-folder", mkdir("/tmp/folder", 0777));
    left("bundle", open("/function/left", O_CREAT | O_WRONLY, 0666));
    left("bundle-write", open("/function/main", O_RDWR));
    int self = open("/function/main", O_RDONLY);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self, 0);
    left("page-cache", page == MAP_FAILED ? -1 : 0);
    page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, self, 0);
    left("page-cache-later", page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_WRITE));
    left("times", utimensat(AT_FDCWD, "/function/main", NULL, 0));
    left("device-times", utimensat(AT_FDCWD, "/dev/null", NULL, 0));
    left("device-mode", chmod("/dev/null", 0600));
    left("shm", shmget(KEY, 4096, IPC_CREAT | 0666));
    left("sem", semget(KEY, 1, IPC_CREAT | 0666));
    left("msg", msgget(KEY, IPC_CREAT | 0666));
    left("posix-shm", open("/dev/shm/left", O_CREAT | O_RDWR, 0666));
    left("mqueue", mq_open("/left", O_CREAT | O_RDWR, 0666, NULL));
    left("flock", flock(self, LOCK_EX | LOCK_NB));
    left("record-lock", lock_with(F_SETLK, F_RDLCK));
    left("ofd-lock", lock_with(37, F_RDLCK));  // F_OFD_SETLK
    left("lease", fcntl(self, F_SETLEASE, F_RDLCK));
    left("environment", setenv("BULKHEAD_LEFT", "1", 1));
    left("nice", setpriority(PRIO_PROCESS, 0, 5));
    umask(0);
    struct rlimit small = {.rlim_cur = 100, .rlim_max = 100};
    left("rlimit", setrlimit(RLIMIT_NOFILE, &small));
    fill_memory();
    pid_t child = fork();
    if (child == 0) {
        setsid();
        for (int i = 0; i < 2000; i++) {
            usleep(1000);
            (void)!write(1, "LATE", 4);
        }
        _exit(0);
    }
    left("child", child);
}

static void look(void) {
    looked("scratch", open("/tmp/left", O_RDONLY) >= 0);
    looked("scratch-folder", access("/tmp/folder", F_OK) == 0);
    looked("bundle", access("/function/left", F_OK) == 0);
    struct stat info;
    looked("device-mode", stat("/dev/null", &info) < 0 || (info.st_mode & 0777) != 0666);
    looked("shm", shmget(KEY, 0, 0) >= 0);
    looked("sem", semget(KEY, 0, 0) >= 0);
    looked("msg", msgget(KEY, 0) >= 0);
    looked("posix-shm", open("/dev/shm/left", O_RDONLY) >= 0);
    looked("mqueue", mq_open("/left", O_RDONLY) >= 0);
    int self = open("/function/main", O_RDONLY);
    looked("flock", flock(self, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    looked("record-lock", lock_with(F_SETLK, F_RDLCK) < 0 && errno == EAGAIN);
    looked("ofd-lock", lock_with(37, F_RDLCK) < 0 && errno == EAGAIN);
    looked("lease", fcntl(self, F_GETLEASE) >= 0 && fcntl(self, F_GETLEASE) != F_UNLCK);
    looked("environment", getenv("BULKHEAD_LEFT") != NULL);
    looked("nice", getpriority(PRIO_PROCESS, 0) != 0);
    looked("umask", umask(077) != 077);
    struct rlimit files;
    looked("rlimit", getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max != 1024);
    looked("memory", memory_is_dirty());
    int others = 0;
    for (pid_t pid = 2; pid < 40000; pid++) others += pid != getpid() && kill(pid, 0) == 0;
    looked("child", others);
    looked("signals", signal(SIGUSR1, SIG_DFL) != SIG_DFL);
}

int main(void) {
    static char event[1 << 20];
    // Leaves most of a long event unread: nobody else may find the rest.
    ssize_t got = read(0, event, 64);
    if (got <= 0) return 1;
    if (strstr(event, "look")) {
        for (ssize_t more; (more = read(0, event + got, sizeof event - (size_t)got)) > 0;) got += more;
        look();
        printf(",\"length\":%zd}", got);
    } else {
        leave();
        printf("}");
        fflush(stdout);
        if (strstr(event, "hold")) usleep(1500 * 1000);
    }
    fflush(stdout);
    _exit(0);
}
