/* Changes of attributes with all checks of rights: 0 or -errno. */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include "fs/path.h"

bool inode_is_owner(const struct inode *inode, const struct cred *cred);
int path_want_write(const struct path *path); /* -EROFS */
/* => path_want_write */
int inode_chmod(struct inode *inode, u32 mode);
int inode_chown(struct inode *inode, u32 uid, u32 gid); /* (u32)-1: keep */
/* ATTR's ATIME and MTIME; NOW: both become the present, for which the right to write is enough. */
int inode_set_times(struct inode *inode, struct attributes *attr, bool now);
int path_truncate(const struct path *path, u64 size);

#endif
