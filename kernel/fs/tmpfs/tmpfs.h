/*
 * tmpfs: files that live in memory only. A file's pages are its object's; a directory is two trees of entries, by name
 * and by cookie.
 *
 * Names hold references to inodes, so what has a name stays. Locks: those of the VFS (dir->lock guards the trees);
 * space.lock the counts.
 */
#ifndef FS_TMPFS_H
#define FS_TMPFS_H

#include "fs/vfs.h"
#include "lib/tree.h"
#include "vm/space.h"

#define TMPFS_MAGIC 0x01021994
#define TMPFS_NO_LIMIT UINT64_MAX /* of pages: size=0 */

struct tmpfs_inode {
    struct inode inode;
    struct tree by_name, by_cookie; /* directories */
    u64 next_cookie;
    struct tmpfs_inode *parent;
    u64 charged; /* pages that count against the limit; space.lock */
    struct list xattrs;
    unsigned seals;         /* F_SEAL_*, memfd; inode->lock */
    u32 mappings_under_way; /* that may be writable: begun under inode->lock; atomic */
    struct list teardown;
};

/* super->private */
struct tmpfs_space {
    struct spinlock lock;
    u64 max_pages, used_pages;
    u64 max_inodes, used_inodes; /* max 0: no limit */
    u64 next_ino;
    u32 root_mode, uid, gid;
    u8 huge; /* enum huge_shared_policy */
};

static inline struct tmpfs_inode *tmpfs_inode(struct inode *inode)
{
    return container_of(inode, struct tmpfs_inode, inode);
}
static inline struct tmpfs_space *tmpfs_space(const struct inode *inode) { return inode->super->private; }

/* super.c */
int tmpfs_mount(struct super *super, const char *options);
struct inode *tmpfs_new_inode(struct super *super, const struct inode *dir, u32 mode, u32 rdev);
/* A further name counts as an inode: it needs memory as one does. 0, -ENOSPC */
int tmpfs_charge_inode(struct tmpfs_space *space);
void tmpfs_uncharge_inode(struct tmpfs_space *space);
/* file.c */
extern const struct object_ops tmpfs_object_ops;
extern const struct file_ops tmpfs_file_ops;
int tmpfs_setattr(struct inode *inode, const struct attributes *attr);
void tmpfs_getattr(struct inode *inode);
void tmpfs_uncharge(struct inode *inode); /* charges what the file has now, not more */
/* dir.c */
extern const struct inode_ops tmpfs_dir_inode_ops, tmpfs_inode_ops;
extern const struct file_ops tmpfs_dir_ops;
void tmpfs_dir_init(struct tmpfs_inode *dir);
void tmpfs_dir_destroy(struct tmpfs_inode *dir); /* with all that is below it */
/* xattr.c */
ssize_t tmpfs_getxattr(struct inode *inode, const char *name, void *buf, size_t size);
ssize_t tmpfs_listxattr(struct inode *inode, char *buf, size_t size);
int tmpfs_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags);
int tmpfs_removexattr(struct inode *inode, const char *name);
void tmpfs_free_xattrs(struct tmpfs_inode *t);

/* fcntl(2)'s seals */
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#define F_SEAL_FUTURE_WRITE 16
#define F_SEAL_EXEC 32
long tmpfs_get_seals(struct file *file); /* -EINVAL: no memory file */
long tmpfs_add_seals(struct file *file, unsigned seals);
struct file *tmpfs_memfd_create(const char *name, bool may_seal);
/* ... with operations of its own, on another file system that no mount shows. */
struct file *tmpfs_memfd_on(struct super *super, const struct file_ops *ops, const char *name, bool may_seal);
void tmpfs_init_internal(struct super *super, const struct fs_type *type, u32 minor);
/* huge.c: of pages of 2^BITS bytes (0: the size that is usual). ERR_PTR(-ENODEV): there are none of that size. */
struct file *tmpfs_huge_memfd_create(const char *name, unsigned bits, bool may_seal);
void tmpfs_huge_init(void);
/* .../transparent_hugepage/shmem_enabled */
void tmpfs_set_shared_policy(enum huge_shared_policy policy);
void tmpfs_init(void);

#endif
