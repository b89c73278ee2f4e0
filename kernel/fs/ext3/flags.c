/*
 * chattr(1)'s flags and generation numbers (ioctl_iflags(2)), and how a file changes over to or from having its data in
 * the journal (+j).
 *
 * Such a change needs a moment in which no handle is open and the log is empty: copies of the file's blocks that are
 * still to be replayed would be put over what is later written past the journal, and ordered data must not be waited
 * for by a commit that they are to become a part of.
 *
 *     write all pages | no handles; commit, put into place | the other operations | handles again | write all pages
 *
 * Write-back that began before finds out by itself: object_writeback looks at the operations again, ext3_write_range
 * within its handle.
 */
#include "fs/attr.h"
#include "fs/ext3/ext3.h"
#include "vm/uaccess.h"

/* What the disk's format has for each type of file. */
static u32 for_type(u32 mode, u32 flags)
{
    if (S_ISDIR(mode))
        return flags;
    return flags & (S_ISREG(mode) ? ~(u32)EXT3_DIRECTORY_FL : EXT3_OTHER_FL);
}

u32 ext3_inherited_flags(const struct inode *dir, u32 mode) { return for_type(mode, dir->flags & EXT3_INHERITED_FL); }

/* The buffers that the journal had of INODE's data: from now on others write these blocks. => nobody else allocates */
static int forget_buffers(struct inode *inode)
{
    struct ext3 *fs = ext3_of(inode);
    u64 end = DIV_ROUND_UP(inode_size(inode), (u64)fs->block_size);
    u32 physical, count;

    for (u64 at = 0; at < end; at += count) {
        int error = ext3_map(inode, (u32)at, (u32)MIN(end - at, (u64)UINT32_MAX), &physical, &count);

        if (error != 0)
            return error;
        for (u32 i = 0; physical != 0 && i < count; i++)
            buffer_forget(fs->device, physical + i);
    }
    return 0;
}

/* Where INODE's data go from now on. => inode->lock for writing, no handle */
static int change_mode(struct inode *inode, bool journalled)
{
    struct journal *journal = ext3_of(inode)->journal;
    int error = object_writeback(&inode->object, 0, OBJECT_END, true);

    if (error != 0)
        return error;
    journal_hold(journal);
    error = journal_flush(journal);
    if (error == 0 && !journalled)
        error = forget_buffers(inode);
    if (error == 0) {
        store_release(&inode->object.ops, journalled ? &ext3_journalled_object_ops : &ext3_object_ops);
        object_wait_for_writes(&inode->object);
    }
    journal_release(journal);
    return error;
}

/* On an image without a journal the flag cannot be set: *FLAGS stays without it. */
static int change_journalling(struct inode *inode, u32 *flags)
{
    struct ext3 *fs = ext3_of(inode);
    bool wanted = (*flags & FS_JOURNAL_DATA_FL) != 0;

    if (!capable(current->cred, CAP_SYS_RESOURCE))
        return -EPERM;
    if (fs->journal == NULL) {
        *flags ^= FS_JOURNAL_DATA_FL;
        return 0;
    }
    if (journal_is_aborted(fs->journal))
        return -EROFS;
    if (!S_ISREG(inode->mode) || fs->options.data == EXT3_DATA_JOURNAL)
        return 0;
    return change_mode(inode, wanted);
}

/* Whether the flags can be FLAGS, those that nobody can set apart. */
static int check(const struct inode *inode, u32 flags)
{
    if ((flags & ~FS_FLAGS_SHOWN) || for_type(inode->mode, flags & EXT3_SETTABLE_FL) != (flags & EXT3_SETTABLE_FL))
        return -EOPNOTSUPP;
    flags &= EXT3_SETTABLE_FL;
    if ((inode->flags & flags & FS_IMMUTABLE_FL) && flags != inode->flags)
        return -EPERM;
    if (((flags ^ inode->flags) & EXT3_CASEFOLD_FL) || ((flags & FS_DAX_FL) && (inode->flags & FS_JOURNAL_DATA_FL)) ||
        ((flags & FS_JOURNAL_DATA_FL) && (inode->flags & FS_DAX_FL)))
        return -EOPNOTSUPP;
    return flags & EXT3_EXTENTS_FL ? -EINVAL : 0;
}

static int write_flags(struct inode *inode, u32 flags)
{
    struct ext3_handle h;
    int error = ext3_begin(&h, ext3_of(inode), EXT3_INODE_CREDITS + 1), result;

    if (error != 0)
        return error;
    store_relaxed(&inode->flags, flags);
    inode_touch(inode, ATTR_CTIME);
    error = ext3_write_inode(&h, inode);
    result = ext3_end_inode(&h, inode);
    return error != 0 ? error : result;
}

int ext3_set_flags(struct inode *inode, u32 flags)
{
    u32 old = inode->flags;
    int error = check(inode, flags);

    if (error != 0)
        return error;
    flags = (flags & EXT3_SETTABLE_FL) | (old & ~(u32)EXT3_SETTABLE_FL);
    if ((flags ^ old) & FS_JOURNAL_DATA_FL)
        error = change_journalling(inode, &flags);
    if (error == 0)
        error = write_flags(inode, flags);
    /* Who stores through a mapping shall find out. */
    if (error == 0 && S_ISREG(inode->mode) && (flags & ~old & FS_IMMUTABLE_FL))
        error = object_writeback(&inode->object, 0, OBJECT_END, true);
    return error;
}

/* ---- generation numbers ---- */

#define FS_IOC_GETVERSION 0x80087601
#define FS_IOC_SETVERSION 0x40087602
#define EXT3_IOC_GETVERSION 0x80086603
#define EXT3_IOC_SETVERSION 0x40086604

static long set_generation(struct file *file, u64 user)
{
    struct inode *inode = file->inode;
    struct ext3_handle h;
    u32 generation;
    int error;

    if (!inode_is_owner(inode, current->cred))
        return -EPERM;
    if (path_want_write(&file->path) != 0)
        return -EROFS;
    if (get_user_u32(&generation, (u32 *)user) != 0)
        return -EFAULT;
    write_lock(&inode->lock);
    error = ext3_begin(&h, ext3_of(inode), EXT3_INODE_CREDITS + 1);
    if (error == 0) {
        inode->generation = generation;
        inode_touch(inode, ATTR_CTIME);
        ext3_write_inode(&h, inode);
        error = ext3_end_inode(&h, inode);
    }
    write_unlock(&inode->lock);
    return error;
}

long ext3_ioctl(struct file *file, unsigned command, u64 argument)
{
    switch (command) {
    case FS_IOC_GETVERSION:
    case EXT3_IOC_GETVERSION:
        return put_user_u32(file->inode->generation, (u32 *)argument);
    case FS_IOC_SETVERSION:
    case EXT3_IOC_SETVERSION:
        return set_generation(file, argument);
    }
    return -ENOTTY;
}
