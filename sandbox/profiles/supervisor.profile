# The system calls that the supervisor itself may make once it serves, in the notation of base.profile: it parses what
# tenants and clients send, so it is confined like them. What is not named here fails with ENOSYS. `deny` ends the
# process: nothing but a taken-over supervisor makes such a call.

# -- Memory
allow brk mmap munmap mremap mprotect madvise mincore   # allocators; libraries loaded on first use

# -- Files: which ones is Landlock's to say
allow read pread64 readv preadv write pwrite64 writev pwritev lseek  # uploads, the catalogue, pipes of workers
allow open openat openat2 creat close close_range       # the same
allow stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat  # lookups
allow getdents64 getcwd statfs fstatfs fadvise64        # listing bundles, SQLite
allow ftruncate truncate fallocate fsync fdatasync syncfs  # nothing is answered before it would survive a crash
allow rename renameat renameat2 link linkat unlink unlinkat mkdir mkdirat rmdir  # bundles come and go whole
allow symlinkat symlink                                 # archives with links inside themselves
allow chmod fchmod fchmodat utimensat umask             # bundles are made read-only
allow fchown fchownat                                   # SQLite gives its journal the database's owner
allow getxattr lgetxattr fgetxattr                      # Foundation asks when it copies attributes
allow dup dup2 dup3 pipe pipe2 fcntl                    # workers' pipes, SQLite's locks
allow memfd_create                                      # launch plans
allow ioctl if arg1 is 0x5401 0x5413 0x541B 0x5421 0x5450 0x5451  # isatty, window size, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
allow flock                                             # one host for a data directory

# -- Waiting, time
allow poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2  # NIO
allow eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4  # NIO and Dispatch
allow futex set_robust_list get_robust_list membarrier rseq sched_yield  # locks
allow clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times restart_syscall  # clocks

# -- Threads and signals
allow clone if arg0 & 0x7E010000 == 0x00010000          # threads; never a process, never a namespace
quiet ENOSYS clone3                                     # flags behind a pointer cannot be checked; libc falls back to clone
allow exit exit_group wait4 waitid                      # the launcher's keeper is its child
allow set_tid_address gettid getpid getppid arch_prctl  # libc
allow rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack tgkill  # handlers, abort
allow prctl if arg0 is 15 16 0x53564d41                 # names of threads and mappings
allow sched_getaffinity sched_getparam sched_getscheduler getcpu setpriority getpriority  # thread pools
allow sched_get_priority_max sched_get_priority_min     # thread pools
allow getrlimit getrusage sysinfo uname                 # questions
allow prlimit64 if arg0 is 0                            # of itself
allow getuid geteuid getgid getegid getresuid getresgid getgroups  # questions
allow getrandom                                         # ids, tokens, TLS

# -- Sockets
allow socketpair if arg0 is 1 and arg1 & 0xF == 5       # to the launcher; no datagrams, which can be sent to any socket file
allow listen accept accept4 shutdown                    # the gateway, on the guardian's socket; it makes none, and connects nowhere
refuse EPERM socket bind connect                        # the same
allow getsockname getpeername getsockopt setsockopt     # the gateway
allow sendto if arg3 & 0x20000000 == 0                  # not MSG_FASTOPEN, a connect that Landlock does not see
allow sendmsg if arg2 & 0x20000000 == 0                 # descriptors to the launcher; the same
allow sendmmsg if arg3 & 0x20000000 == 0                # the same
allow recvfrom recvmsg recvmmsg                         # the gateway, events of the launcher

# -- What only a taken-over supervisor does
deny execve execveat fork vfork                         # Swift never forks: workers are the launcher's
deny clone if arg0 & 0x00010000 == 0                    # the same
deny ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp  # other processes
deny mount umount2 pivot_root chroot fsopen fsmount move_mount open_tree mount_setattr unshare setns  # the file tree
deny bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register  # the kernel's widest doors
deny init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff  # the machine
deny keyctl add_key request_key open_by_handle_at       # around the file tree
deny setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset personality  # identity
