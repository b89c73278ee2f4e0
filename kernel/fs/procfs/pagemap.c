/* /proc/PID/pagemap and /proc/PID/clear_refs: what a process's pages are, and which it has touched. Sources: Linux's
 * admin-guide/mm/pagemap, proc_pid_pagemap(5), proc_pid_clear_refs(5). */
#include "fs/procfs/internal.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/pagescan.h"
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

/* ---- PAGEMAP_SCAN ---- */

struct pm_scan_arg { /* the ABI's */
    u64 size, flags, start, end, walk_end, vector, vector_length, max_pages;
    u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
static_assert(sizeof(struct pm_scan_arg) == 96, "linux/fs.h");
#define PAGEMAP_SCAN 0xc0606610u /* _IOWR('f', 16, struct pm_scan_arg) */

#define CHUNK_REGIONS 64

static bool is_user_range(u64 address, u64 length)
{
    u64 limit = arch_user_address_limit();

    return length <= limit && address <= limit - length;
}

static int check_arguments(const struct pm_scan_arg *a)
{
    u64 categories = a->category_inverted | a->category_mask | a->category_anyof_mask | a->return_mask;

    if (a->size != sizeof(*a) || (a->flags & ~(PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC)) ||
        (categories & ~PAGE_CATEGORIES) || (a->start & PAGE_MASK) != 0)
        return -EINVAL;
    if (!is_user_range(a->start, a->end - a->start))
        return -EFAULT;
    if (a->vector == 0 && a->vector_length != 0)
        return -EINVAL;
    if (a->vector != 0 && (a->vector_length > UINT64_MAX / sizeof(struct page_region) ||
                           !is_user_range(a->vector, a->vector_length * sizeof(struct page_region))))
        return -EFAULT;
    return 0;
}

/* Chunk after chunk of regions: how many, or -errno. A->walk_end becomes where it stopped. */
static long scan_chunks(struct space *space, struct pm_scan_arg *a)
{
    struct page_region regions[CHUNK_REGIONS], *to = (struct page_region *)a->vector;
    u64 left = a->vector_length;
    struct page_scan s = {
        .flags = a->flags,
        .start = a->start,
        .end = ALIGN_UP(a->end, PAGE_SIZE),
        .max_pages = a->max_pages != 0 ? a->max_pages : UINT64_MAX,
        .inverted = a->category_inverted,
        .mask = a->category_mask,
        .any_of = a->category_anyof_mask,
        .returned = a->return_mask,
        .regions = left > 0 ? regions : NULL,
    };
    long result = 0;

    a->walk_end = s.end;
    while (result == 0 && s.start < s.end) {
        s.room = (unsigned)MIN(left, (u64)CHUNK_REGIONS);
        result = fatal_signal_pending() ? -EINTR : space_scan_pages(space, &s);
        if (result == -EINTR)
            break;
        if (s.n_regions > 0 && copy_to_user(to, regions, s.n_regions * sizeof(regions[0])) != 0)
            result = -EFAULT;
        to += s.n_regions;
        left -= s.n_regions;
        a->walk_end = s.walk_end != 0 ? s.walk_end : s.end;
        if (s.walk_end == 0)
            break;
        s.start = s.walk_end;
        if (left == 0 || s.found_pages == s.max_pages)
            break;
    }
    return result != 0 ? result : (long)(a->vector_length - left);
}

static long pagemap_scan(const struct pagemap_file *p, struct pm_scan_arg *user)
{
    struct pm_scan_arg a;
    long result;

    if (copy_from_user(&a, user, sizeof(a)) != 0)
        return -EFAULT;
    result = check_arguments(&a);
    if (result != 0)
        return result;
    if (p->space != NULL && space_try_get(p->space)) {
        result = scan_chunks(p->space, &a);
        space_put(p->space);
    } else {
        a.walk_end = ALIGN_UP(a.end, PAGE_SIZE);
    }
    return put_user_u64(a.walk_end, &user->walk_end) != 0 ? -EFAULT : result;
}

static long pagemap_ioctl(struct file *file, unsigned command, u64 argument)
{
    return command == PAGEMAP_SCAN ? pagemap_scan(file->private, (struct pm_scan_arg *)argument) : -EINVAL;
}

const struct file_ops proc_pagemap_ops = {
    .open = pagemap_open,
    .release = pagemap_release,
    .read = pagemap_read,
    .ioctl = pagemap_ioctl,
    .seek = proc_mem_seek,
};

/* ---- clear_refs ---- */

int write_clear_refs(const struct proc_target *t, char *text, size_t n)
{
    struct space *space;
    int result = 0;
    long what;

    if (parse_number(text, &what) != 0 || what < CLEAR_ALL || what > CLEAR_PEAK)
        return -EINVAL;
    space = task_space(t->task);
    if (space != NULL) {
        result = space_clear_refs(space, (enum clear_refs)what);
        space_put(space);
    }
    return result;
}
