/*
 * Making, removing and moving names. The pattern of each: walk to the directory, lock it, look the last component up,
 * check, let the file system do it, tell the name cache. Sources: mkdir(2), mknod(2), symlink(2), link(2), unlink(2),
 * rmdir(2), rename(2), inode(7), proc_sys_fs(5) (protected_hardlinks).
 */
#include "fs/names.h"
#include "fs/attr.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/notify.h"
#include "lib/string.h"

int may_create_in(struct inode *dir)
{
    if (dir->nlink == 0)
        return -ENOENT;
    return inode_permission(dir, current->cred, MAY_WRITE | MAY_EXEC);
}

/* ---- creating ---- */

/* Walks to the directory of NAME and locks it: *D is the negative dentry of the last component. On errors nothing is
 * held. */
static int create_begin(struct walk *w, int dirfd, const char *name, bool directory, struct dentry **d)
{
    int error = walk_to_parent(w, dirfd, name);
    struct inode *dir;

    if (error == 0 && w->last_kind != LAST_NORMAL)
        error = -EEXIST;
    if (error != 0) {
        walk_end(w);
        return error;
    }
    dir = path_inode(&w->path);
    write_lock(&dir->lock);
    *d = dentry_lookup_locked(w->path.dentry, w->last, w->last_hash);
    if (IS_ERR(*d)) {
        error = (int)PTR_ERR(*d);
    } else {
        if (dentry_inode(*d) != NULL)
            error = -EEXIST;
        else if (w->must_be_directory && !directory)
            error = -ENOENT;
        else
            error = path_want_write(&w->path);
        if (error == 0)
            error = may_create_in(dir);
        if (error != 0)
            dentry_put(*d);
    }
    if (error != 0) {
        write_unlock(&dir->lock);
        walk_end(w);
    }
    return error;
}

/* INODE (or ERR_PTR) is what the file system made. */
static int create_end(struct walk *w, struct dentry *d, struct inode *inode)
{
    if (!IS_ERR(inode))
        dentry_instantiate(d, inode);
    write_unlock(&path_inode(&w->path)->lock);
    if (!IS_ERR(inode))
        notify_name(path_inode(&w->path), w->last, IN_CREATE, S_ISDIR(inode->mode));
    dentry_put(d);
    walk_end(w);
    return IS_ERR(inode) ? (int)PTR_ERR(inode) : 0;
}

int names_check_kind(u32 mode)
{
    switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        return 0;
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

int names_mknod(int dirfd, const char *name, u32 mode, u32 dev)
{
    const struct inode_ops *ops;
    struct inode *inode, *dir;
    struct dentry *d;
    struct walk w;
    int error = names_check_kind(mode);

    if (error != 0)
        return error;
    if ((mode & S_IFMT) == 0)
        mode |= S_IFREG;
    error = create_begin(&w, dirfd, name, false, &d);
    if (error != 0)
        return error;
    dir = path_inode(&w.path);
    ops = dir->ops;
    mode = (mode & S_IFMT) | (mode & 07777 & ~current_umask());
    if ((S_ISCHR(mode) || S_ISBLK(mode)) && !capable(current->cred, CAP_MKNOD))
        inode = ERR_PTR(-EPERM);
    else if (S_ISREG(mode))
        inode = ops->create != NULL ? ops->create(dir, dentry_name(d), mode) : ERR_PTR(-EPERM);
    else
        inode = ops->mknod != NULL ? ops->mknod(dir, dentry_name(d), mode, S_ISCHR(mode) || S_ISBLK(mode) ? dev : 0)
                                   : ERR_PTR(-EPERM);
    return create_end(&w, d, inode);
}

int names_mkdir(int dirfd, const char *name, u32 mode)
{
    struct inode *inode, *dir;
    struct dentry *d;
    struct walk w;
    int error = create_begin(&w, dirfd, name, true, &d);

    if (error != 0)
        return error;
    dir = path_inode(&w.path);
    mode = S_IFDIR | (mode & (0777 | S_ISVTX) & ~current_umask());
    inode = dir->ops->mkdir != NULL ? dir->ops->mkdir(dir, dentry_name(d), mode) : ERR_PTR(-EPERM);
    return create_end(&w, d, inode);
}

int names_symlink(const char *target, int dirfd, const char *name)
{
    struct inode *inode, *dir;
    struct dentry *d;
    struct walk w;
    int error;

    if (*target == '\0')
        return -ENOENT;
    error = create_begin(&w, dirfd, name, false, &d);
    if (error != 0)
        return error;
    dir = path_inode(&w.path);
    inode = dir->ops->symlink != NULL ? dir->ops->symlink(dir, dentry_name(d), target) : ERR_PTR(-EPERM);
    return create_end(&w, d, inode);
}

/* protected_hardlinks: who does not own a file may link to it only if it could not be used against the owner. */
static bool may_link_to(const struct inode *inode, const struct cred *cred)
{
    bool harmless = S_ISREG(inode->mode) && !(inode->mode & S_ISUID) &&
                    (inode->mode & (S_ISGID | 0010)) != (S_ISGID | 0010) &&
                    inode_permission(inode, cred, MAY_READ | MAY_WRITE) == 0;

    return harmless || inode_is_owner(inode, cred);
}

static int link_checked(const struct path *old, struct walk *w, struct dentry *d)
{
    struct inode *inode = path_inode(old), *dir = path_inode(&w->path);
    int error;

    if (old->mount != w->path.mount)
        return -EXDEV;
    if (!may_link_to(inode, current->cred) || (inode->flags & (FS_APPEND_FL | FS_IMMUTABLE_FL)))
        return -EPERM;
    if (S_ISDIR(inode->mode) || dir->ops->link == NULL)
        return -EPERM;
    write_lock(&inode->lock);
    /* A file that has lost its last name stays so, unless it never had one (O_TMPFILE). */
    if ((inode->nlink == 0 && old->dentry->parent != old->dentry) || (load_relaxed(&inode->state) & INODE_NAMELESS))
        error = -ENOENT;
    else
        error = dir->ops->link(dir, dentry_name(d), inode);
    write_unlock(&inode->lock);
    if (error == 0) {
        inode_hold(inode);
        dentry_instantiate(d, inode);
    }
    return error;
}

int names_link(const struct path *old, int dirfd, const char *name)
{
    struct dentry *d;
    struct walk w;
    int error = create_begin(&w, dirfd, name, false, &d);

    if (error != 0)
        return error;
    error = link_checked(old, &w, d);
    write_unlock(&path_inode(&w.path)->lock);
    if (error == 0) {
        notify_inode(path_inode(old), IN_ATTRIB);
        notify_name(path_inode(&w.path), w.last, IN_CREATE, false);
    }
    dentry_put(d);
    walk_end(&w);
    return error;
}

/* ---- removing ---- */

/* In a sticky directory only the owners of the file and of the directory may remove or rename (inode(7)). */
static bool is_sticky_for_us(const struct inode *dir, const struct inode *inode)
{
    const struct cred *cred = current->cred;

    return (dir->mode & S_ISVTX) && cred->fsuid != inode->uid && cred->fsuid != dir->uid && !capable(cred, CAP_FOWNER);
}

/* => dir->lock; D positive */
static int may_remove(struct inode *dir, const struct dentry *d, bool directory)
{
    struct inode *inode = d->inode;
    int error = inode_permission(dir, current->cred, MAY_WRITE | MAY_EXEC);

    if (error != 0)
        return error;
    if (is_sticky_for_us(dir, inode) || (load_relaxed(&inode->state) & INODE_SWAP) || (dir->flags & FS_APPEND_FL) ||
        (inode->flags & (FS_APPEND_FL | FS_IMMUTABLE_FL)))
        return -EPERM;
    if (directory && !S_ISDIR(inode->mode))
        return -ENOTDIR;
    if (!directory && S_ISDIR(inode->mode))
        return -EISDIR;
    if (load_relaxed(&d->flags) & DENTRY_MOUNTED)
        return -EBUSY;
    return dir->nlink == 0 ? -ENOENT : 0;
}

/* => dir->lock */
static int unlink_locked(struct walk *w, struct dentry *d)
{
    struct inode *dir = path_inode(&w->path), *inode = d->inode;
    int error;

    if (w->must_be_directory)
        return S_ISDIR(inode->mode) ? -EISDIR : -ENOTDIR;
    error = path_want_write(&w->path);
    if (error == 0)
        error = may_remove(dir, d, false);
    if (error == 0 && dir->ops->unlink == NULL)
        error = -EPERM;
    if (error != 0)
        return error;
    write_lock(&inode->lock);
    error = dir->ops->unlink(dir, dentry_name(d), inode);
    write_unlock(&inode->lock);
    return error;
}

static int rmdir_locked(struct walk *w, struct dentry *d)
{
    struct inode *dir = path_inode(&w->path), *inode = d->inode;
    int error = path_want_write(&w->path);

    if (error == 0)
        error = may_remove(dir, d, true);
    if (error == 0 && dir->ops->rmdir == NULL)
        error = -EPERM;
    if (error != 0)
        return error;
    write_lock(&inode->lock);
    error = dir->ops->rmdir(dir, dentry_name(d), inode);
    write_unlock(&inode->lock);
    return error;
}

/* The last component of W's walk, removed by REMOVE. The inode outlives the directory's lock, so that its blocks are
 * freed without it. */
static int remove_last(struct walk *w, int (*remove)(struct walk *, struct dentry *))
{
    struct inode *dir = path_inode(&w->path), *inode = NULL;
    struct dentry *d;
    int error = 0;

    write_lock(&dir->lock);
    d = dentry_lookup_locked(w->path.dentry, w->last, w->last_hash);
    if (IS_ERR(d)) {
        write_unlock(&dir->lock);
        return (int)PTR_ERR(d);
    }
    inode = d->inode;
    if (inode == NULL) {
        error = -ENOENT;
    } else {
        inode_hold(inode);
        error = remove(w, d);
    }
    if (error == 0) {
        bool is_dir = S_ISDIR(inode->mode);

        if (!is_dir)
            notify_inode(inode, IN_ATTRIB);
        dentry_delete(d);
        notify_name(dir, w->last, IN_DELETE, is_dir);
    }
    write_unlock(&dir->lock);
    dentry_put(d);
    if (inode != NULL)
        inode_put(inode);
    return error;
}

int names_unlink(int dirfd, const char *name)
{
    struct walk w;
    int error = walk_to_parent(&w, dirfd, name);

    if (error == 0)
        error = w.last_kind != LAST_NORMAL ? -EISDIR : remove_last(&w, unlink_locked);
    walk_end(&w);
    return error;
}

int names_rmdir(int dirfd, const char *name)
{
    static const int special[] = {[LAST_DOT] = -EINVAL, [LAST_DOT_DOT] = -ENOTEMPTY, [LAST_ROOT] = -EBUSY};
    struct walk w;
    int error = walk_to_parent(&w, dirfd, name);

    if (error == 0)
        error = w.last_kind != LAST_NORMAL ? special[w.last_kind] : remove_last(&w, rmdir_locked);
    walk_end(&w);
    return error;
}

/* ---- renaming ---- */

/* Directories are locked parents first, else by address; => rename_lock when they differ. */
static void lock_both(struct dentry *a, struct dentry *b)
{
    struct inode *first = a->inode, *second = b->inode;

    if (first == second) {
        write_lock(&first->lock);
        return;
    }
    if (dentry_is_below(a, b) || (!dentry_is_below(b, a) && (u64)second < (u64)first)) {
        first = b->inode;
        second = a->inode;
    }
    write_lock(&first->lock);
    write_lock(&second->lock);
}

static void unlock_both(struct dentry *a, struct dentry *b)
{
    write_unlock(&a->inode->lock);
    if (a->inode != b->inode)
        write_unlock(&b->inode->lock);
}

struct rename {
    struct walk from, to;
    struct dentry *old, *target; /* last components; target may be negative */
    unsigned flags;
};

static int check_trailing_slashes(const struct rename *r)
{
    if ((r->flags & RENAME_EXCHANGE) && r->to.must_be_directory && !S_ISDIR(r->target->inode->mode))
        return -ENOTDIR;
    if (S_ISDIR(r->old->inode->mode))
        return 0;
    if (r->from.must_be_directory)
        return -ENOTDIR;
    if (!(r->flags & RENAME_EXCHANGE) && r->to.must_be_directory)
        return -ENOTDIR;
    return 0;
}

/* A directory that moves to another parent changes its "..". */
static int may_change_parent(const struct rename *r, struct inode *inode)
{
    if (!S_ISDIR(inode->mode) || path_inode(&r->from.path) == path_inode(&r->to.path))
        return 0;
    return inode_permission(inode, current->cred, MAY_WRITE);
}

/* All that rename(2) can refuse. => both directories locked */
static int check_rename(const struct rename *r)
{
    struct inode *old_dir = path_inode(&r->from.path), *new_dir = path_inode(&r->to.path);
    struct inode *inode = dentry_inode(r->old), *target = dentry_inode(r->target);
    bool exchange = (r->flags & RENAME_EXCHANGE) != 0;
    int error;

    if (inode == NULL)
        return -ENOENT;
    if (target != NULL && (r->flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (target == NULL && exchange)
        return -ENOENT;
    error = check_trailing_slashes(r);
    if (error != 0)
        return error;
    if (dentry_is_below(r->to.path.dentry, r->old))
        return -EINVAL;
    if (dentry_is_below(r->from.path.dentry, r->target))
        return exchange ? -EINVAL : -ENOTEMPTY;
    if (inode == target)
        return 0;
    error = may_remove(old_dir, r->old, S_ISDIR(inode->mode));
    if (error != 0)
        return error;
    if (target == NULL)
        error = may_create_in(new_dir);
    else
        error = may_remove(new_dir, r->target, S_ISDIR(exchange ? target->mode : inode->mode));
    if (error == 0)
        error = may_change_parent(r, inode);
    if (error == 0 && exchange)
        error = may_change_parent(r, target);
    if (error == 0 && old_dir->ops->rename == NULL)
        error = -EPERM;
    return error;
}

/* => both directories locked */
static int rename_locked(struct rename *r)
{
    struct inode *inode = r->old->inode, *target = dentry_inode(r->target);
    struct inode *old_dir = path_inode(&r->from.path), *new_dir = path_inode(&r->to.path);
    int error = check_rename(r);

    if (error != 0 || inode == target)
        return error;
    if (target != NULL)
        write_lock(&target->lock);
    error = old_dir->ops->rename(old_dir, dentry_name(r->old), inode, new_dir, dentry_name(r->target), target,
                                 r->flags & (RENAME_EXCHANGE | RENAME_WHITEOUT));
    if (target != NULL)
        write_unlock(&target->lock);
    if (error != 0)
        return error;
    if (r->flags & RENAME_EXCHANGE)
        dentry_exchange(r->old, r->target);
    else
        dentry_move(r->old, r->target);
    notify_move(old_dir, r->from.last, new_dir, r->to.last, inode, r->flags & RENAME_EXCHANGE ? NULL : target);
    if (r->flags & RENAME_EXCHANGE)
        notify_move(new_dir, r->to.last, old_dir, r->from.last, target, NULL);
    return 0;
}

static int rename_between(struct rename *r)
{
    struct dentry *from = r->from.path.dentry, *to = r->to.path.dentry;
    struct super *super = from->inode->super;
    struct inode *target = NULL;
    int error = 0;

    mutex_lock(&super->rename_lock);
    lock_both(from, to);
    r->old = dentry_lookup_locked(from, r->from.last, r->from.last_hash);
    r->target = IS_ERR(r->old) ? NULL : dentry_lookup_locked(to, r->to.last, r->to.last_hash);
    if (IS_ERR(r->old)) {
        error = (int)PTR_ERR(r->old);
    } else if (IS_ERR(r->target)) {
        error = (int)PTR_ERR(r->target);
    } else {
        target = dentry_inode(r->target);
        if (target != NULL)
            inode_hold(target);
        error = rename_locked(r);
    }
    unlock_both(from, to);
    mutex_unlock(&super->rename_lock);
    if (!IS_ERR(r->old)) {
        dentry_put(r->old);
        if (!IS_ERR(r->target))
            dentry_put(r->target);
    }
    if (target != NULL)
        inode_put(target);
    return error;
}

int names_find_parent(int dirfd, const char *name)
{
    struct walk w;
    int error = walk_to_parent(&w, dirfd, name);

    walk_end(&w);
    return error;
}

int names_rename(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, unsigned flags)
{
    struct rename r = {.flags = flags};
    int error;

    error = walk_to_parent(&r.from, old_dirfd, old_name);
    if (error != 0) {
        walk_end(&r.from);
        return error;
    }
    error = walk_to_parent(&r.to, new_dirfd, new_name);
    if (error == 0 && r.from.path.mount != r.to.path.mount)
        error = -EXDEV;
    if (error == 0 && r.from.last_kind != LAST_NORMAL)
        error = -EBUSY;
    if (error == 0 && r.to.last_kind != LAST_NORMAL)
        error = flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    if (error == 0)
        error = path_want_write(&r.from.path);
    if (error == 0)
        error = rename_between(&r);
    walk_end(&r.from);
    walk_end(&r.to);
    return error;
}
