/* Inside fs/: super blocks, their inodes, and writing them back. */
#ifndef FS_SUPER_H
#define FS_SUPER_H

#include "fs/vfs.h"

/* A new super block of TYPE, filled by its mount(), or the one that DEVICE has already: one more mount of it.
 * ERR_PTR. */
struct super *super_mount(struct fs_type *type, struct block_device *device, bool read_only, const char *options);
/* One mount less; the last one writes everything, and ends it. */
void super_unmount(struct super *super);
int super_remount(struct super *super, bool read_only, const char *options);
struct fs_type *fs_type_find(const char *name);
/* A static one that no mount shows (pipes, memfds): initialises its lists and locks. */
void super_add_internal(struct super *super);
/* A mounted file system is on DEVICE. */
bool super_uses(const struct block_device *device);
/* Calls FN for each super block, sleeping allowed; stops at a result that is not 0. */
int super_for_each(int (*fn)(struct super *super, void *arg), void *arg);

/* fs/inode.c */
void inode_init(void);
/* Frees all unused inodes, dirty or not: whether none is left. */
bool super_evict_inodes(struct super *super);
/* The first inode that has been dirty since before a moment, taken off the dirty list, with a reference; PREVIOUS is
 * put. NULL. */
struct inode *super_next_dirty(struct super *super, u64 since_before, struct inode *previous);
/* The one after PREVIOUS (NULL: the first) of all inodes, with a reference; PREVIOUS is put. */
struct inode *super_next_inode(struct super *super, struct inode *previous);
int inode_write(struct inode *inode, bool wait);

/* fs/writeback.c */
void writeback_init(void);

#endif
