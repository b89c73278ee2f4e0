/*
 * Path walking: from names to dentries. Sources: path_resolution(7), open(2), openat2(2)'s notes.
 *
 * path_lookup is all that most need. Calls that create or remove names stop at the last component:
 *
 *     walk_to_parent(&w, dirfd, name)   w.path = the directory, w.last = the last component, unresolved
 *     walk_follow(&w, dentry)           the last component was a symbolic link: w goes on from there,
 *     walk_parent(&w)                   ... to the directory of the last component of what the link says
 *     walk_end(&w)                      drops what is left
 */
#ifndef FS_PATH_H
#define FS_PATH_H

#include "fs/dentry.h"
#include "vm/kmalloc.h"

#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_REMOVEDIR 0x200
#define AT_EACCESS 0x200
#define AT_SYMLINK_FOLLOW 0x400
#define AT_NO_AUTOMOUNT 0x800
#define AT_EMPTY_PATH 0x1000

#define LOOKUP_FOLLOW BIT(0)    /* a symbolic link at the end too */
#define LOOKUP_EMPTY BIT(1)     /* "" means the start itself */
#define LOOKUP_DIRECTORY BIT(2) /* -ENOTDIR for others */

#define MAX_LINKS 40 /* symbolic links in one walk */

enum last_kind { LAST_NORMAL, LAST_DOT, LAST_DOT_DOT, LAST_ROOT };

struct link_frame;

struct walk {
    struct path path;          /* where it is; referenced, but in a reading */
    bool reading;              /* it holds nothing, and is in a reading (sched/reading.h) until walk_end */
    struct inode *inode;       /* in a reading, at its end: what PATH is */
    u64 moves_ended;           /* when the reading began */
    struct path root;          /* of the process; referenced once it was needed, else dentry NULL */
    const char *rest;          /* what is left of the present string */
    struct link_frame *frames; /* strings to go on with afterwards */
    struct link_frame *used;   /* those in which `last` may point */
    unsigned links;
    struct name last;
    u32 last_hash;
    enum last_kind last_kind;
    bool must_be_directory; /* slashes follow the last component */
};

/* To the directory of NAME's last component, which is w->last then; walk_end in any case. */
int walk_to_parent(struct walk *w, int dirfd, const char *name);
int walk_parent(struct walk *w); /* the same again, after walk_follow */
int walk_follow(struct walk *w, struct dentry *link);
void walk_end_held(struct walk *w);
static inline void walk_end(struct walk *w)
{
    if (w->reading)
        reading_end();
    else
        walk_end_held(w);
}
/* Steps to the last component, which is "." or "..", or the start itself. */
int walk_step_special(struct walk *w);
/* DENTRY, referenced and positive, in w->path's directory, becomes w->path, mounts on it included; takes the
 * reference. */
void walk_enter(struct walk *w, struct dentry *dentry);

/* The file that NAME means: *PATH is referenced, and positive. */
int path_lookup(int dirfd, const char *name, unsigned lookup, struct path *path);
/* From user memory: -EFAULT, -ENAMETOOLONG, -ENOENT for "" without LOOKUP_EMPTY. */
int path_lookup_user(int dirfd, const char *user_name, unsigned lookup, struct path *path);

/* The same for those who need it for a moment: W->path until walk_end, which must be called in any case. If W is
 * reading then, there is only W->inode, and nothing may sleep before. */
int walk_user(struct walk *w, int dirfd, const char *user_name, unsigned lookup);

/* A path copied from user memory, on the stack when it is short. */
struct user_path {
    const char *s;
    char *allocated;
    char small[128 + NAME_WORD] __attribute__((aligned(NAME_WORD)));
};
int user_path_get(struct user_path *p, const char *user_name);
static inline void user_path_put(struct user_path *p)
{
    if (unlikely(p->allocated != NULL))
        kfree(p->allocated);
}

static inline struct inode *path_inode(const struct path *path) { return path->dentry->inode; }

/* fs_context.c: chdir and chroot (PLACE: &current->fs->cwd or root), and getcwd's text at the end of BUF. */
void fs_context_set(struct path *place, const struct path *to);
char *cwd_name(char *buf, size_t size);

#endif
