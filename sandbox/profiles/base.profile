# The system calls a cell may make. Allowlist: what is not named here is answered ENOSYS, as an older kernel would.
#
#   allow NAMES [if CONDITION]           the call goes through
#   refuse ERRNO NAMES [if CONDITION]    the call fails, libraries fall back; counted and shown, which costs the caller time
#   quiet ERRNO NAMES [if CONDITION]     the same at no cost and not counted: for what libraries ask as a matter of course
#   pretend NAMES [if CONDITION]         the call answers 0 and is not made: asked as a matter of course, of no use in a cell
#   deny NAMES [if CONDITION]            no honest function does this: the worker ends, outcome `denied` names the call
#
# CONDITION: `argN is V…` (one of), `argN & MASK == VALUE`, `argN any MASK` (at least one bit); several joined by `and`.
# Arguments are compared as 32 bits: the kernel ignores the rest of an int, so a filter that looks at it can be passed by
# (CVE-2019-7303).
# Conditions of one call never overlap: libseccomp 2.5.4 can merge overlapping ones wrongly (GHSA-4q85).
# A reason that ends in [WORDS] names what in the manifest would allow the call.
# The launcher knows what is allowed here (profile_table.h, made by table.py beside this file) and takes no filter that lets
# more through.
# `@one` lines hold for functions with `processes: 1`, `@many` lines for the others; `@loopback` lines for those that have a
# network of their own (`allow: { network: loopback }`), `@sealed` lines for the others.

# -- Memory
allow brk munmap mremap mincore                         # allocators; bounded by the cell's memory limit
allow mmap if arg3 & 0x40000 == 0                       # the same
refuse ENOMEM mmap if arg3 & 0x40000 == 0x40000         # MAP_HUGETLB: the host's pool of huge pages, which no limit of a cell's counts
allow msync if arg2 & 0x4 == 0                          # whether pages are mapped; writes nothing
pretend msync if arg2 & 0x4 == 0x4                      # MS_SYNC: as fsync
allow madvise if arg2 is 0 1 2 3 4 8 9 10 11 14 15 16 17 18 19 20 21 22 23 25  # hints; not MADV_MERGEABLE (12), which finds equal pages of others
allow mprotect                                          # loaders and JITs; native code needs no W^X to be confined
allow mlock mlock2 munlock                              # crypto libraries; bounded by RLIMIT_MEMLOCK

# -- Files: what can be reached is decided by the cell's root and by Landlock
allow read pread64 readv preadv                         # stdin and files
allow preadv2 pwritev2 if arg5 is 0                     # the same; flags such as RWF_NOWAIT tell what others have read
allow write pwrite64 writev pwritev                     # stdout, stderr and scratch files
allow open if arg1 & 0x4000 == 0                        # files of the bundle, the runtime and scratch
allow openat if arg2 & 0x4000 == 0                      # the same
refuse EINVAL open if arg1 & 0x4000 == 0x4000           # O_DIRECT: each read is one of the disk's; databases fall back
refuse EINVAL openat if arg2 & 0x4000 == 0x4000         # the same
allow creat close close_range lseek                     # the same files
allow stat fstat lstat statx                            # loaders and every file library
allow newfstatat if arg3 & 0x1000 == 0x1000             # AT_EMPTY_PATH: what libc makes of fstat
allow newfstatat if arg3 & 0x1000 == 0                  # what libc makes of stat
allow access faccessat faccessat2 readlink readlinkat   # path searches
allow getdents getdents64 getcwd chdir fchdir           # listing folders, moving in them
allow statfs fstatfs readahead                          # hints and questions of libc and databases
allow fadvise64 if arg3 is 0 1 2 3 5                    # hints; not POSIX_FADV_DONTNEED, which evicts pages shared with others
allow ftruncate truncate fallocate                      # scratch files; bounded by its tmpfs
pretend fsync fdatasync sync syncfs sync_file_range     # scratch outlives nothing; on a shared read-only file it flushes the host's disk
allow rename renameat renameat2 link linkat             # scratch files; Landlock keeps them in it
allow unlink unlinkat mkdir mkdirat rmdir symlink symlinkat  # scratch files
allow chmod fchmod fchmodat utime utimes utimensat futimesat umask  # scratch files; its mount ignores setuid bits
allow chown fchown lchown fchownat                      # cp -p and tar; without capabilities only a change to oneself works
allow mknod if arg1 & 0xF000 == 0x1000                  # mkfifo in scratch
allow mknod if arg1 & 0xF000 == 0x8000                  # a regular file by another name
allow mknodat if arg2 & 0xF000 == 0x1000                # mkfifo in scratch, the newer call
allow mknodat if arg2 & 0xF000 == 0x8000                # a regular file by another name
refuse EPERM mknod if arg1 & 0x7000 == 0x2000           # device nodes, character and directory modes
refuse EPERM mknod if arg1 & 0x7000 == 0x6000           # device nodes, block
refuse EPERM mknodat if arg2 & 0x7000 == 0x2000         # device nodes, character
refuse EPERM mknodat if arg2 & 0x7000 == 0x6000         # device nodes, block
refuse EOPNOTSUPP getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr  # ls -l and cp ask; there are none
refuse EOPNOTSUPP setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr  # cp -a tries and goes on
refuse ENOSYS splice tee vmsplice copy_file_range       # page-cache references in pipes (CVE-2026-31431); coreutils, Go, Rust, libuv copy by themselves then
refuse EINVAL sendfile                                  # the same; not ENOSYS: libuv (Node's copyFile) copies by itself only on what Linux 2.4 said of files
@one pretend flock                                      # an own file has no other process to be locked from; a lock on a shared file would be a channel between tenants
@many refuse ENOLCK flock                               # the cell's watcher answers instead: it locks own files on the caller's behalf; locks on shared ones are a channel between tenants
refuse EPERM name_to_handle_at                          # handles name files outside the root
allow dup dup2 dup3 pipe                                # shells and libraries
allow pipe2 if arg1 & 0x4080 == 0                       # the same
refuse EINVAL pipe2 if arg1 any 0x4080                  # O_DIRECT (packets), O_NOTIFICATION_PIPE (kernel events): as where they are not built in
allow fcntl if arg1 is 0 1 2 3 1030 1032 1034           # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS
allow fcntl if arg1 is 4 and arg2 & 0x6000 == 0         # F_SETFL: O_NONBLOCK, O_APPEND
refuse EPERM fcntl if arg1 is 4 and arg2 any 0x6000     # O_DIRECT, O_ASYNC stay on a pipe that others use: its bytes become packets, its readers get signals
@one pretend fcntl if arg1 is 6 7 37 38                 # F_SETLK, F_SETLKW and their OFD kin: as flock; SQLite and LMDB ask, and the kernel keeps no memory for it
@many refuse ENOLCK fcntl if arg1 is 6 7 37 38          # the cell's watcher keeps F_SETLK and F_SETLKW instead: the kernel's are a channel between tenants, and memory that no limit counts
refuse ENOLCK fcntl if arg1 is 5 36                     # F_GETLK, F_OFD_GETLK: who locks what; the watcher tells of the locks that it keeps
refuse EPERM fcntl if arg1 is 8 10 1024 1025 1026 1031  # F_SETOWN, F_SETSIG, leases, F_NOTIFY, F_SETPIPE_SZ: signals and leases across files, bigger pipes
allow ioctl if arg1 is 0x5401 0x5413 0x540F 0x541B 0x5421 0x5450 0x5451  # TCGETS (isatty), TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
refuse EPERM ioctl if arg1 is 0x5412 0x541C             # TIOCSTI, TIOCLINUX push input into a terminal (CVE-2017-5226)

# -- Waiting
allow poll ppoll select pselect6                        # event loops
allow epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2  # event loops
allow eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4  # event loops
allow futex set_robust_list get_robust_list rseq sched_yield  # locks and threads
allow membarrier if arg0 is 0 8 16 32 64 128 256        # among a process's own threads; the global ones make all of the machine wait

# -- Time
allow clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times  # clocks and sleeping
allow alarm setitimer getitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete  # own timers
deny settimeofday clock_settime adjtimex clock_adjtime  # the host's clock

# -- Signals, inside the cell's own pid namespace
allow rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack  # handlers
allow kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pause restart_syscall  # raise, abort, kill $child
allow pidfd_open pidfd_send_signal                      # subprocess libraries; own namespace only

# -- Processes and threads
allow execve execveat                                   # the worker's own start, and a script's commands
allow exit exit_group wait4 waitid                      # ending and reaping
@one allow clone if arg0 & 0x7E030000 == 0x00010000     # threads
@one refuse EAGAIN clone if arg0 & 0x7E030000 == 0      # `processes: 1`: as when the process table is full [limits.processes]
@one refuse EAGAIN fork vfork                           # `processes: 1` [limits.processes]
@many allow clone if arg0 & 0x7E020000 == 0             # threads and processes; bounded by the pids limit
@many allow fork vfork                                  # processes; bounded by the pids limit
deny clone if arg0 any 0x7E020000                       # namespaces: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
quiet ENOSYS clone3                                     # flags behind a pointer cannot be checked; libc falls back to clone
allow set_tid_address gettid getpid getppid getpgid getpgrp getsid setpgid setsid  # libc start-up and job control of shells
allow arch_prctl if arg0 is 0x1002 0x1003               # ARCH_SET_FS, ARCH_GET_FS: thread-local storage
allow prctl if arg0 is 2 3 7 15 16 21 23 27 30 38 39 0x53564d41  # GET_PDEATHSIG, GET_DUMPABLE, GET_KEEPCAPS, SET_NAME, GET_NAME, GET_SECCOMP, CAPBSET_READ, GET_SECUREBITS, GET_TIMERSLACK, SET_NO_NEW_PRIVS, GET_NO_NEW_PRIVS, SET_VMA
refuse EPERM prctl if arg0 is 1 4 8 14 22 24 26 28 29 33 35 36 40 41 47 52 53 54  # PDEATHSIG, DUMPABLE, KEEPCAPS, TSC, SECCOMP, caps, securebits, subreaper, speculation: would undo the cell's set-up
allow sched_getaffinity getcpu                          # thread pools ask how many cores there are
allow sched_setaffinity if arg0 is 0                    # of the calling thread; a snapshot's fork could hold its template to one core
allow sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getpriority  # questions
allow setpriority if arg0 is 0 and arg1 is 0            # nice, of oneself; the kernel lets one only yield, and that stays
refuse EPERM sched_setscheduler sched_setparam sched_setattr ioprio_set  # real-time scheduling
allow getrlimit getrusage sysinfo uname                 # questions
allow setrlimit                                         # only ever downwards: the hard limits are set
allow prlimit64 if arg0 is 0                            # of itself
allow personality if arg0 is 0 0xFFFFFFFF               # asking, and the default
refuse EPERM personality if arg0 & 0xFFFF0000 == 0x00040000  # ADDR_NO_RANDOMIZE alone

# -- Identity
allow getuid geteuid getgid getegid getresuid getresgid getgroups capget  # questions
refuse EPERM setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset  # there is nothing to change to
allow getrandom                                         # randomness

# -- Sockets: pairs inside the cell; TCP where it has a network namespace of its own, which holds loopback and nothing else
allow socketpair if arg0 is 1 and arg1 & 0xF == 1       # AF_UNIX stream: event loops wake themselves through a pair
allow socketpair if arg0 is 1 and arg1 & 0xF == 5       # AF_UNIX seqpacket; no datagram, which can be sent to any socket file
allow sendto recvfrom sendmmsg recvmmsg if arg3 & 1 == 0  # on such a pair; not MSG_OOB, a door to bugs (CVE-2025-38236)
allow sendmsg recvmsg if arg2 & 1 == 0                  # the same
allow shutdown getsockname getpeername                  # on such a pair
@sealed allow getsockopt                                # on such a pair
@sealed refuse EAFNOSUPPORT socket                      # resolvers and libraries take it as "no network here" [allow.network: loopback, which reaches the cell itself and nothing else,]
@loopback allow socket if arg0 is 2 10 and arg1 & 0xF == 1 and arg2 is 0 6  # TCP over IPv4 and IPv6
@loopback refuse EAFNOSUPPORT socket if arg0 is 0 1 3 4 5 6 7 8 9 11 12 13 14 15 16 17 20 21 29 30 31 38 40 43 44  # files of AF_UNIX lie outside every network namespace; netlink, packet, vsock, AF_ALG: wide attack surface
@loopback refuse EAFNOSUPPORT socket if arg0 is 2 10 and arg1 & 0xF == 2  # UDP: resolvers take it as "no network here"
@loopback refuse EPERM socket if arg0 is 2 10 and arg1 & 0xF == 3  # raw sockets, as for every user without rights
@loopback refuse EPROTONOSUPPORT socket if arg0 is 2 10 and arg1 & 0xF == 1 and arg2 is 132 262  # SCTP, and MPTCP, which Go tries first: wide attack surface
@loopback allow bind listen accept accept4 connect      # its own servers and clients; ports from 1024 on
@loopback allow setsockopt if arg1 is 1 and arg2 is 2 9 13 15 20 21 66 67  # SO_REUSEADDR, KEEPALIVE, LINGER, REUSEPORT and the timeouts
@loopback allow setsockopt if arg1 is 6 and arg2 is 1 3 4 5 6 9 12 18  # TCP_NODELAY, CORK, KEEPIDLE, KEEPINTVL, KEEPCNT, DEFER_ACCEPT, QUICKACK, USER_TIMEOUT; not TCP_ULP, which loads kTLS
@loopback allow setsockopt if arg1 is 41 and arg2 is 26  # IPV6_V6ONLY
@loopback pretend setsockopt if arg1 is 1 and arg2 is 7 8  # SO_SNDBUF, SO_RCVBUF: buffers are as large as they have to be
@loopback pretend setsockopt if arg1 is 0 and arg2 is 1  # IP_TOS: nothing is routed
@loopback pretend setsockopt if arg1 is 41 and arg2 is 67  # IPV6_TCLASS
@loopback allow getsockopt if arg1 is 1                 # SOL_SOCKET: SO_ERROR and its like
@loopback allow getsockopt if arg1 is 6 and arg2 is 1 2 3 4 5 6 9 11 12 18  # what was set, TCP_MAXSEG and TCP_INFO; not TCP_ZEROCOPY_RECEIVE
@loopback allow getsockopt if arg1 is 41 and arg2 is 26  # IPV6_V6ONLY

# -- What no honest function does
deny ptrace kcmp pidfd_getfd                            # reaching into other processes
refuse ENOSYS process_vm_readv process_vm_writev        # the same; unwinders and allocators ask it of themselves, and take another way where it is not built in
deny mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr  # the file tree
deny unshare setns                                      # namespaces
deny bpf                                                # kernel programs: wide attack surface
refuse EACCES perf_event_open                           # counters: wide attack surface; profilers do without, as where perf_event_paranoid forbids it
refuse EPERM userfaultfd                                # page faults held up: wide attack surface; collectors do without, as where it is for root only
refuse ENOSYS io_uring_setup io_uring_enter io_uring_register  # a second system call entry that this filter cannot see; libuv, Tokio and liburing's users fall back to epoll
deny keyctl add_key request_key                         # keyrings are shared across cells
deny init_module finit_module delete_module create_module query_module  # kernel modules
deny kexec_load kexec_file_load reboot                  # the host's kernel
deny swapon swapoff acct quotactl syslog vhangup nfsservctl uselib ustat sysfs _sysctl  # administration
deny iopl ioperm modify_ldt                             # hardware ports, segment tables
deny open_by_handle_at fanotify_init lookup_dcookie     # files by number, outside any root
deny move_pages migrate_pages                           # other processes' memory
deny sethostname setdomainname                          # administration
deny seccomp if arg1 any 0x8                            # a listener of its own, nested in ours
refuse EPERM seccomp if arg1 & 0x8 == 0                 # filters can only narrow, but none needs one here
