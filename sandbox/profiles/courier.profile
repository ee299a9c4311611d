# The system calls that the courier may make once it serves, in the notation of base.profile: it reads what strangers answer, so
# it is confined like the supervisor. What is not named here fails with ENOSYS. `deny` ends the process: nothing but a taken-over
# courier makes such a call.

# -- Memory
allow brk mmap munmap mremap mprotect madvise mincore   # allocators; libraries loaded on first use

# -- Files: which ones is Landlock's to say, and it writes none
allow read pread64 readv preadv write pwrite64 writev lseek  # configuration of name services, certificates; bodies in memory files
allow open openat close close_range                     # the same
allow stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat  # lookups
allow getdents64 getcwd statfs fadvise64                # certificates' folders
allow dup dup2 dup3 pipe pipe2 fcntl                    # NIO
allow memfd_create ftruncate                            # bodies of answers
allow ioctl if arg1 is 0x5401 0x541B 0x5421 0x5450 0x5451  # isatty, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX

# -- Waiting, time
allow poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2  # NIO
allow eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4  # NIO and Dispatch
allow futex set_robust_list get_robust_list membarrier rseq sched_yield  # locks
allow clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times restart_syscall  # clocks

# -- Threads and signals
allow clone if arg0 & 0x7E010000 == 0x00010000          # threads; never a process, never a namespace
quiet ENOSYS clone3                                     # flags behind a pointer cannot be checked; libc falls back to clone
allow exit exit_group                                   # it leaves when it is idle
allow set_tid_address gettid getpid getppid arch_prctl  # libc
allow rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack tgkill  # handlers, abort
allow prctl if arg0 is 15 16 0x53564d41                 # names of threads and mappings
allow sched_getaffinity sched_getparam sched_getscheduler getcpu getpriority  # thread pools
allow sched_get_priority_max sched_get_priority_min     # thread pools
allow getrlimit getrusage sysinfo uname                 # questions
allow prlimit64 if arg0 is 0                            # of itself
allow getuid geteuid getgid getegid getresuid getresgid getgroups  # questions
allow getrandom                                         # TLS

# -- Sockets: out, by TCP and, for name services, UDP; of other kinds there are none (ENOSYS), and libc does without
allow socket if arg0 is 2 and arg1 & 0xF == 1 and arg2 is 0 6    # IPv4, TCP and nothing like it
allow socket if arg0 is 2 and arg1 & 0xF == 2 and arg2 is 0 17   # IPv4, UDP: name servers
allow socket if arg0 is 10 and arg1 & 0xF == 1 and arg2 is 0 6   # IPv6, TCP
allow socket if arg0 is 10 and arg1 & 0xF == 2 and arg2 is 0 17  # IPv6, UDP
allow connect shutdown                                  # where the address rules say
refuse EPERM bind listen                                # nobody comes in
allow getsockname getpeername getsockopt setsockopt     # NIO
allow sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg # errands, answers, name servers

# -- What only a taken-over courier does
deny execve execveat fork vfork                         # it starts nothing
deny clone if arg0 & 0x00010000 == 0                    # the same
deny ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal kcmp  # other processes
deny mount umount2 pivot_root chroot fsopen fsmount move_mount open_tree mount_setattr unshare setns  # the file tree
deny bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register  # the kernel's widest doors
deny init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff  # the machine
deny keyctl add_key request_key open_by_handle_at       # around the file tree
deny setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset personality  # identity
