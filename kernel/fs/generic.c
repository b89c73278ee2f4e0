/* File operations for file systems whose files live in the page cache, and what write(2) does to a regular file besides
 * moving bytes. */
#include "fs/file.h"
#include "fs/mount.h"
#include "lib/rlimit.h"
#include "proc/task.h"

/* What relatime says is remembered, for a second at most: so nobody need know of it who sets the clock. */
static noinline_fn bool atime_is_due(struct inode *inode)
{
    u64 now = arch_ticks();
    s64 left;

    store_relaxed(&inode->atime_fresh_until, now + machine.timebase_hz);
    memory_barrier(); /* what changes from now on forgets it (inode.c) */
    left = inode_atime_due_in(inode);
    if (left < (s64)NSEC_PER_SEC)
        store_relaxed(&inode->atime_fresh_until, now + (u64)MAX(left, 0) * machine.timebase_hz / NSEC_PER_SEC);
    return left <= 0;
}

static noinline_fn ssize_t read_and_note(struct file *file, struct uio *uio, u64 *pos)
{
    const struct mount *mount = file->path.mount;
    bool is_due = (mount != NULL && (mount->flags & MS_STRICTATIME)) || atime_is_due(file->inode);
    ssize_t done;

    if (uio->left == 0)
        return 0;
    done = object_read(&file->inode->object, uio, pos, &file->readahead);
    if (is_due && done >= 0)
        file_accessed(file);
    return done;
}

/* With the usual options, reading is rarely to be noted; file_accessed knows them all. */
ssize_t generic_read(struct file *file, struct uio *uio, u64 *pos)
{
    const struct mount *mount = file->path.mount;

    if (unlikely(arch_ticks() >= load_relaxed(&file->inode->atime_fresh_until)) ||
        (mount != NULL && unlikely(mount->flags & MS_STRICTATIME)))
        return read_and_note(file, uio, pos);
    return object_read(&file->inode->object, uio, pos, &file->readahead);
}

/* How much may be written at POS: shortens the uio. RLIMIT_FSIZE: SIGXFSZ and -EFBIG when nothing may. */
static int keep_to_limits(const struct inode *inode, struct uio *uio, u64 pos)
{
    u64 limit = current->limits != NULL ? current->limits->limit[RLIMIT_FSIZE].soft : RLIM_INFINITY;

    if (pos >= limit) {
        signal_send_current(SIGXFSZ);
        return -EFBIG;
    }
    if (pos >= inode->super->max_size)
        return -EFBIG;
    limit = MIN(limit, inode->super->max_size);
    uio->left = MIN(uio->left, limit - pos);
    return 0;
}

/* Whether inode_touch would write the times that INODE has. */
static inline bool was_touched_now(const struct inode *inode)
{
    s64 age = (s64)(time_ns() + time_realtime_offset()) - inode->mtime.sec * (s64)NSEC_PER_SEC - inode->mtime.nsec;

    return (u64)age < TIME_STEP && inode->ctime.nsec == inode->mtime.nsec && inode->ctime.sec == inode->mtime.sec;
}

static inline_fn ssize_t write_if(struct file *file, struct uio *uio, u64 *pos,
                                  int (*may)(const struct file *file, u64 pos, size_t n))
{
    struct inode *inode = file->inode;
    ssize_t done;
    u64 from;
    int error;

    if (uio->left == 0)
        return 0;
    write_lock(&inode->lock);
    if (file_appends(file, uio))
        *pos = inode_size(inode);
    from = *pos;
    done = may != NULL ? may(file, from, uio->left) : 0;
    if (unlikely(inode->super->read_only || (inode->flags & FS_IMMUTABLE_FL)))
        done = inode->super->read_only ? -EROFS : -EPERM;
    if (done == 0)
        done = keep_to_limits(inode, uio, from);
    if (done == 0)
        done = inode_strip_privileges(inode);
    if (done == 0) {
        if (!was_touched_now(inode))
            inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
        done = object_write(&inode->object, uio, pos);
    }
    write_unlock(&inode->lock);
    if (done > 0 && ((file->flags & O_DSYNC) || unlikely(inode_is_synchronous(inode)))) {
        error = file_fsync(file, from, *pos - 1, (file->flags & O_SYNC) != O_SYNC && !inode_is_synchronous(inode));
        if (error != 0)
            done = error;
    }
    return done;
}

ssize_t generic_write(struct file *file, struct uio *uio, u64 *pos) { return write_if(file, uio, pos, NULL); }

ssize_t generic_write_if(struct file *file, struct uio *uio, u64 *pos,
                         int (*may)(const struct file *file, u64 pos, size_t n))
{
    return write_if(file, uio, pos, may);
}

s64 generic_seek(struct file *file, s64 offset, int whence)
{
    return generic_seek_within(file, offset, whence, (s64)inode_size(file->inode), file->inode->super->max_size);
}

s64 generic_seek_within(struct file *file, s64 offset, int whence, s64 size, u64 max)
{
    s64 base, result;

    switch (whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = (s64)file->pos;
        break;
    case SEEK_END:
        base = size;
        break;
    case SEEK_DATA: /* all is data, and there is a hole at the end */
    case SEEK_HOLE:
        if (offset < 0 || offset >= size)
            return -ENXIO;
        if (whence == SEEK_HOLE)
            offset = size;
        base = 0;
        break;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, offset, &result))
        return -EINVAL;
    if (result < 0 || (u64)result > max)
        return -EINVAL;
    file->pos = (u64)result;
    return result;
}

struct object *generic_map(struct file *file, bool shared)
{
    (void)shared;
    return &file->inode->object;
}

int generic_fsync(struct file *file, u64 from, u64 to, bool data_only)
{
    struct inode *inode = file->inode;
    struct super *super = inode->super;
    int error = object_writeback(&inode->object, from, to, true), result;

    (void)data_only; /* block pointers and sizes are attributes too: written in any case */
    result = inode_write_now(inode);
    error = error != 0 ? error : result;
    if (super->ops->sync != NULL) {
        result = super->ops->sync(super, true);
        error = error != 0 ? error : result;
    }
    return error;
}
