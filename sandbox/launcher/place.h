// Puts things into a root by their paths.
#pragma once

#include <sys/types.h>

#include "sys.h"

/// Mounts a tmpfs with bounded bytes and inodes and returns it detached, or -1.
int place_tmpfs(uint64_t bytes, uint32_t inodes, const char *mode, unsigned attributes);

/// Each returns 0, or an errno. A path is absolute and plain, and what is missing on its way is made.

/// Attaches a detached mount, making a folder or an empty file to mount on. Through no link.
int place_mount(int root, int tree, const char *path);
/// Makes a link that leads to `text`. Through no link.
int place_link(int root, const char *text, const char *path);

/// The same in a root that is new, and holds nothing yet but what the launcher has put there.
int place_new_link(int root, const char *text, const char *path);
int place_new_file(int root, const char *path, const char *text, size_t length);
/// Something empty to mount on: a folder, or a file.
int place_new_point(int root, const char *path, mode_t kind);
