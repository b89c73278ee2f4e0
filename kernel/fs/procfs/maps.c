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

/* A line per page kind that is known: pages here are mapped once as far as this file tells, so Pss is Rss. */
static void show_sizes(struct seq *s, const struct space_range *r)
{
    u64 clean = r->rss - r->dirty;
    const struct {
        const char *name;
        u64 n_pages;
    } lines[] = {
        {"Size:", (r->end - r->start) / PAGE_SIZE},
        {"KernelPageSize:", 1},
        {"MMUPageSize:", 1},
        {"Rss:", r->rss},
        {"Pss:", r->rss},
        {"Shared_Clean:", r->shared ? clean : 0},
        {"Shared_Dirty:", r->shared ? r->dirty : 0},
        {"Private_Clean:", r->shared ? 0 : clean},
        {"Private_Dirty:", r->shared ? 0 : r->dirty},
        {"Referenced:", r->rss},
        {"Anonymous:", r->anon},
        {"AnonHugePages:", 0},
        {"Swap:", 0},
        {"SwapPss:", 0},
        {"Locked:", 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
        seq_printf(s, "%-15s %8lu kB\n", lines[i].name, pages_to_kib(lines[i].n_pages));
    seq_printf(s, "VmFlags:%s%s%s%s mr mw me\n", r->prot & PROT_READ ? " rd" : "", r->prot & PROT_WRITE ? " wr" : "",
               r->prot & PROT_EXEC ? " ex" : "", r->shared ? " sh" : "");
}

/* The range at or behind *CURSOR, an address. */
static bool show_range(struct seq *s, const struct proc_target *t, u64 *cursor, bool sizes)
{
    struct space *space = task_space(t->task);
    struct space_range r = {.count_pages = sizes};
    bool found;

    if (space == NULL)
        return false;
    found = space_next_range(space, cursor, &r);
    space_put(space);
    if (!found)
        return false;
    show_line(s, &r);
    if (sizes)
        show_sizes(s, &r);
    if (r.file != NULL)
        file_put(r.file);
    return true;
}

bool show_maps(struct seq *s, const struct proc_target *t, u64 *cursor) { return show_range(s, t, cursor, false); }
bool show_smaps(struct seq *s, const struct proc_target *t, u64 *cursor) { return show_range(s, t, cursor, true); }

/* ---- mem ---- */

int proc_hold_space(struct inode *inode, struct space **space)
{
    struct proc_target t;
    int error = proc_target_get(inode, &t);

    if (error != 0)
        return error;
    *space = NULL;
    if (may_trace(t.task))
        *space = task_space(t.task);
    else
        error = -EACCES;
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

    while (uio->left > 0) {
        size_t wanted = MIN(uio->left, COPY_SIZE - (*pos & PAGE_MASK));

        if (to_memory && uio_copy_in(uio, buffer, wanted) != wanted)
            n = -EFAULT;
        else if (to_memory)
            n = space_write(space, *pos, buffer, wanted, true);
        else
            n = space_read(space, *pos, buffer, wanted, true);
        if (n <= 0)
            break;
        if (!to_memory && uio_copy_out(uio, buffer, (size_t)n) != (size_t)n) {
            n = -EFAULT;
            break;
        }
        *pos += (u64)n;
        done += n;
    }
    if (done > 0)
        return done;
    return n == -EFAULT || n == 0 ? (uio->left == 0 ? 0 : -EIO) : n;
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
