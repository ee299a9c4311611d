// What the supervisor may hand a worker as its standard streams.
#pragma once

#include <sys/types.h>

/// `fds`: stdin, stdout, stderr and, where there is one, the observer. Returns 0; EINVAL for anything but pipes (and the null
/// device, for streams); or another errno.
int streams_check(const int *fds, int count);

/// Lets the worker whose uid and gid are `id` open its pipes by name (/dev/stdin), each the way it is meant: as their group,
/// since an owner could change that. Returns 0, or an errno.
int streams_give(const int fds[3], uid_t id);
