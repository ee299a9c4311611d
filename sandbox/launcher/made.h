// Files that stand in every cell's root without being the host's: what a program looks for in /etc, and the part of /proc that
// tells of a machine. Their text comes from the supervisor, once, as the launcher starts.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define MADE_MAX 64

enum made_kind { MADE_TEXT = '=', MADE_LINK = '@', MADE_BIND = '<' };

struct made_file {
    enum made_kind kind;
    const char *path;  // absolute and plain, as seen inside; what is bound has the same one outside, and may be missing there
    const char *text;  // of a link: where it leads; of a bind: empty
    size_t length;
    mode_t shown;  // of a bind that the host has: S_IFDIR or S_IFREG
    dev_t device;  // and which file that was
    ino_t file;
};

extern struct made_file made_files[MADE_MAX];
extern unsigned made_count;

/// Reads them from a sealed memfd: for each its kind and its path, then its text, both NUL-terminated.
/// A descriptor that is no such file stands for none. Returns 0, or an errno.
int made_read(int fd);
