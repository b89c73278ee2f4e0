/* /proc/PID/maps, smaps and mem: a process's address space. Sources: proc_pid_maps(5), proc_pid_smaps(5),
 * proc_pid_mem(5). */
#include "fs/procfs/internal.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/uaccess.h"

#define NAME_COLUMN 73
#define COPY_SIZE PAGE_SIZE

static void show_line(struct seq *s, const struct space_range *r)
{
    size_t start = s->length;
    const struct inode *inode = r->file != NULL ? r->file->inode : NULL;
    u32 dev = inode != NULL ? inode->super->dev : 0;

    seq_printf(s, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", r->start, r->end, r->prot & PROT_READ ? 'r' : '-',
               r->prot & PROT_WRITE ? 'w' : '-', r->prot & PROT_EXEC ? 'x' : '-', r->shared ? 's' : 'p', r->offset,
               dev_major(dev), dev_minor(dev), inode != NULL ? inode->ino : 0ul);
    if (r->file != NULL || r->name != NULL)
        seq_pad(s, start, NAME_COLUMN);
    if (r->file != NULL)
        seq_file_path(s, r->file);
    else if (r->name != NULL)
        seq_puts(s, r->name);
    seq_puts(s, "\n");
}

static void show_size(struct seq *s, const char *name, u64 bytes)
{
    seq_printf(s, "%-15s %8lu kB\n", name, bytes / KIB);
}

/* What smaps and smaps_rollup have alike. A rollup tells Pss apart by kinds. */
static void show_pages(struct seq *s, const struct range_pages *n, bool is_rollup)
{
    show_size(s, "Rss:", n->rss);
    show_size(s, "Pss:", n->pss >> SHARE_SHIFT);
    show_size(s, "Pss_Dirty:", n->pss_dirty >> SHARE_SHIFT);
    if (is_rollup) {
        show_size(s, "Pss_Anon:", n->pss_anon >> SHARE_SHIFT);
        show_size(s, "Pss_File:", n->pss_file >> SHARE_SHIFT);
        show_size(s, "Pss_Shmem:", n->pss_shmem >> SHARE_SHIFT);
    }
    show_size(s, "Shared_Clean:", n->shared_clean);
    show_size(s, "Shared_Dirty:", n->shared_dirty);
    show_size(s, "Private_Clean:", n->private_clean);
    show_size(s, "Private_Dirty:", n->private_dirty);
    show_size(s, "Referenced:", n->referenced);
    show_size(s, "Anonymous:", n->anonymous);
    show_size(s, "KSM:", 0);
    show_size(s, "LazyFree:", n->lazy);
    show_size(s, "AnonHugePages:", n->huge);
    show_size(s, "ShmemPmdMapped:", n->huge_shared);
    show_size(s, "FilePmdMapped:", 0);
    show_size(s, "Shared_Hugetlb:", 0);
    seq_printf(s, "Private_Hugetlb: %7u kB\n", 0);
    show_size(s, "Swap:", n->swap);
    show_size(s, "SwapPss:", n->pss_swap >> SHARE_SHIFT);
    show_size(s, "Locked:", n->pss_locked >> SHARE_SHIFT);
}

static void show_sizes(struct seq *s, const struct space_range *r)
{
    char flags[RANGE_FLAGS_SIZE];

    show_size(s, "Size:", r->end - r->start);
    show_size(s, "KernelPageSize:", PAGE_SIZE);
    show_size(s, "MMUPageSize:", PAGE_SIZE);
    show_pages(s, r->pages, false);
    seq_printf(s, "%-15s %8u\n", "THPeligible:", r->huge_eligible);
    space_range_flags(r, flags);
    seq_printf(s, "VmFlags: %s\n", flags);
}

/* The range at or behind *CURSOR, an address. */
static bool show_range(struct seq *s, const struct proc_target *t, u64 *cursor, struct range_pages *pages)
{
    struct space_range r = {.pages = pages};

    if (t->space == NULL || !space_next_range(t->space, cursor, &r))
        return false;
    show_line(s, &r);
    if (pages != NULL)
        show_sizes(s, &r);
    if (r.file != NULL)
        file_put(r.file);
    return true;
}

bool show_maps(struct seq *s, const struct proc_target *t, u64 *cursor) { return show_range(s, t, cursor, NULL); }

bool show_smaps(struct seq *s, const struct proc_target *t, u64 *cursor)
{
    struct range_pages pages = {0};

    return show_range(s, t, cursor, &pages);
}

int show_smaps_rollup(struct seq *s, const struct proc_target *t)
{
    struct range_pages pages = {0};
    struct space_range r = {.pages = &pages}, all = {.name = "[rollup]"};
    u64 cursor = 0;

    if (t->space == NULL)
        return -ESRCH;
    while (space_next_range(t->space, &cursor, &r)) {
        all.start = all.end == 0 ? r.start : all.start;
        all.end = r.end;
        if (r.file != NULL)
            file_put(r.file);
    }
    if (all.end == 0)
        return 0;
    show_line(s, &all);
    show_pages(s, &pages, true);
    return 0;
}

/* ---- mem ---- */

int proc_hold_space(struct inode *inode, struct space **space)
{
    struct proc_target t;
    int error = proc_target_get(inode, &t);

    if (error != 0)
        return error;
    *space = task_space_guarded(t.task, may_trace);
    if (IS_ERR(*space)) {
        error = (int)PTR_ERR(*space);
        *space = NULL;
    }
    if (*space != NULL) {
        space_hold(*space);
        space_put(*space);
    }
    proc_target_put(&t);
    return error;
}

static int mem_open(struct inode *inode, struct file *file)
{
    struct space *space;
    int error = proc_hold_space(inode, &space);

    if (error == 0)
        file->private = space;
    return error;
}

static void mem_release(struct file *file)
{
    if (file->private != NULL)
        space_drop(file->private);
}

/* Page by page through BUFFER; stops where the memory does. */
static ssize_t transfer(struct space *space, struct uio *uio, u64 *pos, char *buffer, bool to_memory)
{
    ssize_t done = 0, n = 0;

    while (uio->left > 0 && n >= 0) {
        size_t wanted = MIN(uio->left, COPY_SIZE - (*pos & PAGE_MASK));

        if (to_memory && uio_copy_in(uio, buffer, wanted) != wanted) {
            n = -EFAULT;
            break;
        }
        n = to_memory ? space_write(space, *pos, buffer, wanted, true) : space_read(space, *pos, buffer, wanted, true);
        if (n <= 0) {
            n = -EIO;
            break;
        }
        if (!to_memory && uio_copy_out(uio, buffer, (size_t)n) != (size_t)n) {
            n = -EFAULT;
            break;
        }
        *pos += (u64)n;
        done += n;
        if (fatal_signal_pending())
            n = -EINTR;
    }
    return done > 0 ? done : n;
}

static ssize_t mem_transfer(struct file *file, struct uio *uio, u64 *pos, bool to_memory)
{
    struct space *space = file->private;
    char *buffer;
    ssize_t n;

    if (space == NULL || !space_try_get(space))
        return 0;
    buffer = kmalloc(COPY_SIZE);
    n = buffer == NULL ? -ENOMEM : transfer(space, uio, pos, buffer, to_memory);
    kfree(buffer);
    space_put(space);
    return n;
}

static ssize_t mem_read(struct file *file, struct uio *uio, u64 *pos) { return mem_transfer(file, uio, pos, false); }
static ssize_t mem_write(struct file *file, struct uio *uio, u64 *pos) { return mem_transfer(file, uio, pos, true); }

/* Addresses are unsigned; there is no end to seek from. */
s64 proc_mem_seek(struct file *file, s64 offset, int whence)
{
    if (whence == 1)
        offset += (s64)file->pos;
    else if (whence != 0)
        return -EINVAL;
    file->pos = (u64)offset;
    return offset;
}

const struct file_ops proc_mem_ops = {
    .open = mem_open, .release = mem_release, .read = mem_read, .write = mem_write, .seek = proc_mem_seek};
