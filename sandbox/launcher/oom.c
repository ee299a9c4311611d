#include "oom.h"

#include <string.h>

#include "sys.h"

#define PLACE "1000"
#define FILE_NAME "/proc/self/oom_score_adj"

static int file = -1;
static char own[16];

int oom_set(void) { return write_file_at(AT_FDCWD, FILE_NAME, PLACE); }

static int put(const char *place) {
    ssize_t length = (ssize_t)strlen(place);
    return pwrite(file, place, (size_t)length, 0) == length ? 0 : errno;
}

bool oom_open(void) {
    if (read_file_at(AT_FDCWD, FILE_NAME, own, sizeof own) <= 0) return false;
    file = open(FILE_NAME, O_WRONLY | O_CLOEXEC);
    if (file >= 0 && put(PLACE) == 0 && put(own) == 0) return true;
    if (file >= 0) close(file);
    file = -1;
    return false;
}

int oom_first(void) { return file < 0 ? 0 : put(PLACE); }

void oom_last(void) {
    if (file >= 0 && put(own)) _exit(1);
}
