/* Attributes changed: chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2). */
#include "fs/attr.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/notify.h"
#include "sys/file_target.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

/* ---- mode and owner ---- */

static bool is_open_path(int fd)
{
    struct file *file = fd_get(fd);

    if (file != NULL)
        file_put(file);
    return file != NULL;
}

/* Nameless files have no mount that could be read-only. */
static int want_write(const struct target *t) { return t->path.dentry != NULL ? path_want_write(&t->path) : 0; }

static int chmod_target(struct target *t, u32 mode)
{
    int error = want_write(t);

    if (error == 0)
        error = inode_chmod(t->inode, mode);
    if (error == 0)
        notify_at(t->inode, t->path.dentry, IN_ATTRIB);
    return error;
}

static long chmod_name(int dirfd, u64 user_name, u32 mode, unsigned flags)
{
    struct target t;
    int error;

    if (flags & ~(unsigned)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    error = target_get(&t, dirfd, user_name, flags);
    if (error != 0)
        return error;
    error = chmod_target(&t, mode);
    target_put(&t);
    return error;
}

DEFINE_SYSCALL(sys_fchmodat) { return chmod_name((int)a0, a1, (u32)a2, 0); }

DEFINE_SYSCALL(sys_fchmodat2) { return chmod_name((int)a0, a1, (u32)a2, (unsigned)a3); }

DEFINE_SYSCALL(sys_fchmod)
{
    struct target t;
    int error = is_open_path((int)a0) ? target_of_file(&t, (int)a0) : -EBADF;

    if (error != 0)
        return error;
    error = chmod_target(&t, (u32)a1);
    target_put(&t);
    return error;
}

static int chown_target(struct target *t, u32 uid, u32 gid)
{
    int error = want_write(t);

    if (error == 0)
        error = inode_chown(t->inode, uid, gid);
    if (error == 0)
        notify_at(t->inode, t->path.dentry, IN_ATTRIB);
    return error;
}

DEFINE_SYSCALL(sys_fchownat)
{
    struct target t;
    int error;

    if ((unsigned)a4 & ~(unsigned)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    error = target_get(&t, (int)a0, a1, (unsigned)a4);
    if (error != 0)
        return error;
    error = chown_target(&t, (u32)a2, (u32)a3);
    target_put(&t);
    return error;
}

DEFINE_SYSCALL(sys_fchown)
{
    struct target t;
    int error = is_open_path((int)a0) ? target_of_file(&t, (int)a0) : -EBADF;

    if (error != 0)
        return error;
    error = chown_target(&t, (u32)a1, (u32)a2);
    target_put(&t);
    return error;
}

/* ---- times ---- */

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

/* One of the two times: into *TIME, its flag into *VALID. False: out of range. */
static bool take_time(const struct timespec64 *given, unsigned flag, const struct timespec64 *now,
                      struct timespec64 *time, unsigned *valid)
{
    if (given->nsec == UTIME_OMIT)
        return true;
    *valid |= flag;
    *time = given->nsec == UTIME_NOW ? *now : *given;
    return given->nsec == UTIME_NOW || (given->nsec >= 0 && given->nsec < (s64)NSEC_PER_SEC);
}

/* What inotify(7) tells of new times: as of what would have set them by itself. */
static u32 time_event(unsigned valid)
{
    if ((valid & ATTR_ATIME) && (valid & ATTR_MTIME))
        return IN_ATTRIB;
    return valid & ATTR_ATIME ? IN_ACCESS : IN_MODIFY;
}

static int set_times(struct target *t, const struct timespec64 *given)
{
    struct timespec64 now = current_time(t->inode);
    struct attributes attr = {.valid = 0};
    bool both_now;
    int error = want_write(t);

    if (error != 0)
        return error;
    if (!take_time(&given[0], ATTR_ATIME, &now, &attr.atime, &attr.valid) ||
        !take_time(&given[1], ATTR_MTIME, &now, &attr.mtime, &attr.valid))
        return -EINVAL;
    if (attr.valid == 0)
        return 0;
    both_now = given[0].nsec == UTIME_NOW && given[1].nsec == UTIME_NOW;
    if (t->inode->super->time_granularity >= NSEC_PER_SEC)
        attr.atime.nsec = attr.mtime.nsec = 0;
    error = inode_set_times(t->inode, &attr, both_now);
    if (error == 0)
        notify_at(t->inode, t->path.dentry, time_event(attr.valid));
    return error;
}

DEFINE_SYSCALL(sys_utimensat)
{
    struct timespec64 given[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    unsigned flags = (unsigned)a3;
    struct target t;
    int error;

    if (a2 != 0 && copy_from_user(given, (void *)a2, sizeof(given)) != 0)
        return -EFAULT;
    if (given[0].nsec == UTIME_OMIT && given[1].nsec == UTIME_OMIT)
        return 0;
    if (flags & ~(unsigned)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (a1 == 0 && (int)a0 != AT_FDCWD) {
        if (flags != 0)
            return -EINVAL;
        error = is_open_path((int)a0) ? target_of_file(&t, (int)a0) : -EBADF;
    } else {
        error = target_get(&t, (int)a0, a1, flags);
    }
    if (error != 0)
        return error;
    error = set_times(&t, given);
    target_put(&t);
    return error;
}

/* ---- size ---- */

DEFINE_SYSCALL(sys_truncate)
{
    struct path path;
    int error;

    if ((s64)a1 < 0)
        return -EINVAL;
    error = path_lookup_user(AT_FDCWD, (const char *)a0, LOOKUP_FOLLOW, &path);
    if (error != 0)
        return error;
    error = path_truncate(&path, a1);
    path_put(&path);
    return error;
}

DEFINE_SYSCALL(sys_ftruncate)
{
    struct file *file;
    int error;

    if ((s64)a1 < 0)
        return -EINVAL;
    file = fd_get((int)a0);
    if (file == NULL)
        return -EBADF;
    if (!S_ISREG(file->inode->mode) || !file->can_write)
        error = -EINVAL;
    else if (file->inode->flags & (FS_APPEND_FL | FS_IMMUTABLE_FL))
        error = -EPERM;
    else
        error = inode_truncate(file->inode, a1);
    if (error == 0)
        notify_file(file, IN_MODIFY);
    file_put(file);
    return error;
}

#define FALLOC_FL_COLLAPSE_RANGE 0x08
#define FALLOC_FL_ZERO_RANGE 0x10
#define FALLOC_FL_INSERT_RANGE 0x20
#define FALLOC_FL_UNSHARE_RANGE 0x40

/* Whether there is such a mode at all; what a file system makes of it is another matter. */
static bool is_fallocate_mode(unsigned mode)
{
    switch (mode & ~(unsigned)FALLOC_FL_KEEP_SIZE) {
    case 0:
    case FALLOC_FL_ZERO_RANGE:
    case FALLOC_FL_UNSHARE_RANGE:
        return true;
    case FALLOC_FL_PUNCH_HOLE:
        return mode & FALLOC_FL_KEEP_SIZE;
    case FALLOC_FL_COLLAPSE_RANGE:
    case FALLOC_FL_INSERT_RANGE:
        return !(mode & FALLOC_FL_KEEP_SIZE);
    default:
        return false;
    }
}

static int allocate(struct file *file, int mode, s64 offset, s64 length)
{
    struct inode *inode = file->inode;

    if (offset < 0 || length <= 0)
        return -EINVAL;
    if (!is_fallocate_mode((unsigned)mode))
        return -EOPNOTSUPP;
    if (!file->can_write)
        return -EBADF;
    if ((inode->flags & FS_IMMUTABLE_FL) || ((inode->flags & FS_APPEND_FL) && (mode & ~FALLOC_FL_KEEP_SIZE)))
        return -EPERM;
    if (S_ISFIFO(inode->mode))
        return -ESPIPE;
    if (S_ISDIR(inode->mode))
        return -EISDIR;
    if (!S_ISREG(inode->mode) && !S_ISBLK(inode->mode))
        return -ENODEV;
    if ((u64)offset + (u64)length > inode->super->max_size)
        return -EFBIG;
    return file->ops->fallocate != NULL ? file->ops->fallocate(file, mode, (u64)offset, (u64)length) : -EOPNOTSUPP;
}

DEFINE_SYSCALL(sys_fallocate)
{
    struct file *file = fd_get((int)a0);
    int error;

    if (file == NULL)
        return -EBADF;
    error = allocate(file, (int)a1, (s64)a2, (s64)a3);
    if (error == 0)
        notify_file(file, IN_MODIFY);
    file_put(file);
    return error;
}
