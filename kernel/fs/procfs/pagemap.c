/* /proc/PID/pagemap and /proc/PID/clear_refs: what a process's pages are, and which it has touched. Sources: Linux's
 * admin-guide/mm/pagemap, proc_pid_pagemap(5), proc_pid_clear_refs(5). */
#include "fs/procfs/internal.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/uaccess.h"

#define ENTRY_SIZE sizeof(u64)
#define CHUNK_ENTRIES 128

/* An open pagemap. */
struct pagemap_file {
    struct space *space; /* held; NULL: a kernel thread, or a process that was gone already */
    bool show_frames;    /* its opener might see where pages are in memory */
};

static int pagemap_open(struct inode *inode, struct file *file)
{
    struct pagemap_file *p = kzalloc(sizeof(*p));
    int error;

    if (p == NULL)
        return -ENOMEM;
    error = proc_hold_space(inode, &p->space);
    if (error != 0) {
        kfree(p);
        return error;
    }
    p->show_frames = capable(current->cred, CAP_SYS_ADMIN);
    file->private = p;
    return 0;
}

static void pagemap_release(struct file *file)
{
    struct pagemap_file *p = file->private;

    if (p->space != NULL)
        space_drop(p->space);
    kfree(p);
}

static ssize_t read_entries(const struct pagemap_file *p, struct uio *uio, u64 *pos)
{
    u64 entries[CHUNK_ENTRIES], limit = arch_user_address_limit() >> PAGE_SHIFT;
    ssize_t done = 0;

    while (uio->left > 0 && *pos / ENTRY_SIZE < limit) {
        u64 first = *pos / ENTRY_SIZE;
        size_t n = MIN(MIN(uio->left / ENTRY_SIZE, (size_t)CHUNK_ENTRIES), limit - first), copied;

        if (fatal_signal_pending())
            return done > 0 ? done : -EINTR;
        space_pagemap(p->space, first << PAGE_SHIFT, entries, (unsigned)n, p->show_frames);
        copied = uio_copy_out(uio, entries, n * ENTRY_SIZE);
        if (copied < n * ENTRY_SIZE)
            return -EFAULT;
        *pos += copied;
        done += (ssize_t)copied;
        cond_resched();
    }
    return done;
}

static ssize_t pagemap_read(struct file *file, struct uio *uio, u64 *pos)
{
    const struct pagemap_file *p = file->private;
    ssize_t n;

    if (p->space == NULL || !space_try_get(p->space))
        return 0;
    n = *pos % ENTRY_SIZE != 0 || uio->left % ENTRY_SIZE != 0 ? -EINVAL : read_entries(p, uio, pos);
    space_put(p->space);
    return n;
}

const struct file_ops proc_pagemap_ops = {
    .open = pagemap_open, .release = pagemap_release, .read = pagemap_read, .seek = proc_mem_seek};

/* ---- clear_refs ---- */

int write_clear_refs(const struct proc_target *t, char *text, size_t n)
{
    struct space *space;
    long what;

    if (parse_number(text, &what) != 0 || what < CLEAR_ALL || what > CLEAR_PEAK)
        return -EINVAL;
    space = task_space(t->task);
    if (space != NULL) {
        space_clear_refs(space, (enum clear_refs)what);
        space_put(space);
    }
    return 0;
}
