#include "streams.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "sys.h"

/// A worker uses what it is given with the calls that its filter allows: on a socket that would be the host's network, on a
/// file the host's disk. A pipe leads to who holds its other end, and nowhere else; one with a name leads to others.
static int is_pipe(int fd, const struct stat *info, bool *is) {
    struct statfs system;
    if (fstatfs(fd, &system) < 0) return errno;
    *is = S_ISFIFO(info->st_mode) && system.f_type == PIPEFS_MAGIC;
    return 0;
}

int streams_check(const int *fds, int count) {
    for (int i = 0; i < count; i++) {
        struct stat info;
        bool is = false;
        int error = fstat(fds[i], &info) < 0 ? errno : is_pipe(fds[i], &info, &is);
        if (error) return error;
        bool is_null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
        if (!is && !(is_null && i < 3)) return EINVAL;
    }
    return 0;
}
