/*
 * Block devices as files: /dev/vda and its kin. Each has a page cache of its own, which is not the mounted file
 * system's: it is emptied when the last user closes the device and written back before, so what mkfs wrote is what
 * mount reads.
 *
 * `open_lock` guards the count of open files.
 */
#include "dev/block.h"
#include "fs/file.h"
#include "fs/page_io.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

/* linux/fs.h */
#define BLKROGET 0x125e
#define BLKGETSIZE 0x1260
#define BLKFLSBUF 0x1261
#define BLKSSZGET 0x1268
#define BLKBSZGET 0x80081270
#define BLKGETSIZE64 0x80081272
#define BLKIOMIN 0x1278
#define BLKIOOPT 0x1279
#define BLKALIGNOFF 0x127a
#define BLKPBSZGET 0x127b

struct block_file {
    struct block_device *device;
    struct object object;
    struct mutex open_lock;
    unsigned opens;
    struct list link;
};

static struct list block_files = LIST_INIT(block_files);

#define SECTORS_PER_PAGE (PAGE_SIZE / SECTOR_SIZE)

static void transfer_pages(struct object *o, enum block_op op, struct page **batch, unsigned n)
{
    struct block_file *bf = container_of(o, struct block_file, object);
    struct page_io *io = page_io_begin(bf->device, op, batch, n);

    if (io == NULL)
        return;
    for (unsigned i = 0; i < n; i++) {
        u64 start = batch[i]->index << PAGE_SHIFT, size = bf->device->sectors * SECTOR_SIZE;
        unsigned length = start >= size ? 0 : (unsigned)MIN(PAGE_SIZE, size - start);

        if (length > 0)
            page_io_add(io, i, 0, length, start / SECTOR_SIZE);
        if (length < PAGE_SIZE && op == BLOCK_READ)
            page_io_zero(io, i, length, (unsigned)PAGE_SIZE - length);
    }
    page_io_end(io);
}

static void read_pages(struct object *o, struct page **batch, unsigned n) { transfer_pages(o, BLOCK_READ, batch, n); }
static void write_pages(struct object *o, struct page **batch, unsigned n) { transfer_pages(o, BLOCK_WRITE, batch, n); }

static int prepare_write(struct object *o, u64 index, unsigned from, unsigned to)
{
    return container_of(o, struct block_file, object)->device->read_only ? -EROFS : 0;
}

static const struct object_ops object_ops = {
    .read_pages = read_pages, .write_pages = write_pages, .prepare_write = prepare_write};

static struct block_file *of(struct file *file) { return file->private; }

static int open_device(struct inode *inode, struct file *file)
{
    struct block_file *bf = of(file);

    if (file->can_write && bf->device->read_only)
        return -EROFS;
    mutex_lock(&bf->open_lock);
    bf->opens++;
    mutex_unlock(&bf->open_lock);
    return 0;
}

static int sync_device(struct block_file *bf)
{
    int error = object_writeback(&bf->object, 0, OBJECT_END, true);
    int flush_error = block_flush(bf->device);

    return error != 0 ? error : flush_error;
}

static void release_device(struct file *file)
{
    struct block_file *bf = of(file);

    mutex_lock(&bf->open_lock);
    if (--bf->opens == 0) {
        sync_device(bf);
        object_drop_clean(&bf->object);
    }
    mutex_unlock(&bf->open_lock);
}

static ssize_t read_device(struct file *file, struct uio *u, u64 *pos)
{
    return object_read(&of(file)->object, u, pos, &file->readahead);
}

/* Never past the end: object_write would make the object longer. */
static ssize_t write_device(struct file *file, struct uio *u, u64 *pos)
{
    struct object *o = &of(file)->object;
    size_t beyond;
    ssize_t done;

    if (u->left == 0)
        return 0;
    if (file_appends(file, u))
        *pos = o->size;
    if (*pos >= o->size)
        return -ENOSPC;
    beyond = u->left > o->size - *pos ? u->left - (o->size - *pos) : 0;
    u->left -= beyond;
    done = object_write(o, u, pos);
    u->left += beyond;
    if (done > 0 && (file->flags & O_DSYNC)) {
        int error = sync_device(of(file));

        return error != 0 ? error : done;
    }
    return done;
}

static s64 seek_device(struct file *file, s64 offset, int whence)
{
    u64 size = of(file)->object.size;
    s64 base = whence == 0 ? 0 : whence == 1 ? (s64)file->pos : (s64)size;

    if (whence < 0 || whence > 2 || (offset < 0 ? base + offset < 0 : (u64)base + (u64)offset > size))
        return -EINVAL;
    file->pos = (u64)(base + offset);
    return (s64)file->pos;
}

static long put_int(u64 address, u32 value)
{
    return copy_to_user((void *)address, &value, sizeof(value)) == 0 ? 0 : -EFAULT;
}
static long put_long(u64 address, u64 value)
{
    return copy_to_user((void *)address, &value, sizeof(value)) == 0 ? 0 : -EFAULT;
}

static long ioctl_device(struct file *file, unsigned command, u64 argument)
{
    struct block_device *d = of(file)->device;

    switch (command) {
    case BLKGETSIZE64:
        return put_long(argument, d->sectors * SECTOR_SIZE);
    case BLKGETSIZE:
        return put_long(argument, d->sectors);
    case BLKSSZGET:
    case BLKPBSZGET:
    case BLKIOMIN:
        return put_int(argument, d->logical_block);
    case BLKBSZGET:
        return put_int(argument, PAGE_SIZE);
    case BLKIOOPT:
    case BLKALIGNOFF:
        return put_int(argument, 0);
    case BLKROGET:
        return put_int(argument, d->read_only);
    case BLKFLSBUF:
        if (!cred_has_cap(current->cred, CAP_SYS_ADMIN))
            return -EACCES;
        sync_device(of(file));
        object_drop_clean(&of(file)->object);
        return 0;
    default:
        return -ENOTTY;
    }
}

static struct object *map_device(struct file *file, bool shared) { return &of(file)->object; }

static int fsync_device(struct file *file, u64 from, u64 to, bool data_only)
{
    int error = object_writeback(&of(file)->object, from, to, true);
    int flush_error = block_flush(of(file)->device);

    return error != 0 ? error : flush_error;
}

static const struct file_ops file_ops = {
    .open = open_device,
    .release = release_device,
    .read = read_device,
    .write = write_device,
    .seek = seek_device,
    .ioctl = ioctl_device,
    .map = map_device,
    .fsync = fsync_device,
};

int block_file_add(struct block_device *device)
{
    struct block_file *bf = kzalloc(sizeof(*bf));

    if (bf == NULL)
        return -ENOMEM;
    bf->device = device;
    object_init(&bf->object, &object_ops);
    bf->object.size = device->sectors * SECTOR_SIZE;
    mutex_init(&bf->open_lock);
    list_add_tail(&block_files, &bf->link);
    return devfs_add(device->name, S_IFBLK | 0660, device->dev, &file_ops, bf);
}

int block_files_sync(bool wait)
{
    struct block_file *bf;
    int error = 0;

    list_for_each(bf, &block_files, link) {
        int this_error = load_relaxed(&bf->opens) == 0 ? 0
                         : wait                        ? sync_device(bf)
                                                       : object_writeback(&bf->object, 0, OBJECT_END, false);

        if (error == 0)
            error = this_error;
    }
    return error;
}
