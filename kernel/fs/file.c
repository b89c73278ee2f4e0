/*
 * Open files: struct file, from nowhere to the last reference. What a descriptor's number means is fdtable.c's matter,
 * what a path means open.c's.
 */
#include "fs/file.h"
#include "fs/async.h"
#include "fs/fdtable.h"
#include "fs/locks.h"
#include "fs/mount.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

static u64 n_files;

u64 file_count(void) { return load_relaxed(&n_files); }

struct file *file_alloc(u32 flags)
{
    struct file *file = kmalloc(sizeof(*file));
    u32 access = flags & O_ACCMODE;

    if (file == NULL)
        return NULL;
    *file = (struct file){
        .refs = 1,
        .flags = flags & ~(u32)(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC),
        .can_read = (access == O_RDONLY || access == O_RDWR) && !(flags & O_PATH), /* 3: neither */
        .can_write = (access == O_WRONLY || access == O_RDWR) && !(flags & O_PATH),
    };
    mutex_init(&file->pos_lock);
    list_init(&file->epoll_links);
    atomic_add_relaxed(&n_files, 1);
    return file;
}

void file_free(struct file *file)
{
    kfree(file);
    atomic_sub(&n_files, 1);
}

struct file *file_create(struct inode *inode, u32 flags, const struct file_ops *ops)
{
    struct file *file = file_alloc(flags);

    if (file == NULL)
        return ERR_PTR(-ENOMEM);
    file->inode = inode;
    file->ops = ops;
    file->error_seen = load_relaxed(&inode->object.error_sequence);
    return file;
}

static void file_release(struct file *file)
{
    struct inode *inode = file->inode;

    notify_file(file, file->can_write ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    if (unlikely(!list_empty(&file->epoll_links)))
        epoll_forget_file(file);
    if (unlikely(file->async != NULL))
        async_release(file);
    if (unlikely(inode->locks != NULL))
        locks_release(file);
    if (file->ops->release != NULL)
        file->ops->release(file);
    if (file->counts_write)
        atomic_sub(&inode->write_opens, 1);
    if (file->denies_write)
        atomic_sub(&inode->exec_opens, 1);
    inode_put(inode);
    if (file->path.dentry != NULL)
        path_put(&file->path);
    file_free(file);
}

void file_put(struct file *file)
{
    if (atomic_sub(&file->refs, 1) == 0)
        file_release(file);
}

int file_close(struct file *file)
{
    int error = 0;

    if (file->ops->flush != NULL)
        error = file->ops->flush(file);
    if (unlikely(file->inode->locks != NULL) && !(file->flags & O_PATH))
        locks_close(file);
    file_put(file);
    return error;
}

/* ---- writers against executions (ETXTBSY) ---- */

/* Each side announces itself first, then looks for the other, so never do both succeed. */
int inode_allow_write(struct inode *inode)
{
    atomic_add(&inode->write_opens, 1);
    memory_barrier();
    if (load_acquire(&inode->exec_opens) == 0)
        return 0;
    atomic_sub(&inode->write_opens, 1);
    return -ETXTBSY;
}

int inode_deny_write(struct inode *inode)
{
    atomic_add(&inode->exec_opens, 1);
    memory_barrier();
    if (load_acquire(&inode->write_opens) == 0)
        return 0;
    atomic_sub(&inode->exec_opens, 1);
    return -ETXTBSY;
}

/* ---- in the kernel's own service ---- */

struct file *file_open(const char *path, u32 flags, u32 mode) { return file_open_at(AT_FDCWD, path, flags, mode); }

/* The mappings of a running program hold the file, and with it the denial, as long as it runs. */
void file_put_exec(struct file *file) { file_put(file); }

ssize_t file_read(struct file *file, void *buf, size_t n, u64 pos)
{
    struct uio uio;

    if (file->ops->read == NULL)
        return S_ISDIR(file->inode->mode) ? -EISDIR : -EINVAL;
    uio_init_kernel(&uio, buf, n);
    return file->ops->read(file, &uio, &pos);
}

ssize_t file_write(struct file *file, const void *buf, size_t n, u64 pos)
{
    struct uio uio;

    if (file->ops->write == NULL)
        return -EINVAL;
    uio_init_kernel(&uio, (void *)(u64)buf, n);
    return file->ops->write(file, &uio, &pos);
}

/* ---- times ---- */

void path_accessed(const struct path *path)
{
    struct inode *inode = path_inode(path);
    unsigned flags = path->mount != NULL ? path->mount->flags : 0;

    if (inode->super->read_only || (inode->flags & FS_NOATIME_FL) || (flags & (MS_NOATIME | MS_RDONLY)) ||
        ((flags & MS_NODIRATIME) && S_ISDIR(inode->mode)))
        return;
    if ((flags & MS_STRICTATIME) || inode_atime_due_in(inode) <= 0)
        inode_touch(inode, ATTR_ATIME);
}

void file_accessed(struct file *file)
{
    if (!(file->flags & O_NOATIME) && file->path.dentry != NULL)
        path_accessed(&file->path);
}
