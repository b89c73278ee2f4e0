/*
 * Walking with references: each step takes one to the next dentry, then drops the last one. So links are followed, ".."
 * goes up over mounts, and names that are not cached are looked up. No lock is held between components.
 *
 *     "a/link/c"    rest -> "a/link/c"         after "link": rest -> its target, frame: go on with "/c" then
 */
#include "fs/walk.h"
#include "fs/fdtable.h"
#include "fs/mount.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

/* What is left of a string in which a symbolic link was met, or a link's own target, which must live while names in it
 * are used. */
struct link_frame {
    struct link_frame *next;
    const char *rest; /* where to go on after this link's target */
    char target[];
};

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
    struct fd_use use;
    int error = 0;

    if (!fd_use(dirfd, true, &use))
        return -EBADF;
    if (needs_directory && !S_ISDIR(use.file->inode->mode))
        error = -ENOTDIR;
    else if (use.file->path.dentry == NULL)
        error = -ENOENT; /* nameless: callers that can do without a path ask first */
    if (error == 0) {
        w->path = use.file->path;
        path_get(&w->path);
    }
    fd_release(&use);
    return error;
}

int walk_start(struct walk *w, int dirfd, const char *name)
{
    int error = 0;

    hold_nothing(w);
    w->rest = name;
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

void walk_end_held(struct walk *w)
{
    if (unlikely(w->links > 0)) {
        free_frames(w->frames);
        free_frames(w->used);
    }
    if (unlikely(w->root.dentry != NULL))
        path_put(&w->root);
    if (w->path.dentry != NULL)
        path_put(&w->path);
}

/* ---- steps ---- */

static inline int may_search(const struct inode *dir)
{
    if (likely((dir->mode & 0111) == 0111))
        return 0;
    return inode_permission(dir, current->cred, MAY_EXEC);
}

/* Goes on to the roots of the mounts that cover w->path. */
static noinline_fn void enter_mounts(struct walk *w)
{
    struct mount *m;

    while ((load_relaxed(&w->path.dentry->flags) & DENTRY_MOUNTED) && (m = mount_covering(&w->path)) != NULL) {
        path_put(&w->path);
        w->path = (struct path){m, m->root};
        dentry_get(m->root);
    }
}

void walk_enter(struct walk *w, struct dentry *dentry)
{
    dentry_put(w->path.dentry);
    w->path.dentry = dentry;
    if (unlikely(load_relaxed(&dentry->flags) & DENTRY_MOUNTED))
        enter_mounts(w);
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
    enter_mounts(w);
}

int walk_step_special(struct walk *w)
{
    if (w->last_kind == LAST_DOT_DOT)
        step_up(w);
    return 0;
}

#define SHORT_LINK 128

/* What the file system says the target is, which may have cut it at SIZE - 1; then ERR_PTR(-ENAMETOOLONG). */
static struct link_frame *ask_for_link(struct inode *inode, size_t size)
{
    struct link_frame *frame = kmalloc(sizeof(*frame) + size);
    ssize_t n;

    if (frame == NULL)
        return ERR_PTR(-ENOMEM);
    n = inode->ops->read_link(inode, frame->target, size);
    if (n < 0 || (size_t)n >= size - 1) {
        kfree(frame);
        return ERR_PTR(n < 0 ? n : -ENAMETOOLONG);
    }
    frame->target[n] = '\0';
    return frame;
}

/* The target of LINK as a frame; the rest of the present string goes on after it. ERR_PTR. */
static struct link_frame *read_link(struct inode *inode)
{
    struct link_frame *frame;

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
    frame = ask_for_link(inode, SHORT_LINK);
    return IS_ERR(frame) && PTR_ERR(frame) == -ENAMETOOLONG ? ask_for_link(inode, PATH_MAX + 1) : frame;
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

static const char *component_end(const char *s)
{
    while (*s != '\0' && *s != '/')
        s++;
    return s;
}

/* Cuts the next component off w->rest into w->last: false when nothing is left. */
static bool next_component(struct walk *w)
{
    const char *s = skip_slashes(w->rest), *start;

    while (unlikely(*s == '\0')) {
        if (!pop_frame(w))
            return false;
        s = skip_slashes(w->rest);
    }
    start = s;
    s = component_end(start);
    w->last = (struct name){start, (unsigned)(s - start)};
    w->last_hash = name_hash(start, w->last.length);
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

/* ---- to the last component, and beyond ---- */

int walk_parent(struct walk *w)
{
    int error;

    w->must_be_directory = false;
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

int walk_on_to_end(struct walk *w, unsigned lookup)
{
    bool must_be_directory = (lookup & LOOKUP_DIRECTORY) != 0;
    struct dentry *d;
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
        d = dentry_lookup(w->path.dentry, w->last, w->last_hash);
        if (IS_ERR(d))
            return (int)PTR_ERR(d);
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
