// What the supervisor may hand a worker as its standard streams.
#pragma once

/// `fds`: stdin, stdout, stderr and, where there is one, the observer. Returns 0; EINVAL for anything but pipes (and the null
/// device, for streams); or another errno.
int streams_check(const int *fds, int count);
