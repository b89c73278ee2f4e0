/*
 * Descriptor tables: numbers to files, with a bitmap of numbers in use and one of close-on-exec marks.
 *
 * Lock: table->lock (spin) for all changes, and for reading while somebody else may change it (refs > 1). A thread that
 * alone uses its table reads it without, and may use a file without a reference of its own as long as it closes
 * nothing: struct fd_use.
 */
#ifndef FS_FDTABLE_H
#define FS_FDTABLE_H

#include "fs/vfs.h"

struct fd_table {
    u32 refs;
    struct spinlock lock;
    unsigned capacity;        /* a multiple of 64 */
    unsigned first_free_hint; /* no lower number is free */
    struct file **files;
    u64 *open, *cloexec; /* bitmaps; behind FILES in the same block */
};

#define FD_MAX (1024 * 1024) /* /proc/sys/fs/nr_open */

struct fd_use {
    struct file *file;
    bool referenced;
};

/* The file of FD for the length of a system call; false = EBADF. O_PATH files only with ANY. fd_release ends it. */
bool fd_use_shared(int fd, bool any, struct fd_use *use);
static inline bool fd_use(int fd, bool any, struct fd_use *use)
{
    const struct fd_table *t = current->files;

    if (unlikely(load_relaxed(&t->refs) != 1))
        return fd_use_shared(fd, any, use);
    use->referenced = false;
    if (unlikely((unsigned)fd >= t->capacity))
        return false;
    use->file = t->files[fd];
    return likely(use->file != NULL) && (any || likely(!(use->file->flags & O_PATH)));
}
static inline void fd_release(struct fd_use *use)
{
    if (use->referenced)
        file_put(use->file);
}

int fd_make_room(void); /* the next fd_install will find room, unless another thread takes it: 0, -EMFILE, -ENOMEM */
int fd_install_from(struct file *file, int lowest,
                    bool cloexec); /* as fd_install, but at least LOWEST: -EMFILE, -ENOMEM, -EINVAL */
/* Puts FILE, whose reference it takes over on success, at FD, closing what is there: FD or -errno. */
int fd_replace(struct file *file, int fd, bool cloexec);
int fd_close(int fd);
int fd_close_range(unsigned first, unsigned last, bool only_mark);
int fd_get_cloexec(int fd); /* 0, 1, -EBADF */
int fd_set_cloexec(int fd, bool on);

/* What close(2) does to a file besides taking the descriptor away; drops the reference. */
int file_close(struct file *file);

#endif
