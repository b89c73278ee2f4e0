/*
 * Path walking. Contract in path.h. It comes in two ways, and goes from the first to the second where it must:
 *
 *   in a reading (sched/reading.h): over cached names and mounts, without locks or references. At the end W takes its
 *     references, and sees whether any name or mount has moved meanwhile: then all begins again, the other way.
 *   with references: each step takes one to the next dentry, then drops the last one; for links, "..", names that are
 * not cached. No lock is held between components.
 */
#include "fs/path.h"
#include "fs/fdtable.h"
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

static noinline_fn int get_long_path(struct user_path *p, const char *user_name)
{
    ssize_t n;

    p->allocated = kmalloc(PATH_MAX);
    if (p->allocated == NULL)
        return -ENOMEM;
    p->s = p->allocated;
    n = strncpy_from_user(p->allocated, user_name, PATH_MAX);
    if (n < 0) {
        user_path_put(p);
        p->allocated = NULL;
    }
    return n < 0 ? (int)n : 0;
}

/* Aligned as its source is, a short path is copied by words. */
static inline int get_path(struct user_path *p, const char *user_name)
{
    char *to = p->small + (u64)user_name % NAME_WORD;
    ssize_t n = strncpy_from_user(to, user_name, sizeof(p->small) - NAME_WORD);

    p->s = to;
    p->allocated = NULL;
    if (likely(n >= 0))
        return 0;
    return n == -ENAMETOOLONG ? get_long_path(p, user_name) : (int)n;
}

int user_path_get(struct user_path *p, const char *user_name) { return get_path(p, user_name); }

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

/* A walk that is not in a reading, and has nothing to end yet. */
static inline void hold_nothing(struct walk *w)
{
    w->reading = false;
    w->path.dentry = w->root.dentry = NULL;
    w->frames = w->used = NULL;
    w->links = 0;
}

/* Begins with references. */
static noinline_fn int start(struct walk *w, int dirfd, const char *name)
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

static inline const char *skip_slashes(const char *s)
{
    while (*s == '/')
        s++;
    return s;
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

/* ---- in a reading ---- */

/* Begins W in a reading at the root, the current directory, or a descriptor's. False: not to be done so. */
static inline_fn bool begin_reading(struct walk *w, int dirfd, const char *name)
{
    struct fs_context *fs = current->fs;
    const struct path *from = *name == '/' ? &fs->root : &fs->cwd;
    bool shared = load_relaxed(&fs->refs) != 1;
    struct fd_use use;

    if (unlikely(*name != '/' && dirfd != AT_FDCWD)) {
        shared = false;
        if (load_relaxed(&current->files->refs) != 1 || !fd_use(dirfd, true, &use) || use.file->path.dentry == NULL)
            return false;
        from = &use.file->path; /* which this thread does not close now */
    }
    if (unlikely(shared))
        spin_lock(&fs->lock);
    reading_begin();
    w->path = *from;
    if (unlikely(shared))
        spin_unlock(&fs->lock);
    w->moves_ended = name_moves_ended();
    w->rest = name;
    w->reading = true;
    return true;
}

/* Ends W's reading, which comes to RESULT, with references to where it is. False: something was in the middle of a
 * change, W has to begin again. */
static bool end_reading(struct walk *w, int result)
{
    struct path at = w->path;
    bool has_mount = result >= 0 && (at.mount == NULL || ref_get_unless_zero(&at.mount->refs));
    bool has_dentry = has_mount && dentry_try_get(at.dentry);
    /* What was removed before the reference was there is negative now; afterwards it stays positive. */
    bool is_there = has_dentry && load_acquire(&at.dentry->inode) != NULL;
    bool valid = (is_there || result < 0) && !name_moves_begun_since(w->moves_ended);

    reading_end();
    hold_nothing(w);
    if (likely(valid && is_there)) {
        w->path.dentry = at.dentry;
        return true;
    }
    if (has_dentry)
        dentry_put(at.dentry);
    if (has_mount && at.mount != NULL)
        mount_put(at.mount);
    return valid;
}

/* A directory that everybody may search. */
static inline bool is_open_directory(const struct inode *inode)
{
    return (inode->mode & (S_IFMT | 0111)) == (S_IFDIR | 0111);
}

static inline bool may_be_dots(const char *s, size_t length) { return length <= 2 && (length == 0 || *s == '.'); }

#define NOT_CACHED 1 /* walk_cached stopped in front of something that needs references, or the file system */
#define CLOSED 2     /* walk_open came to a directory that not everybody may search */

/* walk_cached from a directory that may be searched, as long as those that come may be. Calls nothing, to be short. */
static int walk_open(struct walk *w, bool to_end)
{
    const char *s = w->rest, *end;
    struct mount *mount = w->path.mount, *cover;
    struct dentry *dentry = w->path.dentry, *next;
    int result = NOT_CACHED;
    struct inode *inode;
    struct name_key key;
    u32 flags;

    do {
        end = name_scan(s, &key);
        if (may_be_dots(s, key.length) || unlikely(key.length > NAME_MAX))
            break;
        if (*end == '/') {
            end = skip_slashes(end);
            if (*end == '\0') /* the last one, with slashes behind */
                break;
        } else if (!to_end) {
            w->last = (struct name){s, (unsigned)key.length};
            w->last_hash = key.hash;
            w->last_kind = LAST_NORMAL;
            s = end;
            result = 0;
            break;
        }
        next = dentry_read_key(dentry, &key);
        if (unlikely(next == NULL))
            break;
        flags = load_relaxed(&next->flags);
        inode = load_relaxed(&next->inode);
        if (unlikely(flags & DENTRY_REVALIDATE))
            break;
        if (unlikely(inode == NULL)) {
            result = -ENOENT;
            break;
        }
        if (unlikely(S_ISLNK(inode->mode)))
            break;
        s = end;
        dentry = next;
        while (unlikely(flags & DENTRY_MOUNTED) && (cover = mount_read_covering(mount, dentry)) != NULL) {
            mount = cover;
            dentry = cover->root;
            inode = dentry->inode;
            flags = load_relaxed(&dentry->flags);
        }
        w->inode = inode;
        result = *s == '\0' ? 0 : is_open_directory(inode) ? NOT_CACHED : CLOSED;
    } while (result == NOT_CACHED);
    w->rest = s;
    w->path = (struct path){mount, dentry};
    return result;
}

/* walk_cached where not everybody may search W->inode. */
static noinline_fn int walk_closed(struct walk *w, bool to_end)
{
    int result = CLOSED;

    while (result == CLOSED)
        result = S_ISDIR(w->inode->mode) && inode_permission(w->inode, current->cred, MAY_EXEC) == 0
                     ? walk_open(w, to_end)
                     : NOT_CACHED;
    return result;
}

/*
 * The common case: goes on over components that need nothing but the caches of names and mounts, and stops in front of
 * whatever else there is. 0: it came to the last component, which is w->last, or with TO_END to the end of it, which is
 * w->inode. NOT_CACHED; -ENOENT. => in a reading
 */
static inline int walk_cached(struct walk *w, bool to_end)
{
    struct inode *inode = load_relaxed(&w->path.dentry->inode);
    int result = CLOSED;

    w->inode = inode;
    w->rest = skip_slashes(w->rest);
    if (unlikely(inode == NULL)) /* another thread has left this directory, and removed it */
        return NOT_CACHED;
    if (likely(is_open_directory(inode)))
        result = walk_open(w, to_end);
    return likely(result != CLOSED) ? result : walk_closed(w, to_end);
}

/* ---- to the last component, and beyond ---- */

static int walk_parent_slowly(struct walk *w)
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

int walk_parent(struct walk *w) { return walk_parent_slowly(w); }

int walk_to_parent(struct walk *w, int dirfd, const char *name)
{
    int error;

    if (unlikely(*name == '\0')) {
        hold_nothing(w);
        return -ENOENT;
    }
    if (likely(begin_reading(w, dirfd, name))) {
        error = walk_cached(w, false);
        if (likely(end_reading(w, error))) {
            w->must_be_directory = false;
            return likely(error <= 0) ? error : walk_parent_slowly(w);
        }
    }
    error = start(w, dirfd, name);
    return error != 0 ? error : walk_parent_slowly(w);
}

/* walk_to_end from where walk_cached stopped. */
static noinline_fn int walk_to_end_slowly(struct walk *w, unsigned lookup)
{
    bool must_be_directory = (lookup & LOOKUP_DIRECTORY) != 0;
    struct dentry *d;
    int error;

    for (;;) {
        error = walk_parent_slowly(w);
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

/* Walks to the end of NAME, where W still reads if MAY_READ and all was cached. */
static inline_fn int walk_to_end(struct walk *w, int dirfd, const char *name, unsigned lookup, bool may_read)
{
    int error;

    if (unlikely(*name == '\0') && !(lookup & LOOKUP_EMPTY)) {
        hold_nothing(w);
        return -ENOENT;
    }
    if (likely(begin_reading(w, dirfd, name))) {
        error = walk_cached(w, true);
        if (error == 0 && unlikely(lookup & LOOKUP_DIRECTORY) && !S_ISDIR(w->inode->mode))
            error = -ENOTDIR;
        if (may_read && likely(error == 0) && likely(!name_moves_begun_since(w->moves_ended)))
            return 0;
        if (likely(end_reading(w, error)))
            return likely(error <= 0) ? error : walk_to_end_slowly(w, lookup);
    }
    error = start(w, dirfd, name);
    return error != 0 ? error : walk_to_end_slowly(w, lookup);
}

/* W, at its end, gives its path, or has failed. */
static inline int give_path(struct walk *w, int error, struct path *path)
{
    if (likely(error == 0)) {
        *path = w->path;
        w->path.dentry = NULL;
    }
    walk_end(w);
    return error;
}

int path_lookup(int dirfd, const char *name, unsigned lookup, struct path *path)
{
    struct walk w;

    return give_path(&w, walk_to_end(&w, dirfd, name, lookup, false), path);
}

int walk_user(struct walk *w, int dirfd, const char *user_name, unsigned lookup)
{
    struct user_path name;
    int error = get_path(&name, user_name);

    if (unlikely(error != 0)) {
        hold_nothing(w);
        return error;
    }
    error = walk_to_end(w, dirfd, name.s, lookup, true);
    user_path_put(&name);
    return error;
}

int path_lookup_user(int dirfd, const char *user_name, unsigned lookup, struct path *path)
{
    struct user_path name;
    int error = get_path(&name, user_name);

    if (unlikely(error != 0))
        return error;
    error = path_lookup(dirfd, name.s, lookup, path);
    user_path_put(&name);
    return error;
}
