#include "plan.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct plan_caps plan_caps = {.memory = (uint64_t)1 << 50, .scratch = (uint64_t)1 << 50, .tasks = 1 << 20, .files = 4096};

static union {
    struct bh_plan header;
    char bytes[BH_PLAN_MAX];
} buffer;

#define USUAL_SIZE (8u << 10)  // most of it the filter

void plan_touch(void) { touch(buffer.bytes, USUAL_SIZE); }

/// Takes the next NUL-terminated string; NULL at the end of the block.
static char *next_string(char **cursor, char *end) {
    char *start = *cursor;
    char *nul = start < end ? memchr(start, 0, (size_t)(end - start)) : NULL;
    if (!nul) return NULL;
    *cursor = nul + 1;
    return start;
}

bool is_plain_path(const char *path) {
    if (path[0] != '/' || !path[1] || strlen(path) > 1024) return false;
    for (const char *part = path; part; part = strchr(part + 1, '/')) {
        const char *name = part + 1;
        size_t length = strcspn(name, "/");
        if (length == 0 || length > 255 || (length == 1 && name[0] == '.') ||
            (length == 2 && name[0] == '.' && name[1] == '.'))
            return false;
    }
    return true;
}

/// A digest, and maybe a path below what it names.
static bool is_of_store(const char *text) {
    if (strspn(text, "0123456789abcdef") != BH_DIGEST_HEX) return false;
    return !text[BH_DIGEST_HEX] || is_plain_path(text + BH_DIGEST_HEX);
}

static bool is_hostname(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length <= 63 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool secrets_fit(const struct bh_plan *h, size_t size) {
    if (!h->secrets_size) return !h->secrets_offset;
    return h->secrets_size <= BH_SECRETS_MAX && h->secrets_offset >= sizeof *h && h->secrets_offset <= size &&
           h->secrets_size <= size - h->secrets_offset;
}

static bool counts_fit(const struct bh_plan *h, size_t size) {
    return h->magic == BH_MAGIC && h->version == BH_ABI_VERSION && h->size == size && h->arg_count >= 1 &&
           h->arg_count <= BH_ARGS_MAX && h->env_count <= BH_ENV_MAX && h->mount_count <= BH_MOUNTS_MAX &&
           h->rlimit_count <= BH_RLIMITS_MAX && h->filter_count >= 1 && h->filter_count <= BH_FILTER_MAX &&
           h->filter_offset >= sizeof *h && h->filter_offset % 8 == 0 && h->filter_offset <= size &&
           h->filter_count * sizeof(struct sock_filter) <= size - h->filter_offset && h->strings_offset >= sizeof *h &&
           h->strings_offset <= size && h->strings_size <= size - h->strings_offset && secrets_fit(h, size) && h->memory_max >= 1 << 20 &&
           h->tasks_max >= 1 && h->cells_max >= 1 && h->cpu_weight >= 1 && h->cpu_weight <= 10000 &&
           h->listener <= UINT16_MAX && !h->reserved && (!h->listener || h->flags & BH_PLAN_OWN_NETWORK) &&
           !(h->flags & ~(BH_PLAN_CGROUPS | BH_PLAN_OWN_NETWORK | BH_PLAN_LOCK_SPARES_WORKER | BH_PLAN_FORKS | BH_PLAN_LOCKS | BH_PLAN_ONCE));
}

static bool caps_hold(const struct bh_plan *h) {
    return h->memory_max <= plan_caps.memory && h->scratch_bytes <= plan_caps.scratch && h->tasks_max <= plan_caps.tasks;
}

static bool mounts_fit(struct plan *plan, char **cursor, char *end) {
    for (unsigned i = 0; i < plan->header->mount_count; i++) {
        const char *source = plan->mount_source[i] = next_string(cursor, end);
        const char *target = source ? next_string(cursor, end) : NULL;
        plan->mount_target[i] = target;
        if (!target || !is_plain_path(target)) return false;
        switch (plan->header->mounts[i].kind) {
        case BH_MOUNT_BUNDLE: if (!is_of_store(source)) return false; break;
        case BH_MOUNT_HOST: if (!is_plain_path(source)) return false; break;
        case BH_MOUNT_SYMLINK: if (!source[0] || strlen(source) > 1024) return false; break;
        default: return false;
        }
    }
    return true;
}

int plan_read(int fd, struct plan *plan) {
    struct stat info;
    if (fstat(fd, &info) < 0) return errno;
    if (!S_ISREG(info.st_mode)) return EINVAL;
    // A sealed memfd cannot change or shrink between the check and the use.
    int seals = fcntl(fd, F_GET_SEALS);
    int needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    if (seals < 0 || (seals & needed) != needed) return EPERM;
    ssize_t size = pread(fd, buffer.bytes, sizeof buffer, 0);
    if (size < 0) return errno;
    const struct bh_plan *header = &buffer.header;
    if ((size_t)size < sizeof *header || !counts_fit(header, (size_t)size)) return EINVAL;
    if (!caps_hold(header)) return EPERM;

    memset(plan, 0, sizeof *plan);
    plan->header = header;
    char *cursor = buffer.bytes + header->strings_offset;
    char *end = cursor + header->strings_size;
    plan->hostname = next_string(&cursor, end);
    plan->executable = next_string(&cursor, end);
    if (!plan->hostname || !is_hostname(plan->hostname)) return EINVAL;
    if (!plan->executable || !is_plain_path(plan->executable)) return EINVAL;
    for (unsigned i = 0; i < header->arg_count; i++)
        if (!(plan->argv[i] = next_string(&cursor, end))) return EINVAL;
    for (unsigned i = 0; i < header->env_count; i++)
        if (!(plan->envp[i] = next_string(&cursor, end))) return EINVAL;
    if (!mounts_fit(plan, &cursor, end) || cursor != end) return EINVAL;
    if (header->secrets_size) plan->secrets = buffer.bytes + header->secrets_offset;
    plan->filter = (struct sock_fprog){
        .len = (unsigned short)header->filter_count,
        .filter = (struct sock_filter *)(void *)(buffer.bytes + header->filter_offset),
    };
    return plan_limit(plan);
}
