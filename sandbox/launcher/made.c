#include "made.h"

#include <string.h>
#include <sys/stat.h>

#include "plan.h"

struct made_file made_files[MADE_MAX];
unsigned made_count;

int made_read(int fd) {
    static char bytes[256 * 1024];
    struct stat info;
    int seals = fcntl(fd, F_GET_SEALS), needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    if (seals < 0) return 0;  // nothing of the kind: its starter has none
    if (fstat(fd, &info) < 0) return errno;
    if (!S_ISREG(info.st_mode) || (seals & needed) != needed) return EPERM;
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    if (size < 0) return errno;
    if (size == sizeof bytes) return EFBIG;
    for (char *cursor = bytes, *end = bytes + size; cursor < end;) {
        char *path = cursor, *path_end = memchr(path, 0, (size_t)(end - path));
        char *text = path_end ? path_end + 1 : end, *text_end = text < end ? memchr(text, 0, (size_t)(end - text)) : NULL;
        if (!text_end || made_count == MADE_MAX) return EINVAL;
        bool is_known = path[0] == MADE_TEXT || path[0] == MADE_LINK || path[0] == MADE_BIND;
        if (!is_known || !is_plain_path(path + 1)) return EINVAL;
        made_files[made_count++] = (struct made_file){
            .kind = (enum made_kind)path[0], .path = path + 1, .text = text, .length = (size_t)(text_end - text)};
        cursor = text_end + 1;
    }
    return 0;
}
