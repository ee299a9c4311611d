#include "streams.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "sys.h"

/// A worker uses what it is given with the calls that its filter allows: on a socket that would be the host's network, on a
/// file the host's disk. A pipe leads to who holds its other end, and nowhere else; one with a name leads to others. On the
/// kernel's own file system of pipes there are none with names, and nothing else.
static int is_pipe(int fd, bool *is) {
    struct statfs system;
    if (fstatfs(fd, &system) < 0) return errno;
    *is = system.f_type == PIPEFS_MAGIC;
    return 0;
}

static int is_null(int fd, bool *is) {
    struct stat info;
    if (fstat(fd, &info) < 0) return errno;
    *is = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
    return 0;
}

int streams_check(const int *fds, int count) {
    for (int i = 0; i < count; i++) {
        bool is = false;
        int error = is_pipe(fds[i], &is);
        if (!error && !is && i < 3) error = is_null(fds[i], &is);
        if (error) return error;
        if (!is) return EINVAL;
    }
    return 0;
}

int streams_give(const int fds[3], uid_t id) {
    for (int i = 0; i < 3; i++) {
        bool is = false;
        int error = is_pipe(fds[i], &is);
        if (error) return error;
        // The null device is the host's own.
        if (is && (fchown(fds[i], (uid_t)-1, id) < 0 || fchmod(fds[i], i == 0 ? 0640 : 0620) < 0)) return errno;
    }
    return 0;
}
