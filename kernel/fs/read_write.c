/* read, write, seek and fsync on open files, for the system calls: the checks that all kinds of files share. Sources:
 * read(2), write(2), fsync(2). */
#include "fs/file.h"
#include "fs/notify.h"
#include "fs/super.h"

/* MOVE, a read or a write, and tells of it. */
static noinline_fn ssize_t move_and_tell(struct file *file, struct uio *uio, u64 *pos, u32 event,
                                         ssize_t (*move)(struct file *, struct uio *, u64 *))
{
    ssize_t done = move(file, uio, pos);

    if (done > 0)
        notify_file(file, event);
    return done;
}

ssize_t file_read_uio(struct file *file, struct uio *uio, u64 *pos)
{
    if (unlikely(!file->can_read))
        return -EBADF;
    if (unlikely(file->ops->read == NULL))
        return S_ISDIR(file->inode->mode) ? -EISDIR : -EINVAL;
    if (unlikely(uio->left > RW_MAX))
        uio->left = RW_MAX;
    if (somebody_watches())
        return move_and_tell(file, uio, pos, IN_ACCESS, file->ops->read);
    return file->ops->read(file, uio, pos);
}

ssize_t file_write_uio(struct file *file, struct uio *uio, u64 *pos)
{
    if (unlikely(!file->can_write))
        return -EBADF;
    if (unlikely(file->ops->write == NULL))
        return -EINVAL;
    if (unlikely(uio->left > RW_MAX))
        uio->left = RW_MAX;
    if (somebody_watches())
        return move_and_tell(file, uio, pos, IN_MODIFY, file->ops->write);
    return file->ops->write(file, uio, pos);
}

/* A failed write-back is told to each open file once. */
static int report_error(struct file *file)
{
    struct object *o = &file->inode->object;
    u32 now = load_acquire(&o->error_sequence);

    if (file->error_seen == now)
        return 0;
    file->error_seen = now;
    return o->error;
}

int file_fsync(struct file *file, u64 from, u64 to, bool data_only)
{
    int error, reported;

    if (file->ops->fsync == NULL)
        return -EINVAL;
    error = file->ops->fsync(file, from, to, data_only);
    reported = report_error(file);
    return error != 0 ? error : reported;
}
