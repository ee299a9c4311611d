// System calls that no honest function makes. Where one call is enough it is made as if it should succeed: an unfiltered
// kernel then says so instead of EINVAL, which would look like containment. None harms a host that lets it through.
#include "attack.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>

#define AT(object) ((long)&(object))

static char secret[4096] __attribute__((aligned(4096))) = "secret", copied[4096];
static struct iovec from = {secret, sizeof secret}, to = {copied, sizeof copied};
static union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
static struct io_uring_params ring;
static struct perf_event_attr counter = {
    .type = PERF_TYPE_SOFTWARE, .size = sizeof counter, .config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1};
static struct timex adjustment;  // modes 0: only reads
static unsigned long nodes = 1;
static aio_context_t aio;

static void process_vm_readv_self(void) {
    judge("read of its own memory", process_vm_readv(getpid(), &to, 1, &from, 1, 0));
}

static void process_vm_writev_self(void) {
    judge("write to its own memory", process_vm_writev(getpid(), &from, 1, &to, 1, 0));
}

static void ptrace_init(void) { judge("ptrace of PID 1", ptrace(PTRACE_ATTACH, 1, NULL, NULL)); }

static void run_kcmp(void) {
    judge("comparison with PID 1", syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 0, 1));
}

static void pidfd_getfd(void) {
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    judge("descriptor of a process", syscall(SYS_pidfd_getfd, process, 0, 0));
}

static void open_by_handle(void) {
    struct {
        struct file_handle handle;
        unsigned char bytes[128];
    } root = {.handle.handle_bytes = 128};
    int mount;
    // The handle of a directory of the host could as well be guessed: 2 is the root of an ext4.
    if (name_to_handle_at(AT_FDCWD, "/function", &root.handle, &mount, 0) < 0) {
        root.handle.handle_bytes = 8;
        root.handle.handle_type = 1;
        *(uint32_t *)root.bytes = 2;
    }
    int folder = open("/function", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    judge("open by handle", open_by_handle_at(folder, &root.handle, O_RDONLY));
}

static void name_to_handle(void) {
    struct {
        struct file_handle handle;
        unsigned char bytes[128];
    } root = {.handle.handle_bytes = 128};
    int mount;
    judge("handle of /function", name_to_handle_at(AT_FDCWD, "/function", &root.handle, &mount, 0));
}

/// Sets the clock to what it shows.
static void run_settimeofday(void) {
    struct timeval now;
    gettimeofday(&now, NULL);
    judge("settimeofday", settimeofday(&now, NULL));
}

static void run_clock_settime(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    judge("clock_settime", clock_settime(CLOCK_REALTIME, &now));
}

#define CALL(name_, tries_, number_, ...) \
    {.name = name_, .tries = tries_, .outcome = DENIED, .number = number_, .args = {__VA_ARGS__}}
/// What libraries ask as well: answered so that they take another way.
#define PROBE(name_, tries_, says_, number_, ...) \
    {.name = name_, .tries = tries_, .outcome = OK OR DENIED, .says = says_, .number = number_, .args = {__VA_ARGS__}}
#define DO(name_, tries_, run_) {.name = name_, .tries = tries_, .outcome = DENIED, .run = run_}

const struct attack kernel_attacks[] = {
    // other processes
    CALL("ptrace", "be traced", SYS_ptrace, PTRACE_TRACEME),
    DO("ptrace-init", "trace PID 1", ptrace_init),
    {.name = "process-vm-readv", .tries = "read a process's memory", .outcome = OK OR DENIED, .says = "ENOSYS EPERM",
     .run = process_vm_readv_self},
    {.name = "process-vm-writev", .tries = "write to a process's memory", .outcome = OK OR DENIED, .says = "ENOSYS EPERM",
     .run = process_vm_writev_self},
    DO("pidfd-getfd", "take a descriptor out of a process", pidfd_getfd),
    DO("kcmp", "compare kernel objects", run_kcmp),
    CALL("move-pages", "move pages between nodes", SYS_move_pages, 0, 0, 0, 0, 0, 0),
    CALL("migrate-pages", "migrate a process between nodes", SYS_migrate_pages, 0, 64, AT(nodes), AT(nodes)),
    {.name = "mbind", .tries = "bind memory to a node", .outcome = OK OR DENIED, .says = "EPERM ENOSYS",
     .number = SYS_mbind, .args = {AT(secret), 4096, 0, 0, 0, 0}},

    // large parts of the kernel
    CALL("bpf", "make a BPF map", SYS_bpf, BPF_MAP_CREATE, AT(map), sizeof map),
    PROBE("perf", "count events", "EACCES EPERM ENOSYS", SYS_perf_event_open, AT(counter), 0, -1, -1, 0),
    PROBE("userfaultfd", "handle its own page faults", "EPERM ENOSYS", SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY),
    PROBE("io-uring", "make a ring", "ENOSYS EPERM", SYS_io_uring_setup, 4, AT(ring)),
    PROBE("io-uring-enter", "use a ring", "ENOSYS EPERM", SYS_io_uring_enter, -1, 0, 0, 0, 0, 0),
    PROBE("io-uring-register", "register with a ring", "ENOSYS EPERM", SYS_io_uring_register, -1, 0, 0, 0),
    CALL("keyctl", "look at its keyring", SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1),
    CALL("add-key", "leave a key", SYS_add_key, AT("user"), AT("bulkhead"), AT("x"), 1, KEY_SPEC_USER_KEYRING),
    CALL("request-key", "find a key", SYS_request_key, AT("user"), AT("bulkhead"), 0, 0),
    {.name = "aio", .tries = "make an asynchronous I/O context", .outcome = OK OR DENIED,
     .says = "EPERM ENOSYS EAGAIN", .number = SYS_io_setup, .args = {16, AT(aio)}},
    {.name = "fanotify", .tries = "watch a file system", .outcome = OK OR DENIED, .says = "EPERM ENOSYS",
     .number = SYS_fanotify_init, .args = {0, O_RDONLY}},
#ifdef SYS_lookup_dcookie
    CALL("lookup-dcookie", "look a path up by its cookie", SYS_lookup_dcookie, 1, AT(copied), sizeof copied),
#endif
    DO("open-by-handle", "open a file by its handle, past every path", open_by_handle),
    {.name = "name-to-handle", .tries = "learn a file's handle", .outcome = OK, .says = "EPERM",
     .run = name_to_handle},

    // the machine
    CALL("reboot", "turn Ctrl-Alt-Del off", SYS_reboot, 0xfee1dead, 672274793, RB_DISABLE_CAD, 0),
    CALL("kexec", "unload the next kernel", SYS_kexec_load, 0, 0, 0, 0),
    CALL("kexec-file", "load a kernel", SYS_kexec_file_load, -1, -1, 1, AT(""), 0),
    CALL("init-module", "load a module", SYS_init_module, AT(secret), sizeof secret, AT("")),
    CALL("finit-module", "load a module from a file", SYS_finit_module, 0, AT(""), 0),
    CALL("delete-module", "unload a module", SYS_delete_module, AT("no_such_module"), O_NONBLOCK),
    CALL("swapon", "swap to a file", SYS_swapon, AT("/tmp/swap"), 0),
    CALL("swapoff", "end swapping", SYS_swapoff, AT("/tmp/swap")),
    CALL("acct", "end process accounting", SYS_acct, 0),
    CALL("syslog", "read the kernel's log", SYS_syslog, 3, AT(copied), sizeof copied),
    CALL("quotactl", "write quotas back", SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), 0, 0, 0),
    CALL("vhangup", "hang up the terminal", SYS_vhangup),
    CALL("sethostname", "rename the host", SYS_sethostname, AT("breach"), 6),
    CALL("setdomainname", "rename the domain", SYS_setdomainname, AT("breach"), 6),
    DO("settimeofday", "set the clock", run_settimeofday),
    DO("clock-settime", "set the clock, the newer way", run_clock_settime),
    CALL("adjtimex", "adjust the clock", SYS_adjtimex, AT(adjustment)),
    CALL("clock-adjtime", "adjust a clock", SYS_clock_adjtime, CLOCK_REALTIME, AT(adjustment)),
#ifdef __x86_64__
    CALL("iopl", "use every I/O port", SYS_iopl, 3),
    CALL("ioperm", "use an I/O port", SYS_ioperm, 0x80, 1, 1),
    CALL("modify-ldt", "change segment descriptors", SYS_modify_ldt, 0, AT(copied), sizeof copied),
    CALL("ustat", "ask about a device, as in 1990", SYS_ustat, 1, AT(copied)),
    CALL("sysfs", "count the file systems, as in 1990", SYS_sysfs, 3),
    CALL("uselib", "load a library, as in 1990", SYS_uselib, AT("/function/attacks")),
#endif
    {0},
};
