// What the supervisor (Swift) and the launcher (C) say to each other, and nothing else.
//
// Transport: one SOCK_SEQPACKET socketpair per launcher. Every message is one fixed-size struct; descriptors travel
// beside it as SCM_RIGHTS. All that depends on a function's version is in a *plan*, written once per version into a
// sealed memfd, so that a launch itself is 24 bytes and four descriptors.
#pragma once

#include <stdint.h>

#define BH_MAGIC 0x42484b44u  // "BHKD"
#define BH_ABI_VERSION 9u

// -- Bounds. The launcher refuses a plan that exceeds any of them. ----------------------------------------------------

#define BH_PLAN_MAX (256u * 1024)  // bytes of a whole plan
#define BH_ARGS_MAX 256u           // argv entries, argv[0] included
#define BH_ENV_MAX 256u            // environment entries
#define BH_MOUNTS_MAX 192u         // entries of the cell's root; as many descriptors fit in one message (SCM_MAX_FD, 253)
#define BH_RLIMITS_MAX 16u         // one per RLIMIT_*
#define BH_FILTER_MAX 4096u        // seccomp instructions; the kernel's own bound (BPF_MAXINSNS)
#define BH_DIGEST_HEX 64u          // a bundle is named by its SHA-256 in lower-case hex
#define BH_SECRETS_MAX (128u * 1024)  // bytes that a worker finds behind BH_SECRETS_FD

// -- Requests: supervisor to launcher ---------------------------------------------------------------------------------

enum bh_request_kind {
    // Descriptors: plan, stdin, stdout, stderr; to a launcher that observes, also where to write what is observed. Streams are
    // pipes or the null device, the observer is a pipe.
    BH_REQUEST_LAUNCH = 1,
    BH_REQUEST_KILL = 2,    // ends the cell with everything in it
    // A cell is born with BH_HEAD_START times the CPU weight that its plan says, so that a short invocation is over before
    // long ones slow it down. This takes it away.
    BH_REQUEST_DEMOTE = 3,
    // Ends every process of the cell but the worker that the launcher started, and answers with BH_EVENT_CLEARED.
    BH_REQUEST_CLEAR = 4,
    // From now on calls that the filter lets through only until then (BH_UNTIL_LOCKED) end the worker as denied. For good.
    // Holds once BH_EVENT_LOCKED has come: whatever must not find the worker unlocked waits for that.
    BH_REQUEST_LOCK = 5,
    // Connects to a port of 127.0.0.1 in the network of the cell's own; `version` is the port. Answered with BH_EVENT_CONNECTED.
    BH_REQUEST_CONNECT = 6,
};

#define BH_HEAD_START 10u
#define BH_PLAN_WEIGHT 100u  // v2's and everybody's default
// What a plan has when its manifest says nothing else: ready cells have it set already.
#define BH_PLAN_MEMORY (128u << 20)
#define BH_PLAN_SCRATCH (64u << 20)
#define BH_PLAN_TASKS 64u
#define BH_PLAN_CELLS 100u

struct bh_request {
    uint32_t magic;  // BH_MAGIC
    uint32_t kind;   // enum bh_request_kind
    uint64_t cell;   // chosen by the supervisor, unique in one launcher's life
    // LAUNCH: names the plan, the same for the same plan and never for another. Once it is over, the cell may serve the same
    // version again. 0: it may not.
    uint64_t version;
};

// -- The plan ---------------------------------------------------------------------------------------------------------

enum bh_mount_kind {
    BH_MOUNT_BUNDLE = 1,   // source: digest, a directory of the store; or what a path below it (digest/path) names
    BH_MOUNT_HOST = 2,     // source: absolute host path, opened as the cell's user, bound read-only
    BH_MOUNT_SYMLINK = 3,  // source: the link's text
};

#define BH_MOUNT_OPTIONAL 1u  // a missing host path is no failure (a library folder that this host lacks)

struct bh_mount {
    uint32_t kind;
    uint32_t flags;
};

struct bh_rlimit {
    uint32_t resource;  // RLIMIT_*
    uint32_t pad;
    uint64_t value;  // soft and hard; none above what the launcher takes, which sets those that are left out (rlimits.c)
};

#define BH_PLAN_CGROUPS 1u      // show the cell its own cgroups at /sys/fs/cgroup
#define BH_PLAN_ONCE 32u        // its workers serve once: init stays for the next one, where it can
#define BH_PLAN_LOCKS 16u       // file locks among the processes of a cell are kept by its watcher
#define BH_PLAN_FORKS 8u        // the worker forks one process for each invocation: none may reach its streams by a name
#define BH_PLAN_OWN_NETWORK 2u  // a network namespace of its own, with loopback and nothing else. Only with it may the filter let
                                // through what base.profile has in its `@loopback` lines
#define BH_PLAN_LOCK_SPARES_WORKER 4u  // what the lock denies, it denies to the processes that the worker has forked, not to
                                       // the worker's own first thread: for a snapshot's template

// The descriptor behind which a worker finds the plan's secrets: in memory that nobody can change, at its beginning. Without any
// it is closed.
#define BH_SECRETS_FD 3

struct bh_plan {
    uint32_t magic;
    uint32_t version;         // BH_ABI_VERSION
    uint32_t size;            // bytes, this header included
    uint32_t flags;           // BH_PLAN_*
    uint64_t memory_max;      // bytes; swap is always 0
    uint64_t scratch_bytes;   // tmpfs at /tmp; 0 = none
    uint32_t scratch_inodes;  //
    uint32_t tasks_max;       // processes and threads of the tenant together
    uint32_t cpu_weight;      // cgroup v2 scale, 1...10000, default 100
    uint32_t arg_count;
    uint32_t env_count;
    uint32_t mount_count;
    uint32_t rlimit_count;
    uint32_t filter_count;    // seccomp instructions
    uint32_t filter_offset;   // from the plan's start, a multiple of 8
    uint32_t strings_offset;  // NUL-terminated, in this order: hostname, executable, argv…, envp…,
    uint32_t strings_size;    // then source and target of each mount
    uint32_t cells_max;       // cells of the function at once; bounds what all of them together may take
    uint32_t listener;        // with BH_PLAN_OWN_NETWORK: a port of 127.0.0.1 in there that somebody outside is to answer; 0: none
    uint32_t secrets_offset;  // from the plan's start; 0 without any
    uint32_t secrets_size;    // bytes that the worker finds behind BH_SECRETS_FD; 0: it has none
    uint32_t reserved;        // 0
    struct bh_rlimit rlimits[BH_RLIMITS_MAX];
    struct bh_mount mounts[BH_MOUNTS_MAX];
};

// The plan's filter is a classic BPF program as seccomp(2) takes it, with two additions that no kernel sees:
#define BH_REFUSE_COUNTED 0x800u   // in the data of SECCOMP_RET_ERRNO: init answers the call, counts and reports it
#define BH_UNTIL_LOCKED 0x400u     // in the data of SECCOMP_RET_ERRNO: init lets the call go on until BH_REQUEST_LOCK, and
                                   // denies it afterwards. By what stands in registers, so nothing can change behind its back
#define BH_OBSERVE 0x7ff00000u     // SECCOMP_RET_TRACE: init writes the path argument down and lets the call go on;
                                   // data: the argument's index. Only for a launcher started with --observe
#define BH_REFUSALS_MAX 64u        // pairs of call and errno counted apart in one cell; the others together

/// One path that a call named, as init writes it to the observer: this, and then `length` bytes.
struct bh_observation {
    int32_t syscall;
    uint32_t length;
};

// -- Events: launcher to supervisor -----------------------------------------------------------------------------------

enum bh_event_kind {
    BH_EVENT_HELLO = 1,    // once; features and mode of this launcher
    // The worker's exec succeeded; descriptors: cpu usage, memory peak (none without cgroups); with BH_FLAG_LISTENER a last one,
    // which listens on the plan's port.
    BH_EVENT_STARTED = 2,
    BH_EVENT_FAILED = 3,   // the launch was refused; stage and error say where and why
    BH_EVENT_EXITED = 4,   // the worker is gone; counters are final
    BH_EVENT_GONE = 5,     // nothing of the cell is left: no process, and no cgroup or mount but for its next use
    // The filter refused calls: syscall, arch and error say which and how, args[0] how often in this cell so far. Comes
    // with the first of a kind, whenever the number has doubled, and with the final number before EXITED.
    BH_EVENT_REFUSED = 6,
    // No process is left in the cell but its init and the worker; status: how many threads the worker has. Or error: EBUSY
    // when something would not die, ENOTSUP without cgroups.
    BH_EVENT_CLEARED = 7,
    BH_EVENT_LOCKED = 8,  // BH_REQUEST_LOCK holds
    // In the order of the requests; args[0]: the port. Descriptor: a non-blocking socket, connected or on its way (EINPROGRESS of
    // connect(2)); without it, error says why.
    BH_EVENT_CONNECTED = 9,
};

#define BH_FLAG_OOM 1u     // the kernel's own counter saw an OOM kill in this cell
#define BH_FLAG_DENIED 2u  // the filter stopped a system call: see syscall and args
#define BH_FLAG_LISTENER 8u  // STARTED: the last descriptor listens
#define BH_FLAG_KILLED 4u  // ended on the supervisor's request (or with the launcher)

#define BH_FEATURE_ROOT 1u           // runs as root, a uid per cell; else a user namespace per cell
#define BH_FEATURE_CGROUP_V1 2u
#define BH_FEATURE_CGROUP_V2 4u
#define BH_FEATURE_MEMORY 8u         // controllers that can be used
#define BH_FEATURE_PIDS 16u
#define BH_FEATURE_CPU 32u
#define BH_FEATURE_FREEZER 64u
#define BH_FEATURE_LANDLOCK 128u
#define BH_FEATURE_IO 256u           // block I/O is shared between functions, as far as the kernel's I/O scheduler can
#define BH_FEATURE_HUGETLB 512u      // cells get no huge pages

struct bh_event {
    uint32_t magic;
    uint32_t kind;
    uint64_t cell;
    uint32_t stage;       // FAILED: enum bh_stage
    int32_t error;        // FAILED, REFUSED: errno
    int32_t pid;          // STARTED: the worker's pid as the host sees it
    int32_t status;       // EXITED: as from wait(2); CLEARED: the worker's threads
    uint32_t flags;       // EXITED: BH_FLAG_*; HELLO: BH_FEATURE_*
    uint32_t arch;        // DENIED, REFUSED: AUDIT_ARCH_*; HELLO: Landlock ABI
    uint64_t args[6];     // DENIED: the call's arguments; REFUSED: how often
    int64_t syscall;      // DENIED, REFUSED: the call's number; REFUSED: -1 for all beyond BH_REFUSALS_MAX kinds
    uint64_t cpu_ns;      // EXITED: CPU time of the whole cell
    uint64_t memory_peak; // EXITED: bytes, everything charged to the cell
    uint64_t build_ns;    // STARTED: from the request's arrival to the worker's exec
    uint64_t reserved[5];
};

// -- Stages: where a launch can fail, in the order in which they happen -----------------------------------------------

enum bh_stage {
    BH_STAGE_NONE = 0,
    // in the launcher
    BH_STAGE_REQUEST,
    BH_STAGE_PLAN,
    BH_STAGE_CAPACITY,
    BH_STAGE_BUNDLE,
    BH_STAGE_MOUNT_SOURCE,
    BH_STAGE_CGROUP_CREATE,
    BH_STAGE_CGROUP_LIMIT,
    BH_STAGE_NETWORK,
    BH_STAGE_CLONE,
    // in the cell's init
    BH_STAGE_CLOSE_FDS,
    BH_STAGE_PARENT_DEATH,
    BH_STAGE_USER_MAP,
    BH_STAGE_CGROUP_JOIN,
    BH_STAGE_CGROUP_NAMESPACE,
    BH_STAGE_OOM_SCORE,
    BH_STAGE_BOUNDING_SET,
    BH_STAGE_ROOT,
    BH_STAGE_PIVOT,
    BH_STAGE_MADE,
    BH_STAGE_ENTER,
    BH_STAGE_STDIO,
    BH_STAGE_MOUNT,
    BH_STAGE_DEVICES,
    BH_STAGE_PROC,
    BH_STAGE_CGROUP_VIEW,
    BH_STAGE_SCRATCH,
    BH_STAGE_READ_ONLY,
    BH_STAGE_HOSTNAME,
    BH_STAGE_LANDLOCK_RULES,
    BH_STAGE_EXECUTABLE,
    BH_STAGE_FORK,
    // in the worker, before exec
    BH_STAGE_SESSION,
    BH_STAGE_SECRETS_DESCRIPTOR,
    BH_STAGE_RLIMITS,
    BH_STAGE_PRIORITY,
    BH_STAGE_SECUREBITS,
    BH_STAGE_IDENTITY,
    BH_STAGE_CAPABILITIES,
    BH_STAGE_SIGNALS,
    BH_STAGE_WORKING_DIRECTORY,
    BH_STAGE_NO_NEW_PRIVS,
    BH_STAGE_LANDLOCK,
    BH_STAGE_SECCOMP,
    BH_STAGE_EXEC,
    // in init again
    BH_STAGE_INIT_CONFINE,
    BH_STAGE_INIT_DIED,
    BH_STAGE_COUNT,
};

/// The stage's name as it stands in outcomes and logs; "unknown" for a number that is none.
const char *bh_stage_name(uint32_t stage);
