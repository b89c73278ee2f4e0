/*
 * Super blocks: the registered types of file systems, and their mounted instances. A disk that is mounted twice has one
 * super block.
 *
 * Lock: supers_mutex guards the list and `mounts`; held while a file system mounts and unmounts, so that the same disk
 * cannot be mounted beside itself.
 */
#include "fs/super.h"
#include "fs/notify.h"
#include "dev/block.h"
#include "fs/dentry.h"
#include "lib/string.h"
#include "sched/wait.h"
#include "vm/kmalloc.h"
#include "vm/swapdev.h"

static struct mutex supers_mutex = MUTEX_INIT(supers_mutex);
static struct list supers = LIST_INIT(supers);
static struct fs_type *types;
static u32 next_anonymous_dev = 1;

void fs_register(struct fs_type *type)
{
    struct fs_type **link = &types;

    while (*link != NULL)
        link = &(*link)->next;
    type->next = NULL;
    *link = type;
}

struct fs_type *fs_type_find(const char *name)
{
    for (struct fs_type *type = types; type != NULL; type = type->next)
        if (strcmp(type->name, name) == 0)
            return type;
    return NULL;
}

const struct fs_type *fs_type_nth(unsigned number)
{
    struct fs_type *type = types;

    while (type != NULL && number-- > 0)
        type = type->next;
    return type;
}

static struct super *find_mounted(const struct fs_type *type, const struct block_device *device)
{
    struct super *super;

    list_for_each(super, &supers, link)
        if (device != NULL ? super->device == device : type->single && super->type == type)
            return super;
    return NULL;
}

static struct super *super_create(struct fs_type *type, struct block_device *device, bool read_only)
{
    struct super *super = kzalloc(sizeof(*super));

    if (super == NULL)
        return NULL;
    super->type = type;
    super->device = device;
    super->read_only = read_only;
    super->dev = device != NULL ? device->dev : makedev(0, atomic_add_relaxed(&next_anonymous_dev, 1) - 1);
    super->block_size = PAGE_SIZE;
    super->time_granularity = 1;
    super->max_size = INT64_MAX;
    mutex_init(&super->rename_lock);
    list_init(&super->inodes);
    list_init(&super->dirty_inodes);
    list_init(&super->link);
    return super;
}

bool super_uses(const struct block_device *device)
{
    struct super *super;
    bool found = false;

    mutex_lock(&supers_mutex);
    list_for_each(super, &supers, link)
        found |= super->device == device;
    mutex_unlock(&supers_mutex);
    return found;
}

struct super *super_mount(struct fs_type *type, struct block_device *device, bool read_only, const char *options)
{
    struct super *super;
    int error;

    mutex_lock(&supers_mutex);
    super = find_mounted(type, device);
    if (super != NULL) {
        if (device != NULL && (super->read_only != read_only || super->type != type))
            super = ERR_PTR(-EBUSY);
        else
            super->mounts++;
        goto out;
    }
    if (device != NULL && swapdev_is(device)) {
        super = ERR_PTR(-EBUSY);
        goto out;
    }
    super = super_create(type, device, read_only);
    if (super == NULL) {
        super = ERR_PTR(-ENOMEM);
        goto out;
    }
    error = type->mount(super, options);
    if (error != 0) {
        super_evict_inodes(super);
        kfree(super);
        super = ERR_PTR(error);
        goto out;
    }
    super->mounts = 1;
    list_add_tail(&supers, &super->link);
out:
    mutex_unlock(&supers_mutex);
    return super;
}

void super_unmount(struct super *super)
{
    mutex_lock(&supers_mutex);
    if (--super->mounts > 0) {
        mutex_unlock(&supers_mutex);
        return;
    }
    notify_unmount(super);
    super_sync(super, true);
    inode_put(super->root);
    super->root = NULL;
    if (!super_evict_inodes(super))
        kprintf("%s: inodes are still in use at unmount\n", super->type->name);
    if (super->ops->put_super != NULL)
        super->ops->put_super(super);
    list_remove(&super->link);
    mutex_unlock(&supers_mutex);
    if (list_empty(&super->inodes))
        kfree(super);
}

/* Whether some file is open for writing, or has lost its name but not its users: such a file system cannot become
 * read-only. */
static bool has_writers(struct super *super)
{
    struct inode *inode = NULL;
    bool found = false;

    while ((inode = super_next_inode(super, inode)) != NULL)
        if (load_relaxed(&inode->write_opens) > 0 || inode->nlink == 0)
            found = true;
    return found;
}

static bool has_dirty_pages(struct super *super)
{
    struct inode *inode = NULL;
    bool found = false;

    while ((inode = super_next_inode(super, inode)) != NULL)
        found |= load_relaxed(&inode->object.nr_dirty) > 0;
    return found;
}

static void sleep_briefly(void)
{
    static struct wait_queue nothing = WAIT_QUEUE_INIT(nothing);

    wait_event_state(&nothing, false, THREAD_SLEEPING, time_ns() + NSEC_PER_MSEC);
}

#define STOP_ATTEMPTS 50

/* All is written, and no change can begin: 0. -EBUSY: somebody is changing something, -EIO. */
static int stop_writers(struct super *super)
{
    for (unsigned attempt = 0; attempt < STOP_ATTEMPTS; attempt++) {
        int error = has_writers(super) ? -EBUSY : super_sync(super, true);

        if (error != 0)
            return error;
        if (super->ops->hold == NULL)
            return 0;
        if (super->ops->hold(super) == 0) {
            if (!has_writers(super) && !has_dirty_pages(super))
                return 0;
            super->ops->release(super); /* somebody came in between */
        }
        sleep_briefly();
    }
    return -EBUSY;
}

int super_remount(struct super *super, bool read_only, const char *options)
{
    bool stops;
    int error;

    mutex_lock(&supers_mutex);
    stops = read_only && !super->read_only;
    error = stops ? stop_writers(super) : 0;
    if (error == 0 && super->ops->remount != NULL) {
        error = super->ops->remount(super, read_only, options);
        if (stops && super->ops->release != NULL)
            super->ops->release(super);
    }
    if (error == 0)
        super->read_only = read_only;
    mutex_unlock(&supers_mutex);
    return error;
}

void super_add_internal(struct super *super)
{
    mutex_init(&super->rename_lock);
    list_init(&super->inodes);
    list_init(&super->dirty_inodes);
    list_init(&super->link);
    mutex_lock(&supers_mutex);
    list_add_tail(&supers, &super->link);
    mutex_unlock(&supers_mutex);
}

int super_for_each(int (*fn)(struct super *super, void *arg), void *arg)
{
    struct super *super;
    int result = 0;

    mutex_lock(&supers_mutex);
    list_for_each(super, &supers, link) {
        result = fn(super, arg);
        if (result != 0)
            break;
    }
    mutex_unlock(&supers_mutex);
    return result;
}
