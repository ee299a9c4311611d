// The few calls that Swift's Glibc module lacks or cannot express. No state, no allocation.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// A pipe with both ends close-on-exec. Returns 0, or an errno.
int bh_pipe(int ends[_Nonnull 2]);

/// A SOCK_SEQPACKET pair, both ends close-on-exec. Returns 0, or an errno.
int bh_packet_pair(int ends[_Nonnull 2]);

/// How many bytes wait on a pipe; 0 when that cannot be told.
int bh_readable_bytes(int pipe);

/// syncfs(2), which Swift's Glibc module leaves out. Returns -1 and sets errno.
int bh_sync_all(int folder);

/// Makes the allocator give back what is freed, so that a peak is over when it is over.
void bh_bound_heap(void);

/// An empty memfd that can be sealed, or -1 with errno.
int bh_memory_file(const char *_Nonnull name);

/// Seals a memfd against every change. Returns 0, or an errno.
int bh_seal(int fd);

/// Sends one packet with descriptors beside it (at most 8). Unless it `waits` for room, EAGAIN says that there is none.
/// Returns 0, or an errno.
int bh_send_packet(int socket, const void *_Nonnull bytes, size_t size, const int *_Nullable fds, int fd_count, bool waits);

/// Receives one packet and up to 8 descriptors, close-on-exec. Returns its size, 0 at the end, or -1 with errno.
ssize_t bh_receive_packet(int socket, void *_Nonnull bytes, size_t size, int fds[_Nonnull 8], int *_Nonnull fd_count);

/// Takes another identity for good, for all threads: no groups, no capabilities, no way back. Returns 0, or an errno.
int bh_become(uid_t uid, gid_t gid);

/// Gives this process a mount table of its own and binds `folder` at `place` in it. Only while single-threaded.
/// Returns 0, or an errno.
int bh_bind_privately(const char *_Nonnull folder, const char *_Nonnull place);

/// Renames `from` to `to` inside two folders, failing with EEXIST when `to` is there. Returns 0, or an errno.
int bh_rename_new(int from_folder, const char *_Nonnull from, int to_folder, const char *_Nonnull to);

/// Opens `path` strictly below `folder`, following no link. Returns a descriptor, or -1 with errno.
int bh_open_beneath(int folder, const char *_Nonnull path, int flags, unsigned mode);

/// Opens `path` as a handle (O_PATH) as if `folder` were the root: links, absolute ones too, are followed inside it.
/// Returns a descriptor, or -1 with errno.
int bh_open_inside(int folder, const char *_Nonnull path);

/// Starts `program` by posix_spawn (vfork-like in glibc: nothing of this process is copied). `fds` become 3, 4, … of the
/// child; 0 to 2 are passed on, every other descriptor is closed, signals are as at boot. Returns 0, or an errno.
int bh_spawn(pid_t *_Nonnull pid, const char *_Nonnull program, char *_Nullable const *_Nonnull argv,
             char *_Nullable const *_Nonnull envp, const int *_Nonnull fds, int fd_count);

/// The symbolic name of an errno, or NULL.
const char *_Nullable bh_errno_name(int number);

/// Gives a folder, or a file with one name, to `uid`. That it does not exist is no error; a link, or a file that has
/// another name as well, is: it may be somebody else's. Returns 0, or an errno.
int bh_give_away(const char *_Nonnull path, uid_t uid);

/// Ends this process when its parent does. Returns 0, or an errno: ESRCH when `parent` is that no more.
int bh_die_with_parent(pid_t parent);

/// How many threads this process has; 0 when that cannot be told.
int bh_thread_count(void);

/// What this process may reach below one path from now on.
struct bh_reach {
    const char *_Nonnull path;
    int writes;  // create, write and remove too; else only read
};

/// Landlock: of all files this process, and what it becomes, reaches only these; of TCP it binds and connects nothing, unless it
/// `connects`.
/// A path that does not exist is left out. Only while single-threaded. Returns 0, or an errno; ENOSYS or EOPNOTSUPP
/// where there is no Landlock. https://docs.kernel.org/userspace-api/landlock.html
int bh_restrict_reach(const struct bh_reach *_Nonnull reach, int count, bool connects);

/// Installs a seccomp program of `count` instructions for all threads, for good. Returns 0, or an errno.
/// No core of this process, or of those it starts, is written. Returns 0, or an errno.
int bh_forbid_core(void);

int bh_install_filter(const void *_Nonnull program, unsigned short count);
