// Files that stand in every cell's root without being the host's: what a program looks for in /etc, and the part of /proc that
// tells of a machine. Their text comes from the supervisor, once, as the launcher starts.
#pragma once

#include <stddef.h>

#define MADE_MAX 64

struct made_file {
    const char *path;  // absolute and plain, as seen inside
    const char *text;  // of a link: where it leads
    size_t length;
    int is_link;
};

extern struct made_file made_files[MADE_MAX];
extern unsigned made_count;

/// Reads them from a sealed memfd: for each "@" or "=" (a link, a file) and its path, then its text, both NUL-terminated.
/// A descriptor that is no such file stands for none. Returns 0, or an errno.
int made_read(int fd);
