/* Which driver serves a device number. Nodes are found by number, wherever they are (mknod(2)). */
#include "fs/file.h"
#include "vm/kmalloc.h"

struct device {
    struct list link;
    u32 type; /* S_IFCHR, S_IFBLK */
    u32 dev;
    const struct file_ops *ops;
    void *private;
};

static struct spinlock devices_lock;
static struct list devices = LIST_INIT(devices);

/* => devices_lock */
static struct device *find(u32 type, u32 dev)
{
    struct device *d;

    list_for_each(d, &devices, link)
        if (d->type == type && d->dev == dev)
            return d;
    return NULL;
}

int device_register(u32 mode, u32 dev, const struct file_ops *ops, void *private)
{
    struct device *fresh = kmalloc(sizeof(*fresh)), *d;

    if (fresh == NULL)
        return -ENOMEM;
    spin_lock(&devices_lock);
    d = find(mode & S_IFMT, dev);
    if (d == NULL) {
        d = fresh;
        fresh = NULL;
        d->type = mode & S_IFMT;
        d->dev = dev;
        list_add(&devices, &d->link);
    }
    d->ops = ops;
    d->private = private;
    spin_unlock(&devices_lock);
    kfree(fresh);
    return 0;
}

int device_open(struct inode *inode, struct file *file)
{
    struct device *d;

    spin_lock(&devices_lock);
    d = find(inode->mode & S_IFMT, inode->rdev);
    if (d != NULL) {
        file->ops = d->ops;
        file->private = d->private;
    }
    spin_unlock(&devices_lock);
    if (d == NULL)
        return -ENXIO;
    return file->ops->open != NULL ? file->ops->open(inode, file) : 0;
}
