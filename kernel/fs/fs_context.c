/* What a process sees of the file system: its root, its current directory, its umask; and how a path is written from
 * there. */
#include "fs/mount.h"
#include "fs/path.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

struct fs_context *fs_context_copy(struct fs_context *from)
{
    struct fs_context *c = kzalloc(sizeof(*c));

    if (c == NULL)
        return ERR_PTR(-ENOMEM);
    c->refs = 1;
    spin_lock(&from->lock);
    c->root = from->root;
    c->cwd = from->cwd;
    c->umask = from->umask;
    path_get(&c->root);
    path_get(&c->cwd);
    spin_unlock(&from->lock);
    return c;
}

void fs_context_get(struct fs_context *c) { atomic_add_relaxed(&c->refs, 1); }

void fs_context_put(struct fs_context *c)
{
    if (atomic_sub(&c->refs, 1) != 0)
        return;
    path_put(&c->root);
    path_put(&c->cwd);
    kfree(c);
}

/* ---- names of paths ---- */

/* Puts TEXT before *P; false when it does not fit. */
static bool prepend(char **p, const char *start, const char *text, size_t n)
{
    if ((size_t)(*p - start) < n)
        return false;
    *p -= n;
    memcpy(*p, text, n);
    return true;
}

/* Where PATH is mounted, if it is a mount's root: PATH moves there. */
static bool leave_mount(struct path *path)
{
    dentry_unlock_names();
    if (!mount_ascend(path)) {
        dentry_lock_names();
        return false;
    }
    dentry_lock_names();
    return true;
}

static char *name_from(const struct path *from, const struct path *root, char *buf, size_t size, bool *reachable)
{
    struct path at = *from;
    char *p = buf + size;
    bool fits = prepend(&p, buf, "", 1), any = false;

    path_get(&at);
    dentry_lock_names();
    *reachable = true;
    if (dentry_is_unlinked(at.dentry))
        fits = fits && prepend(&p, buf, " (deleted)", 10);
    while (fits && !(at.dentry == root->dentry && at.mount == root->mount)) {
        struct dentry *d = at.dentry, *parent;

        if (d == at.mount->root) {
            if (leave_mount(&at))
                continue;
            *reachable = false;
            break;
        }
        fits = prepend(&p, buf, d->name, d->length) && prepend(&p, buf, "/", 1);
        any = true;
        parent = d->parent;
        if (parent == d) { /* in no directory: O_TMPFILE */
            break;
        }
        dentry_get(parent);
        dentry_unlock_names();
        dentry_put(d);
        at.dentry = parent;
        dentry_lock_names();
    }
    if (fits && !any)
        fits = prepend(&p, buf, "/", 1);
    dentry_unlock_names();
    path_put(&at);
    return fits ? p : ERR_PTR(-ENAMETOOLONG);
}

char *path_name(const struct path *path, char *buf, size_t size)
{
    struct path root;
    bool reachable;
    char *name;

    if (current->fs == NULL)
        return ERR_PTR(-ENOENT);
    spin_lock(&current->fs->lock);
    root = current->fs->root;
    path_get(&root);
    spin_unlock(&current->fs->lock);
    name = name_from(path, &root, buf, size, &reachable);
    path_put(&root);
    return name;
}

/* getcwd(2): as path_name, but -ENOENT when it was removed, and "(unreachable)" before what is outside the root. */
char *cwd_name(char *buf, size_t size)
{
    struct fs_context *fs = current->fs;
    struct path root, cwd;
    bool reachable;
    char *name;

    spin_lock(&fs->lock);
    root = fs->root;
    cwd = fs->cwd;
    path_get(&root);
    path_get(&cwd);
    spin_unlock(&fs->lock);
    if (dentry_is_unlinked(cwd.dentry)) {
        name = ERR_PTR(-ENOENT);
    } else {
        name = name_from(&cwd, &root, buf, size, &reachable);
        if (!IS_ERR(name) && !reachable && !prepend(&name, buf, "(unreachable)", 13))
            name = ERR_PTR(-ENAMETOOLONG);
    }
    path_put(&root);
    path_put(&cwd);
    return name;
}

char *file_path(struct file *file, char *buf, size_t size)
{
    char socket[sizeof("socket:[18446744073709551615]")];
    const char *name = file->anon_name;
    size_t n;

    if (file->path.dentry != NULL && file->path.mount != NULL)
        return path_name(&file->path, buf, size);
    if (name == NULL && S_ISSOCK(file->inode->mode)) {
        snprintf(socket, sizeof(socket), "socket:[%lu]", file->inode->ino);
        name = socket;
    }
    if (name == NULL)
        return ERR_PTR(-ENOENT);
    n = strlen(name) + 1;
    if (n > size)
        return ERR_PTR(-ENAMETOOLONG);
    return memcpy(buf + size - n, name, n);
}

/* ---- changing them ---- */

void fs_context_set(struct path *place, const struct path *to)
{
    struct path old;

    path_get(to);
    spin_lock(&current->fs->lock);
    old = *place;
    *place = *to;
    spin_unlock(&current->fs->lock);
    path_put(&old);
}
