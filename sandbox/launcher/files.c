#include "sys.h"

#include <string.h>

int write_file_at(int dir, const char *path, const char *text) {
    int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    size_t length = strlen(text);
    ssize_t written = write(fd, text, length);
    int error = written == (ssize_t)length ? 0 : written < 0 ? errno : EIO;
    close(fd);
    return error;
}

long read_file_at(int dir, const char *path, char *buffer, size_t size) {
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t length = read(fd, buffer, size - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (length >= 0) buffer[length] = 0;
    return length;
}

bool number_after(const char *text, const char *key, uint64_t *value) {
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, key, length) != 0 || line[length] != ' ') continue;
        *value = 0;
        for (const char *digit = line + length + 1; *digit >= '0' && *digit <= '9'; digit++)
            *value = *value * 10 + (uint64_t)(*digit - '0');
        return true;
    }
    return false;
}
