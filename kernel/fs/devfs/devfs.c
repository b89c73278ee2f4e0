/*
 * /dev: one tmpfs instance that the kernel populates and programs may change. A node is found by its number
 * (fs/device.c), so removing and making it again by mknod works. Drivers that start before there is a file system are
 * remembered until devfs_init.
 */
#include "fs/devfs/devfs.h"
#include "fs/dentry.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/super.h"
#include "fs/tmpfs/tmpfs.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

struct pending {
    struct list link;
    u32 mode, dev;
    char name[];
};

static struct list early = LIST_INIT(early);
static struct spinlock early_lock;
static struct dentry *root; /* NULL: not mounted yet */

static int devfs_mount(struct super *super, const char *options)
{
    int error = tmpfs_mount(super, *options != '\0' ? options : "mode=755");

    if (error == 0)
        super->root->uid = super->root->gid = 0;
    return error;
}

static struct fs_type devtmpfs_type = {.name = "devtmpfs", .magic = TMPFS_MAGIC, .mount = devfs_mount, .single = true};

/* ---- making nodes ---- */

static struct dentry *lookup_locked(struct dentry *dir, struct name name)
{
    return dentry_lookup_locked(dir, name, name_hash(name.s, name.length));
}

/* NAME in DIR, a positive dentry: made by the file system if it is not there: as a directory, a link to TARGET, or a
 * device. ERR_PTR. */
static struct dentry *find_or_make(struct dentry *dir, struct name name, u32 mode, u32 dev, const char *target)
{
    struct inode *d_inode = dir->inode, *inode;
    struct dentry *d;

    write_lock(&d_inode->lock);
    d = lookup_locked(dir, name);
    if (!IS_ERR(d) && d->inode == NULL) {
        if (target != NULL)
            inode = d_inode->ops->symlink(d_inode, name, target);
        else if (S_ISDIR(mode))
            inode = d_inode->ops->mkdir(d_inode, name, mode);
        else
            inode = d_inode->ops->mknod(d_inode, name, mode, dev);
        if (IS_ERR(inode)) {
            dentry_put(d);
            d = (struct dentry *)inode;
        } else {
            inode->uid = inode->gid = 0;
            dentry_instantiate(d, inode);
        }
    }
    write_unlock(&d_inode->lock);
    return d;
}

/* The directory of PATH below /dev, made where it is missing; *LAST is the last component. ERR_PTR. */
static struct dentry *parent_of(const char *path, struct name *last)
{
    struct dentry *dir = root;
    const char *slash;

    dentry_get(dir);
    while ((slash = strchr(path, '/')) != NULL) {
        struct name name = {path, (unsigned)(slash - path)};
        struct dentry *child = find_or_make(dir, name, S_IFDIR | 0755, 0, NULL);

        dentry_put(dir);
        if (IS_ERR(child))
            return child;
        dir = child;
        path = slash + 1;
    }
    *last = (struct name){path, (unsigned)strlen(path)};
    return dir;
}

static int make_node(const char *path, u32 mode, u32 dev, const char *target)
{
    struct name last;
    struct dentry *dir = parent_of(path, &last), *d;

    if (IS_ERR(dir))
        return (int)PTR_ERR(dir);
    d = find_or_make(dir, last, mode, dev, target);
    dentry_put(dir);
    if (IS_ERR(d))
        return (int)PTR_ERR(d);
    dentry_put(d);
    return 0;
}

static int remember(const char *name, u32 mode, u32 dev)
{
    size_t n = strlen(name) + 1;
    struct pending *p = kmalloc(sizeof(*p) + n);

    if (p == NULL)
        return -ENOMEM;
    p->mode = mode;
    p->dev = dev;
    memcpy(p->name, name, n);
    spin_lock(&early_lock);
    list_add_tail(&early, &p->link);
    spin_unlock(&early_lock);
    return 0;
}

int devfs_add(const char *name, u32 mode, u32 dev, const struct file_ops *ops, void *private)
{
    int error = device_register(mode, dev, ops, private);

    if (error != 0)
        return error;
    return root != NULL ? make_node(name, mode, dev, NULL) : remember(name, mode, dev);
}

void devfs_set_owner(const char *name, u32 uid, u32 gid)
{
    struct name last;
    struct dentry *dir = root != NULL ? parent_of(name, &last) : NULL, *d;

    if (dir == NULL || IS_ERR(dir))
        return;
    write_lock(&dir->inode->lock);
    d = lookup_locked(dir, last);
    if (!IS_ERR(d) && d->inode != NULL) {
        d->inode->uid = uid;
        d->inode->gid = gid;
    }
    write_unlock(&dir->inode->lock);
    if (!IS_ERR(d))
        dentry_put(d);
    dentry_put(dir);
}

void devfs_remove(const char *name)
{
    struct name last;
    struct dentry *dir = root != NULL ? parent_of(name, &last) : NULL, *d;
    struct inode *inode;

    if (dir == NULL || IS_ERR(dir))
        return;
    write_lock(&dir->inode->lock);
    d = lookup_locked(dir, last);
    inode = IS_ERR(d) ? NULL : d->inode;
    if (inode != NULL && !S_ISDIR(inode->mode)) {
        inode_hold(inode);
        if (dir->inode->ops->unlink(dir->inode, last, inode) == 0)
            dentry_delete(d);
        inode_put(inode);
    }
    write_unlock(&dir->inode->lock);
    if (!IS_ERR(d))
        dentry_put(d);
    dentry_put(dir);
}

/* ---- boot ---- */

static void make_or_complain(const char *path, u32 mode, u32 dev, const char *target)
{
    int error = make_node(path, mode, dev, target);

    if (error != 0)
        kprintf("devfs: %s: error %d\n", path, error);
}

static void make_early_ones(void)
{
    while (!list_empty(&early)) {
        struct pending *p = list_first(&early, struct pending, link);

        list_remove(&p->link);
        make_or_complain(p->name, p->mode, p->dev, NULL);
        kfree(p);
    }
}

void devfs_init(void)
{
    struct super *super;

    fs_register(&devtmpfs_type);
    super = super_mount(&devtmpfs_type, NULL, false, "");
    if (IS_ERR(super) || (root = super_root_dentry(super)) == NULL)
        panic("devfs cannot be made");
    make_early_ones();
    if (mem_devices_add() != 0 || kmsg_device_add() != 0 || userfaultfd_device_add() != 0)
        panic("no memory for devices");
    make_or_complain("shm", S_IFDIR | S_ISVTX | 0777, 0, NULL);
    make_or_complain("pts", S_IFDIR | 0755, 0, NULL);
    make_or_complain("fd", 0, 0, "/proc/self/fd");
    make_or_complain("stdin", 0, 0, "/proc/self/fd/0");
    make_or_complain("stdout", 0, 0, "/proc/self/fd/1");
    make_or_complain("stderr", 0, 0, "/proc/self/fd/2");
}
