/* System calls that write back or advise: sync(2), fsync(2), sync_file_range(2), posix_fadvise(2), readahead(2);
 * cachestat(2) tells what it came to. */
#include "fs/attr.h"
#include "fs/file.h"
#include "fs/super.h"
#include "sys/syscall.h"

DEFINE_SYSCALL(sys_sync)
{
    sync_all(true);
    return 0;
}

static long sync_fd(int fd, bool data_only)
{
    struct file *file = fd_get(fd);
    int error;

    if (file == NULL)
        return -EBADF;
    error = file_fsync(file, 0, OBJECT_END, data_only);
    file_put(file);
    return error;
}

DEFINE_SYSCALL(sys_fsync) { return sync_fd((int)a0, false); }

DEFINE_SYSCALL(sys_fdatasync) { return sync_fd((int)a0, true); }

DEFINE_SYSCALL(sys_syncfs)
{
    struct file *file = fd_get((int)a0);
    int error;

    if (file == NULL)
        return -EBADF;
    error = super_sync(file->inode->super, true);
    file_put(file);
    return error;
}

#define SYNC_FILE_RANGE_WAIT_BEFORE 1
#define SYNC_FILE_RANGE_WRITE 2
#define SYNC_FILE_RANGE_WAIT_AFTER 4

/* A device's pages are not those of the inode that names it. */
static struct object *pages_of(struct file *file)
{
    return S_ISBLK(file->inode->mode) ? file->ops->map(file, true) : &file->inode->object;
}

static long sync_range(struct file *file, s64 offset, s64 length, unsigned flags)
{
    s64 sum;
    u64 end;

    if (offset < 0 || length < 0 || __builtin_add_overflow(offset, length, &sum) || (flags & ~7u))
        return -EINVAL;
    if (!S_ISREG(file->inode->mode) && !S_ISDIR(file->inode->mode) && !S_ISBLK(file->inode->mode))
        return -ESPIPE;
    end = length == 0 ? OBJECT_END : (u64)sum - 1;
    if (flags == 0)
        return 0;
    return object_writeback(pages_of(file), (u64)offset, end,
                            (flags & (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER)) != 0);
}

DEFINE_SYSCALL(sys_sync_file_range)
{
    struct file *file = fd_get((int)a0);
    long result;

    if (file == NULL)
        return -EBADF;
    result = sync_range(file, (s64)a1, (s64)a2, (unsigned)a3);
    file_put(file);
    return result;
}

/* ---- cachestat ---- */

struct user_cache_range {
    u64 offset, length; /* bytes; length 0: to the end */
};
struct user_cachestat {
    u64 cached, dirty, writeback, evicted, recently_evicted;
};

/* What is in the cache tells of what others do: only who may write a file is told. */
static bool may_look_into_cache(struct file *file)
{
    const struct cred *c = current->cred;

    return file->can_write || inode_is_owner(file->inode, c) || inode_permission(file->inode, c, MAY_WRITE) == 0;
}

static bool has_cache(const struct file *file)
{
    return S_ISREG(file->inode->mode) || S_ISDIR(file->inode->mode) || S_ISBLK(file->inode->mode);
}

static long cachestat(struct file *file, u64 user_range, u64 user_stat, unsigned flags)
{
    struct cache_counts counts = {0};
    struct user_cache_range range;
    struct user_cachestat stat;
    u64 last;

    if (copy_from_user(&range, (const void *)user_range, sizeof(range)) != 0)
        return -EFAULT;
    if (!may_look_into_cache(file))
        return -EPERM;
    if (inode_is_hugetlb(file->inode))
        return -EOPNOTSUPP;
    if (flags != 0)
        return -EINVAL;
    last = range.length == 0 ? UINT64_MAX : (range.offset + range.length - 1) >> PAGE_SHIFT;
    if (has_cache(file))
        object_count_cached(pages_of(file), range.offset >> PAGE_SHIFT, last, &counts);
    stat = (struct user_cachestat){
        .cached = counts.cached, .dirty = counts.dirty, .writeback = counts.writeback, .evicted = counts.evicted};
    return copy_to_user((void *)user_stat, &stat, sizeof(stat)) != 0 ? -EFAULT : 0;
}

DEFINE_SYSCALL(sys_cachestat)
{
    struct file *file = fd_get((int)a0);
    long result;

    if (file == NULL)
        return -EBADF;
    result = cachestat(file, a1, a2, (unsigned)a3);
    file_put(file);
    return result;
}

/* ---- advice ---- */

#define FADV_NORMAL 0
#define FADV_RANDOM 1
#define FADV_SEQUENTIAL 2
#define FADV_WILLNEED 3
#define FADV_DONTNEED 4
#define FADV_NOREUSE 5
#define MAX_READAHEAD_PAGES 512

static void start_readahead(struct file *file, u64 offset, u64 length)
{
    u64 size = inode_size(file->inode),
        end = length == 0 || offset + length < offset ? size : MIN(size, offset + length);

    if (offset < end)
        object_start_readahead(
            &file->inode->object, offset >> PAGE_SHIFT,
            (unsigned)MIN(DIV_ROUND_UP(end, PAGE_SIZE) - (offset >> PAGE_SHIFT), (u64)MAX_READAHEAD_PAGES));
}

/* Clean pages that lie in the range as a whole go; the file's last page does, too, if the range reaches its end. */
static void drop_range(struct file *file, u64 offset, u64 length)
{
    u64 end = length == 0 || offset + length < offset ? UINT64_MAX : offset + length;
    u64 first = DIV_ROUND_UP(offset, PAGE_SIZE),
        last = end >= inode_size(file->inode) ? UINT64_MAX : end >> PAGE_SHIFT; /* the first that stays */

    if (first < last)
        object_drop_clean_range(&file->inode->object, first, last - 1);
}

static long advise(struct file *file, s64 offset, s64 length, int advice)
{
    if (S_ISFIFO(file->inode->mode))
        return -ESPIPE;
    if (length < 0)
        return -EINVAL;
    switch (advice) {
    case FADV_NORMAL:
    case FADV_SEQUENTIAL:
    case FADV_RANDOM:
        file->readahead.disabled = advice == FADV_RANDOM;
        file->readahead.doubled = advice == FADV_SEQUENTIAL;
        return 0;
    case FADV_WILLNEED:
        if (S_ISREG(file->inode->mode))
            start_readahead(file, (u64)offset, (u64)length);
        return 0;
    case FADV_DONTNEED:
        if (S_ISREG(file->inode->mode))
            drop_range(file, (u64)offset, (u64)length);
        return 0;
    case FADV_NOREUSE:
        return 0;
    default:
        return -EINVAL;
    }
}

DEFINE_SYSCALL(sys_fadvise64)
{
    struct file *file = fd_get((int)a0);
    long result;

    if (file == NULL)
        return -EBADF;
    result = advise(file, (s64)a1, (s64)a2, (int)a3);
    file_put(file);
    return result;
}

DEFINE_SYSCALL(sys_readahead)
{
    struct file *file = fd_get((int)a0);
    long result = 0;

    if (file == NULL)
        return -EBADF;
    if (!file->can_read)
        result = -EBADF;
    else if (!S_ISREG(file->inode->mode) || (s64)a2 < 0)
        result = -EINVAL;
    else if (a2 > 0)
        start_readahead(file, a1, a2);
    file_put(file);
    return result;
}
