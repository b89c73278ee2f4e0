/* Finding what a call on attributes acts on: contract in file_target.h. */
#include "sys/file_target.h"
#include "fs/fdtable.h"
#include "fs/path.h"

void target_put(struct target *t)
{
    inode_put(t->inode);
    if (t->path.dentry != NULL)
        path_put(&t->path);
}

int target_of_file(struct target *t, int fd)
{
    struct file *file = fd_get_any(fd);

    if (file == NULL)
        return -EBADF;
    t->inode = file->inode;
    inode_hold(t->inode);
    t->path = file->path;
    if (t->path.dentry != NULL)
        path_get(&t->path);
    file_put(file);
    return 0;
}

int target_get(struct target *t, int dirfd, u64 user_name, unsigned flags)
{
    unsigned lookup = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
    struct user_path name;
    int error;

    if (user_name == 0 && (flags & AT_EMPTY_PATH) && dirfd >= 0)
        return target_of_file(t, dirfd);
    error = user_path_get(&name, (const char *)user_name);
    if (error != 0)
        return error;
    if (name.s[0] == '\0' && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD)
        error = target_of_file(t, dirfd);
    else
        error = path_lookup(dirfd, name.s, lookup, &t->path);
    if (error == 0 && !(name.s[0] == '\0' && dirfd != AT_FDCWD)) {
        t->inode = path_inode(&t->path);
        inode_hold(t->inode);
    }
    user_path_put(&name);
    return error;
}
