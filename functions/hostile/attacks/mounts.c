// Namespaces, mounts and roots: what the cell itself is made of.
#include "attack.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>

// From sys/mount.h, which Debian 12 cannot have beside linux/mount.h.
#define DETACH 2

#define AT(object) ((long)(object))
#define CALL(name_, tries_, number_, ...) \
    {.name = name_, .tries = tries_, .outcome = DENIED, .number = number_, .args = {__VA_ARGS__}}

static struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};

const struct attack mount_attacks[] = {
    CALL("unshare-user", "make a user namespace", SYS_unshare, CLONE_NEWUSER),
    CALL("unshare-mount", "make a mount namespace", SYS_unshare, CLONE_NEWNS),
    CALL("unshare-net", "make a network namespace", SYS_unshare, CLONE_NEWNET),
    CALL("unshare-cgroup", "make a cgroup namespace", SYS_unshare, CLONE_NEWCGROUP),
    CALL("setns", "join a namespace", SYS_setns, 0, 0),
    CALL("mount", "mount a tmpfs over /tmp", SYS_mount, AT("none"), AT("/tmp"), AT("tmpfs"), 0, 0),
    CALL("mount-proc", "mount /proc", SYS_mount, AT("none"), AT("/tmp"), AT("proc"), 0, 0),
    CALL("mount-cgroup", "mount the cgroups", SYS_mount, AT("none"), AT("/tmp"), AT("cgroup2"), 0, 0),
    CALL("remount", "make its bundle writable", SYS_mount, AT("none"), AT("/function"), 0, MS_REMOUNT | MS_BIND, 0),
    CALL("umount", "take its bundle away, to see what is below", SYS_umount2, AT("/function"), DETACH),
    CALL("new-mount-api", "open a file system", SYS_fsopen, AT("tmpfs"), FSOPEN_CLOEXEC),
    CALL("fsconfig", "configure a file system", SYS_fsconfig, -1, FSCONFIG_CMD_CREATE, 0, 0, 0),
    CALL("fsmount", "mount a file system", SYS_fsmount, -1, FSMOUNT_CLOEXEC, 0),
    CALL("fspick", "reconfigure a file system", SYS_fspick, AT_FDCWD, AT("/"), FSPICK_CLOEXEC),
    CALL("open-tree", "clone a mount", SYS_open_tree, AT_FDCWD, AT("/"), OPEN_TREE_CLOEXEC | OPEN_TREE_CLONE),
    CALL("move-mount", "move a mount", SYS_move_mount, AT_FDCWD, AT("/function"), AT_FDCWD, AT("/tmp"), 0),
    CALL("mount-setattr", "make the root writable", SYS_mount_setattr, AT_FDCWD, AT("/"), AT_RECURSIVE, AT(&writable),
         sizeof writable),
    CALL("pivot-root", "change the root", SYS_pivot_root, AT("."), AT(".")),
    CALL("chroot", "change its own root", SYS_chroot, AT("/")),
    {0},
};
