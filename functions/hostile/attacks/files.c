// Files: everywhere a worker must not write, and too many of them where it may.
#include "attack.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void try_write(const char *path, int flags) {
    char what[300];
    snprintf(what, sizeof what, "write to %s", path);
    judge(what, open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | flags, 0600));
}

static void write_root(void) {
    static const char *const folders[] = {"", "/function", "/dev", "/usr", "/usr/lib", "/lib", "/etc", "/bin",
                                          "/var", "/run", "/proc", "/sys", "/home", "/root", "/opt"};
    char path[64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/breach", folders[i]);
        try_write(path, O_CREAT);
    }
    judge("mkdir /breach", mkdir("/breach", 0700));
    judge("rename /function", rename("/function", "/breach"));
    judge("chmod /", chmod("/", 0777));
}

static void overwrite_self(void) {
    try_write(self, 0);
    try_write("/function/function.yaml", 0);
    judge("truncate", truncate(self, 0));
    judge("chmod", chmod(self, 0777));
    judge("unlink", unlink(self));
    judge("rename", rename(self, "/function/breach"));
}

/// A hole costs nothing and breaks those who trust a file's size. Making one is allowed; filling it is not.
static void sparse_file(void) {
    int fd = open("/tmp/sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        judge("open /tmp/sparse", fd);
        return;
    }
    if (ftruncate(fd, 1l << 50) < 0) judge("a file of 1 PiB", -1);
    else say("done: 1 PiB, all of it hole\n");
}

static void inode_bomb(void) {
    const long cap = 1000 * 1000;
    long taken = 0;
    for (char path[32]; taken < cap; taken++) {
        snprintf(path, sizeof path, "/tmp/i%ld", taken);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) break;
        close(fd);
    }
    judge_taken("inodes", taken, cap);
}

static void deep_directory(void) {
    const long cap = 1000 * 1000;
    long taken = 0;
    if (chdir("/tmp") < 0) {
        judge("chdir /tmp", -1);
        return;
    }
    while (taken < cap && mkdir("d", 0700) == 0 && chdir("d") == 0) taken++;
    judge_taken("nested directories", taken, cap);
}

static void symlink_passwd(void) {
    static const char *const secrets[] = {"/etc/machine-id", "/etc/shadow", "/../../../etc/shadow", "/proc/1/environ"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        unlink("/tmp/link");
        if (symlink(secrets[i], "/tmp/link") < 0) {
            judge("symlink in /tmp", -1);
            return;
        }
        char what[64];
        snprintf(what, sizeof what, "/tmp/link to %s", secrets[i]);
        judge(what, open("/tmp/link", O_RDONLY | O_CLOEXEC));
    }
}

static void hardlink(void) {
    judge("hard link of the program", link(self, "/tmp/program"));
    judge("hard link of /dev/null", link("/dev/null", "/tmp/null"));
}

static void run_mknod(void) {
    judge("block device", mknod("/tmp/disk", S_IFBLK | 0600, 8 << 8));
    judge("character device", mknod("/tmp/memory", S_IFCHR | 0600, 1 << 8 | 1));
}

/// Copies a file; -1 with errno when either end refuses.
static int copy(const char *from, int to) {
    static char block[64 * 1024];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || to < 0) return -1;
    ssize_t size;
    while ((size = read(fd, block, sizeof block)) > 0)
        if (write(to, block, (size_t)size) != size) return -1;
    close(fd);
    return size < 0 ? -1 : 0;
}

static void setuid_binary(void) {
    int fd = open("/tmp/program", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    if (copy(self, fd) < 0) {
        judge("copy to /tmp", -1);
        return;
    }
    close(fd);
    // What is in /tmp may be executed; the bit is to mean nothing (nosuid, no_new_privs), whoever the file is given to.
    char own[16];
    snprintf(own, sizeof own, "%u", getuid());
    if (chown("/tmp/program", 0, 0) == 0) breach("gave a file to root");
    chmod("/tmp/program", 06755);
    judge("execute /tmp/program", execl("/tmp/program", "attacks", "still", own, (char *)NULL));
}

static void memfd_exec(void) {
    int fd = (int)syscall(SYS_memfd_create, "program", 0);
    if (fd < 0 || copy(self, fd) < 0) {
        judge("program in a memfd", -1);
        return;
    }
    char *const arguments[] = {"attacks", "reached", NULL};
    judge("execveat of a memfd", syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH));
}

static void exec_shell(void) {
    judge("/bin/sh", execl("/bin/sh", "sh", "-c", "echo BREACH: a shell", (char *)NULL));
    judge("/bin/busybox", execl("/bin/busybox", "sh", "-c", "echo BREACH: a shell", (char *)NULL));
}

/// What the two above start when they succeed.
static void reached(void) { breach("a program was executed that is not in the bundle, as uid %d", (int)geteuid()); }

const struct attack file_attacks[] = {
    {.name = "write-root", .tries = "write to every folder of the root", .outcome = OK,
     .says = "EROFS EACCES EPERM ENOENT EBUSY EXDEV", .run = write_root},
    {.name = "overwrite-self", .tries = "change its own bundle", .outcome = OK,
     .says = "EROFS EACCES EPERM ENOENT ETXTBSY", .run = overwrite_self},
    {.name = "sparse-file", .tries = "make a file of 1 PiB of hole", .outcome = OK, .says = "EFBIG",
     .run = sparse_file},
    {.name = "inode-bomb", .tries = "make files without end", .outcome = OK OR MEMORY OR CPU, .says = "ENOSPC",
     .run = inode_bomb},
    {.name = "deep-directory", .tries = "nest directories without end", .outcome = OK OR MEMORY OR CPU,
     .says = "ENOSPC", .run = deep_directory},
    {.name = "symlink-passwd", .tries = "read the host's files through links in /tmp", .outcome = OK,
     .says = "ENOENT EACCES EPERM", .run = symlink_passwd},
    {.name = "hardlink", .tries = "take its program along by a hard link", .outcome = OK,
     .says = "EXDEV EACCES EPERM EROFS", .run = hardlink},
    {.name = "mknod", .tries = "make devices in /tmp", .outcome = OK OR DENIED, .says = "EPERM EACCES",
     .run = run_mknod},
    {.name = "setuid-binary", .tries = "execute a set-uid program from /tmp", .outcome = OK, .says = "EACCES EPERM",
     .run = setuid_binary},
    {.name = "memfd-exec", .tries = "execute a program from a memfd", .outcome = OK OR DENIED,
     .says = "EACCES EPERM ENOSYS", .run = memfd_exec},
    {.name = "exec-shell", .tries = "execute a shell", .outcome = OK, .says = "ENOENT EACCES", .run = exec_shell},
    {.name = "reached", .tries = "what the two before start; never by itself", .outcome = "exit", .run = reached},
    {0},
};
