/* Making, removing and moving names: what mkdirat(2), unlinkat(2), renameat2(2) and so on do, on kernel strings. 0 or
 * -errno. */
#ifndef FS_NAMES_H
#define FS_NAMES_H

#include "fs/path.h"

static inline u32 current_umask(void) { return current->fs != NULL ? current->fs->umask : 022; }
/* A new name may come into DIR (writable, searchable, alive). => dir->lock */
int may_create_in(struct inode *dir);

int names_check_kind(u32 mode); /* of what mknod(2) makes */
int names_mknod(int dirfd, const char *name, u32 mode, u32 dev); /* regular files too */
int names_mkdir(int dirfd, const char *name, u32 mode);
int names_symlink(const char *target, int dirfd, const char *name);
int names_link(const struct path *old, int dirfd, const char *name);
int names_unlink(int dirfd, const char *name);
int names_rmdir(int dirfd, const char *name);
int names_find_parent(int dirfd, const char *name); /* is the folder of NAME there? */
int names_rename(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, unsigned flags);

#endif
