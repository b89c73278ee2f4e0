/* Path walking. Contract in path.h. No lock is held between components: each step takes a reference to the next dentry,
 * then drops the last one. */
#include "fs/path.h"
#include "fs/mount.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

/* What is left of a string in which a symbolic link was met, or a link's own target, which must live while names in it
 * are used. */
struct link_frame {
    struct link_frame *next;
    const char *rest; /* where to go on after this link's target */
    char target[];
};

void path_get(const struct path *path)
{
    if (path->mount != NULL)
        mount_get(path->mount);
    dentry_get(path->dentry);
}

void path_put(const struct path *path)
{
    dentry_put(path->dentry);
    if (path->mount != NULL)
        mount_put(path->mount);
}

/* ---- strings ---- */

int user_path_get(struct user_path *p, const char *user_name)
{
    ssize_t n = strncpy_from_user(p->small, user_name, sizeof(p->small));

    p->s = p->small;
    p->allocated = NULL;
    if (likely(n >= 0))
        return 0;
    if (n != -ENAMETOOLONG)
        return (int)n;
    p->allocated = kmalloc(PATH_MAX);
    if (p->allocated == NULL)
        return -ENOMEM;
    p->s = p->allocated;
    n = strncpy_from_user(p->allocated, user_name, PATH_MAX);
    if (n < 0)
        user_path_put(p);
    return n < 0 ? (int)n : 0;
}

void user_path_put(struct user_path *p)
{
    if (unlikely(p->allocated != NULL))
        kfree(p->allocated);
    p->allocated = NULL;
}

/* ---- start and end ---- */

static void get_from_context(struct path *to, const struct path *from)
{
    struct fs_context *fs = current->fs;

    spin_lock(&fs->lock);
    *to = *from;
    path_get(to);
    spin_unlock(&fs->lock);
}

static const struct path *walk_root(struct walk *w)
{
    if (w->root.dentry == NULL)
        get_from_context(&w->root, &current->fs->root);
    return &w->root;
}

static int start_at_descriptor(struct walk *w, int dirfd, bool needs_directory)
{
    struct file *file = fd_get_any(dirfd);
    int error = 0;

    if (file == NULL)
        return -EBADF;
    if (needs_directory && !S_ISDIR(file->inode->mode))
        error = -ENOTDIR;
    else if (file->path.dentry == NULL)
        error = -ENOENT; /* nameless: callers that can do without a path ask first */
    if (error == 0) {
        w->path = file->path;
        path_get(&w->path);
    }
    file_put(file);
    return error;
}

int walk_start(struct walk *w, int dirfd, const char *name, unsigned lookup)
{
    int error = 0;

    w->path.dentry = NULL;
    w->root.dentry = NULL;
    w->frames = w->used = NULL;
    w->links = 0;
    w->rest = name;
    if (*name == '\0' && !(lookup & LOOKUP_EMPTY))
        return -ENOENT;
    if (*name == '/')
        get_from_context(&w->path, &current->fs->root);
    else if (dirfd == AT_FDCWD)
        get_from_context(&w->path, &current->fs->cwd);
    else
        error = start_at_descriptor(w, dirfd, *name != '\0');
    return error;
}

static void free_frames(struct link_frame *frame)
{
    while (frame != NULL) {
        struct link_frame *next = frame->next;

        kfree(frame);
        frame = next;
    }
}

void walk_end(struct walk *w)
{
    if (w->path.dentry != NULL)
        path_put(&w->path);
    if (w->root.dentry != NULL)
        path_put(&w->root);
    if (unlikely(w->links > 0)) {
        free_frames(w->frames);
        free_frames(w->used);
    }
    w->path.dentry = NULL;
    w->root.dentry = NULL;
    w->frames = w->used = NULL;
}

/* ---- steps ---- */

static inline int may_search(const struct inode *dir)
{
    if (likely((dir->mode & 0111) == 0111))
        return 0;
    return inode_permission(dir, current->cred, MAY_EXEC);
}

void walk_enter(struct walk *w, struct dentry *dentry)
{
    dentry_put(w->path.dentry);
    w->path.dentry = dentry;
    if (unlikely(load_relaxed(&dentry->flags) & DENTRY_MOUNTED))
        mount_descend(&w->path);
}

static void step_up(struct walk *w)
{
    const struct path *root = walk_root(w);
    struct dentry *parent;

    for (;;) {
        if (w->path.dentry == root->dentry && w->path.mount == root->mount)
            break;
        if (w->path.dentry != w->path.mount->root) {
            dentry_lock_names();
            parent = w->path.dentry->parent;
            dentry_get(parent);
            dentry_unlock_names();
            dentry_put(w->path.dentry);
            w->path.dentry = parent;
            break;
        }
        if (!mount_ascend(&w->path))
            break;
    }
    if (load_relaxed(&w->path.dentry->flags) & DENTRY_MOUNTED)
        mount_descend(&w->path);
}

int walk_step_special(struct walk *w)
{
    if (w->last_kind == LAST_DOT_DOT)
        step_up(w);
    return 0;
}

/* The target of LINK as a frame; the rest of the present string goes on after it. ERR_PTR. */
static struct link_frame *read_link(struct inode *inode)
{
    struct link_frame *frame;
    ssize_t n;

    if (inode->link != NULL) {
        size_t length = strlen(inode->link);

        frame = kmalloc(sizeof(*frame) + length + 1);
        if (frame == NULL)
            return ERR_PTR(-ENOMEM);
        memcpy(frame->target, inode->link, length + 1);
        return frame;
    }
    if (inode->ops->read_link == NULL)
        return ERR_PTR(-EINVAL);
    frame = kmalloc(sizeof(*frame) + PATH_MAX + 1);
    if (frame == NULL)
        return ERR_PTR(-ENOMEM);
    n = inode->ops->read_link(inode, frame->target, PATH_MAX);
    if (n < 0) {
        kfree(frame);
        return ERR_PTR(n);
    }
    frame->target[n] = '\0';
    return frame;
}

static void jump(struct walk *w, const struct path *to)
{
    path_put(&w->path);
    w->path = *to;
}

/* relatime for links is not worth a write each: reading a link by following it leaves its atime alone. */
int walk_follow(struct walk *w, struct dentry *link)
{
    struct inode *inode = link->inode;
    struct link_frame *frame;
    struct path target;
    int error;

    if (++w->links > MAX_LINKS)
        return -ELOOP;
    if (inode->ops->follow_link != NULL) {
        error = inode->ops->follow_link(inode, &target);
        if (error == 0)
            jump(w, &target);
        return error;
    }
    frame = read_link(inode);
    if (IS_ERR(frame))
        return (int)PTR_ERR(frame);
    if (frame->target[0] == '\0') {
        kfree(frame);
        return -ENOENT;
    }
    frame->rest = w->rest;
    frame->next = w->frames;
    w->frames = frame;
    w->rest = frame->target;
    if (frame->target[0] == '/') {
        path_get(walk_root(w));
        jump(w, &w->root);
    }
    return 0;
}

/* The present string is used up: the one that led to it goes on. False: that was all. */
static bool pop_frame(struct walk *w)
{
    struct link_frame *frame = w->frames;

    if (frame == NULL)
        return false;
    w->frames = frame->next;
    w->rest = frame->rest;
    frame->next = w->used; /* `last` may point into its target */
    w->used = frame;
    return true;
}

static inline const char *skip_slashes(const char *s)
{
    while (*s == '/')
        s++;
    return s;
}

/* Cuts the next component off w->rest into w->last: false when nothing is left. */
static bool next_component(struct walk *w)
{
    const char *s = skip_slashes(w->rest), *start;
    u32 hash = 0;

    while (unlikely(*s == '\0')) {
        if (!pop_frame(w))
            return false;
        s = skip_slashes(w->rest);
    }
    start = s;
    for (; *s != '\0' && *s != '/'; s++)
        hash = name_hash_add(hash, (unsigned char)*s);
    w->last = (struct name){start, (unsigned)(s - start)};
    w->last_hash = hash;
    w->last_kind = LAST_NORMAL;
    if (unlikely(*start == '.')) {
        if (w->last.length == 1)
            w->last_kind = LAST_DOT;
        else if (w->last.length == 2 && start[1] == '.')
            w->last_kind = LAST_DOT_DOT;
    }
    w->rest = s;
    return true;
}

/* Whether w->last is the last component; notes whether slashes come after it. Strings that hold nothing more are
 * left. */
static bool is_last(struct walk *w)
{
    for (;;) {
        const char *s = w->rest;

        if (*s == '/') {
            s = skip_slashes(s);
            if (*s != '\0')
                return false;
            w->must_be_directory = true;
        } else if (*s != '\0') {
            return false;
        }
        w->rest = s;
        if (!pop_frame(w))
            return true;
    }
}

/* One component that is not the last: into the directory that it names. */
static int step(struct walk *w)
{
    struct dentry *d;
    struct inode *inode;
    int error;

    if (w->last_kind != LAST_NORMAL)
        return walk_step_special(w);
    d = dentry_lookup(w->path.dentry, w->last, w->last_hash);
    if (IS_ERR(d))
        return (int)PTR_ERR(d);
    inode = dentry_inode(d);
    if (inode == NULL) {
        dentry_put(d);
        return -ENOENT;
    }
    if (unlikely(S_ISLNK(inode->mode))) {
        error = walk_follow(w, d);
        dentry_put(d);
        return error;
    }
    walk_enter(w, d);
    return 0;
}

/*
 * The common case, kept short: goes on over components that need nothing but the cache, and stops in front of whatever
 * else there is. True when it has come to the last one, which is w->last then.
 */
static bool walk_cached(struct walk *w)
{
    struct dentry *d = w->path.dentry, *next;
    const char *s = skip_slashes(w->rest), *end, *after;
    const struct inode *inode = d->inode;
    struct name name;
    u32 hash;

    for (;;) {
        if (!S_ISDIR(inode->mode) || *s == '\0' || *s == '.' || may_search(inode) != 0)
            break;
        hash = 0;
        for (end = s; *end != '/' && *end != '\0'; end++)
            hash = name_hash_add(hash, (unsigned char)*end);
        name = (struct name){s, (unsigned)(end - s)};
        if (*end == '\0') {
            if (w->frames != NULL)
                break;
            w->path.dentry = d;
            w->rest = end;
            w->last = name;
            w->last_hash = hash;
            w->last_kind = LAST_NORMAL;
            return true;
        }
        after = skip_slashes(end);
        if (*after == '\0') /* the last one, with slashes behind */
            break;
        next = dentry_find(d, name, hash);
        if (next == NULL)
            break;
        inode = dentry_inode(next);
        if (inode == NULL || !S_ISDIR(inode->mode) ||
            (load_relaxed(&next->flags) & (DENTRY_MOUNTED | DENTRY_REVALIDATE))) {
            dentry_put(next);
            break;
        }
        dentry_put(d);
        d = next;
        s = after;
    }
    w->path.dentry = d;
    w->rest = s;
    return false;
}

int walk_parent(struct walk *w)
{
    int error;

    w->must_be_directory = false;
    if (likely(walk_cached(w)))
        return 0;
    if (!next_component(w)) { /* "/", "", or a link that led to an open file */
        w->last_kind = LAST_ROOT;
        return 0;
    }
    for (;;) {
        const struct inode *dir = path_inode(&w->path);

        if (!S_ISDIR(dir->mode))
            return -ENOTDIR;
        error = may_search(dir);
        if (error != 0)
            return error;
        if (is_last(w))
            return 0;
        error = step(w);
        if (error != 0)
            return error;
        if (!next_component(w)) {
            w->last_kind = LAST_ROOT;
            return 0;
        }
    }
}

/* From the parent to the end, following links at the end if FOLLOW. */
static int walk_rest(struct walk *w, unsigned lookup)
{
    struct dentry *d;
    bool must_be_directory = (lookup & LOOKUP_DIRECTORY) != 0;
    int error;

    for (;;) {
        error = walk_parent(w);
        if (error != 0)
            return error;
        must_be_directory |= w->must_be_directory;
        if (unlikely(w->last_kind != LAST_NORMAL)) {
            error = walk_step_special(w);
            break;
        }
        d = dentry_find(w->path.dentry, w->last, w->last_hash);
        if (unlikely(d == NULL || (load_relaxed(&d->flags) & DENTRY_REVALIDATE))) {
            if (d != NULL)
                dentry_put(d);
            d = dentry_lookup(w->path.dentry, w->last, w->last_hash);
            if (IS_ERR(d))
                return (int)PTR_ERR(d);
        }
        if (dentry_inode(d) == NULL) {
            dentry_put(d);
            return -ENOENT;
        }
        if (S_ISLNK(d->inode->mode) && ((lookup & LOOKUP_FOLLOW) || w->must_be_directory)) {
            error = walk_follow(w, d);
            dentry_put(d);
            if (error != 0)
                return error;
            continue;
        }
        walk_enter(w, d);
        break;
    }
    if (error == 0 && must_be_directory && !S_ISDIR(path_inode(&w->path)->mode))
        error = -ENOTDIR;
    return error;
}

int path_lookup(int dirfd, const char *name, unsigned lookup, struct path *path)
{
    struct walk w;
    int error = walk_start(&w, dirfd, name, lookup);

    if (error == 0)
        error = walk_rest(&w, lookup);
    if (error == 0) {
        *path = w.path;
        w.path.dentry = NULL;
    }
    walk_end(&w);
    return error;
}

int path_lookup_user(int dirfd, const char *user_name, unsigned lookup, struct path *path)
{
    struct user_path name;
    int error = user_path_get(&name, user_name);

    if (error != 0)
        return error;
    error = path_lookup(dirfd, name.s, lookup, path);
    user_path_put(&name);
    return error;
}
