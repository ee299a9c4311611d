// What ties the launcher to the keeper that started it.
#ifndef BULKHEAD_TIES_H
#define BULKHEAD_TIES_H

#include <sys/types.h>

/// From now on this process dies with `keeper`, its parent, and shows its memory to nobody. An errno; ESRCH when it has died already.
///
/// Any change of the file system uid undoes both (commit_creds in the kernel's kernel/cred.c; prctl(2), PR_SET_PDEATHSIG):
/// whoever makes one calls `tie_again` after it.
int tie_to(pid_t keeper);

/// Ties it as `tie_to` did last; does nothing before that.
int tie_again(void);

#endif
