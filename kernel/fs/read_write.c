/* read, write, seek and fsync on open files, for the system calls: the checks that all kinds of files share. Sources:
 * read(2), write(2), fsync(2). */
#include "fs/file.h"
#include "fs/super.h"

ssize_t file_read_uio(struct file *file, struct uio *uio, u64 *pos)
{
    if (unlikely(!file->can_read))
        return -EBADF;
    if (unlikely(file->ops->read == NULL))
        return S_ISDIR(file->inode->mode) ? -EISDIR : -EINVAL;
    if (unlikely(uio->left > RW_MAX))
        uio->left = RW_MAX;
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
