/*
 * Telling those who watch (inotify(7), inotify.c) what happens to files. While nobody watches anything, each of these
 * is one test. MASK: an IN_* event; that the file is a directory is added. => no spinlock
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "fs/dentry.h"

#define IN_ACCESS 0x1
#define IN_MODIFY 0x2
#define IN_ATTRIB 0x4
#define IN_CLOSE_WRITE 0x8
#define IN_CLOSE_NOWRITE 0x10
#define IN_OPEN 0x20
#define IN_MOVED_FROM 0x40
#define IN_MOVED_TO 0x80
#define IN_CREATE 0x100
#define IN_DELETE 0x200
#define IN_DELETE_SELF 0x400
#define IN_MOVE_SELF 0x800
#define IN_UNMOUNT 0x2000
#define IN_Q_OVERFLOW 0x4000
#define IN_IGNORED 0x8000
#define IN_ONLYDIR 0x1000000
#define IN_DONT_FOLLOW 0x2000000
#define IN_EXCL_UNLINK 0x4000000
#define IN_MASK_CREATE 0x10000000
#define IN_MASK_ADD 0x20000000
#define IN_ISDIR 0x40000000
#define IN_ONESHOT 0x80000000u

extern u32 notify_watches; /* how many there are; atomic */
static inline bool somebody_watches(void) { return unlikely(load_relaxed(&notify_watches) != 0); }

/* To watches of INODE and, if it was reached by the name D (NULL: it was not), of D's directory. */
void notify_watchers(struct inode *inode, struct dentry *d, u32 mask);
void notify_watchers_of_name(struct inode *dir, struct name name, u32 mask, u32 cookie);
void notify_watchers_of_move(struct inode *from, struct name old_name, struct inode *to, struct name new_name,
                             struct inode *inode, struct inode *replaced);
void notify_watchers_of_end(struct inode *inode, u32 mask);

static inline void notify_at(struct inode *inode, struct dentry *d, u32 mask)
{
    if (somebody_watches())
        notify_watchers(inode, d, mask);
}

/* The number of its names has changed, or other attributes that no name was used for. */
static inline void notify_inode(struct inode *inode, u32 mask)
{
    if (somebody_watches())
        notify_watchers(inode, NULL, mask);
}

static inline void notify_file(struct file *file, u32 mask)
{
    if (somebody_watches() && !(file->flags & O_PATH))
        notify_watchers(file->inode, file->path.dentry, mask);
}

/* NAME in DIR, of a directory if IS_DIR, has come or gone. */
static inline void notify_name(struct inode *dir, struct name name, u32 mask, bool is_dir)
{
    if (somebody_watches())
        notify_watchers_of_name(dir, name, mask | (is_dir ? IN_ISDIR : 0), 0);
}

/* INODE's name has moved; REPLACED (or NULL) has lost the one where it is now. */
static inline void notify_move(struct inode *from, struct name old_name, struct inode *to, struct name new_name,
                               struct inode *inode, struct inode *replaced)
{
    if (somebody_watches())
        notify_watchers_of_move(from, old_name, to, new_name, inode, replaced);
}

/* A name of INODE has gone out of use: if it was the last one, the watches end. */
static inline void notify_name_is_gone(struct inode *inode)
{
    if (somebody_watches() && load_relaxed(&inode->nlink) == 0)
        notify_watchers_of_end(inode, IN_DELETE_SELF);
}

/* Ends the watches of all inodes of SUPER. */
void notify_unmount(struct super *super);

/* inotify.c, for the system calls */
struct file *inotify_create(u32 flags);
/* The watch's number, or -errno; INODE's reference stays the caller's. */
int inotify_add(struct file *inotify, struct inode *inode, u32 mask);
int inotify_remove(struct file *inotify, int wd);
bool file_is_inotify(const struct file *file);

struct inotify_limits { /* /proc/sys/fs/inotify */
    unsigned max_queued_events, max_user_instances, max_user_watches;
};
extern struct inotify_limits inotify_limits;

#endif
