#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "probe.h"

static int by_name(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/// The names in a directory, sorted.
static void entries(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) {
        json_outcome(path, false);
        return;
    }
    char *names[256];
    size_t count = 0;
    for (struct dirent *entry; count < 256 && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    json_open(path, '[');
    for (size_t i = 0; i < count; i++) {
        json_string(NULL, names[i]);
        free(names[i]);
    }
    json_close(']');
}

/// Makes a file and removes it again.
static void writable(const char *directory) {
    char path[256];
    snprintf(path, sizeof path, "%s/.probe", strcmp(directory, "/") == 0 ? "" : directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    json_outcome(directory, fd >= 0);
    if (fd < 0) return;
    close(fd);
    unlink(path);
}

static void family(const char *name, int domain, int type) {
    int fd = socket(domain, type | SOCK_CLOEXEC, 0);
    json_outcome(name, fd >= 0);
    if (fd >= 0) close(fd);
}

void report_surroundings(void) {
    static const char *const directories[] = {"/", "/dev", "/function", "/tmp"};
    json_open("entries", '{');
    for (int i = 0; i < 4; i++) entries(directories[i]);
    json_close('}');
    json_open("write", '{');
    for (int i = 0; i < 4; i++) writable(directories[i]);
    json_close('}');
    struct stat info;
    json_bool("proc", stat("/proc/self", &info) == 0);

    json_open("sockets", '{');
    family("AF_INET", AF_INET, SOCK_STREAM);
    family("AF_INET6", AF_INET6, SOCK_STREAM);
    family("AF_UNIX", AF_UNIX, SOCK_STREAM);
    family("AF_NETLINK", AF_NETLINK, SOCK_RAW);
    family("AF_PACKET", AF_PACKET, SOCK_RAW);
    family("AF_ALG", AF_ALG, SOCK_SEQPACKET);
    family("AF_VSOCK", AF_VSOCK, SOCK_STREAM);
    json_close('}');
}
