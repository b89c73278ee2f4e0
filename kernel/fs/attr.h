/* Changes of attributes by path, with all checks of rights: 0 or -errno. */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include "fs/path.h"

bool inode_is_owner(const struct inode *inode, const struct cred *cred);
int path_want_write(const struct path *path); /* -EROFS */
int path_chmod(const struct path *path, u32 mode);
int path_chown(const struct path *path, u32 uid, u32 gid); /* (u32)-1: keep */
int path_set_times(const struct path *path, struct attributes *attr, bool now);
int path_truncate(const struct path *path, u64 size);

#endif
