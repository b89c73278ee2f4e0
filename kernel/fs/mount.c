/*
 * The tree of mounts, mount(2) and umount2(2), and the lines of /proc/mounts.
 *
 * Lock: mounts_lock (spin) guards the list of attached mounts, `at` and `children`. mounting (a mutex) makes calls that
 * change the tree wait for each other.
 */
#include "fs/mount.h"
#include "dev/block.h"
#include "fs/path.h"
#include "fs/super.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

static struct spinlock mounts_lock;
static struct mutex mounting = MUTEX_INIT(mounting);
static struct list mounts = LIST_INIT(mounts);
struct mount *mount_covers[MOUNT_COVERS];
static unsigned last_id;

/* ---- finding ---- */

struct mount *mount_covering(const struct path *path)
{
    struct mount *m;

    spin_lock(&mounts_lock);
    m = mount_read_covering(path->mount, path->dentry);
    if (m != NULL)
        mount_get(m);
    spin_unlock(&mounts_lock);
    return m;
}

bool mount_ascend(struct path *path)
{
    struct path old = *path;
    bool has_parent;

    spin_lock(&mounts_lock);
    has_parent = old.mount->at.mount != NULL;
    if (has_parent) {
        *path = old.mount->at;
        path_get(path);
    }
    spin_unlock(&mounts_lock);
    if (has_parent)
        path_put(&old);
    return has_parent;
}

/* ---- life ---- */

struct dentry *super_root_dentry(struct super *super)
{
    struct dentry *d, *found = NULL;

    dentry_lock_names();
    list_for_each(d, &super->root->dentries, alias_link)
        if (d->flags & DENTRY_ROOT)
            found = d;
    if (found != NULL)
        dentry_get(found);
    dentry_unlock_names();
    if (found == NULL) {
        inode_hold(super->root);
        found = dentry_create_root(super->root);
        if (found == NULL)
            inode_put(super->root);
    }
    return found;
}

#define ATIME_FLAGS (MS_NOATIME | MS_NODIRATIME | MS_STRICTATIME)
#define MOUNT_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | ATIME_FLAGS)

/* What FLAGS of mount(2) say about one mount; strictatime is the strongest word about access times. */
static unsigned mount_flags(unsigned flags)
{
    return flags & MOUNT_FLAGS & ~(flags & MS_STRICTATIME ? (unsigned)MS_NOATIME : 0);
}

static void set_super_flags(struct super *super, unsigned flags)
{
    super->synchronous = (flags & MS_SYNCHRONOUS) != 0;
    super->synchronous_names = (flags & MS_DIRSYNC) != 0;
}

struct mount *mount_create(struct fs_type *type, struct block_device *device, unsigned flags, const char *source,
                           const char *options)
{
    struct mount *m = kzalloc(sizeof(*m));
    struct super *super;

    if (m == NULL)
        return ERR_PTR(-ENOMEM);
    super = super_mount(type, device, (flags & MS_RDONLY) != 0, options);
    if (IS_ERR(super)) {
        kfree(m);
        return (struct mount *)super;
    }
    m->refs = 1;
    m->super = super;
    set_super_flags(super, flags);
    m->flags = mount_flags(flags);
    m->source = source[0] != '\0' ? kstrndup(source, strlen(source)) : kstrndup("none", 4);
    m->root = super_root_dentry(super);
    list_init(&m->link);
    if (m->root != NULL && m->source != NULL)
        return m;
    if (m->root != NULL)
        dentry_put(m->root);
    super_unmount(super);
    kfree(m->source);
    kfree(m);
    return ERR_PTR(-ENOMEM);
}

static void mount_destroy(struct mount *m)
{
    reading_wait();
    dentry_prune(m->root);
    dentry_put(m->root);
    super_unmount(m->super);
    kfree(m->source);
    kfree(m);
}

static void put_unused(struct mount *m)
{
    if (atomic_sub(&m->refs, 1) == 0)
        mount_destroy(m);
}

void mount_put(struct mount *m)
{
    if (unlikely(load_relaxed(&m->expires)))
        store_relaxed(&m->expires, false);
    put_unused(m);
}

/* Into the tree at AT (NULL: as the root of all); the tree takes the caller's reference over. */
static void attach(struct mount *m, const struct path *at)
{
    spin_lock(&mounts_lock);
    m->id = ++last_id;
    if (at != NULL) {
        m->at = *at;
        path_get(&m->at);
        m->next_cover = *mount_covers_of(at->mount, at->dentry);
        store_release(mount_covers_of(at->mount, at->dentry), m);
        at->mount->children++;
        atomic_or(&at->dentry->flags, DENTRY_MOUNTED);
    }
    list_add_tail(&mounts, &m->link);
    spin_unlock(&mounts_lock);
}

int mount_attach(struct mount *m, const struct path *at)
{
    int error = 0;

    mutex_lock(&mounting);
    if (at != NULL && (at->mount->super == m->super && at->dentry == m->root))
        error = -EBUSY; /* already mounted right here */
    else
        attach(m, at);
    mutex_unlock(&mounting);
    return error;
}

/* Out of the tree: its reference is the caller's. => mounts_lock, between name_move_begin and name_move_end. *AT must
 * be put. */
static void detach(struct mount *m, struct path *at)
{
    struct mount *other, **link;
    bool covered = false;

    list_remove(&m->link);
    *at = m->at;
    if (at->dentry == NULL)
        return;
    for (link = mount_covers_of(at->mount, at->dentry); *link != m;)
        link = &(*link)->next_cover;
    store_relaxed(link, m->next_cover);
    m->at = (struct path){NULL, NULL};
    at->mount->children--;
    list_for_each(other, &mounts, link)
        covered |= other->at.dentry == at->dentry;
    if (!covered)
        atomic_and(&at->dentry->flags, ~(u32)DENTRY_MOUNTED);
}

/* ---- mount(2) ---- */

/* The block device that the path SOURCE names. ERR_PTR(-ENOTBLK, -ENXIO...) */
static struct block_device *source_device(const char *source)
{
    struct block_device *device;
    struct path path;
    int error = path_lookup(AT_FDCWD, source, LOOKUP_FOLLOW, &path);

    if (error != 0)
        return ERR_PTR(error);
    if (!S_ISBLK(path_inode(&path)->mode)) {
        path_put(&path);
        return ERR_PTR(-ENOTBLK);
    }
    device = block_by_dev(path_inode(&path)->rdev);
    path_put(&path);
    return device != NULL ? device : ERR_PTR(-ENXIO);
}

static int mount_new(const char *source, const struct path *at, const char *type_name, unsigned flags,
                     const char *options)
{
    struct fs_type *type = fs_type_find(type_name);
    struct block_device *device = NULL;
    struct mount *m;
    int error;

    if (type == NULL)
        return type_name[0] == '\0' ? -EINVAL : -ENODEV;
    if (type->needs_device) {
        if (source[0] == '\0')
            return -EINVAL;
        device = source_device(source);
        if (IS_ERR(device))
            return (int)PTR_ERR(device);
        if (device->read_only && !(flags & MS_RDONLY))
            return -EACCES;
    }
    if (!S_ISDIR(path_inode(at)->mode))
        return -ENOTDIR;
    m = mount_create(type, device, flags, source, options);
    if (IS_ERR(m))
        return (int)PTR_ERR(m);
    error = mount_attach(m, at);
    if (error != 0)
        mount_put(m);
    return error;
}

static int remount(const struct path *at, unsigned flags, const char *options)
{
    struct mount *m = at->mount;
    unsigned kept = flags & (ATIME_FLAGS | MS_RELATIME) ? 0 : m->flags & ATIME_FLAGS; /* who says nothing about them */
    int error = 0;

    if (at->dentry != m->root)
        return -EINVAL;
    if (!(flags & MS_BIND))
        error = super_remount(m->super, (flags & MS_RDONLY) != 0, options);
    if (error == 0 && !(flags & MS_BIND))
        set_super_flags(m->super, flags);
    if (error == 0)
        m->flags = (m->flags & ~(unsigned)MOUNT_FLAGS) | mount_flags(flags) | kept;
    return error;
}

int vfs_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options)
{
    struct path at;
    int error;

    if ((flags & 0xffff0000) == 0xc0ed0000) /* an old magic number */
        flags &= 0xffff;
    if (!capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    error = path_lookup(AT_FDCWD, target, LOOKUP_FOLLOW, &at);
    if (error != 0)
        return error;
    if (flags & MS_REMOUNT)
        error = remount(&at, (unsigned)flags, options);
    else if (flags & MS_PROPAGATION)
        error = at.dentry == at.mount->root ? 0 : -EINVAL; /* one namespace: there is nobody to propagate to */
    else if (flags & (MS_BIND | MS_MOVE))
        error = -EINVAL;
    else
        error = mount_new(source, &at, type, (unsigned)flags, options);
    path_put(&at);
    return error;
}

/* ---- umount2(2) ---- */

static int unmount(struct mount *m, unsigned flags)
{
    struct path at;
    bool busy, is_due;

    spin_lock(&mounts_lock);
    name_move_begin(); /* who gets a reference from now on sees that, and gives it back */
    /* Two references: the tree's and the caller's. */
    busy = !(flags & MNT_DETACH) && (load_relaxed(&m->refs) != 2 || m->children > 0);
    if (list_empty(&m->link) || m->at.mount == NULL || (m->children > 0 && (flags & MNT_DETACH))) {
        name_move_end();
        spin_unlock(&mounts_lock);
        return m->children > 0 || m->at.mount == NULL ? -EBUSY : -EINVAL;
    }
    is_due = !(flags & MNT_EXPIRE) || load_relaxed(&m->expires);
    if (!busy && is_due)
        detach(m, &at);
    else if (!busy)
        store_relaxed(&m->expires, true);
    name_move_end();
    spin_unlock(&mounts_lock);
    if (busy || !is_due)
        return busy ? -EBUSY : -EAGAIN;
    path_put(&at);
    mount_put(m);
    return 0;
}

int vfs_unmount(const char *target, unsigned flags)
{
    struct path path;
    int error;

    if ((flags & ~(unsigned)(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) ||
        ((flags & MNT_EXPIRE) && (flags & (MNT_FORCE | MNT_DETACH))))
        return -EINVAL;
    error = path_lookup(AT_FDCWD, target, flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &path);
    if (error != 0)
        return error;
    if (path.dentry != path.mount->root)
        error = -EINVAL;
    else if (!capable(current->cred, CAP_SYS_ADMIN))
        error = -EPERM;
    dentry_put(path.dentry);
    if (error == 0) {
        super_sync(path.mount->super, true);
        mutex_lock(&mounting);
        error = unmount(path.mount, flags);
        mutex_unlock(&mounting);
    }
    put_unused(path.mount); /* this was no use of it */
    return error;
}

/* ---- /proc/mounts ---- */

/* Blanks and backslashes in names are written as octal escapes (fstab(5)). */
static size_t escape(char *to, size_t size, const char *from)
{
    size_t n = 0;

    for (; *from != '\0' && n + 5 < size; from++) {
        if (*from == ' ' || *from == '\t' || *from == '\n' || *from == '\\')
            n += (size_t)snprintf(to + n, size - n, "\\%03o", (unsigned)*from);
        else
            to[n++] = *from;
    }
    to[n] = '\0';
    return n;
}

static void flags_text(const struct mount *m, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s%s%s%s%s%s%s", mount_is_read_only(m) ? "ro" : "rw",
             m->super->synchronous ? ",sync" : "", m->super->synchronous_names ? ",dirsync" : "",
             m->flags & MS_NOSUID ? ",nosuid" : "", m->flags & MS_NODEV ? ",nodev" : "",
             m->flags & MS_NOEXEC ? ",noexec" : "", m->flags & MS_NOATIME ? ",noatime" : "",
             m->flags & MS_NODIRATIME ? ",nodiratime" : "",
             m->flags & (MS_NOATIME | MS_STRICTATIME) ? "" : ",relatime");
}

static size_t write_line(struct mount *m, unsigned parent_id, bool info, char *buf, size_t size, char *scratch)
{
    struct path root = {m, m->root};
    char flags[96], options[128] = "", source[128], *name = path_name(&root, scratch, PATH_MAX),
                    *place = scratch + PATH_MAX;
    int n;

    if (IS_ERR(name))
        return 0;
    escape(place, PATH_MAX, name);
    escape(source, sizeof(source), m->source);
    flags_text(m, flags, sizeof(flags));
    if (m->super->ops->show_options != NULL)
        m->super->ops->show_options(m->super, options, sizeof(options));
    if (info)
        n = snprintf(buf, size, "%u %u %u:%u / %s %s - %s %s %s%s\n", m->id, parent_id, dev_major(m->super->dev),
                     dev_minor(m->super->dev), place, flags, m->super->type->name, source,
                     m->super->read_only ? "ro" : "rw", options);
    else
        n = snprintf(buf, size, "%s %s %s %s%s 0 0\n", source, place, m->super->type->name, flags, options);
    return MIN((size_t)n, size - 1);
}

size_t mount_line(unsigned *id, bool info, char *buf, size_t size)
{
    char *scratch = kmalloc(2 * PATH_MAX);
    size_t n = 0;

    while (scratch != NULL && n == 0) {
        struct mount *m, *next = NULL;
        unsigned parent_id = 0;

        spin_lock(&mounts_lock);
        list_for_each(m, &mounts, link)
            if (m->id > *id && (next == NULL || m->id < next->id))
                next = m;
        if (next != NULL) {
            mount_get(next);
            parent_id = next->at.mount != NULL ? next->at.mount->id : next->id;
        }
        spin_unlock(&mounts_lock);
        if (next == NULL)
            break;
        *id = next->id;
        n = write_line(next, parent_id, info, buf, size, scratch);
        mount_put(next);
    }
    kfree(scratch);
    return n;
}

/* ---- the end ---- */

/* Mounts go in the reverse order; one that is still used is at least left clean on its disk. */
void vfs_shutdown(void)
{
    struct fs_context *fs = current->fs;

    sync_all(true);
    current->fs = NULL;
    if (fs != NULL)
        fs_context_put(fs);
    mutex_lock(&mounting);
    while (!list_empty(&mounts)) {
        struct mount *m = list_last(&mounts, struct mount, link);
        struct path at;

        spin_lock(&mounts_lock);
        name_move_begin();
        detach(m, &at);
        name_move_end();
        spin_unlock(&mounts_lock);
        if (load_relaxed(&m->refs) != 1 && m->super->ops->remount != NULL && !m->super->read_only) {
            super_sync(m->super, true);
            if (m->super->ops->remount(m->super, true, "") == 0)
                m->super->read_only = true;
        }
        mount_put(m);
        if (at.dentry != NULL)
            path_put(&at);
    }
    mutex_unlock(&mounting);
}
