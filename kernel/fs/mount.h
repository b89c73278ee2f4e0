/*
 * Mounts: which super block's root covers which dentry. A mount is referenced by the paths in it and, while it is
 * attached, by the tree.
 *
 * Lock (spin): mounts_lock, private to mount.c, guards the tree of mounts.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "fs/vfs.h"

/* mount(2)'s */
#define MS_RDONLY 1
#define MS_NOSUID 2
#define MS_NODEV 4
#define MS_NOEXEC 8
#define MS_SYNCHRONOUS 16
#define MS_REMOUNT 32
#define MS_DIRSYNC 128
#define MS_NOATIME 1024
#define MS_NODIRATIME 2048
#define MS_BIND 4096
#define MS_MOVE 8192
#define MS_REC 16384
#define MS_SILENT 32768
#define MS_PROPAGATION (BIT(17) | BIT(18) | BIT(19) | BIT(20)) /* unbindable, private, slave, shared */
#define MS_RELATIME BIT(21)
#define MS_STRICTATIME BIT(24)
#define MS_LAZYTIME BIT(25)
#define MNT_FORCE 1
#define MNT_DETACH 2
#define MNT_EXPIRE 4
#define UMOUNT_NOFOLLOW 8

struct mount {
    u32 refs;
    unsigned id;
    unsigned flags; /* MS_RDONLY, NOSUID, NODEV, NOEXEC, NOATIME, NODIRATIME, STRICTATIME */
    struct super *super;
    struct dentry *root;
    struct path at;    /* what it covers, referenced; mount NULL: the root of all, or detached */
    unsigned children; /* mounts on it */
    bool expires;      /* umount2(MNT_EXPIRE) has seen it idle, and nobody has used it since */
    struct list link;  /* all attached mounts, in the order of mounting */
    struct mount *next_cover;
    char *source;
};

static inline void mount_get(struct mount *mount) { atomic_add_relaxed(&mount->refs, 1); }
void mount_put(struct mount *mount);
/* The one root dentry that all mounts of SUPER share, referenced; NULL: no memory. */
struct dentry *super_root_dentry(struct super *super);
/* Those that cover something, by what they cover; readers follow them without the lock. */
#define MOUNT_COVERS 64
extern struct mount *mount_covers[MOUNT_COVERS];

static inline struct mount **mount_covers_of(const struct mount *mount, const struct dentry *dentry)
{
    return &mount_covers[(((u64)dentry ^ (u64)mount) >> 6) % MOUNT_COVERS];
}
/* (MOUNT, DENTRY) is DENTRY_MOUNTED: the mount that covers it, or NULL; to be believed only if no name moves meanwhile.
 * => in a reading */
static inline struct mount *mount_read_covering(const struct mount *mount, const struct dentry *dentry)
{
    struct mount *m = load_relaxed(mount_covers_of(mount, dentry));

    while (m != NULL && !(m->at.dentry == dentry && m->at.mount == mount))
        m = load_relaxed(&m->next_cover);
    return m;
}
/* The same at any time, with a reference. */
struct mount *mount_covering(const struct path *path);
/* PATH is a mount's root: it becomes what the mount covers; false at the root of all. */
bool mount_ascend(struct path *path);
/* An unattached mount of a new or known super block, with one reference. */
struct mount *mount_create(struct fs_type *type, struct block_device *device, unsigned flags, const char *source,
                           const char *options);
int mount_attach(struct mount *mount, const struct path *at);
static inline bool mount_is_read_only(const struct mount *mount)
{
    return (mount->flags & MS_RDONLY) || mount->super->read_only;
}

/* The calls, on kernel strings. */
int vfs_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options);
int vfs_unmount(const char *target, unsigned flags);

#endif
