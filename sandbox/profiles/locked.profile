# What is left of base.profile to a worker that is locked (`lock: true`): from when it has said ready, it computes on what it
# has opened. What base.profile allows and this does not name, ends the worker as `denied` from then on. In the notation of
# base.profile, `allow` alone; a condition must be one that base.profile has, and base.profile's own go on to hold.

allow read pread64 readv preadv preadv2                 # its events, and files that it has opened
allow write pwrite64 writev pwritev pwritev2            # its answers and its log
allow recvfrom sendto if arg3 & 1 == 0                  # the same, where it asks for its events by a connection that it has
allow sendmsg if arg2 & 1 == 0                          # the same, in pieces; what it could pass on is its own
allow close lseek dup dup2 dup3                         # of what it has
allow fstat                                             # of what it has: stdio asks before the first byte
allow newfstatat if arg3 & 0x1000 == 0x1000             # AT_EMPTY_PATH: the same, as libc makes it
allow fcntl                                             # flags of what it has: a snapshot's fork takes back what an earlier one has set
allow ioctl                                             # the few questions that there are: FIONREAD, TCGETS (isatty)
allow brk mmap munmap mremap mprotect madvise           # allocators; a file can only be mapped by a descriptor that is there
allow futex set_robust_list rseq sched_yield            # locks, of threads that are there; a fork's libc sets its own list
allow clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage  # clocks and sleeping
allow poll ppoll select pselect6 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 timerfd_settime  # waiting for the next event
allow rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall  # handlers that are there, and after a stop
allow getpid gettid getppid getcpu                      # who am I: logs, random generators that notice a fork
allow getrandom                                         # randomness
allow exit exit_group                                   # ending
