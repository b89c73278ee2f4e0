/* What calls on attributes act on: a file by path or descriptor. */
#ifndef SYS_FILE_TARGET_H
#define SYS_FILE_TARGET_H

#include "fs/vfs.h"

/* What *at calls with AT_EMPTY_PATH act on: a path, or a descriptor's file that has none (a pipe). */
struct target {
    struct inode *inode; /* referenced */
    struct path path;    /* referenced; dentry NULL: nameless */
};

/* NAME below DIRFD; FLAGS: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. Ends with target_put, as the next. */
int target_get(struct target *t, int dirfd, u64 user_name, unsigned flags);
/* Of an O_PATH descriptor, too. */
int target_of_file(struct target *t, int fd);
void target_put(struct target *t);

#endif
