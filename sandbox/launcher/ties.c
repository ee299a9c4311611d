#include "ties.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static pid_t tied_to;

int tie_to(pid_t keeper) {
    tied_to = keeper;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0) return errno;
    return getppid() == keeper ? 0 : ESRCH;  // it may have died before that line
}

int tie_again(void) { return tied_to ? tie_to(tied_to) : 0; }
