/* Text files of /proc: a growing buffer, filled when it is read from. */
#include "fs/procfs/internal.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

#define FIRST_SIZE 1024
#define MAX_SIZE (2 * MIB)
#define MAX_WRITE 4095
#define PART_SIZE 4096 /* parts are generated until there is about this much */

/* ---- text ---- */

/* Room for N bytes more. */
static bool reserve(struct seq *s, size_t n)
{
    size_t size = MAX(s->size, (size_t)FIRST_SIZE);
    char *text;

    if (s->failed)
        return false;
    if (s->length + n <= s->size)
        return true;
    while (size < s->length + n)
        size *= 2;
    text = size <= MAX_SIZE ? kmalloc(size) : NULL;
    if (text == NULL) {
        s->failed = true;
        return false;
    }
    if (s->length > 0)
        memcpy(text, s->text, s->length);
    kfree(s->text);
    s->text = text;
    s->size = size;
    return true;
}

void seq_write(struct seq *s, const char *bytes, size_t n)
{
    if (!reserve(s, n))
        return;
    memcpy(s->text + s->length, bytes, n);
    s->length += n;
}

void seq_puts(struct seq *s, const char *text) { seq_write(s, text, strlen(text)); }

void seq_printf(struct seq *s, const char *fmt, ...)
{
    va_list args, again;
    size_t n, room;

    if (!reserve(s, 1))
        return;
    va_start(args, fmt);
    va_copy(again, args);
    room = s->size - s->length;
    n = (size_t)vsnprintf(s->text + s->length, room, fmt, args);
    if (n >= room && reserve(s, n + 1)) /* a name may have become shorter meanwhile */
        n = MIN(n, (size_t)vsnprintf(s->text + s->length, n + 1, fmt, again));
    if (!s->failed)
        s->length += n;
    va_end(again);
    va_end(args);
}

void seq_pad(struct seq *s, size_t start, size_t column)
{
    while (!s->failed && s->length - start < column)
        seq_write(s, " ", 1);
}

void seq_escaped(struct seq *s, const char *text, const char *escaped)
{
    for (; *text != '\0'; text++) {
        if (strchr(escaped, *text) != NULL)
            seq_printf(s, "\\%03o", (unsigned char)*text);
        else
            seq_write(s, text, 1);
    }
}

void seq_file_path(struct seq *s, struct file *file)
{
    char *buf = kmalloc(PATH_MAX), *path;

    if (buf == NULL) {
        s->failed = true;
        return;
    }
    path = file_path(file, buf, PATH_MAX);
    seq_escaped(s, IS_ERR(path) ? "" : path, "\n");
    kfree(buf);
}

/* ---- files ---- */

/* An open text file. */
struct proc_file {
    struct mutex lock;
    struct seq seq;
    struct space *space; /* PROC_SPACE: held, or NULL */
    u64 base;            /* file offset of seq.text */
    u64 cursor;          /* of show_part */
    bool ended;          /* nothing comes after seq.text */
    bool begun;
};

static int proc_open(struct inode *inode, struct file *file)
{
    const struct proc_entry *entry = proc_inode(inode)->entry;
    struct space *space = NULL;
    struct proc_file *p;
    struct proc_target t;
    int error = proc_target_get(inode, &t);

    if (error != 0)
        return error;
    if ((entry->flags & PROC_GUARDED) && !may_trace(t.task))
        error = -EACCES;
    proc_target_put(&t);
    if (error == 0 && file->can_write && entry->write == NULL)
        error = -EACCES;
    if (error == 0 && (entry->flags & PROC_SPACE))
        error = proc_hold_space(inode, &space);
    if (error != 0)
        return error;
    p = kzalloc(sizeof(*p));
    if (p == NULL) {
        if (space != NULL)
            space_drop(space);
        return -ENOMEM;
    }
    mutex_init(&p->lock);
    p->space = space;
    file->private = p;
    return 0;
}

static void proc_release(struct file *file)
{
    struct proc_file *p = file->private;

    if (p->space != NULL)
        space_drop(p->space);
    kfree(p->seq.text);
    kfree(p);
}

static void start_again(struct proc_file *p)
{
    p->seq.length = 0;
    p->seq.failed = false;
    p->base = p->cursor = 0;
    p->ended = false;
    p->begun = true;
}

/* The next part of the text replaces the last. */
static int generate(struct proc_file *p, const struct proc_entry *entry, const struct proc_target *t)
{
    int error = 0;

    p->base += p->seq.length;
    p->seq.length = 0;
    if (entry->show_part == NULL) {
        error = entry->show != NULL ? entry->show(&p->seq, t) : -EINVAL;
        p->ended = true;
    }
    while (!p->ended && !p->seq.failed && p->seq.length < PART_SIZE)
        p->ended = !entry->show_part(&p->seq, t, &p->cursor);
    return p->seq.failed ? -ENOMEM : error;
}

/* Makes the part that has offset POS present, if there is one. => p->lock */
static int go_to(struct proc_file *p, struct file *file, u64 pos)
{
    struct proc_target t;
    int error = 0;

    if (pos == 0 || !p->begun || pos < p->base)
        start_again(p);
    if (p->ended || pos < p->base + p->seq.length)
        return 0;
    error = proc_target_get(file->inode, &t);
    if (p->space != NULL && space_try_get(p->space))
        t.space = p->space;
    while (error == 0 && !p->ended && pos >= p->base + p->seq.length)
        error = generate(p, proc_inode(file->inode)->entry, &t);
    if (t.space != NULL)
        space_put(t.space);
    proc_target_put(&t);
    if (error != 0)
        p->begun = false;
    return error;
}

static ssize_t proc_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct proc_file *p = file->private;
    ssize_t done = 0;
    int error = 0;

    mutex_lock(&p->lock);
    while (uio->left > 0) {
        size_t at, n, copied;

        error = go_to(p, file, *pos);
        at = (size_t)(*pos - p->base);
        if (error != 0 || at >= p->seq.length)
            break;
        n = MIN(uio->left, p->seq.length - at);
        copied = uio_copy_out(uio, p->seq.text + at, n);
        done += (ssize_t)copied;
        *pos += copied;
        if (copied < n) {
            error = -EFAULT;
            break;
        }
    }
    mutex_unlock(&p->lock);
    return done > 0 ? done : error;
}

static ssize_t proc_write(struct file *file, struct uio *uio, u64 *pos)
{
    size_t n = MIN(uio->left, (size_t)MAX_WRITE);
    char *text = kmalloc(n + 1);
    struct proc_target t;
    int error;

    if (text == NULL)
        return -ENOMEM;
    error = uio_copy_in(uio, text, n) == n ? 0 : -EFAULT;
    text[n] = '\0';
    if (error == 0)
        error = proc_target_get(file->inode, &t);
    if (error == 0) {
        error = proc_inode(file->inode)->entry->write(&t, text, n);
        proc_target_put(&t);
    }
    kfree(text);
    *pos += error == 0 ? n : 0;
    return error == 0 ? (ssize_t)n : error;
}

const struct file_ops proc_file_ops = {
    .open = proc_open,
    .release = proc_release,
    .read = proc_read,
    .write = proc_write,
    .seek = generic_seek,
};
