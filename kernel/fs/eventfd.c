/* eventfd(2): a counter that reads take from and writes add to. */
#include "fs/events.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "lib/print.h"
#include "vm/kmalloc.h"

#define MAXIMUM (UINT64_MAX - 1)

struct eventfd {
    struct spinlock lock;
    u64 count;
    bool semaphore;
    struct wait_queue changed;
};

/* What a read gives: the counter, or 1 of it; 0 when there is nothing. */
static u64 take(struct eventfd *e)
{
    u64 value;

    spin_lock(&e->lock);
    value = e->semaphore ? MIN(e->count, 1ull) : e->count;
    store_relaxed(&e->count, e->count - value);
    spin_unlock(&e->lock);
    return value;
}

static ssize_t eventfd_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct eventfd *e = file->private;
    u64 value;

    (void)pos;
    if (uio->left < sizeof(value))
        return -EINVAL;
    while ((value = take(e)) == 0) {
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        if (wait_event_interruptible(&e->changed, load_relaxed(&e->count) > 0) != 0)
            return -ERESTARTSYS;
    }
    wake_all(&e->changed);
    return uio_copy_out(uio, &value, sizeof(value)) == sizeof(value) ? (ssize_t)sizeof(value) : -EFAULT;
}

static bool add(struct eventfd *e, u64 value)
{
    bool fits;

    spin_lock(&e->lock);
    fits = value <= MAXIMUM - e->count;
    if (fits)
        store_relaxed(&e->count, e->count + value);
    spin_unlock(&e->lock);
    return fits;
}

static ssize_t eventfd_write(struct file *file, struct uio *uio, u64 *pos)
{
    struct eventfd *e = file->private;
    u64 value;

    (void)pos;
    if (uio->left != sizeof(value))
        return -EINVAL;
    if (uio_copy_in(uio, &value, sizeof(value)) != sizeof(value))
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    while (!add(e, value)) {
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        if (wait_event_interruptible(&e->changed, value <= MAXIMUM - load_relaxed(&e->count)) != 0)
            return -ERESTARTSYS;
    }
    wake_all(&e->changed);
    return sizeof(value);
}

static unsigned eventfd_poll(struct file *file, struct poll_table *table)
{
    struct eventfd *e = file->private;
    u64 count;

    if (table != NULL)
        poll_wait(table, &e->changed);
    count = load_relaxed(&e->count);
    return (count > 0 ? POLLIN : 0) | (count < MAXIMUM ? POLLOUT : 0);
}

static void eventfd_release(struct file *file) { kfree(file->private); }

/* Source: proc_pid_fdinfo(5) */
static size_t eventfd_describe(struct file *file, char *buf, size_t size)
{
    struct eventfd *e = file->private;

    return (size_t)snprintf(buf, size, "eventfd-count: %16lx\neventfd-semaphore: %d\n", load_relaxed(&e->count),
                            e->semaphore);
}

static const struct file_ops eventfd_ops = {.release = eventfd_release,
                                            .read = eventfd_read,
                                            .write = eventfd_write,
                                            .poll = eventfd_poll,
                                            .describe = eventfd_describe};

struct file *eventfd_create(u32 count, bool semaphore, u32 flags)
{
    struct eventfd *e = kzalloc(sizeof(*e));
    struct file *file;

    if (e == NULL)
        return ERR_PTR(-ENOMEM);
    wait_queue_init(&e->changed);
    e->count = count;
    e->semaphore = semaphore;
    file = file_create(anon_inode_shared(), O_RDWR | flags, &eventfd_ops);
    if (IS_ERR(file)) {
        kfree(e);
        return file;
    }
    file->private = e;
    file->anon_name = "anon_inode:[eventfd]";
    return file;
}
