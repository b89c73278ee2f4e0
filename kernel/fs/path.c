/*
 * Path walking. Contract in path.h. It comes in two ways, and goes from the first to the second where it must:
 *
 *   in a reading (sched/reading.h): here; over cached names and mounts, without locks or references. At the end W takes
 *     its references, and sees whether any name or mount has moved meanwhile: then all begins again, the other way.
 *   with references: walk.c; for links, "..", names that are not cached.
 */
#include "fs/path.h"
#include "fs/fdtable.h"
#include "fs/mount.h"
#include "fs/walk.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

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
            return likely(error <= 0) ? error : walk_parent(w);
        }
    }
    error = walk_start(w, dirfd, name);
    return error != 0 ? error : walk_parent(w);
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
            return likely(error <= 0) ? error : walk_on_to_end(w, lookup);
    }
    error = walk_start(w, dirfd, name);
    return error != 0 ? error : walk_on_to_end(w, lookup);
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
