/* System calls on names: open(2), mkdir(2), unlink(2), rename(2), link(2), symlink(2), mknod(2), chdir(2), chroot(2),
 * getcwd(2), readlink(2), access(2). */
#include "fs/attr.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/names.h"
#include "fs/path.h"
#include "lib/string.h"
#include "proc/task.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

/* ---- opening and closing ---- */

#define KNOWN_OPEN_FLAGS                                                                                       \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT | \
     O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)

static long open_name(int dirfd, u64 user_name, u32 flags, u32 mode)
{
    struct user_path name;
    struct file *file;
    int error = user_path_get(&name, (const char *)user_name);

    if (error != 0)
        return error;
    if (flags & (O_CREAT | O_TRUNC)) /* what can fail fails before anything is created or cut */
        error = fd_make_room();
    file = error == 0 ? file_open_at(dirfd, name.s, flags, mode) : ERR_PTR(error);
    user_path_put(&name);
    return fd_give(file, (flags & O_CLOEXEC) != 0);
}

DEFINE_SYSCALL(sys_openat) { return open_name((int)a0, a1, ((u32)a2 & KNOWN_OPEN_FLAGS) | O_LARGEFILE, (u32)a3); }

DEFINE_SYSCALL(sys_close)
{
    int error = fd_close((int)a0);

    /* The descriptor is gone in any case, so the call may not be restarted. */
    return error == -ERESTARTSYS || error == -ERESTARTNOHAND ? -EINTR : error;
}

#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4

DEFINE_SYSCALL(sys_close_range)
{
    unsigned first = (unsigned)a0, last = (unsigned)a1, flags = (unsigned)a2;
    int error;

    if ((flags & ~(unsigned)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || first > last)
        return -EINVAL;
    error = flags & CLOSE_RANGE_UNSHARE ? fd_table_unshare() : 0;
    return error != 0 ? error : fd_close_range(first, last, (flags & CLOSE_RANGE_CLOEXEC) != 0);
}

/* ---- one name ---- */

/* The value of CALL, in which NAME is a kernel copy of the path at USER_NAME; or why it could not be copied. */
#define WITH_NAME(user_name, name, call)                                             \
    ({                                                                               \
        struct user_path name##_copy;                                                \
        long name##_result = user_path_get(&name##_copy, (const char *)(user_name)); \
        if (name##_result == 0) {                                                    \
            const char *name = name##_copy.s;                                        \
            name##_result = (call);                                                  \
            user_path_put(&name##_copy);                                             \
        }                                                                            \
        name##_result;                                                               \
    })

DEFINE_SYSCALL(sys_mkdirat) { return WITH_NAME(a1, name, names_mkdir((int)a0, name, (u32)a2)); }

/* A kind of file that cannot be made is refused before its name is looked at. */
DEFINE_SYSCALL(sys_mknodat)
{
    int error = names_check_kind((u32)a2 & 0xffff);

    if (error != 0)
        return error;
    return WITH_NAME(a1, name, names_mknod((int)a0, name, (u32)a2 & 0xffff, (u32)a3));
}

DEFINE_SYSCALL(sys_unlinkat)
{
    if (a2 & ~(u64)AT_REMOVEDIR)
        return -EINVAL;
    if (a2 & AT_REMOVEDIR)
        return WITH_NAME(a1, name, names_rmdir((int)a0, name));
    return WITH_NAME(a1, name, names_unlink((int)a0, name));
}

/* ---- two names ---- */

DEFINE_SYSCALL(sys_symlinkat)
{
    return WITH_NAME(a0, target, WITH_NAME(a2, name, names_symlink(target, (int)a1, name)));
}

static long rename_names(int old_dirfd, u64 old_name, int new_dirfd, u64 new_name, unsigned flags)
{
    struct user_path to;
    long error, missing;

    if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) ||
        ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))))
        return -EINVAL;
    error = user_path_get(&to, (const char *)new_name);
    if (error != 0) { /* the folder of the first name is looked for even so */
        missing = WITH_NAME(old_name, from, names_find_parent(old_dirfd, from));
        return missing != 0 ? missing : error;
    }
    error = WITH_NAME(old_name, from, names_rename(old_dirfd, from, new_dirfd, to.s, flags));
    user_path_put(&to);
    return error;
}

DEFINE_SYSCALL(sys_renameat) { return rename_names((int)a0, a1, (int)a2, a3, 0); }

DEFINE_SYSCALL(sys_renameat2) { return rename_names((int)a0, a1, (int)a2, a3, (unsigned)a4); }

DEFINE_SYSCALL(sys_linkat)
{
    unsigned flags = (unsigned)a4, lookup = 0;
    struct path old;
    long error;

    if (flags & ~(unsigned)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (flags & AT_SYMLINK_FOLLOW)
        lookup |= LOOKUP_FOLLOW;
    /* Others may not make a name for what they were only given a descriptor of: ENOENT. */
    if ((flags & AT_EMPTY_PATH) && ((int)a0 == AT_FDCWD || capable(current->cred, CAP_DAC_READ_SEARCH)))
        lookup |= LOOKUP_EMPTY;
    error = path_lookup_user((int)a0, (const char *)a1, lookup, &old);
    if (error != 0)
        return error;
    error = WITH_NAME(a3, name, names_link(&old, (int)a2, name));
    path_put(&old);
    return error;
}

/* ---- where we are ---- */

static int enter(struct path *place, const struct path *to)
{
    int error;

    if (!S_ISDIR(path_inode(to)->mode))
        return -ENOTDIR;
    error = inode_permission(path_inode(to), current->cred, MAY_EXEC);
    if (error == 0 && place == &current->fs->root && !capable(current->cred, CAP_SYS_CHROOT))
        error = -EPERM;
    if (error == 0)
        fs_context_set(place, to);
    return error;
}

static long enter_name(struct path *place, u64 user_name)
{
    struct path to;
    int error = path_lookup_user(AT_FDCWD, (const char *)user_name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &to);

    if (error != 0)
        return error;
    error = enter(place, &to);
    path_put(&to);
    return error;
}

DEFINE_SYSCALL(sys_chdir) { return enter_name(&current->fs->cwd, a0); }

DEFINE_SYSCALL(sys_chroot) { return enter_name(&current->fs->root, a0); }

DEFINE_SYSCALL(sys_fchdir)
{
    struct file *file = fd_get_any((int)a0);
    int error;

    if (file == NULL)
        return -EBADF;
    error = file->path.dentry != NULL ? enter(&current->fs->cwd, &file->path) : -ENOTDIR;
    file_put(file);
    return error;
}

DEFINE_SYSCALL(sys_getcwd)
{
    char *buffer = kmalloc(PATH_MAX), *name;
    size_t n;
    long result;

    if (buffer == NULL)
        return -ENOMEM;
    name = cwd_name(buffer, PATH_MAX);
    if (IS_ERR(name)) {
        result = PTR_ERR(name);
    } else {
        n = strlen(name) + 1;
        result = n > a1 ? -ERANGE : copy_to_user((void *)a0, name, n) != 0 ? -EFAULT : (long)n;
    }
    kfree(buffer);
    return result;
}

DEFINE_SYSCALL(sys_umask)
{
    struct fs_context *fs = current->fs;
    u32 old = fs->umask;

    fs->umask = (u32)a0 & 0777;
    return (long)old;
}

/* ---- looking ---- */

/* A magic link's text is what its file system's read_link says. */
static long read_link(const struct path *path, u64 user_buffer, size_t size)
{
    struct inode *inode = path_inode(path);
    char *buffer;
    ssize_t n;

    if (!S_ISLNK(inode->mode))
        return -EINVAL;
    path_accessed(path);
    if (inode->link != NULL) {
        n = (ssize_t)MIN(strlen(inode->link), size);
        return copy_to_user((void *)user_buffer, inode->link, (size_t)n) != 0 ? -EFAULT : n;
    }
    if (inode->ops->read_link == NULL)
        return -EINVAL;
    buffer = kmalloc(PATH_MAX);
    if (buffer == NULL)
        return -ENOMEM;
    n = inode->ops->read_link(inode, buffer, PATH_MAX);
    if (n >= 0) {
        n = MIN(n, (ssize_t)size);
        if (copy_to_user((void *)user_buffer, buffer, (size_t)n) != 0)
            n = -EFAULT;
    }
    kfree(buffer);
    return n;
}

DEFINE_SYSCALL(sys_readlinkat)
{
    struct path path;
    struct user_path name;
    long result;
    bool empty;

    if ((int)a3 <= 0)
        return -EINVAL;
    result = user_path_get(&name, (const char *)a1);
    if (result != 0)
        return result;
    empty = name.s[0] == '\0';
    result = path_lookup((int)a0, name.s, LOOKUP_EMPTY, &path);
    user_path_put(&name);
    if (result != 0)
        return result;
    if (empty && !S_ISLNK(path_inode(&path)->mode))
        result = -ENOENT;
    else
        result = read_link(&path, a2, (size_t)(int)a3);
    path_put(&path);
    return result;
}

/* PATH is INODE's; without a name it is on no mount. */
static long access_inode(const struct inode *inode, const struct path *path, unsigned may)
{
    if ((may & MAY_EXEC) && S_ISREG(inode->mode) && path->mount != NULL && (path->mount->flags & MS_NOEXEC))
        return -EACCES;
    if (may == 0)
        return 0;
    if ((may & MAY_WRITE) && path->dentry != NULL && path_want_write(path) != 0 &&
        (S_ISREG(inode->mode) || S_ISDIR(inode->mode)))
        return -EROFS;
    return inode_permission(inode, current->cred, may);
}

/* The file of a descriptor, which need not have a name. */
static long access_file(int fd, unsigned may)
{
    struct file *file = fd_get_any(fd);
    long error;

    if (file == NULL)
        return -EBADF;
    error = access_inode(file->inode, &file->path, may);
    file_put(file);
    return error;
}

static long access_found(int dirfd, u64 user_name, unsigned mode, unsigned flags)
{
    unsigned lookup = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
    struct user_path name;
    struct path path;
    long error = user_path_get(&name, (const char *)user_name);

    if (error != 0)
        return error;
    if (name.s[0] == '\0' && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD) {
        error = access_file(dirfd, mode);
    } else {
        error = path_lookup(dirfd, name.s, lookup, &path);
        if (error == 0) {
            error = access_inode(path_inode(&path), &path, mode);
            path_put(&path);
        }
    }
    user_path_put(&name);
    return error;
}

static long access_name(int dirfd, u64 user_name, unsigned mode, unsigned flags)
{
    struct cred *own = current->cred, *real = NULL;
    long error;

    if ((mode & ~7u) || (flags & ~(unsigned)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
        return -EINVAL;
    /* access(2) asks for the real ids, on the way to the file too; their capabilities are those of exec: all for root,
     * none else. */
    if (!(flags & AT_EACCESS) && (own->fsuid != own->uid || own->fsgid != own->gid)) {
        real = cred_copy(own);
        if (real == NULL)
            return -ENOMEM;
        real->fsuid = own->uid;
        real->fsgid = own->gid;
        real->cap_effective = own->uid != 0 ? 0 : own->cap_permitted;
        (void)cred_replace(real);
    }
    error = access_found(dirfd, user_name, mode, flags);
    if (real != NULL)
        cred_put(cred_replace(own));
    return error;
}

DEFINE_SYSCALL(sys_faccessat) { return access_name((int)a0, a1, (unsigned)a2, 0); }

DEFINE_SYSCALL(sys_faccessat2) { return access_name((int)a0, a1, (unsigned)a2, (unsigned)a3); }
