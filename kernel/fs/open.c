/*
 * open(2): from a path and flags to a struct file. The order of checks is the man page's and, where that is silent,
 * Linux's.
 */
#include "fs/attr.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/names.h"
#include "fs/notify.h"
#include "fs/path.h"

static const struct file_ops no_file_ops; /* O_PATH, sockets */

#define VALID_WITH_PATH (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

/* Combinations that make no sense. */
static int check_flags(u32 *flags)
{
    if (*flags & O_PATH)
        *flags &= VALID_WITH_PATH;
    if (*flags & TMPFILE_BIT) {
        if ((*flags & O_TMPFILE) != O_TMPFILE || (*flags & O_CREAT) || (*flags & O_ACCMODE) == O_RDONLY)
            return -EINVAL;
        return 0;
    }
    if ((*flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
        return -EINVAL;
    return 0;
}

static unsigned wanted_access(u32 flags)
{
    static const unsigned access[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};

    return access[flags & O_ACCMODE] | (flags & O_TRUNC ? MAY_WRITE : 0);
}

/* Whether the file that was found may be opened so. */
static int may_open(const struct path *path, u32 flags, bool created)
{
    struct inode *inode = path_inode(path);
    unsigned may = wanted_access(flags);
    int error;

    switch (inode->mode & S_IFMT) {
    case S_IFLNK:
        return -ELOOP;
    case S_IFDIR:
        if (may & MAY_WRITE)
            return -EISDIR;
        break;
    case S_IFCHR:
    case S_IFBLK:
        if (path->mount != NULL && (path->mount->flags & MS_NODEV))
            return -EACCES;
        break;
    case S_IFREG:
        if ((may & MAY_WRITE) && path_want_write(path) != 0)
            return -EROFS;
        break;
    }
    if (!created) {
        error = inode_permission(inode, current->cred, may);
        if (error != 0)
            return error;
    }
    /* Only at the end, and never shorter. */
    if (unlikely(inode->flags & FS_APPEND_FL) &&
        (((flags & O_ACCMODE) != O_RDONLY && !(flags & O_APPEND)) || (flags & O_TRUNC)))
        return -EPERM;
    if ((flags & O_NOATIME) && current->cred != NULL && !inode_is_owner(inode, current->cred))
        return -EPERM;
    return 0;
}

/* Finds the operations for FILE, whose inode and path are set. */
static int bind_operations(struct file *file)
{
    struct inode *inode = file->inode;

    switch (inode->mode & S_IFMT) {
    case S_IFCHR:
    case S_IFBLK:
        return device_open(inode, file);
    case S_IFIFO:
        return fifo_open(inode, file);
    case S_IFSOCK:
        return -ENXIO;
    }
    if (inode->file_ops == NULL && inode_is_anon(inode))
        return -ENXIO; /* an epoll, an eventfd...: by /proc/PID/fd, and what it is only its file knows */
    file->ops = inode->file_ops != NULL ? inode->file_ops : &no_file_ops;
    return file->ops->open != NULL ? file->ops->open(inode, file) : 0;
}

/* Makes FILE, fresh, one on PATH; takes both over in any case. The file is allocated before anything is created or cut
 * for it. */
static struct file *open_path(struct file *file, struct path *path, u32 flags, bool created)
{
    struct inode *inode = path_inode(path);
    int error = 0;

    if (!(flags & O_PATH))
        error = may_open(path, flags, created);
    if (error != 0) {
        path_put(path);
        file_free(file);
        return ERR_PTR(error);
    }
    inode_hold(inode);
    file->inode = inode;
    file->path = *path;
    file->ops = &no_file_ops;
    file->was_created = created;
    file->error_seen = load_relaxed(&inode->object.error_sequence);
    if (flags & O_PATH) {
        file->flags &= ~(u32)O_NOCTTY;
        return file;
    }
    if (S_ISREG(inode->mode) && (file->can_write || (flags & O_TRUNC))) {
        error = inode_allow_write(inode);
        file->counts_write = error == 0;
    }
    if (error == 0 && (flags & O_DIRECT) && !S_ISREG(inode->mode) && !S_ISBLK(inode->mode) && !S_ISSOCK(inode->mode))
        error = -EINVAL;
    if (error == 0)
        error = bind_operations(file);
    if (error == 0) {
        notify_file(file, IN_OPEN);
        if ((flags & O_TRUNC) && !created && S_ISREG(inode->mode)) {
            error = inode_truncate(inode, 0);
            if (error == 0)
                notify_file(file, IN_MODIFY);
        }
    } else {
        file->ops = &no_file_ops; /* what was not opened is not released */
    }
    file->flags &= ~(u32)O_NOCTTY; /* it speaks to the driver's open only */
    if (error == 0)
        return file;
    file_put(file);
    return ERR_PTR(error);
}

/* Without O_CREAT. */
static struct file *open_existing(struct file *fresh, int dirfd, const char *name, u32 flags, unsigned lookup)
{
    struct path path;
    int error;

    lookup |= (flags & O_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & O_DIRECTORY ? LOOKUP_DIRECTORY : 0);
    error = path_lookup(dirfd, name, lookup, &path);
    if (error != 0) {
        file_free(fresh);
        return ERR_PTR(error);
    }
    return open_path(fresh, &path, flags, false);
}

/* The last component in the walk's directory, made if it is not there: *CREATED. A positive dentry, or ERR_PTR. */
static struct dentry *find_or_create(struct walk *w, u32 flags, u32 mode, bool *created)
{
    struct inode *dir = path_inode(&w->path), *inode;
    struct dentry *d;
    int error;

    *created = false;
    if (!(flags & O_EXCL)) { /* with it, the name is hardly there */
        d = dentry_lookup(w->path.dentry, w->last, w->last_hash);
        if (IS_ERR(d) || dentry_inode(d) != NULL)
            return d;
        dentry_put(d);
    }
    write_lock(&dir->lock);
    d = dentry_lookup_locked(w->path.dentry, w->last, w->last_hash);
    if (IS_ERR(d) || dentry_inode(d) != NULL)
        goto out;
    error = path_want_write(&w->path);
    if (error == 0)
        error = may_create_in(dir);
    if (error == 0 && dir->ops->create == NULL)
        error = -EACCES;
    if (error == 0) {
        inode = dir->ops->create(dir, w->last, S_IFREG | (mode & 07777 & ~current_umask()));
        error = IS_ERR(inode) ? (int)PTR_ERR(inode) : 0;
    }
    if (error == 0) {
        dentry_instantiate(d, inode);
        notify_name(dir, w->last, IN_CREATE, false);
        *created = true;
    } else {
        dentry_put(d);
        d = ERR_PTR(error);
    }
out:
    write_unlock(&dir->lock);
    return d;
}

static noinline_fn struct file *open_create(struct file *fresh, int dirfd, const char *name, u32 flags, u32 mode)
{
    struct file *file = NULL;
    struct dentry *d;
    struct walk w;
    bool created;
    int error = walk_to_parent(&w, dirfd, name);

    while (error == 0 && file == NULL) {
        if (w.last_kind != LAST_NORMAL && w.links > 0 && w.last_kind == LAST_ROOT) { /* a magic link's target */
            file = open_path(fresh, &w.path, flags, false);
            w.path.dentry = NULL;
            break;
        }
        if (w.last_kind != LAST_NORMAL || w.must_be_directory) {
            error = -EISDIR;
            break;
        }
        d = find_or_create(&w, flags, mode, &created);
        if (IS_ERR(d)) {
            error = (int)PTR_ERR(d);
        } else if (!created && (flags & O_EXCL)) {
            dentry_put(d);
            error = -EEXIST;
        } else if (S_ISLNK(d->inode->mode)) {
            error = flags & O_NOFOLLOW ? -ELOOP : walk_follow(&w, d);
            dentry_put(d);
            if (error == 0)
                error = walk_parent(&w);
        } else {
            walk_enter(&w, d);
            if (S_ISDIR(path_inode(&w.path)->mode)) {
                error = -EISDIR;
                break;
            }
            file = open_path(fresh, &w.path, flags, created);
            w.path.dentry = NULL;
        }
    }
    walk_end(&w);
    if (error != 0)
        file_free(fresh);
    return error != 0 ? ERR_PTR(error) : file;
}

/* O_TMPFILE: a file without a name in the file system of a directory. O_EXCL: linkat may not give it one. */
static noinline_fn struct file *open_tmpfile(struct file *fresh, int dirfd, const char *name, u32 flags, u32 mode)
{
    struct path path;
    struct inode *dir, *inode;
    struct dentry *d;
    int error = path_lookup(dirfd, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);

    if (error != 0)
        goto failed;
    dir = path_inode(&path);
    error = path_want_write(&path);
    if (error == 0)
        error = may_create_in(dir);
    if (error == 0 && dir->ops->tmpfile == NULL)
        error = -EOPNOTSUPP;
    if (error != 0) {
        path_put(&path);
        goto failed;
    }
    write_lock(&dir->lock);
    inode = dir->ops->tmpfile(dir, S_IFREG | (mode & 07777 & ~current_umask()));
    write_unlock(&dir->lock);
    d = IS_ERR(inode) ? (struct dentry *)inode : dentry_create_unlinked(dir->super, inode);
    if (d == NULL) {
        inode_put(inode);
        d = ERR_PTR(-ENOMEM);
    }
    dentry_put(path.dentry);
    if (IS_ERR(d)) {
        mount_put(path.mount);
        error = (int)PTR_ERR(d);
        goto failed;
    }
    path.dentry = d;
    if (flags & O_EXCL)
        atomic_or(&inode->state, INODE_NAMELESS);
    return open_path(fresh, &path, flags & ~(u32)(O_TMPFILE | O_TRUNC), true);

failed:
    file_free(fresh);
    return ERR_PTR(error);
}

struct file *file_open_at(int dirfd, const char *name, u32 flags, u32 mode)
{
    bool plain = !(flags & (O_PATH | TMPFILE_BIT | O_CREAT));
    int error = plain ? 0 : check_flags(&flags);
    struct file *fresh;

    if (error != 0)
        return ERR_PTR(error);
    fresh = file_alloc(flags);
    if (fresh == NULL)
        return ERR_PTR(-ENFILE);
    if (likely(plain))
        return open_existing(fresh, dirfd, name, flags, 0);
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return open_tmpfile(fresh, dirfd, name, flags, mode);
    if (flags & O_CREAT)
        return open_create(fresh, dirfd, name, flags, mode);
    return open_existing(fresh, dirfd, name, flags, 0);
}

/* exec's open (execve(2), execveat(2)). */
struct file *file_open_exec(int dirfd, const char *name, int at_flags)
{
    unsigned lookup =
        (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (at_flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
    struct path path;
    struct inode *inode;
    struct file *file;
    int error = path_lookup(dirfd, name, lookup, &path);

    if (error != 0)
        return ERR_PTR(error);
    inode = path_inode(&path);
    if (S_ISLNK(inode->mode))
        error = -ELOOP;
    else if (!S_ISREG(inode->mode) || (path.mount != NULL && (path.mount->flags & MS_NOEXEC)))
        error = -EACCES;
    else
        error = inode_permission(inode, current->cred, MAY_EXEC);
    if (error == 0)
        error = inode_deny_write(inode);
    if (error != 0) {
        path_put(&path);
        return ERR_PTR(error);
    }
    inode_hold(inode); /* until the denial has an owner */
    file = file_alloc(O_RDONLY);
    if (file == NULL) {
        path_put(&path);
        file = ERR_PTR(-ENFILE);
    } else {
        file = open_path(file, &path, O_RDONLY, true);
    }
    if (IS_ERR(file))
        atomic_sub(&inode->exec_opens, 1);
    else
        file->denies_write = true;
    inode_put(inode);
    return file;
}
