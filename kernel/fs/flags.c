/*
 * Flags of inodes that programs see and set: chattr(1), lsattr(1), ioctl_iflags(2), ioctl_fsgetxattr(2).
 *
 * inode->flags has FS_*_FL, in the numbers that ext2 gave them, which ext3's disk inodes have, too. The other call's
 * FS_XFLAG_* are some of them under other numbers. What the flags mean is heeded where it matters: permission.c,
 * names.c, open.c, attr.c, generic.c.
 */
#include "fs/attr.h"
#include "fs/file.h"
#include "vm/uaccess.h"

#define FS_IOC_GETFLAGS 0x80086601
#define FS_IOC_SETFLAGS 0x40086602
#define FS_IOC_FSGETXATTR 0x801c581f
#define FS_IOC_FSSETXATTR 0x401c5820

struct fsxattr { /* the ABI's */
    u32 xflags, extent_size, extents, project, cow_extent_size;
    u8 pad[8];
};
static_assert(sizeof(struct fsxattr) == 28, "the ABI's struct fsxattr");

static const struct {
    u32 flag, xflag;
} both[] = {
    {FS_IMMUTABLE_FL, 0x8}, {FS_APPEND_FL, 0x10}, {FS_SYNC_FL, 0x20},         {FS_NOATIME_FL, 0x40},
    {FS_NODUMP_FL, 0x80},   {FS_DAX_FL, 0x8000},  {FS_PROJINHERIT_FL, 0x200},
};
#define N_BOTH (sizeof(both) / sizeof(both[0]))
#define XFLAG_EXTENT_SIZE 0x800
#define XFLAG_EXTENT_SIZE_INHERIT 0x1000
#define XFLAG_DAX 0x8000
#define XFLAG_COW_EXTENT_SIZE 0x10000

static u32 flags_with(u32 flags, u32 xflags)
{
    for (unsigned i = 0; i < N_BOTH; i++)
        flags = xflags & both[i].xflag ? flags | both[i].flag : flags & ~both[i].flag;
    return flags;
}

static u32 xflags_of(u32 flags)
{
    u32 xflags = 0;

    for (unsigned i = 0; i < N_BOTH; i++)
        xflags |= flags & both[i].flag ? both[i].xflag : 0;
    return xflags;
}

/* What FS_IOC_GETFLAGS shows; on files without what is for directories only. */
static u32 shown(const struct inode *inode)
{
    return inode->flags & FS_FLAGS_SHOWN & (S_ISREG(inode->mode) ? ~(u32)FS_PROJINHERIT_FL : ~0u);
}

static bool has_flags(const struct inode *inode)
{
    return inode->ops->set_flags != NULL && (S_ISREG(inode->mode) || S_ISDIR(inode->mode));
}

/* => inode->lock for writing */
static int set_locked(struct inode *inode, u32 flags)
{
    if (!inode_is_owner(inode, current->cred))
        return -EPERM;
    if (((flags ^ inode->flags) & (FS_APPEND_FL | FS_IMMUTABLE_FL)) && !capable(current->cred, CAP_LINUX_IMMUTABLE))
        return -EPERM;
    return inode->ops->set_flags(inode, flags);
}

static int may_set(struct file *file)
{
    if (file->path.dentry != NULL && path_want_write(&file->path) != 0)
        return -EROFS;
    return has_flags(file->inode) ? 0 : -ENOTTY;
}

static long set_flags(struct file *file, u64 user)
{
    struct inode *inode = file->inode;
    u32 flags;
    int error;

    if (get_user_u32(&flags, (u32 *)user) != 0)
        return -EFAULT;
    error = may_set(file);
    if (error != 0)
        return error;
    write_lock(&inode->lock);
    error = set_locked(inode, flags);
    write_unlock(&inode->lock);
    return error;
}

static long get_xattr(const struct inode *inode, u64 user)
{
    struct fsxattr x = {.xflags = xflags_of(shown(inode))};

    return copy_to_user((void *)user, &x, sizeof(x));
}

/* What belongs to one type of file only, ioctl_fssetxattr(2)'s EINVAL. */
static bool fits_type(u32 mode, u32 xflags)
{
    if ((xflags & XFLAG_EXTENT_SIZE) && !S_ISREG(mode))
        return false;
    if ((xflags & XFLAG_EXTENT_SIZE_INHERIT) && !S_ISDIR(mode))
        return false;
    return !(xflags & (XFLAG_COW_EXTENT_SIZE | XFLAG_DAX)) || S_ISREG(mode) || S_ISDIR(mode);
}

static long set_xattr(struct file *file, u64 user)
{
    struct inode *inode = file->inode;
    struct fsxattr x;
    int error;

    if (copy_from_user(&x, (void *)user, sizeof(x)) != 0)
        return -EFAULT;
    error = may_set(file);
    if (error != 0)
        return error;
    write_lock(&inode->lock);
    if (inode_is_owner(inode, current->cred) && !fits_type(inode->mode, x.xflags))
        error = -EINVAL;
    else
        error = set_locked(inode, flags_with(shown(inode), x.xflags));
    write_unlock(&inode->lock);
    return error == 0 && x.project != 0 ? -EOPNOTSUPP : error; /* no file system here counts by projects */
}

long inode_flags_ioctl(struct file *file, unsigned command, u64 argument)
{
    switch (command) {
    case FS_IOC_GETFLAGS:
        return has_flags(file->inode) ? put_user_u32(shown(file->inode), (u32 *)argument) : -ENOTTY;
    case FS_IOC_SETFLAGS:
        return set_flags(file, argument);
    case FS_IOC_FSGETXATTR:
        return has_flags(file->inode) ? get_xattr(file->inode, argument) : -ENOTTY;
    case FS_IOC_FSSETXATTR:
        return set_xattr(file, argument);
    }
    return -ENOTTY;
}
